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
from tools.base.wording import counted
from tools.data.images import describe_others, image_size
from tools.data.layouts import find_layout, layout_of, pair_of
from tools.data.names import seem_swapped
from tools.data.pairing import find_partners
from tools.data.reading import AS_THEY_ARE

MODALITY_NAMES = {'ir': 'infrared', 'vi': 'visible'}
LAYOUTS = {'ir': 'set00/V000/lwir/I00000.jpg', 'vi': 'set00/V000/visible/I00000.jpg'}, {'ir': 'ir/1.png', 'vi': 'vi/1.png'}
CHECKING_THREADS = 8  # reading headers waits for the disk, not for the processor
PROGRESS_AFTER_SECONDS = 2
EXAMPLES = 5  # files or folders named in the report per reason
SHAPE_TOLERANCE = 0.01  # by which the ratios of width and height of a pair may differ: a pixel in a hundred


class Listing(NamedTuple):
    items: List[Tuple[Path, ...]]  # (path,) per image, or (infrared, visible) per pair
    report: str                    # what was found, used and left out, to be shown


def list_images_of(roots, modality, train_num=None, train_num_from='first', ir=None, vi=None, reading=AS_THEY_ARE):
    """The training images of one modality ('ir' or 'vi') under one or several folders -> Listing.

    ir, vi: folders of one modality each, in place of roots. reading: as for tools.data.pairing.find_partners.
    Order: the roots as given, below them sequences and frames by name. `train_num` takes that many (None: all):
    the 'first', as the original does, or 'spread' evenly over all sequences.
    Raises UserError if a folder cannot be read or no readable image is found.
    """
    if (ir or vi) and not {'ir': ir, 'vi': vi}[modality]:
        raise UserError(f'give {modality}, the folder of {MODALITY_NAMES[modality]} images: those are to be trained on')
    roots, layout = _find(roots, *((ir, None) if modality == 'ir' else (None, vi)), reading)
    folders = [getattr(sequence, modality) for sequence in layout.sequences]
    images = [[(path,) for folder in one for path in folder.images] for one in folders]
    found = _found({modality: folders})
    return _make_listing(f'{", ".join(roots)}: {found}', [modality], images, train_num, train_num_from, defaultdict(list),
                         _unused(roots, layout))


def list_pairs(roots, train_num=None, train_num_from='first', ir=None, vi=None, reading=AS_THEY_ARE):
    """The training pairs, the same frame in infrared and visible, as `list_images_of` lists images.

    Pairs of different sizes are used if their shapes agree: all is resized anyway. Left out and counted in the report: images
    without a partner, pairs of different shapes, unreadable files. UserError also if it is not clear which folders belong together.
    """
    if bool(ir) != bool(vi):
        raise UserError('give both ir and vi, or neither')
    roots, layout = _find(roots, ir, vi, reading)
    left_out = defaultdict(list)
    pairs = [_pairs_of(sequence, left_out, reading) for sequence in layout.sequences]
    found = _found({'ir': [sequence.ir for sequence in layout.sequences], 'vi': [sequence.vi for sequence in layout.sequences]})
    notes = _unused(roots, layout)
    if ir and seem_swapped(ir, vi):
        notes.append(f'doubtful: their names say that {ir} and {vi}, given as ir and vi, are swapped')
    return _make_listing(f'{", ".join(roots)}: {found}', ['ir', 'vi'], pairs, train_num, train_num_from, left_out, notes)


def _find(roots, ir, vi, reading):
    """(the folders to look in, as texts; the Layout of what is in them)."""
    try:
        if ir or vi:
            return [str(folder) for folder in (ir, vi) if folder], layout_of(ir, vi, reading)
        roots = [roots] if isinstance(roots, (str, Path)) else list(roots)
        return list(map(str, roots)), find_layout(roots, reading)
    except UserError as error:
        raise UserError(f'training data: {error}') from error


