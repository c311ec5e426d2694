"""Listing training data: which images or pairs there are below some folders, in which order, and what is left out.

    database/set00/V000/lwir/I00000.jpg    infrared
    database/set00/V000/visible/I00000.jpg visible, the same frame

This is KAIST; tools/data/layouts.py tells of other layouts, tools/data/pairing.py which files are one frame.
"""
import os
from collections import defaultdict
from pathlib import Path
from typing import List, NamedTuple, Tuple

from tqdm import tqdm

from tools.base.errors import UserError
from tools.base.threads import in_order
from tools.base.wording import SOME, counted, some
from tools.data.images import describe_others, image_size
from tools.data.layouts import find_layout, layout_of, pair_of
from tools.data.names import swap_doubts
from tools.data.pairing import candidates_of, find_partners
from tools.data.reading import AS_THEY_ARE

MODALITY_NAMES = {'ir': 'infrared', 'vi': 'visible'}
LAYOUTS = {'ir': ('set00/V000/lwir/I00000.jpg', 'ir/1.png'), 'vi': ('set00/V000/visible/I00000.jpg', 'vi/1.png')}
CHECKING_THREADS = 8  # reading headers waits for the disk, not for the processor
PROGRESS_AFTER_SECONDS = 2
SHAPE_TOLERANCE = 0.01  # by which the ratios of width and height of a pair may differ: a pixel in a hundred


class Listing(NamedTuple):
    items: List[Tuple[Path, ...]]  # (path,) per image, or (infrared, visible) per pair
    report: str                    # what was found, used and left out, to be shown


def list_images_of(roots, modality, train_num=None, train_num_from='first', ir=None, vi=None, reading=AS_THEY_ARE):
    """The training images of one modality ('ir' or 'vi') under one or several folders -> Listing.

    ir, vi: folders of one modality each, in place of roots.
    Order: the roots as given, below them sequences and frames by name. `train_num` takes that many (None: all):
    the 'first', as the original does, or 'spread' evenly over all sequences.
    Raises UserError if a folder cannot be read or no readable image is found.
    """
    given = {'ir': ir, 'vi': vi}
    if (ir or vi) and not given[modality]:
        raise UserError(f'give {modality}, the folder of {MODALITY_NAMES[modality]} images: those are to be trained on')
    roots, layout = _find(roots, reading, **{modality: given[modality]})
    folders = [getattr(sequence, modality) for sequence in layout.sequences]
    images = [[(path,) for folder in one for path in folder.images] for one in folders]
    return _make_listing(roots, layout, [modality], images, {}, train_num, train_num_from)


def list_pairs(roots, train_num=None, train_num_from='first', ir=None, vi=None, reading=AS_THEY_ARE):
    """The training pairs, the same frame in infrared and visible, as `list_images_of` lists images.

    Pairs of different sizes are used if their shapes agree: all is resized anyway. Left out and counted in the report:
    images without a partner, pairs of other shapes, unreadable files. UserError also if it is not clear which pair.
    """
    if bool(ir) != bool(vi):
        raise UserError('give both ir and vi, or neither')
    roots, layout = _find(roots, reading, ir, vi)
    left_out = defaultdict(list)
    pairs = [_pairs_of(sequence, left_out, reading) for sequence in layout.sequences]
    notes = swap_doubts(ir, vi) if ir else []
    return _make_listing(roots, layout, ['ir', 'vi'], pairs, left_out, train_num, train_num_from, notes)


def _find(roots, reading, ir=None, vi=None):
    """(the folders to look in, as texts; the Layout of what is in them)."""
    if ir or vi:
        return [str(folder) for folder in (ir, vi) if folder], layout_of(ir, vi, reading)
    roots = [roots] if isinstance(roots, (str, Path)) else list(roots)
    return list(map(str, roots)), find_layout(roots, reading)


def _pairs_of(sequence, left_out, reading):
    """The pairs of a sequence, by the names of their infrared files."""
    chosen = pair_of(sequence, reading)
    for folder in sequence.ir + sequence.vi:
        if chosen is None:
            left_out['no partner'] += folder.images
        elif folder not in chosen:
            reason = f'in {folder.label}/, while another folder has images of the size of the partners'
            left_out[reason] += folder.images
    if chosen is None:
        return []
    ir, vi = chosen
    partners = find_partners(ir.images, vi.images, ir.path == vi.path, reading)
    candidates = candidates_of(partners)
    for path in dict.fromkeys(ir.images + vi.images):
        if path not in candidates:
            left_out['no partner'].append(path)
        elif any(len(candidates[one]) > 1 for one in (path, *candidates[path])):
            left_out['two files for one frame'].append(path)
    pairs = [pair for pair in partners if all(len(candidates[path]) == 1 for path in pair)]
    return sorted(pairs, key=lambda pair: pair[0].stem)


