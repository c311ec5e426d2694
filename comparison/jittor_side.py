"""The Jittor side: this repository's networks, with the same methods as comparison.pytorch_side."""
import platform

import numpy as np

from comparison.worker import AUTOENCODER_LOSSES, FUSION_LOSSES, MIB, process_peak_memory, read_batch, read_pair, serve
from network.loss import Gradient_loss, Order_loss
from network.strips import Networks, fuse_in_strips
from tools.checkpoint import load_weights, save_weights
from tools.models import build_auto_encoder, build_fusion, weights_of
from tools.optimizer import Adam, reached_by
from tools.runtime import jt, set_seed, use_device
from tools.training_run import learning_rate

WEIGHT_DECAY = 0.9


class JittorSide:
    """threads: as the environment variable OMP_NUM_THREADS, from which Jittor takes it, says."""

    def __init__(self, cuda, threads):
        if use_device(cuda) != ('cuda' if cuda else 'cpu'):
            raise SystemExit('Jittor finds no usable GPU')
        self.cuda, self.threads = cuda, threads

    def versions(self):
        return {'framework': f'Jittor {jt.__version__}', 'numpy': np.__version__, 'Python': platform.python_version(),
                'device': 'CUDA' if self.cuda else 'CPU', 'threads': self.threads}

    def peak_memory(self):
        """MiB: of the GPU the size of Jittor's pool, which does not shrink, else what the process took."""
        return jt.get_mem_info().total_cuda_used / MIB if self.cuda else process_peak_memory()

    def write_initial_weights(self, ir, vi, fusion, seed):
        """Write new weights for both auto-encoders and the fusion network to three files."""
        set_seed(seed)
        for path, model in ((ir, build_auto_encoder()), (vi, build_auto_encoder()), (fusion, build_fusion())):
            self.model = model
            self.save(path)

    def start_autoencoder(self, weights, modality, lr):
        """Stage 1. weights: file of the initial weights. modality: 0 infrared, 1 visible."""
        # The original infers the value range in msssim; like for like, so does this.
        model = self._auto_encoder(weights, ssim_val_range=None)

        def features(images):
            return dict(zip(('shallow features', 'deep features'), model(images[modality])))

        self._start(model, AUTOENCODER_LOSSES, lr, lambda images: model.train_module(images[modality]), features)

    def start_fusion(self, ir, vi, fusion, lr):
        """Stage 2. ir, vi, fusion: files of weights, of the trained encoders and the initial ones of the fusion network."""
        encoders = self._encoders(ir, vi, train_flag=True)
        model = build_fusion(arrays=load_weights(fusion).arrays, path=fusion)
        gra_loss, order_loss = Gradient_loss(1), Order_loss(1)

        def forward(images):
            with jt.no_grad():
                (ir_sh, ir_de), (vi_sh, vi_de) = (encoder(x) for encoder, x in zip(encoders, images))
            return model.train_module(*images, ir_sh, vi_sh, ir_de, vi_de, False, gra_loss, order_loss)

        self._start(model, FUSION_LOSSES, lr, forward, features=lambda images: {})

    def step(self, batches, index, epoch):
        """One training step on a batch of a file -> {'lr', and the losses before the step}. epoch: from 0."""
        self.optimizer.lr = learning_rate(self.lr, epoch)
        outputs = self.forward(self._vars(read_batch(batches, index)))
        self.optimizer.step(outputs['total_loss'])
        losses = {name: outputs[name].item() for name in self.losses}
        jt.sync_all(True)
        return {'lr': self.optimizer.lr, **losses}

    def compute(self, batches, index, out):
        """Write what a training step computes, before it changes the weights, to the .npz file `out`."""
        images = self._vars(read_batch(batches, index))
        outputs = self.forward(images)
        parameters = {name: value for name, value in self.model.named_parameters() if value.requires_grad}
        reached = reached_by(outputs['total_loss'], list(parameters.values()))
        gradients = jt.grad(outputs['total_loss'], list(parameters.values()))
        arrays = {**self.features(images), **{name: outputs[name] for name in ('out', *self.losses)}}
        arrays.update({f'gradient {name}': gradient for name, gradient, yes in zip(parameters, gradients, reached) if yes})
        arrays.update({f'statistic {name}': value for name, value in self.model.state_dict().items() if 'running_' in name})
        np.savez(out, **{name: value.numpy() for name, value in arrays.items()})

    def save(self, path):
        """Write the weights as they are now."""
        save_weights(path, weights_of(self.model), {})

    def start_fusing(self, ir, vi, fusion):
        """Load three files of weights to fuse images of any size."""
        network = build_fusion(arrays=load_weights(fusion).arrays, path=fusion, train_flag=False)
        network.eval()
        self.networks = Networks(*self._encoders(ir, vi, train_flag=False), network)

    def fuse(self, pair, out=None):
        """Fuse a test pair; write the image, float32 H×W in 0…255, to the .npy file `out` if one is given."""
        fused = fuse_in_strips(self.networks, *read_pair(pair)[:, 0, 0])['out']
        if out:
            np.save(out, fused)

    def _start(self, model, losses, lr, forward, features):
        model.train()
        self.model, self.losses, self.lr = model, losses, lr
        self.forward, self.features = forward, features
        self.optimizer = Adam(model.parameters(), lr, weight_decay=WEIGHT_DECAY)

    def _encoders(self, ir, vi, train_flag):
        encoders = [self._auto_encoder(path, train_flag=train_flag) for path in (ir, vi)]
        for encoder in encoders:
            encoder.eval()
        return encoders

    def _auto_encoder(self, path, **options):
        return build_auto_encoder(load_weights(path).arrays, path, **options)

    def _vars(self, array):
        return [jt.array(modality) for modality in array]


if __name__ == '__main__':
    serve(JittorSide)
