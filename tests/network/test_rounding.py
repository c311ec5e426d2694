"""Rounding, which is PyTorch's: the networks' fusion weights multiply what they differ by."""
from pathlib import Path

import numpy as np
import pytest

from network import operators
from network.layers import Conv2d, ConvLayer, UniformFilter
from network.net_autoencoder import to_unit_range
from network.padding import reflection_pad
from tools.runtime import jt, nn


def has_avx512():
    cpu = Path('/proc/cpuinfo')
    return cpu.is_file() and 'avx512dq' in cpu.read_text()


def convolve(layer, x, padding, mode='constant'):
    """The layer's output in float64."""
    weight, bias = layer.weight.numpy().astype(np.float64), layer.bias.numpy()
    x = np.pad(x.astype(np.float64), [(0, 0), (0, 0), (padding, padding), (padding, padding)], mode)
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(2, 3))
    return np.einsum('nchwij,ocij->nohw', windows, weight, optimize=True) + bias[:, None, None]


def assert_rounded_well(found, expected):
    assert found.shape == expected.shape
    error = np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected ** 2))
    assert error < (4e-7 if has_avx512() and operators._by_onednn() else 1e-6), 'PyTorch: 2.2e-7 with AVX-512, else 6.1e-7'


@pytest.mark.parametrize('kernel_size, padding', [(3, 0), (3, 1), (1, 0)])
def test_convolution(kernel_size, padding):
    layer = Conv2d(128, 64, kernel_size, padding=padding)
    x = np.random.RandomState(0).randn(2, 128, 34, 21).astype(np.float32)
    assert_rounded_well(layer(jt.array(x)).numpy(), convolve(layer, x, padding))


SHAPES = [((128,), 3, 16, 11), ((32, 64, 32), 3, 13, 20), ((16, 16, 16, 16, 16), 5, 9, 3), ((20, 12), 3, 2, 5), ((64, 3), 3, 4, 4),
          ((1,), 7, 8, 5), ((16, 8), 3, 1, 1), ((8,), 5, 2, 2), ((32,), 1, 6, 7)]


@pytest.mark.parametrize('by_onednn', [True, False])
@pytest.mark.parametrize('channels, kernel_size, height, width', SHAPES)
def test_reflecting_convolution_of_several_maps(channels, kernel_size, height, width, by_onednn, monkeypatch):
    if not by_onednn:  # as on a GPU
        monkeypatch.setattr(operators, '_by_onednn', lambda: False)
    layer = ConvLayer(sum(channels), 24, kernel_size)
    random = np.random.RandomState(0)
    maps = [random.randn(2, c, height, width).astype(np.float32) for c in channels]
    found = layer([jt.array(x) for x in maps] if len(maps) > 1 else jt.array(maps[0])).numpy()
    padding = kernel_size // 2
    assert_rounded_well(found, convolve(layer.conv2d[0], np.concatenate(maps, 1), padding, 'reflect'))


@pytest.mark.parametrize('on_cpu', [True, False])
def test_local_means_by_either_way(on_cpu, monkeypatch):
    monkeypatch.setattr(operators, '_by_onednn', lambda: on_cpu)
    x = np.random.RandomState(0).randn(2, 128, 9, 14).astype(np.float32)
    with jt.flag_scope(use_cuda=int(jt.flags.use_cuda and not on_cpu)):
        found = UniformFilter(128).as_convolution(jt.array(x)).numpy()
    padded = np.pad(x.astype(np.float64), [(0, 0), (0, 0), (1, 1), (1, 1)])
    expected = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3)).sum((1, 4, 5))[:, None] / 9
    assert found.shape == expected.shape == (2, 1, 9, 14)
    assert np.abs(found - expected).max() < 1e-6 * np.abs(expected).max()


def assert_same_gradients(own, jittors, variables):
    slope = jt.array(np.random.RandomState(1).randn(*own.shape).astype(np.float32))
    found, expected = (jt.fetch_sync(jt.grad((y * slope).sum(), variables)) for y in (own, jittors))
    for one, other in zip(found, expected):
        assert one.shape == other.shape and np.abs(other).max() > 0
        assert np.allclose(one, other, rtol=0, atol=1e-6 * np.abs(other).max())


@pytest.mark.parametrize('padding', [0, 1])
def test_convolution_has_the_gradients_of_jittors(padding):
    layer = Conv2d(32, 16, 3, padding=padding)
    x = jt.array(np.random.RandomState(0).randn(2, 32, 13, 20).astype(np.float32))
    jittors = nn.conv2d(x, layer.weight, layer.bias, padding=padding)
    assert_same_gradients(layer(x), jittors, [x, layer.weight, layer.bias])


