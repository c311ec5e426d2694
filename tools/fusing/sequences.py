"""Frames of a video: all are stretched by one range of values, while each by its own, as
stills are, would make them flicker.

First every frame is fused and kept as the network gives it; when all are there, the range is taken
from them, and pictures are made.
"""
import contextlib
import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tools.base.errors import UserError
from tools.base.files import whole_file, write_text
from tools.base.mpi import COUNT, FIRST, NUMBER
from tools.data.images import write_image
from tools.fusing.fuser import scaled
from tools.runtime.processes import by_first

UNSCALED = 'unscaled'  # folder, in that of the results, of the frames that are not yet pictures: 4 bytes a pixel
RANGE_FILE = 'sequence.json'  # beside the results: the range that all of them have
OUTLIERS = 5  # per cent of the frames whose minimum, and whose maximum, may lie beyond the range


def unscaled_file(picture):
    """Where a fused frame is kept until its picture, which goes to the file `picture`, can be made."""
    return picture.parent / UNSCALED / f'{picture.stem}.npy'


def write_unscaled(path, frame):
    """Keep a frame (H×W float32), whole or not at all. UserError where it cannot be written."""
    with whole_file(path) as temporary:
        np.save(temporary, frame)


def make_pictures(folder, pictures, read_visible, anew):
    """Make the pictures of the frames that are kept, with one range, and drop what was kept.

    pictures: {pair: file of its picture}; several processes share them. read_visible:
    gives the visible image of a pair.
    anew: take the range from these frames also where `folder` has one from before; otherwise that
    stays, so that frames may be added.
    """
    frames = {pair: unscaled_file(picture) for pair, picture in pictures.items()}
    kept = by_first(lambda: [path.exists() for path in frames.values()])
    frames = {pair: path for (pair, path), there in zip(frames.items(), kept) if there}
    if not frames:
        return
    low, high = by_first(_range_of, Path(folder), list(frames.values()), anew)
    print(f'one range for all frames: {low:.4g} becomes black, {high:.4g} white')
    for pair in tqdm(list(frames)[NUMBER::COUNT], 'pictures', unit='image', disable=not FIRST):
        write_image(pictures[pair], scaled(_load(frames[pair]), read_visible(pair), low, high))
        frames[pair].unlink()
    with contextlib.suppress(OSError):  # another process still has frames in it
        Path(folder, UNSCALED).rmdir()


def common_range(frames):
    """(low, high) of frames (H×W each): the minimum and maximum of each, in the end the lowest and
    the highest but for outliers."""
    lows, highs = zip(*((frame.min(), frame.max()) for frame in frames))
    return float(np.percentile(lows, OUTLIERS)), float(np.percentile(highs, 100 - OUTLIERS))


def _range_of(folder, files, anew):
    """[low, high]: noted in the folder, or of the frames in some files, and then noted."""
    path = folder / RANGE_FILE
    if path.exists() and not anew:
        try:
            content = json.loads(path.read_text(encoding='utf-8'))
            return [float(content['low']), float(content['high'])]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f'{path} should hold the range of the frames in {folder}: {error}; delete it, or give '
                            '--overwrite') from error
    low, high = common_range(map(_load, files))
    write_text(path, json.dumps({'low': low, 'high': high, 'frames': len(files), 'outliers_percent': OUTLIERS},
                                indent=2) + '\n')
    return [low, high]


def _load(path):
    try:
        return np.load(path)
    except (OSError, ValueError) as error:
        raise UserError(f'cannot read {path}, a frame that is not yet a picture: {error}; delete it') from error
