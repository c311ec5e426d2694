"""The PyTorch side: the original's own modules and losses, driven as its training and test scripts drive them.

Runs in a process of its own, where `network`, `tools`, … are the original's. Nothing of Jittor is imported here.
"""
import platform
import sys
import types
from functools import partial
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch

from comparison.worker import MIB, Trainer, process_memory, read_batch, read_pair, serve

REPOSITORY = Path(__file__).resolve().parent.parent

# The original's scripts hold these; its classes have no defaults.
AUTOENCODER = dict(in_channels=1, out_channels=1, en_out_channels1=32, en_out_channels=64, num_layers=3, dense_out=128,
                   part_out=128)
FUSION = dict(en_out_channels1=32, out_channels=1, part_out=128, img_size=32, patch_size=2, depth_self=1,
              depth_cross=1, n_heads=16, qkv_bias=True, mlp_ratio=4, p=0., attn_p=0.)


def import_original(path, ssim_val_range):
    """What is needed of the original, from a checkout of it: its classes, and its module of small functions."""
    unused = types.ModuleType('timm.models.layers')  # imported by name there, and never used
    unused.DropPath = unused.to_2tuple = unused.trunc_normal_ = None
    packages = {name: types.ModuleType(name) for name in ('timm', 'timm.models')}
    sys.modules.update({**packages, unused.__name__: unused})
    # The original's `network` has no __init__.py, so ours would be preferred to it wherever it stands on the path.
    sys.path[:] = [path] + [entry for entry in sys.path if Path(entry).resolve() != REPOSITORY]
    from network import net_autoencoder
    from network.loss import Gradient_loss, Order_loss
    from network.net_conv_trans import Trans_FuseNet
    from tools import utils
    if ssim_val_range is not None:  # its msssim has this argument, its auto-encoder does not pass it on
        net_autoencoder.ssim_loss = partial(net_autoencoder.ssim_loss, val_range=ssim_val_range)
    return types.SimpleNamespace(
        Auto_Encoder_single=net_autoencoder.Auto_Encoder_single, Trans_FuseNet=Trans_FuseNet,
        Gradient_loss=Gradient_loss, Order_loss=Order_loss, utils=utils)