def _make_listing(roots, layout, modalities, candidates, left_out, train_num, train_num_from, notes=()):
    number = sum(map(len, candidates))
    items = _choose(candidates, train_num, SELECTIONS[train_num_from], left_out)
    kind = 'image' if len(modalities) == 1 else 'pair'
    how = {'first': 'the first ones', 'spread': 'spread over all sequences'}[train_num_from]
    lines = [f'{", ".join(roots)}: ' + ', '.join(_found(layout, modality) for modality in modalities),
             f'{counted(number, kind)}, {len(items):,} used' + (f', {how}' if len(items) == train_num else '')
             + (f' ({train_num:,} asked for)' if train_num and len(items) < train_num else '')]
    for reason, files in left_out.items():
        lines += [f'left out, {reason}: {len(files)}', *(f'    {text}' for text in files[:SOME])]
        lines += [f'    … and {len(files) - SOME} more'] * (len(files) > SOME)
    report = '\n'.join([*lines, *_unused(roots, layout), *notes])
    if not items:
        expected = ', or '.join(map(' and '.join, zip(*(LAYOUTS[modality] for modality in modalities))))
        raise UserError(f'no training {kind}s are left. Names of folders or files must tell infrared from visible, as '
                        f'in {expected}, at any depth; or give folders as {" and ".join(modalities)}. Found:\n{report}')
    return Listing(items, report)


def _found(layout, modality):
    """How many images of a modality there are and in which folders, as text."""
    folders = [folder for sequence in layout.sequences for folder in getattr(sequence, modality) if folder.images]
    name, number = MODALITY_NAMES[modality], sum(len(folder.images) for folder in folders)
    if not folders:
        return f'no {name} images'
    labels = some([f'{folder.label}/' for folder in folders], ' ')
    return f'{counted(number, f"{name} image")} in {counted(len(folders), "folder")} {labels}'


def _unused(roots, layout):
    """What lies below the roots and is not used: a line each."""
    number = sum(len(folder.images) for folder in layout.unused)
    names = some([f'{folder.path.name}/' for folder in layout.unused if folder.images], ' ')
    others = describe_others(name for folder in layout.unused for name in folder.others)
    used = [Path(os.path.abspath(folder.path)) for sequence in layout.sequences for part in sequence for folder in part]
    empty = [root for root in roots if not any(Path(os.path.abspath(root)) in (path, *path.parents) for path in used)]
    untold = f'{counted(number, "image")} whose folders and names do not tell infrared from visible, in {names}'
    return ([f'not used: {untold}'] * bool(number) + [f'not used: {others}'] * bool(others)
            + [f'nothing to use in {", ".join(empty)}'] * bool(empty))


def _choose(candidates, train_num, select, left_out):
    """Select items until all of them are sound, noting the others in `left_out`. Only selected files are looked at."""
    problems = {}
    while True:
        available = sum(map(len, candidates))
        chosen = select(candidates, min(train_num or available, available))
        unchecked = [item for item in chosen if item not in problems]
        results = tqdm(in_order(_problem_of, unchecked, CHECKING_THREADS, 2 * CHECKING_THREADS), 'checking files',
                       len(unchecked), delay=PROGRESS_AFTER_SECONDS, leave=False, disable=None)
        problems.update(zip(unchecked, results))
        broken = [item for item in chosen if problems[item]]
        if not broken:
            return chosen
        for item in broken:
            reason, text = problems[item]
            left_out.setdefault(reason, []).append(text)
        candidates = [[item for item in sequence if not problems.get(item)] for sequence in candidates]


def _problem_of(item):
    """None, or (reason, text). Reads headers only; what a header does not tell is found out in training."""
    try:
        sizes = [image_size(path) for path in item]
    except UserError as error:
        return 'unreadable', str(error)
    ratios = [width / height for height, width in sizes]
    if max(ratios) > min(ratios) * (1 + SHAPE_TOLERANCE):
        return 'shapes differ', ', '.join(f'{path}: {width}×{height}' for path, (height, width) in zip(item, sizes))
    return None


def _first(sequences, count):
    return [item for sequence in sequences for item in sequence][:count]


def _spread(sequences, count):
    """The same number from each sequence, evenly spaced in it; where a sequence is too short the others give more."""
    shares = {}
    for done, index in enumerate(sorted(range(len(sequences)), key=lambda index: len(sequences[index]))):
        shares[index] = min(len(sequences[index]), (count - sum(shares.values())) // (len(sequences) - done))
    return [sequence[(2 * k + 1) * len(sequence) // (2 * shares[index])]
            for index, sequence in enumerate(sequences) for k in range(shares[index])]


SELECTIONS = {'first': _first, 'spread': _spread}
