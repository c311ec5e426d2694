"""Reflection padding, whose indices are data: `nn.ReflectionPad2d` writes the size into the code and
compiles for every new one."""
import numpy as np

from tools.runtime import jt


def reflection_indices(length, before, after):
    """Indices (before + length + after,) that extend 0…length-1 by reflection at both
    ends, the end itself not repeated.

    A pad wider than the axis reflects again and again (PyTorch refuses it); an axis of length 1 is repeated.
    """
    period = max(2 * (length - 1), 1)
    position = np.abs(np.arange(-before, length + after)) % period
    return np.minimum(position, period - position).astype(np.int32) if length > 1 else np.zeros_like(position, np.int32)


def take(x, rows, columns):
    """The given rows and columns (index arrays) of (N, C, H, W): (N, C, len(rows), len(columns))."""
    n, c = x.shape[:2]
    return x.reindex([n, c, len(rows), len(columns)], ['i0', 'i1', '@e0(i2)', '@e1(i3)'],
                     extras=[jt.array(rows), jt.array(columns)])


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
