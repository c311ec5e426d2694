"""How much fused videos flicker: each frame stretched by its own range, as stills are, and all by one (--sequence)."""
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from tools.data.images import read_gray
from tools.data.pairing import pair_folders
from tools.fusing.fuser import scaled
from tools.fusing.sequences import common_range

STATIC = 2  # gray levels: pixels of which neither source changes by more, but for noise, are where nothing happens
NOISE = 2  # pixels: deviation of the Gaussian by which noise is taken from the sources to tell that
PICTURES = 'infrared', 'visible', 'own range', 'one range'


def measure(fuser, clips, frames):
    """Fuse the first frames of clips -> a DataFrame with a row for each clip and kind of picture.

    clips: {name: (infrared folder, visible folder)}. The columns are mean changes from frame to frame, in gray levels: of the mean of a
    picture, the largest of these, and of the pixels where nothing happens; and the number of frames.
    """
    rows = []
    for name, folders in clips.items():
        pairs = pair_folders(*folders).pairs[:frames]
        sources = [(read_gray(pair.ir), read_gray(pair.vi)) for pair in pairs]
        unscaled = [fuser.unscaled(*images).image for images in tqdm(sources, name, unit='frame')]
        low, high = common_range(unscaled)
        series = dict(zip(PICTURES, zip(*sources)))
        series['own range'] = [scaled(frame, vi, frame.min(), frame.max()) for frame, (_, vi) in zip(unscaled, sources)]
        series['one range'] = [scaled(frame, vi, low, high) for frame, (_, vi) in zip(unscaled, sources)]
        still = [_static(*before, *after) for before, after in _pairwise(sources)]
        for kind in PICTURES:
            means = np.abs(np.diff([picture.mean() for picture in series[kind]]))
            changes = [np.abs(np.subtract(after, before, dtype=float))[where].mean()
                       for (before, after), where in zip(_pairwise(series[kind]), still) if where.any()]
            rows.append((name, len(pairs), kind, means.mean(), means.max(), np.mean(changes)))
    return pd.DataFrame(rows, columns=['clip', 'frames', 'pictures', 'change of the mean', 'largest', 'change where nothing happens'])


def _pairwise(items):
    return zip(items, items[1:])


def _static(ir_before, vi_before, ir_after, vi_after):
    """Where neither source changes from one frame to the next: a mask."""
    changes = [np.abs(np.subtract(*(cv2.GaussianBlur(image, (0, 0), NOISE) for image in images), dtype=float))
               for images in ((ir_after, ir_before), (vi_after, vi_before))]
    return np.maximum(*changes) <= STATIC


def clips_below(folders):
    """{name: (infrared folder, visible folder)} of folders that hold `lwir` and `visible`, as KAIST's sequences do."""
    return {'/'.join(Path(folder).parts[-2:]): (Path(folder, 'lwir'), Path(folder, 'visible')) for folder in folders}
