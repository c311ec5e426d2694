"""Listing training data laid out as KAIST is: folders `lwir` and `visible` side by side, at any depth.

    database/set00/V000/lwir/I00000.jpg    infrared
    database/set00/V000/visible/I00000.jpg visible, the same frame

A folder that holds `lwir` or `visible` is a sequence, here database/set00/V000. The original's flat layout,
database/lwir beside database/visible, is a single sequence.
"""
import os
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import List, NamedTuple, Tuple

from tqdm import tqdm

from tools.errors import UserError
from tools.images import IMAGE_EXTENSIONS, image_size

FOLDER_NAMES = {'ir': 'lwir', 'vi': 'visible'}
MODALITY_NAMES = {'ir': 'infrared', 'vi': 'visible'}
CHECKING_THREADS = 8  # reading headers waits for the disk, not for the processor
PROGRESS_AFTER_SECONDS = 2
EXAMPLES = 5  # files named in the report per reason


class Listing(NamedTuple):
    items: List[Tuple[Path, ...]]  # (path,) per image, or (infrared, visible) per pair
    report: str                    # what was found, used and left out, to be shown


def list_images_of(roots, modality, train_num=None, train_num_from='first'):
    """The training images of one modality ('ir' or 'vi') under one or several folders -> Listing.

    Order: the roots as given, below them sequences and frames by name. `train_num` takes that many (None: all):
    the 'first', as the original does, or 'spread' evenly over all sequences.
    Raises UserError if a root cannot be read or no readable image is found.
    """
    sequences = _find_sequences(roots)
    images = [[(path,) for path in sequence[modality]] for sequence in sequences]
    return _make_listing(roots, sequences, images, [modality], train_num, train_num_from, defaultdict(list))


def list_pairs(roots, train_num=None, train_num_from='first'):
    """The training pairs, the same frame in infrared and visible, as `list_images_of` lists images.

    Left out and counted in the report: images without a partner, pairs of different sizes, unreadable files.
    """
    sequences = _find_sequences(roots)
    left_out = defaultdict(list)
    pairs = [_pairs_of(sequence, left_out) for sequence in sequences]
    return _make_listing(roots, sequences, pairs, ['ir', 'vi'], train_num, train_num_from, left_out)


def _find_sequences(roots):
    """A dict per sequence, {'ir': sorted paths, 'vi': sorted paths}, in the order of the roots and names."""
    sequences = defaultdict(lambda: {'ir': [], 'vi': []})
    visited = set()
    for root in _as_list(roots):
        if not Path(root).is_dir():
            raise UserError(f'training data: there is no folder {root}')
        for folder, subfolders, files in os.walk(root, onerror=_refuse, followlinks=True):
            real_folder = os.path.realpath(folder)
            if real_folder in visited:  # roots that overlap, links that go in a circle
                subfolders.clear()
                continue
            visited.add(real_folder)
            subfolders.sort()
            folder = Path(folder)
            for modality, name in FOLDER_NAMES.items():
                if folder.name.lower() == name:
                    sequences[folder.parent][modality] = [
                        folder / file for file in sorted(files)
                        if file.lower().endswith(IMAGE_EXTENSIONS) and not file.startswith('.')]
    return list(sequences.values())


def _pairs_of(sequence, left_out):
    frames = defaultdict(lambda: {'ir': [], 'vi': []})
    for modality, paths in sequence.items():
        for path in paths:
            frames[path.stem][modality].append(path)
    pairs = []
    for _, frame in sorted(frames.items()):
        ir, vi = frame['ir'], frame['vi']
        if len(ir) == len(vi) == 1:
            pairs.append((ir[0], vi[0]))
        elif ir and vi:
            left_out['two files for one frame'] += [str(path) for path in ir + vi]
        else:
            left_out['no partner'] += [str(path) for path in ir + vi]
    return pairs


def _make_listing(roots, sequences, candidates, modalities, train_num, train_num_from, left_out):
    found = ', '.join(f'{sum(len(sequence[modality]) for sequence in sequences)} {MODALITY_NAMES[modality]} images in '
                      f'{sum(bool(sequence[modality]) for sequence in sequences)} folders {FOLDER_NAMES[modality]}/'
                      for modality in modalities)
    candidate_count = sum(map(len, candidates))
    items = _choose(candidates, train_num, SELECTIONS[train_num_from], left_out)

    lines = [f'{", ".join(map(str, _as_list(roots)))}: {found}']
    kind = 'images' if len(modalities) == 1 else 'pairs'
    how = {'first': 'the first ones', 'spread': 'spread over all sequences'}[train_num_from]
    lines.append(f'{candidate_count} {kind}, {len(items)} used' + (f', {how}' if len(items) == train_num else '')
                 + (f' ({train_num} asked for)' if train_num and len(items) < train_num else ''))
    for reason, files in left_out.items():
        more = [f'… and {len(files) - EXAMPLES} more'] if len(files) > EXAMPLES else []
        lines.append(f'left out, {reason}: {len(files)}')
        lines += [f'    {text}' for text in files[:EXAMPLES] + more]
    report = '\n'.join(lines)
    if not items:
        expected = ' and '.join(f'set00/V000/{FOLDER_NAMES[modality]}/I00000.jpg' for modality in modalities)
        raise UserError(f'no training {kind} left. Files are expected as {expected}, at any depth. Found:\n{report}')
    return Listing(items, report)


def _choose(candidates, train_num, select, left_out):
    """Select items until all of them are sound, noting the others in `left_out`. Only selected files are looked at."""
    problems = {}
    while True:
        available = sum(map(len, candidates))
        chosen = select(candidates, min(train_num or available, available))
        unchecked = [item for item in chosen if item not in problems]
        with ThreadPoolExecutor(CHECKING_THREADS) as pool:
            results = tqdm(pool.map(_problem_of, unchecked), 'checking files', len(unchecked),
                           delay=PROGRESS_AFTER_SECONDS, leave=False, disable=None)
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
    if len(set(sizes)) > 1:
        return 'sizes differ', ', '.join(f'{path}: {width}×{height}' for path, (height, width) in zip(item, sizes))
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


def _as_list(roots):
    return [roots] if isinstance(roots, (str, Path)) else list(roots)


def _refuse(error):
    raise UserError(f'training data: cannot read the folder {error.filename}: {error.strerror}')
