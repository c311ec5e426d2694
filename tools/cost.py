"""What a network costs: parameters, multiply–adds, time."""
import time

import numpy as np

from network.layers import Conv2d, Linear
from network.strips import fuse_pair
from network.transformer_cam import Attention
from tools.runtime import jt


def trained_parameters(module):
    """How many numbers training adjusts in a module in train mode, as PyTorch counts them: with those of layers that nothing reads."""
    unread = [value for layer in module.modules() if getattr(layer, 'unread', False) for value in layer.parameters()]
    return sum(value.numel() for value in [*unread, *(value for value in module.parameters() if value.requires_grad)])


def multiply_adds(networks, height, width):
    """Of both encoders, and of the fusion network, for one pair of images."""
    counts = []

    def count(module, arguments, output):
        if isinstance(module, Conv2d):
            counts[-1] += output.numel() * int(np.prod(module.weight.shape[1:]))
        elif isinstance(module, Linear):
            counts[-1] += output.numel() * module.weight.shape[1]
        else:
            n, tokens, dim = output.shape
            counts[-1] += 2 * n * tokens * tokens * dim  # similarities, and the sum of the values

    counted = [layer for network in networks for layer in network.modules() if isinstance(layer, (Conv2d, Linear, Attention))]
    for layer in counted:
        layer.register_forward_hook(count)
    image = jt.array(np.random.RandomState(0).uniform(0, 255, (1, 1, height, width)).astype(np.float32))
    with jt.no_grad():
        counts.append(0)
        (ir_sh, ir_de), (vi_sh, vi_de) = networks.ir(image), networks.vi(image)
        counts.append(0)
        networks.fusion(ir_de, ir_sh, vi_de, vi_sh)
    for layer in counted:
        layer.remove_forward_hook()
    return counts


def median_seconds(networks, size, repeats):
    """Of fusing one image, after a first one, for which Jittor may compile."""
    ir, vi = np.random.RandomState(0).uniform(0, 255, (2, *size)).astype(np.float32)
    seconds = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        fuse_pair(networks, ir, vi)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds[1:]))
