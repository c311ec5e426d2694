"""The operations that both networks are built from.

Where Jittor's own operator differs from PyTorch's in its result (batch norm, layer norm, sums over large tensors), it
is written here with Jittor's basic ones; each docstring says which.
"""
import inspect
from fractions import Fraction
from typing import Tuple

from network.operators import blocks2, box_by_convolution, box_sum, convolve, linear, max_pool2
from tools.base.errors import UserError
from tools.base.mpi import COUNT
from tools.runtime import jt, nn
from tools.runtime.processes import mean_over_processes


def upsample2(x):
    """Nearest-neighbour upsampling (N, C, H, W) → (N, C, 2H, 2W), as a broadcast: its gradient is then a plain sum."""
    n, c, h, w = x.shape
    return x.reshape(n, c, h, 1, w, 1).broadcast([n, c, h, 2, w, 2]).reshape(n, c, 2 * h, 2 * w)


def mean_pool2(x):
    """2×2 mean, stride 2; an odd last row or column is dropped. Works below three pixels, where `nn.pool` does not."""
    return blocks2(x).mean(dims=(4, 5))


def channel_mean(x):
    """Mean over batch, rows and columns, (N, C, H, W) → (1, C, 1, 1); over the whole batch,
    if several processes share it.

    In stages, one axis after the other: Jittor adds up in plain float32, which over a whole
    axis product loses 3 to 4 digits.
    """
    return mean_over_processes(x.mean(3, keepdims=True).mean(2, keepdims=True).mean(0, keepdims=True))


def total_mean(x):
    """Mean of all elements of (N, C, H, W), of all processes; in stages for the same reason, the short axes in one."""
    return mean_over_processes(x.mean(3, keepdims=True).mean(2, keepdims=True).mean())


def mse(x, y):
    """Mean squared error of two (N, C, H, W)."""
    return total_mean((x - y).sqr())


class Conv2d(nn.Conv2d):
    """nn.Conv2d, by `network.operators.convolve`, which says what it takes; with stride 1 and bias,
    without groups or dilation."""

    def __init__(self, in_channels, out_channels, kernel_size, padding=0, padding_mode='zeros'):
        super().__init__(in_channels, out_channels, kernel_size, padding=padding)
        self.padding_mode = padding_mode

    @property
    def reach(self):
        return self.kernel_size[0] // 2

    def execute(self, x):
        return convolve(x, self.weight, self.bias, self.padding[0], self.padding_mode)


class Linear(nn.Linear):
    """nn.Linear, by `network.operators.linear`."""

    def execute(self, x):
        return linear(x, self.weight, self.bias)


class UniformFilter(nn.Module):
    """A fixed size×size convolution all of whose weights are equal, with zero padding: (N, C, H, W) → (N, 1, H, W).

    The original computes C equal output channels by a C×C convolution. The weight is kept
    since it is in the checkpoints.
    """
    dispensable = ('weight',)

    def __init__(self, channels, size=3):
        self.size = size
        self.weight = (jt.ones((channels, channels, size, size)) / size ** 2).stop_grad()

    @property
    def reach(self):
        return self.size // 2

    def execute(self, x):
        return box_sum(x.sum(1, keepdims=True), self.size) * self.weight[0, 0, 0, 0]

    def as_convolution(self, x):
        """The same, rounded as the original's convolution is."""
        return box_by_convolution(x, self.weight[:1])


class BatchNorm2d(nn.Module):
    """Batch norm with PyTorch's numbers and names.

    Jittor's computes the variance as E[x²] − E[x]², which cancels where the mean is large, and
    keeps the biased running variance.
    """
    dispensable = ('num_batches_tracked',)  # in PyTorch's checkpoints; nothing reads it
    reach = 0

    def __init__(self, channels, eps=1e-5, momentum=0.1, scale=1.0):
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = jt.full([channels], scale), jt.zeros(channels)
        self.running_mean, self.running_var = jt.zeros(channels).stop_grad(), jt.ones(channels).stop_grad()
        self.num_batches_tracked = jt.zeros(1, dtype='int32').stop_grad()

    def execute(self, x):
        shape = (1, -1, 1, 1)
        if self.is_training():
            mean = channel_mean(x)
            centred = x - mean
            var = channel_mean(centred.sqr())
            self._track(mean.reshape(-1), var.reshape(-1), count=COUNT * x.shape[0] * x.shape[2] * x.shape[3])
        else:
            centred = x - self.running_mean.reshape(shape)
            var = self.running_var.reshape(shape)
        return centred * (self.weight.reshape(shape) / (var + self.eps).sqrt()) + self.bias.reshape(shape)

    def _track(self, mean, var, count):
        unbiased = var * (count / max(count - 1, 1))
        self.running_mean.update(self.running_mean + (mean - self.running_mean) * self.momentum)
        self.running_var.update(self.running_var + (unbiased - self.running_var) * self.momentum)
        self.num_batches_tracked.update(self.num_batches_tracked + 1)


