"""Training batches, read and resized in background threads.

Threads, and not the workers of jittor.dataset: there an exception in a worker ends the process past every `except`,
leaving a loop early shifts the next epoch, and random numbers cannot be reproduced. OpenCV decodes and resizes without
holding Python's lock, so threads use all cores as well.
"""
from functools import partial
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

import cv2
import numpy as np

from tools.base.errors import UserError
from tools.base.mpi import COUNT, NUMBER
from tools.base.threads import in_order
from tools.data.images import read_gray
from tools.data.reading import AS_THEY_ARE

BATCHES_AHEAD = 2  # per worker; bounds the memory, and the work still under way when the loop is left
SMALLEST_CROP = 0.6  # share of the image's height and width that augmenting keeps at least


class Batch(NamedTuple):
    arrays: Tuple[np.ndarray, ...]  # per modality float32 (batch, 1, height, width), values 0…255
    paths: List[Tuple[Path, ...]]   # the files of each image or pair in it


class Batches:
    """Batches of images, or of registered pairs, shuffled anew each epoch.

    items    list of tuples of paths: (image,) or (infrared, visible)
    size     (height, width) that every image is resized to, bilinear as in the original
    workers  number of reading threads
    cache    keep decoded images in memory: height·width bytes each (with `augment` in their full size)
    augment  random crop and left-right flip, the same for both of a pair
    report   function that is given a line of text for each broken file
    reading  how the first file of each item, the infrared one, is read
    share    which of `shares` equal parts of each batch to give, counted from 0; by default that of this process

    The same items, seed and epoch give the same batches, with any number of workers; a last partial batch is dropped.
    A file that cannot be read does not stop training: it is reported, noted in `broken` (path -> reason), and the next
    item of the epoch stands in for it. That one keeps its own place too, so that no other image moves: a run that is
    resumed need not know what was found broken before.
    """

    def __init__(self, items, batch_size, size=(256, 256), seed=0, workers=2, cache=False, augment=False, report=print,
                 reading=AS_THEY_ARE, share=NUMBER, shares=COUNT):
        if len(items) < batch_size:
            raise UserError(f'{len(items)} training images or pairs do not fill one batch of {batch_size}')
        if batch_size % shares:
            raise UserError(f'{shares} processes cannot share batches of {batch_size} equally: give batch a multiple of {shares}')
        self.items = items
        self.batch_size = batch_size
        self.size = size
        self.seed = seed
        self.workers = workers
        self.augment = augment
        self.report = report
        self.reading = reading
        self.share, self.share_size = share, batch_size // shares
        self.broken: Dict[Path, str] = {}
        self._cached = {} if cache else None

    def __len__(self):
        """Steps per epoch."""
        return len(self.items) // self.batch_size

    def epoch(self, epoch, start=0):
        """Yield each `Batch` of epoch number `epoch`, from step `start` on (to resume within it).

        Whatever goes wrong in a thread, other than a broken file, is raised here. UserError if no file can be read.
        """
        # The original shuffles its list when it is read and again each epoch; a single permutation is equivalent.
        order = np.random.RandomState([self.seed, epoch]).permutation(len(self.items))
        load = partial(self._load_batch, order, epoch)
        for batch, broken in in_order(load, range(start, len(self)), self.workers, BATCHES_AHEAD * self.workers):
            self.leave_out(broken)
            yield batch

    def leave_out(self, broken):
        """Note broken files, {path: reason}, and report those that are new."""
        for path, reason in broken.items():
            if path not in self.broken:
                self.broken[path] = reason
                self.report(f'left out: {reason}')

    def _load_batch(self, order, epoch, step):
        """Runs in a thread -> the batch, and the broken files that were met as {path: reason}."""
        broken, paths, images = {}, [], []
        first = step * self.batch_size + self.share * self.share_size
        for position in range(first, first + self.share_size):
            item, decoded = self._next_readable(order, position, broken)
            paths.append(item)
            images.append(self._vary(decoded, epoch, position) if self.augment else decoded)
        arrays = tuple(np.stack(modality)[:, np.newaxis].astype(np.float32) for modality in zip(*images))
        return Batch(arrays, paths), broken

    def _next_readable(self, order, position, broken):
        for offset in range(len(order)):
            item = self.items[order[(position + offset) % len(order)]]
            images = self._decode(item, broken)
            if all(image is not None for image in images):
                return item, images
        raise UserError(f'none of the training images can be read any more, for example: {next(iter(broken.values()))}')

    def _decode(self, item, broken):
        """The uint8 images of an item, resized unless they are still to be cropped; None for one that is broken."""
        if self._cached is not None and item in self._cached:
            return self._cached[item]
        ranges = self.reading.ir_range, None
        images = [self._read(path, value_range, broken) for path, value_range in zip(item, ranges)]
        if any(image is None for image in images):
            return images
        if len(images) == 2:
            images[0] = self.reading.moved(*images, item[0])
        if not self.augment:
            images = [self._resize(image) for image in images]
        if self._cached is not None:
            self._cached[item] = images
        return images

    @staticmethod
    def _read(path, value_range, broken):
        try:
            return read_gray(path, value_range)
        except UserError as error:
            broken[path] = str(error)
            return None

    def _vary(self, images, epoch, position):
        """One random crop and flip for all images of an item, decided by seed, epoch and place in the epoch alone."""
        random = np.random.RandomState([self.seed, epoch, position])
        scale, down, right = random.uniform(SMALLEST_CROP, 1), random.uniform(), random.uniform()
        flip = random.uniform() < 0.5
        varied = []
        for image in images:
            height, width = (round(scale * length) for length in image.shape)
            top, left = int(down * (image.shape[0] - height + 1)), int(right * (image.shape[1] - width + 1))
            crop = self._resize(image[top:top + height, left:left + width])
            varied.append(crop[:, ::-1] if flip else crop)
        return varied

    def _resize(self, image):
        height, width = self.size
        return cv2.resize(image, (width, height))
