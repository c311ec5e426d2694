"""The Jittor side: this repository's networks, with the same methods as comparison.pytorch_side."""
import platform
import time
from pathlib import Path

import numpy as np

from comparison.worker import MIB, Trainer, process_memory, read_batch, read_pair, serve
from network.layers import Conv2d
from network.loss import Gradient_loss, Order_loss
from network.strips import fuse_pair
from tools.cost.counting import multiply_adds, multiply_adds_while
from tools.data.images import image_size
from tools.data.loader import Batches
from tools.data.pairing import Pair, Pairing
from tools.evaluation.protocols import DEFAULT_PROTOCOL, metrics_of
from tools.evaluation.scoring import score_methods
from tools.fusing.folders import Options, fuse_pairs
from tools.fusing.fuser import load_fuser
from tools.runtime import jt, set_seed, use_device
from tools.training.optimizer import Adam
from tools.training.run import learning_rate
from tools.weights.checkpoint import load_weights, save_weights
from tools.weights.networks import build_auto_encoder, build_fusion, weights_of

WEIGHTS = 'model/'  # how their names begin in a state
PEAK = dict(batch=8, channels=128, side=128, repeats=5)  # of the convolution that shows what the machine can do


class JittorSide(Trainer):
    """threads: as the environment variable OMP_NUM_THREADS, from which Jittor takes it, says."""

    no_grad = staticmethod(jt.no_grad)

    def __init__(self, cuda, threads, ssim_val_range):
        if use_device(cuda) != ('cuda' if cuda else 'cpu'):
            raise SystemExit('Jittor finds no usable GPU')
        self.cuda, self.threads, self.ssim_val_range = cuda, threads, ssim_val_range

    def versions(self):
        return {'framework': f'Jittor {jt.__version__}', 'device': 'CUDA' if self.cuda else 'CPU',
                'threads': self.threads, 'numpy': np.__version__, 'Python': platform.python_version()}

    def peak_memory(self):
        """MiB: of the GPU the size of Jittor's pool, which does not shrink, else what the process took."""
        return jt.get_mem_info().total_cuda_used / MIB if self.cuda else process_memory('VmHWM')

    def memory(self):
        """MiB that are held now: of the GPU the size of Jittor's pool, else of the process."""
        return jt.get_mem_info().total_cuda_used / MIB if self.cuda else process_memory('VmRSS')

    def write_initial_weights(self, ir, vi, fusion, seed, deep_start):
        """Write new weights for both auto-encoders and the fusion network (see its `deep_start`) to three files."""
        set_seed(seed)
        models = build_auto_encoder(), build_auto_encoder(), build_fusion(deep_start=deep_start)
        for path, model in zip((ir, vi, fusion), models):
            save_weights(path, weights_of(model), {})

    def step(self, batches, index, epoch):
        """One training step on a batch of a file -> {'lr', and the losses before the step}. epoch: from 0."""
        self.optimizer.lr = learning_rate(self.lr, epoch)
        outputs = self.forward(self._vars(read_batch(batches, index)))
        self.optimizer.step(outputs['total_loss'])
        losses = {name: outputs[name].item() for name in self.losses}
        jt.sync_all(True)
        return {'lr': self.optimizer.lr, **losses}

    def step_operations(self, batches, index, epoch):
        """Floating-point operations of a step: of what is trained, the backward pass takes twice those of the forward pass."""
        def forward():
            self.forward(self._vars(read_batch(batches, index)))
        forward_pass, trained = (multiply_adds_while(forward, models)
                                 for models in ([self.model, *self.frozen], [self.model]))
        return 2 * (forward_pass + 2 * trained)

    def cache_features(self, batches, index):
        """From now on take the deep features of that batch as computed once, like training with `--cache_features`."""
        for encoder, images in zip(self.frozen, self._vars(read_batch(batches, index))):
            deep = encoder(images)[1].numpy()
            encoder.execute = lambda x, encoder=encoder, deep=deep: (encoder.shallow(x), jt.array(deep))

    def peak(self):
        """Floating-point operations per second of a large convolution, the best of several."""
        images = jt.randn(PEAK['batch'], PEAK['channels'], PEAK['side'], PEAK['side'])
        convolution, seconds = Conv2d(PEAK['channels'], PEAK['channels'], 3, padding=1), []
        operations = 2 * multiply_adds_while(lambda: convolution(images), [convolution])
        for _ in range(PEAK['repeats']):
            jt.sync_all(True)
            started = time.perf_counter()
            convolution(images).sync(True)
            seconds.append(time.perf_counter() - started)
        return operations / min(seconds)

    def compute(self, batches, index, out):
        """Write what a training step computes, before it changes the weights, to the .npz file `out`."""
        images = self._vars(read_batch(batches, index))
        outputs = self.forward(images)
        parameters = {name: value for name, value in self.model.named_parameters() if value.requires_grad}
        arrays = {**self.features(images), **{name: outputs[name] for name in ('out', *self.losses)}}
        for name, gradient in zip(parameters, jt.grad(outputs['total_loss'], list(parameters.values()))):
            arrays[f'gradient {name}'] = gradient
        for name, value in self.model.state_dict().items():
            if 'running_' in name:
                arrays[f'statistic {name}'] = value
        np.savez(out, **{name: value.numpy() for name, value in arrays.items()})

    def save(self, path):
        """Write the weights as they are now."""
        save_weights(path, weights_of(self.model), {})

    def save_state(self, path, step):
        """Write all that is needed to go on after so many steps: weights and moments."""
        weights = {f'{WEIGHTS}{name}': array for name, array in weights_of(self.model).items()}
        save_weights(path, {**weights, **self.optimizer.state()}, {'step': step})

    def load_state(self, path):
        """Go on from what `save_state` wrote, in a stage that has been started -> the steps done."""
        arrays, metadata = load_weights(path)
        self.model.load_state_dict({name[len(WEIGHTS):]: array for name, array in arrays.items() if name.startswith(WEIGHTS)})
        self.optimizer.load_state(arrays)
        jt.sync_all()  # as after a step
        return metadata['step']

    def start_fusing(self, ir, vi, fusion, deep_shares=None):
        """Load three files of weights to fuse images of any size. deep_shares: one of DEEP_SHARES, for weights that do not say it."""
        self.fuser = load_fuser(fusion, ir, vi, deep_shares=deep_shares)
        self.networks = self.fuser.model.networks

    def fuse(self, pair, out=None):
        """Fuse a test pair; write the image, float32 H×W in 0…255, to the .npy file `out` if one is given."""
        fused = fuse_pair(self.networks, *read_pair(pair))['out']
        if out:
            np.save(out, fused)

    def fuse_operations(self, pair):
        """Floating-point operations of fusing a test pair."""
        return 2 * sum(multiply_adds(self.networks, *read_pair(pair).shape[1:]))

    def fuse_files(self, pairs, out):
        """Read, fuse and write pairs of image files (infrared, visible), as test_conv_trans.py does."""
        fuse_pairs(self.fuser, _pairs(pairs), Path(out), Options(prefix='', overwrite=True))

    def fuse_files_operations(self, pairs, out):
        """Floating-point operations of that."""
        return 2 * sum(sum(multiply_adds(self.networks, *image_size(ir))) for ir, _ in pairs)

    def score(self, pairs, out):
        """Score by all metrics what `fuse_files` has written to `out`, as evaluate_fusion_results.py does."""
        score_methods({'fused': Path(out)}, Pairing('', _pairs(pairs), []), DEFAULT_PROTOCOL, metrics_of(DEFAULT_PROTOCOL))

    def load(self, pairs, batch, size):
        """Read pairs of image files in batches, as train_conv_trans.py does. size: (height, width)."""
        for _ in Batches(pairs, batch, tuple(size)).epoch(0):
            pass

    def auto_encoder(self, path, train_flag):
        return build_auto_encoder(load_weights(path).arrays, path, train_flag=train_flag,
                                  ssim_val_range=self.ssim_val_range)

    def fusion_network(self, path, train_flag):
        return build_fusion(arrays=load_weights(path).arrays, path=path, train_flag=train_flag)

    def fusion_losses(self):
        return [Gradient_loss(1), Order_loss(1)]

    def adam(self, model, lr, weight_decay):
        return Adam(model.parameters(), lr, weight_decay=weight_decay)

    def _vars(self, array):
        return [jt.array(modality) for modality in array]


def _pairs(files):
    """Paths (infrared, visible) as a list of Pair."""
    return [Pair(Path(ir).name, Path(ir), Path(vi)) for ir, vi in files]


if __name__ == '__main__':
    serve(JittorSide)