@pytest.mark.parametrize('channels, kernel_size, height, width', SHAPES)
def test_reflecting_convolution_of_several_maps_has_the_gradients_of_jittors(channels, kernel_size, height, width):
    layer = Conv2d(sum(channels), 24, kernel_size, padding=kernel_size // 2, padding_mode='reflect')
    random = np.random.RandomState(0)
    maps = [jt.array(random.randn(2, c, height, width).astype(np.float32)) for c in channels]
    padded = reflection_pad(jt.concat(maps, dim=1), *[kernel_size // 2] * 4)
    assert_same_gradients(layer(maps), nn.conv2d(padded, layer.weight, layer.bias), [*maps, layer.weight, layer.bias])


@pytest.mark.parametrize('shape', [(2, 3, 8, 6), (1, 2, 5, 7), (1, 32, 2, 3), (1, 1, 2, 2)])
def test_max_pool_and_its_gradient_which_one_of_equals_gets(shape):
    random = np.random.RandomState(0)
    x = random.randint(-3, 3, shape).astype(np.float32)
    n, c, h, w = shape[0], shape[1], shape[2] // 2, shape[3] // 2
    slope = random.randn(n, c, h, w).astype(np.float32)
    variable = jt.array(x)
    out = operators.max_pool2(variable)
    found, gradient = out.numpy(), jt.grad((out * jt.array(slope)).sum(), variable).numpy()
    blocks = x[:, :, :2 * h, :2 * w].reshape(n, c, h, 2, w, 2).swapaxes(3, 4).reshape(n, c, h, w, 4)
    np.testing.assert_array_equal(found, blocks.max(-1))
    expected = np.zeros_like(x)
    first = np.eye(4, dtype=np.float32)[blocks.argmax(-1)] * slope[..., np.newaxis]
    expected[:, :, :2 * h, :2 * w] = first.reshape(n, c, h, w, 2, 2).swapaxes(3, 4).reshape(n, c, 2 * h, 2 * w)
    np.testing.assert_array_equal(gradient, expected)


def test_gray_levels_are_divided_as_by_numpy():
    levels = np.arange(256, dtype=np.float32)
    found = to_unit_range(jt.array(levels)).numpy()
    assert found.dtype == np.float32 and np.array_equal(found, levels / np.float32(255))


@pytest.mark.parametrize('b_swapped', [False, True])
@pytest.mark.parametrize('scale', [1.0, -0.3])
@pytest.mark.parametrize('by_onednn', [True, False])
def test_batched_products_and_their_gradients(by_onednn, scale, b_swapped, monkeypatch):
    if not by_onednn:  # as on a GPU
        monkeypatch.setattr(operators, '_by_onednn', lambda: False)
    random = np.random.RandomState(0)
    a, b, slope = (random.randn(2, 3, *shape).astype(np.float32) for shape in ((5, 7), (7, 11), (5, 11)))
    variables = jt.array(a), jt.array(b.swapaxes(2, 3).copy() if b_swapped else b)
    product = operators.batched_matmul(*variables, scale, b_swapped)
    found = [product.numpy(), *jt.fetch_sync(jt.grad((product * jt.array(slope)).sum(), list(variables)))]
    if b_swapped:
        found[2] = found[2].swapaxes(2, 3)
    expected = scale * (a @ b), scale * (slope @ b.swapaxes(2, 3)), scale * (a.swapaxes(2, 3) @ slope)
    for one, other in zip(found, expected):
        assert one.shape == other.shape and np.abs(one - other).max() < 1e-6 * np.abs(other).max()


@pytest.mark.parametrize('by_onednn', [True, False])
def test_softmax_and_its_gradient(by_onednn, monkeypatch):
    if not by_onednn:
        monkeypatch.setattr(operators, '_by_onednn', lambda: False)
    random = np.random.RandomState(0)
    x, slope = (random.randn(2, 3, 5, 37).astype(np.float32) for _ in range(2))
    x[0, 0, 0] += 1000  # exponentials of which overflow
    variable = jt.array(x)
    out = operators.softmax(variable)
    found = out.numpy(), jt.grad((out * jt.array(slope)).sum(), variable).numpy()
    exponentials = np.exp(x.astype(np.float64) - x.max(axis=-1, keepdims=True))
    expected = exponentials / exponentials.sum(axis=-1, keepdims=True)
    mean_slope = (expected * slope).sum(axis=-1, keepdims=True)
    for one, other in zip(found, (expected, expected * (slope - mean_slope))):
        assert one.shape == other.shape and np.abs(one - other).max() < 1e-6 * np.abs(other).max()