class LayerNorm(nn.Module):
    """Layer norm over the last axis, the variance from the centred values (Jittor's
    cancels where the mean is large)."""

    def __init__(self, features, eps=1e-6):
        self.eps = eps
        self.weight, self.bias = jt.ones(features), jt.zeros(features)

    def execute(self, x):
        centred = x - x.mean(-1, keepdims=True)
        var = centred.sqr().mean(-1, keepdims=True)
        return centred / (var + self.eps).sqrt() * self.weight + self.bias


class ConvLayer(nn.Module):
    """Reflection pad, convolution with stride 1, and batch norm if asked, whose weights start at
    `scale`. Keeps height and width.

    Takes (N, C, H, W), or several such whose channels follow one another.
    """

    def __init__(self, in_channels, out_channels, kernel_size=3, batch_norm=False, scale=1.0):
        layers = [Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, padding_mode='reflect')]
        if batch_norm:
            layers.append(BatchNorm2d(out_channels, scale=scale))
        self.conv2d = nn.Sequential(*layers)

    def execute(self, x):
        return self.conv2d(x)


class MaxPool2(nn.Module):
    """`network.operators.max_pool2` as a layer."""
    reach, shrinks = 0, Fraction(2)

    def execute(self, x):
        return max_pool2(x)


class Upsample2(nn.Module):
    """`upsample2` as a layer."""
    reach, shrinks = 0, Fraction(1, 2)

    def execute(self, x):
        return upsample2(x)


class Network(nn.Module):
    """A network that knows the `options` it was built with, {name: value}: with its weights they give it back.

    of_training: options that do not change what given weights compute, and are not kept.
    in_strips: the part of it through which a large image goes piece by piece.
    """
    of_training: Tuple[str, ...] = ()
    in_strips = ''

    def __new__(cls, *values, **options):
        names = [one.name for one in cls._parameters() if one.kind == one.POSITIONAL_OR_KEYWORD]
        if len(values) > len(names):
            raise TypeError(f'{cls.__name__} takes {len(names)} options by position: give the others by name')
        network = super().__new__(cls)
        given = {**cls.defaults(), **dict(zip(names, values)), **options}
        network.options = {name: value for name, value in given.items() if name not in cls.of_training}
        return network

    @classmethod
    def defaults(cls):
        """The options that have one, and their defaults."""
        return {one.name: one.default for one in cls._parameters() if one.default is not one.empty}

    @classmethod
    def _parameters(cls):
        return list(inspect.signature(cls.__init__).parameters.values())[1:]  # without self


def unread(layer):
    """Mark a layer of the original's checkpoints that nothing reads: it is kept, but not trained. Returns the layer."""
    for weight in layer.parameters():
        weight.stop_grad()
    layer.unread, layer.dispensable = True, [name for name, _ in layer.named_parameters()]
    return layer


def dispensable(model, training=False):
    """The names of the weights that fusing, or training too, can do without, a set: nothing reads them, or the
    constructor makes them as they are."""
    marks = ('dispensable',) if training else ('dispensable', 'for_training')
    return {f'{prefix}.{name}' if prefix else name
            for prefix, module in model.named_modules() for mark in marks for name in getattr(module, mark, ())}


def reach(model):
    """(rows, scale): how many rows beyond its own a row of the model's output can depend on, and how many rows it
    stands for, both in rows of the model's input.

    An upper bound: of all layers, one after the other in the order in which they are written. Each says its `reach`,
    and by how much it `shrinks` a map, if it does; UserError for one that does not, since parts of an image would be
    computed wrongly at their edges.
    """
    rows, scale = 0, Fraction(1)
    for name, layer in model.named_modules():
        if hasattr(layer, 'reach'):
            rows += layer.reach * scale
            scale *= getattr(layer, 'shrinks', 1)
        elif len(layer.modules()) == 1:  # not made of layers, which follow
            raise UserError(f'{type(layer).__name__} ({name}) does not say how many rows it reaches beyond its own: '
                            'give it `reach`, as the layers of network/layers.py have it')
    return rows, scale