class PyTorchSide(Trainer):
    """original: path of the checkout. other_rounding: compute the same by other algorithms, which round otherwise."""

    no_grad = staticmethod(torch.no_grad)

    def __init__(self, original, cuda, threads, ssim_val_range, other_rounding):
        if cuda and not torch.cuda.is_available():
            raise SystemExit('PyTorch finds no usable GPU')
        torch.set_num_threads(threads)
        torch.backends.cudnn.enabled = torch.backends.mkldnn.enabled = not other_rounding
        self.device = torch.device('cuda' if cuda else 'cpu')
        self.original = import_original(original, ssim_val_range)

    def versions(self):
        device = torch.cuda.get_device_name() if self.device.type == 'cuda' else 'CPU'
        return {'framework': f'PyTorch {torch.__version__}', 'device': device, 'threads': torch.get_num_threads(),
                'numpy': np.__version__, 'Python': platform.python_version()}

    def peak_memory(self):
        """MiB: of the GPU what PyTorch reserved, else what the process took."""
        return torch.cuda.max_memory_reserved() / MIB if self.device.type == 'cuda' else process_memory('VmHWM')

    def step(self, batches, index, epoch):
        """One training step on a batch of a file -> {'lr', and the losses before the step}. epoch: from 0."""
        lr = self.original.utils.adjust_learning_rate(self.optimizer, epoch, self.lr)
        self.optimizer.zero_grad()
        outputs = self.forward(self._tensor(read_batch(batches, index)))
        outputs['total_loss'].backward()
        self.optimizer.step()
        losses = {name: outputs[name].item() for name in self.losses}
        if self.device.type == 'cuda':
            torch.cuda.synchronize()
        return {'lr': lr, **losses}

    def compute(self, batches, index, out):
        """Write what a training step computes, before it changes the weights, to the .npz file `out`."""
        images = self._tensor(read_batch(batches, index))
        outputs = self.forward(images)
        outputs['total_loss'].backward()
        arrays = {**self.features(images), **{name: outputs[name] for name in ('out', *self.losses)}}
        for name, value in self.model.named_parameters():
            if value.grad is not None:
                arrays[f'gradient {name}'] = value.grad
        for name, value in self.model.named_buffers():
            if 'running_' in name:
                arrays[f'statistic {name}'] = value
        np.savez(out, **{name: value.detach().cpu().numpy() for name, value in arrays.items()})

    def save(self, path):
        """Write the weights as they are now."""
        weights = self.model.state_dict()
        safetensors.numpy.save_file({name: value.cpu().numpy() for name, value in weights.items()}, path)

    def save_state(self, path, step):
        """Write all that is needed to go on after so many steps: weights and moments."""
        torch.save({'step': step, 'model': self.model.state_dict(), 'optimizer': self.optimizer.state_dict()}, path)

    def load_state(self, path):
        """Go on from what `save_state` wrote, in a stage that has been started -> the steps done."""
        state = torch.load(path, map_location='cpu', weights_only=True)
        self.model.load_state_dict(state['model'])
        self.optimizer.load_state_dict(state['optimizer'])
        return state['step']

    def start_fusing(self, ir, vi, fusion):
        """Load three files of weights to fuse images of any size."""
        self.fusing = self.encoders(ir, vi, train_flag=False), self.fusion_network(fusion, train_flag=False).eval()

    def fuse(self, pair, out=None):
        """Fuse a test pair; write the image, float32 H×W in 0…255, to the .npy file `out` if one is given."""
        fused = self._fused(self._tensor(read_pair(pair)[:, None, None]))
        if out:
            np.save(out, fused[0, 0].cpu().numpy())

    def fuse_files(self, pairs, out):
        """Read, fuse and write pairs of image files (infrared, visible), as the original's test script does."""
        Path(out).mkdir(parents=True, exist_ok=True)
        for paths in pairs:
            images = [self.original.utils.get_train_images(path, None, None).to(self.device) for path in paths]
            self.original.utils.save_image(self._fused(images), str(Path(out, Path(paths[0]).name)))

    def load(self, pairs, batch, size):
        """Read pairs of image files in batches, as the original's training script does. size: (height, width)."""
        for first in range(0, len(pairs) - batch + 1, batch):
            for paths in zip(*pairs[first:first + batch]):
                self.original.utils.get_train_images(list(paths), *size)

    def auto_encoder(self, path, train_flag):
        return self._load(self.original.Auto_Encoder_single(**AUTOENCODER, train_flag=train_flag), path)

    def fusion_network(self, path, train_flag):
        return self._load(self.original.Trans_FuseNet(**FUSION, train_flag=train_flag), path)

    def fusion_losses(self):
        return [loss(1).to(self.device) for loss in (self.original.Gradient_loss, self.original.Order_loss)]

    def adam(self, model, lr, weight_decay):
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        return torch.optim.Adam(trained, lr, weight_decay=weight_decay)

    def _fused(self, images):
        """The fused image of a pair, each 1×1×H×W."""
        encoders, network = self.fusing
        with torch.no_grad():
            (ir_sh, ir_de), (vi_sh, vi_de) = (encoder(x) for encoder, x in zip(encoders, images))
            return network(ir_de, ir_sh, vi_de, vi_sh, True)['out']

    def _load(self, model, path):
        arrays = safetensors.numpy.load_file(path)
        shapes = {name: value.shape for name, value in model.state_dict().items()}
        # Jittor has no shape (), which PyTorch gives the counters of batch norm.
        model.load_state_dict({name: torch.from_numpy(array).reshape(shapes[name]) for name, array in arrays.items()})
        return model.to(self.device)

    def _tensor(self, array):
        return torch.from_numpy(array).to(self.device)


if __name__ == '__main__':
    serve(PyTorchSide)
