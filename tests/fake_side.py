"""A side of the comparison without any framework, for test_comparison.py; its losses follow a formula."""
import os
import time
from pathlib import Path

import numpy as np

from comparison.sides import SIDES
from comparison.worker import AUTOENCODER_LOSSES, FUSION_LOSSES, serve

SECONDS_TO_WAIT = 30


class FakeSide:
    def __init__(self, cuda, threads, ssim_val_range, original=None, other_rounding=False, mistake=None):
        self.threads, self.other_rounding, self.mistake = threads, other_rounding, mistake

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
        if Path(batches).name == 'of a seed':
            return self.step_of_a_seed(Path(batches).parent, index, epoch)
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

    def step_of_a_seed(self, folder, index, epoch):
        """Notes what is asked; stops where a file says so. Losses vary with what was begun with;
        those of a mistake are far off."""
        if Path(folder, f'stop at {index}').exists():
            self.die()
        with open(folder / 'asked', 'a') as file:
            file.write(f'{self.given} {self.mistake} {index} {epoch}\n')
        loss = 100 - index + sum(map(ord, self.given)) % 7 + 50 * bool(self.mistake)
        return {'lr': 1 / (1 + epoch), **{loss_name: loss for loss_name in self.losses}}

    def save_state(self, path, step):
        Path(path).write_text(f'{step} of {self.given}')

    def load_state(self, path):
        step, given = Path(path).read_text().split(' of ')
        assert given == self.given
        return int(step)

    def start_fusing(self, ir, vi, fusion, deep_shares=None):
        text = Path(fusion).read_text()
        self.contrast = 1 - 0.01 * (sum(map(ord, text)) % 20) - 0.1 * (deep_shares == 'bounded')

    def fuse_files(self, pairs, out):
        """As if fused, the infrared images, with the contrast that the weights say."""
        import cv2  # here, since most sides never fuse, and should start at once
        Path(out).mkdir(parents=True, exist_ok=True)
        for ir, _ in pairs:
            cv2.imwrite(str(Path(out, Path(ir).name)), cv2.convertScaleAbs(cv2.imread(ir, cv2.IMREAD_GRAYSCALE), alpha=self.contrast))

    def fuse(self, pair, out):
        """As if fused, the infrared image."""
        np.save(out, np.load(pair)[0].astype(np.float32))

    def save(self, path):
        Path(path).write_text(f'{self.network} of {"floor" if self.other_rounding else "first"} from ({self.given})')


if __name__ == '__main__':
    serve(FakeSide)
