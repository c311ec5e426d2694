"""What all sides are given: the batches, the test pairs and the initial weights, each written once to a file."""
from pathlib import Path
from typing import List, NamedTuple

import cv2
import numpy as np

from tools.base.errors import UserError
from tools.data.images import read_gray
from tools.data.loader import Batches
from tools.weights.checkpoint import load_weights, save_weights

SIZE = (256, 256)  # of a training image
MODALITIES = ('ir', 'vi')
NETWORKS = (*MODALITIES, 'fusion')


class BatchFile(NamedTuple):
    """A .npy file of training batches, uint8 (step, modality, batch, 1, height, width)."""
    path: Path
    batch: int
    epochs: List[int]  # the epoch of each step, from 1


class PairFile(NamedTuple):
    """A .npy file of a pair to fuse, uint8 (modality, height, width)."""
    name: str
    path: Path


def write_batches(path, items, batch, steps, seed):
    """Write the first `steps` batches that training with this seed would be fed -> BatchFile.

    items: pairs of paths, from tools.data.kaist. Once all were used they come again in another order, as the next epoch.
    """
    batches = Batches(items, batch, SIZE, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = np.lib.format.open_memmap(path, 'w+', np.uint8, (steps, len(MODALITIES), batch, 1, *SIZE))
    epochs = [1 + step // len(batches) for step in range(steps)]
    for epoch in range(epochs[-1]):
        for step, fed in zip(range(epoch * len(batches), steps), batches.epoch(epoch)):
            arrays[step] = fed.arrays
    arrays.flush()
    return BatchFile(path, batch, epochs)


def write_rounded_otherwise(path, source, seed):
    """Write the initial weights in the file `source` to `path` with the last bits drawn anew.

    Only of arrays that were drawn at random, in which hardly any number comes twice: fixed filters, counters, zeros and
    ones stay as they are.
    """
    random = np.random.RandomState(seed)
    arrays = load_weights(source).arrays
    for _, array in sorted(arrays.items()):  # a file's arrays come in any order, and a seed stands for one choice of bits
        if array.dtype == np.float32 and np.unique(array).size > max(1, array.size / 2):
            array.view(np.int32)[...] ^= random.randint(0, 2, array.shape, np.int32)
    save_weights(path, arrays, {})


def write_pairs(folder, pairs):
    """Write test pairs, read as the original reads them -> (list of PairFile, list of texts on what was left out)."""
    folder.mkdir(parents=True, exist_ok=True)
    written, left_out = [], []
    for pair in pairs:
        try:
            ir, vi = read_gray(pair.ir), read_gray(pair.vi)
            if ir.shape != vi.shape:
                raise UserError(f'{pair.ir} and {pair.vi} differ in size')
        except UserError as error:
            left_out.append(str(error))
            continue
        path = folder / f'{pair.name}.npy'
        np.save(path, np.stack([ir, vi]))
        written.append(PairFile(pair.name, path))
    return written, left_out


def write_resized(path, pair, size):
    """Write a PairFile resized to (height, width), as another PairFile, named by the size."""
    np.save(path, np.stack([cv2.resize(image, size[::-1]) for image in np.load(pair.path)]))
    return PairFile(f'{size[1]}×{size[0]}', path)


def weights_folder(setup, name):
    """{network: file} of the weights that a side ended with, or of the 'initial' ones."""
    folder = setup.work / 'weights' / name
    folder.mkdir(parents=True, exist_ok=True)
    return {network: folder / f'{network}.safetensors' for network in NETWORKS}
