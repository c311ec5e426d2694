"""Which frames a run is trained on: known by what is in their files and by their order, not by where they lie or how that is spelled."""
import json
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools.base.errors import UserError
from tools.base.files import write_text
from tools.base.wording import some

FRAMES = 'frames.json'  # in a run's folder
# Two files are the same image if they are as long and begin alike. To read them whole would take minutes for 20,000 pairs on a network
# disk, while the check of their headers has just brought the beginnings into memory. Of uncompressed images these are the first rows.
BEGINNING = 4096
READERS = 8  # threads: reading waits for the disk


def note_frames(items, folder):
    """Write into a run's folder what tells its items, tuples of paths, from others: a line for each."""
    write_text(Path(folder, FRAMES), '[\n' + ',\n'.join(map(json.dumps, _identify(items))) + '\n]\n')


def check_frames(items, folder, broken=()):
    """UserError, which names some that differ, unless the items are those that `note_frames` wrote, in the same order.

    broken: (number of an item, number of a file in it) of those that may have been mended since.
    """
    path = Path(folder, FRAMES)
    try:
        before = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise UserError(f'cannot read {path}, which tells what the run was started with: {error}') from error
    now = _identify(items)
    if len(before) == len(now):
        for item, file in broken:
            before[item][file] = now[item][file]
    if list(map(_contents, before)) == list(map(_contents, now)):
        return
    found = (_beyond(before, now), 'missing or changed'), (_beyond(now, before), 'new')
    what = ', '.join(f'{len(items)} {how} ({_named(items)})' for items, how in found if items)
    how = f'of {len(before)} {what}: put them back' if what else 'but in another order: give their folders in that of the start'
    raise UserError(f'{folder} cannot go on: the training images found are not those that it was started with, {how}, or start a new run')


def _identify(items):
    """[[path, bytes, CRC-32 of the beginning] for each file of an item] for each item; zeros for a file that is gone."""
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(lambda item: [[str(path), *_content(path)] for path in item], items))


def _content(path):
    try:
        with open(path, 'rb') as file:
            return Path(path).stat().st_size, zlib.crc32(file.read(BEGINNING))
    except OSError:
        return 0, 0


def _contents(item):
    return tuple(tuple(content) for _, *content in item)


def _beyond(items, others):
    """Those of the items that the others lack; an item that is there twice is to be there twice among the others."""
    left, beyond = Counter(map(_contents, others)), []
    for item in items:
        if left[_contents(item)]:
            left[_contents(item)] -= 1
        else:
            beyond.append(item)
    return beyond


def _named(items):
    return some(' and '.join(path for path, *_ in item) for item in items)
