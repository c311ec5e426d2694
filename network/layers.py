"""The operations that both networks are built from.

Where Jittor's own operator differs from PyTorch's in its result (batch norm, layer norm, sums over large tensors) or compiles anew
for every image size (reflection padding), it is written here with Jittor's basic ones; each docstring says which.
"""
import numpy as np

from tools.runtime import jt, nn
from network.precision import Conv2d, in_float16


def reflection_indices(length, before, after):
    """Indices (before + length + after,) that extend 0…length-1 by reflection at both ends, the end itself not repeated.

    A pad wider than the axis reflects again and again (PyTorch refuses it); an axis of length 1 is repeated.
    """
    period = max(2 * (length - 1), 1)
    position = np.abs(np.arange(-before, length + after)) % period
    return np.minimum(position, period - position).astype(np.int32) if length > 1 else np.zeros_like(position, np.int32)


def take(x, rows, columns):
    """The given rows and columns (index arrays) of (N, C, H, W): (N, C, len(rows), len(columns)).

    The indices are data here; `nn.ReflectionPad2d` writes the size into the code and compiles for every new one.
    """
    n, c = x.shape[:2]
    return x.reindex([n, c, len(rows), len(columns)], ['i0', 'i1', '@e0(i2)', '@e1(i3)'], extras=[jt.array(rows), jt.array(columns)])


def reflection_pad(x, left=0, right=0, top=0, bottom=0):
    """Pad (N, C, H, W) by reflection to (N, C, top + H + bottom, left + W + right)."""
    return take(x, reflection_indices(x.shape[2], top, bottom), reflection_indices(x.shape[3], left, right))


def pad_to_indices(length, target):
    """Which of `length` rows stands at each of `target` rows after `pad_to`."""
    missing = target - length
    return reflection_indices(length, missing // 2, missing - missing // 2)


def pad_to(x, height, width):
    """Reflection-pad x to height × width, the larger half after it (the original's `UpsampleReshape_eval`)."""
    if tuple(x.shape[2:]) == (height, width):
        return x
    return take(x, pad_to_indices(x.shape[2], height), pad_to_indices(x.shape[3], width))


def upsample2(x):
    """Nearest-neighbour upsampling (N, C, H, W) → (N, C, 2H, 2W), as a broadcast: its gradient is then a plain sum."""
    n, c, h, w = x.shape
    return x.reshape(n, c, h, 1, w, 1).broadcast([n, c, h, 2, w, 2]).reshape(n, c, 2 * h, 2 * w)


def _blocks2(x):
    """Non-overlapping 2×2 blocks: (N, C, H, W) → (N, C, H//2, W//2, 2, 2); an odd last row or column is dropped."""
    n, c, h, w = x.shape
    return x.reindex([n, c, h // 2, w // 2, 2, 2], ['i0', 'i1', '2*i2+i4', '2*i3+i5'])


def max_pool2(x):
    """2×2 maximum, stride 2; an odd last row or column is dropped."""
    if min(x.shape[2:]) > 2:
        return nn.pool(x, 2, 'maximum', stride=2)
    return _blocks2(x).max(dims=(4, 5))  # nn.pool refuses maps of two pixels


def mean_pool2(x):
    """2×2 mean, stride 2; an odd last row or column is dropped. Works below three pixels, where `nn.pool` does not."""
    return _blocks2(x).mean(dims=(4, 5))


def channel_mean(x):
    """Mean over batch, rows and columns, (N, C, H, W) → (1, C, 1, 1).

    In stages, one axis after the other: Jittor adds up in plain float32, which over a whole axis product loses 3 to 4 digits.
    """
    return x.mean(3, keepdims=True).mean(2, keepdims=True).mean(0, keepdims=True)


def total_mean(x):
    """Mean of all elements of (N, C, H, W), in stages for the same reason."""
    return channel_mean(x).mean()


def mse(x, y):
    """Mean squared error of two (N, C, H, W)."""
    return total_mean((x - y).sqr())


class _BatchedMatmul(jt.Function):
    """`jt.matmul` whose gradient is made of matmuls too; Jittor's own, a dot product per element, is twice as slow on the CPU."""

    def execute(self, a, b):
        self.factors = a, b
        return jt.matmul(a, b)

    def grad(self, gradient):
        a, b = self.factors
        return jt.matmul(gradient, b.transpose(0, 1, 3, 2)), jt.matmul(a.transpose(0, 1, 3, 2), gradient)


def batched_matmul(a, b):
    """(N, heads, T, D) × (N, heads, D, U) → (N, heads, T, U)."""
    return in_float16(_BatchedMatmul.apply, a, b)


class BatchNorm2d(nn.Module):
    """Batch norm with PyTorch's numbers and names.

    Jittor's computes the variance as E[x²] − E[x]², which cancels where the mean is large, and keeps the biased running variance.
    """

    def __init__(self, channels, eps=1e-5, momentum=0.1, scale=1.0):
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = jt.full([channels], scale), jt.zeros(channels)
        self.running_mean, self.running_var = jt.zeros(channels).stop_grad(), jt.ones(channels).stop_grad()
        self.num_batches_tracked = jt.zeros(1, dtype='int32').stop_grad()  # in PyTorch's checkpoints; nothing reads it

    def execute(self, x):
        shape = (1, -1, 1, 1)
        if self.is_training():
            mean = channel_mean(x)
            centred = x - mean
            var = channel_mean(centred.sqr())
            self._track(mean.reshape(-1), var.reshape(-1), count=x.shape[0] * x.shape[2] * x.shape[3])
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
    """Layer norm over the last axis, the variance from the centred values (Jittor's cancels where the mean is large)."""

    def __init__(self, features, eps=1e-6):
        self.eps = eps
        self.weight, self.bias = jt.ones(features), jt.zeros(features)

    def execute(self, x):
        centred = x - x.mean(-1, keepdims=True)
        var = centred.sqr().mean(-1, keepdims=True)
        return centred / (var + self.eps).sqrt() * self.weight + self.bias


class ConvLayer(nn.Module):
    """Reflection pad, convolution with stride 1, and batch norm if asked, whose weights start at `scale`. Keeps height and width."""

    def __init__(self, in_channels, out_channels, kernel_size=3, batch_norm=False, scale=1.0):
        self.pad = kernel_size // 2
        layers = [Conv2d(in_channels, out_channels, kernel_size)]
        self.conv2d = nn.Sequential(*layers, BatchNorm2d(out_channels, scale=scale)) if batch_norm else nn.Sequential(*layers)

    def execute(self, x):
        if self.pad:
            x = reflection_pad(x, self.pad, self.pad, self.pad, self.pad)
        return self.conv2d(x)


class MaxPool2(nn.Module):
    """`max_pool2` as a layer."""

    def execute(self, x):
        return max_pool2(x)


class Upsample2(nn.Module):
    """`upsample2` as a layer."""

    def execute(self, x):
        return upsample2(x)