def _pairs_of(sequence, left_out, reading):
    """The pairs of a sequence, by the names of their infrared files."""
    chosen = pair_of(sequence, reading)
    for folder in sequence.ir + sequence.vi:
        if chosen is None:
            left_out['no partner'] += map(str, folder.images)
        elif folder not in chosen:
            left_out[f'in {folder.label}/, while another folder has images of the size of the partners'] += map(str, folder.images)
    if chosen is None:
        return []
    ir, vi = chosen
    partners_of = defaultdict(list)
    for one, other in find_partners(ir.images, vi.images, ir.path == vi.path, reading):
        partners_of[one].append(other)
        partners_of[other].append(one)
    pairs, ir_images = [], set(ir.images)
    for path in dict.fromkeys(ir.images + vi.images):
        partners = partners_of[path]
        if not partners:
            left_out['no partner'].append(str(path))
        elif len(partners) > 1 or len(partners_of[partners[0]]) > 1:
            left_out['two files for one frame'].append(str(path))
        elif path in ir_images:
            pairs.append((path, partners[0]))
    return sorted(pairs, key=lambda pair: pair[0].stem)


def _found(folders):
    """How many images of each modality there are and in which folders, as text. folders: {modality: Folders of each sequence}."""
    texts = []
    for modality, sequences in folders.items():
        having = [folder for sequence in sequences for folder in sequence if folder.images]
        if not having:
            texts.append(f'no {MODALITY_NAMES[modality]} images')
            continue
        labels = list(dict.fromkeys(f'{folder.label}/' for folder in having))
        texts.append(counted(sum(len(folder.images) for folder in having), f'{MODALITY_NAMES[modality]} image')
                     + f' in {counted(len(having), "folder")} ' + ' '.join(labels[:EXAMPLES] + ['…'] * (len(labels) > EXAMPLES)))
    return ', '.join(texts)


def _unused(roots, layout):
    """What lies below the roots and is not used: a line each."""
    lines = []
    folders = [folder for folder in layout.unused if folder.images]
    if folders:
        names = list(dict.fromkeys(f'{folder.path.name}/' for folder in folders))
        number = sum(len(folder.images) for folder in folders)
        lines.append(f'not used: {counted(number, "image")} whose folders and names do not tell infrared from visible, in '
                     + ' '.join(names[:EXAMPLES] + ['…'] * (len(names) > EXAMPLES)))
    others = describe_others(name for folder in layout.unused for name in folder.others)
    if others:
        lines.append(f'not used: {others}')
    used = [Path(os.path.abspath(folder.path)) for sequence in layout.sequences for part in sequence for folder in part]
    empty = [root for root in roots if not any(Path(os.path.abspath(root)) in (path, *path.parents) for path in used)]
    if empty:
        lines.append(f'nothing to use in {", ".join(empty)}')
    return lines


def _make_listing(found, modalities, candidates, train_num, train_num_from, left_out, notes):
    candidate_count = sum(map(len, candidates))
    items = _choose(candidates, train_num, SELECTIONS[train_num_from], left_out)

    lines = [found]
    kind = 'image' if len(modalities) == 1 else 'pair'
    how = {'first': 'the first ones', 'spread': 'spread over all sequences'}[train_num_from]
    lines.append(f'{counted(candidate_count, kind)}, {len(items):,} used' + (f', {how}' if len(items) == train_num else '')
                 + (f' ({train_num:,} asked for)' if train_num and len(items) < train_num else ''))
    for reason, files in left_out.items():
        more = [f'… and {len(files) - EXAMPLES} more'] if len(files) > EXAMPLES else []
        lines.append(f'left out, {reason}: {len(files)}')
        lines += [f'    {text}' for text in files[:EXAMPLES] + more]
    report = '\n'.join(lines + notes)
    if not items:
        expected = ', or '.join(' and '.join(layout[modality] for modality in modalities) for layout in LAYOUTS)
        raise UserError(f'no training {kind}s are left. Names of folders or files must tell infrared from visible, as in {expected}, at '
                        f'any depth; or give folders as {" and ".join(modalities)}. Found:\n{report}')
    return Listing(items, report)


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
            left_out[reason].append(text)
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
    remaining = count
    shortest_first = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
    for done, index in enumerate(shortest_first):
        shares[index] = min(len(sequences[index]), remaining // (len(sequences) - done))
        remaining -= shares[index]
    return [sequence[(2 * k + 1) * len(sequence) // (2 * shares[index])]
            for index, sequence in enumerate(sequences) for k in range(shares[index])]


SELECTIONS = {'first': _first, 'spread': _spread}
