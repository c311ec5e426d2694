"""A side of the comparison without any framework, for test_comparison.py; its losses follow a formula."""
import os
import time
from pathlib import Path

import numpy as np

from comparison.sides import SIDES
from comparison.worker import AUTOENCODER_LOSSES, FUSION_LOSSES, serve

SECONDS_TO_WAIT = 30


class FakeSide:
    def __init__(self, cuda, threads, ssim_val_range, original=None, other_rounding=False):
        self.threads, self.other_rounding = threads, other_rounding

    def process(self):
        return {'pid': os.getpid(), 'threads': self.threads, 'environment': os.environ['OMP_NUM_THREADS'],
                'other': self.other_rounding}

    def fail(self):
        raise ValueError('as it was asked to')

    def die(self):
        print('the last words')
        os._exit(3)

    def start_autoencoder(self, weights, modality, lr, weight_decay):
        self.network, self.losses, self.given = f'encoder {modality}', AUTOENCODER_LOSSES, Path(weights).read_text()

    def start_fusion(self, ir, vi, fusion, lr, weight_decay):
        self.network, self.losses = 'fusion', FUSION_LOSSES
        self.given = ' + '.join(Path(path).read_text() for path in (ir, vi, fusion))

    def step(self, batches, index, epoch):
        if self.network == 'fusion' and index == 3 and Path(batches).name == 'stops':
            self.die()
        if Path(batches).name == 'together':
            self.wait_for_others(Path(batches).parent, f'{self.network} {index}')
        return {'lr': 1 / (1 + epoch), **{loss: 100 - index + 0.01 * self.other_rounding for loss in self.losses}}

    def wait_for_others(self, folder, step):
        """Return once all sides are at the step; TimeoutError if that takes long."""
        Path(folder, f'{step} {os.getpid()}').touch()
        deadline = time.monotonic() + SECONDS_TO_WAIT
        while len(list(folder.glob(f'{step} *'))) < len(SIDES):
            if time.monotonic() > deadline:
                raise TimeoutError('the others have not come')
            time.sleep(0.01)

    def start_fusing(self, ir, vi, fusion):
        pass

    def fuse(self, pair, out):
        """As if fused, the infrared image."""
        np.save(out, np.load(pair)[0].astype(np.float32))

    def save(self, path):
        Path(path).write_text(f'{self.network} of {"floor" if self.other_rounding else "first"} from ({self.given})')


if __name__ == '__main__':
    serve(FakeSide)
