"""What a network costs: parameters, multiply–adds, time."""
import time

import numpy as np

from network.layers import Conv2d, Linear
from network.strips import fuse_pair
from network.transformer_cam import Attention
from tools.runtime import jt


def trained_parameters(module):
    """How many numbers training adjusts in a module in train mode, as PyTorch counts them: with those
    of layers that nothing reads."""
    unread = [value for layer in module.modules() if getattr(layer, 'unread', False) for value in layer.parameters()]
    return sum(value.numel() for value in [*unread, *(value for value in module.parameters() if value.requires_grad)])


def multiply_adds(networks, height, width):
    """Of both encoders, and of the fusion network, for one pair of images."""
    image = jt.array(np.random.RandomState(0).uniform(0, 255, (1, 1, height, width)).astype(np.float32))
    with jt.no_grad():
        features = []
        encoders = multiply_adds_while(lambda: features.extend((networks.ir(image), networks.vi(image))), networks[:2])
        (ir_sh, ir_de), (vi_sh, vi_de) = features
        return [encoders, multiply_adds_while(lambda: networks.fusion(ir_de, ir_sh, vi_de, vi_sh), networks[2:])]


def multiply_adds_while(run, models):
    """Multiply–adds of the convolutions, linear layers and attention of some models while `run()` calls them."""
    counts = []

    def count(module, arguments, output):
        if isinstance(module, Conv2d):
            counts.append(output.numel() * int(np.prod(module.weight.shape[1:])))
        elif isinstance(module, Linear):
            counts.append(output.numel() * module.weight.shape[1])
        else:
            n, tokens, dim = output.shape
            counts.append(2 * n * tokens * tokens * dim)  # similarities, and the sum of the values

    counted = [layer for model in models for layer in model.modules() if isinstance(layer, (Conv2d, Linear, Attention))]
    for layer in counted:
        layer.register_forward_hook(count)
    run()
    for layer in counted:
        layer.remove_forward_hook()
    return sum(counts)


def median_seconds(networks, size, repeats):
    """Of fusing one image, after a first one, for which Jittor may compile."""
    ir, vi = np.random.RandomState(0).uniform(0, 255, (2, *size)).astype(np.float32)
    seconds = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        fuse_pair(networks, ir, vi)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds[1:]))
