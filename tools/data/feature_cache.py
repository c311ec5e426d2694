"""Deep features of a frozen encoder, computed once for each image and kept in a file.

The file is memory-mapped: what fits into memory is read from there. Its name says which encoder and which images it is of, so
several runs share it, and other encoders or images get another.
"""
import hashlib
import json
from pathlib import Path

import numpy as np

from tools.base.errors import UserError
from tools.base.files import lock
from tools.data.reading import AS_THEY_ARE
from tools.data.value_range import range_text
from tools.runtime import jt

DIGEST = 16  # hexadecimal digits of the file's name
GIB = 2 ** 30


def open_caches(folder, encoders, items, size, reading):
    """A FeatureCache in `folder` for each of the encoders, None if folder is None; says what is in them.

    items: pairs of paths. reading: of the infrared images, the first of each.
    """
    if folder is None:
        return None
    caches = [FeatureCache(folder, encoder, paths, size, how)
              for encoder, paths, how in zip(encoders, zip(*items), (reading, AS_THEY_ARE))]
    for cache in caches:
        print(cache.describe())
    return caches


class FeatureCache:
    """deep(images, paths) gives the encoder's deep features, computed or from the file, the same bits."""

    def __init__(self, folder, encoder, paths, size, reading=AS_THEY_ARE):
        """folder: for the files. encoder: tools.weights.encoders.Encoder. paths: of all images, read by `reading`
        and resized to `size`, (height, width).

        Raises UserError if the file cannot be made.
        """
        self.model = encoder.model
        self.rows = {path: row for row, path in enumerate(paths)}
        with jt.no_grad():
            shape = self.model(jt.zeros((1, 1, *size)))[1].shape[1:]
        align = list(map(reading.align.get, paths)) if isinstance(reading.align, dict) else reading.align
        stretching = [range_text(reading.ir_range)] if reading.ir_range else []
        moving = [align] if align else []
        images = [[str(Path(path).resolve()), Path(path).stat().st_mtime_ns] for path in paths]
        key = hashlib.sha256(json.dumps([encoder.fingerprint, list(size), images, *stretching, *moving]).encode()).hexdigest()[:DIGEST]
        self.path = Path(folder) / f'deep_features_{key}.npy'
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path.with_suffix('.lock'), 'w') as file:  # of several processes, one makes the files
                lock(file)
                self.features = self._open(self.path, np.float32, (len(paths), *shape))
                self.known = self._open(self.path.with_name(f'deep_features_{key}_known.npy'), np.bool_, (len(paths),))
        except (OSError, ValueError) as error:
            raise UserError(f'cannot keep deep features in {self.path}: {error}') from error

    @staticmethod
    def _open(path, dtype, shape):
        """The array in a file, a new one of zeros if there is none."""
        if path.exists():
            return np.lib.format.open_memmap(path, 'r+')
        return np.lib.format.open_memmap(path, 'w+', dtype, shape)

    def describe(self):
        """What the file holds, and how large it is when it is full."""
        return f'deep features: {self.path}, {self.known.sum()} of {len(self.known)} images, {self.features.nbytes / GIB:.2f} GiB'

    def deep(self, images, paths):
        """Deep features (N, 128, H//8, W//8) of a batch of images (N, 1, H, W), which are in the files `paths`."""
        rows = [self.rows[path] for path in paths]
        if not self.known[rows].all():
            with jt.no_grad():
                self.features[rows] = self.model(images)[1].numpy()
            self.features.flush()  # before what says that they are there
            self.known[rows] = True
        return jt.array(self.features[rows])


class Features:
    """What the frozen encoders make of pairs: computed, or the deep ones taken from where they are kept."""

    def __init__(self, encoders, caches):
        """encoders: of infrared and of visible images, as from tools.weights.encoders.load_encoders. caches: as from `open_caches`."""
        self.ir, self.vi = (encoder.model for encoder in encoders)
        self.caches = caches

    def __call__(self, ir, vi, paths):
        """(infrared deep, infrared shallow, visible deep, visible shallow) of a batch of both, each (N, 1, H, W); paths: its images'."""
        with jt.no_grad():
            if self.caches:
                ir_sh, vi_sh = self.ir.shallow(ir), self.vi.shallow(vi)
                ir_de, vi_de = (cache.deep(*one) for cache, *one in zip(self.caches, (ir, vi), zip(*paths)))
            else:
                (ir_sh, ir_de), (vi_sh, vi_de) = self.ir(ir), self.vi(vi)
            # Still to be computed, they would be fused with what comes next and be rounded otherwise than kept ones.
            jt.sync([ir_sh, ir_de, vi_sh, vi_de])
        return ir_de, ir_sh, vi_de, vi_sh
