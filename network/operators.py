"""The operations whose way depends on the device: the layers call these and know nothing of it."""
import functools
from pathlib import Path

from network.padding import reflection_pad
from tools.runtime import jt, nn
from tools.runtime.setup import onednn_folder

BLOCK = 8  # channels that `box_by_convolution` adds up before the blocks are, on a GPU

ONEDNN_BLOCK = 16  # channels, at most, whose numbers oneDNN's layouts keep side by side
MAPS = 4  # that a convolution on the CPU takes, however few there are: so it is compiled once
SOURCES = Path(__file__).with_name('onednn')  # the C++ of what the CPU computes


def use_mixed_precision(wanted, device):
    """Let a GPU's tensor cores multiply in convolutions and matrix products, if `wanted` and the device is 'cuda':
    factors rounded to TF32 (11 bits), sums in float32.

    Not float16: Jittor lets cuDNN add up in the type of the factors, and with float16 sums stage 2 gave NaN after
    eleven steps. Without this, products of matrices are float32's; in convolutions cuDNN chooses TF32 by itself, for
    PyTorch as for Jittor, unless the environment variable NVIDIA_TF32_OVERRIDE is 0.
    """
    if wanted and device != 'cuda':
        print('mixed_precision = True is for the GPU; on the CPU it is ignored')
    jt.flags.use_tensorcore = int(wanted and device == 'cuda')


def convolve(x, weight, bias, padding=0, padding_mode='zeros'):
    """Convolution with stride 1: (N, C, H, W), weights (O, C, K, K) and bias (O,) → (N, O, H', W').

    x may also be several maps (N, Ci, H, W), whose channels follow one another. padding_mode: 'zeros' or 'reflect'. On
    the CPU with PyTorch's rounding: bit for bit, wherever PyTorch too computes it by oneDNN (with one thread, it gives
    1×1 kernels to another library).
    """
    maps = list(x) if isinstance(x, (list, tuple)) else [x]
    in_place = _by_onednn() and all(part.shape[1] % ONEDNN_BLOCK == 0 for part in maps[:-1])
    if len(maps) > 1 and not in_place:
        maps = [jt.concat(maps, dim=1)]
    if _by_onednn():
        return _OneDNNConvolution(padding, padding_mode)(weight, bias, *maps)
    x, = maps
    if padding_mode == 'reflect' and padding:
        x, padding = reflection_pad(x, padding, padding, padding, padding), 0
    return nn.conv2d(x, weight, bias, padding=padding)


def box_sum(x, size, channels=1, scale=1.0):
    """`scale` times the sums of size×size neighbours, zeros outside, and of so many channels: (N, C, H, W) →
    (N, C/channels, H, W)."""
    n, c, h, w = x.shape
    neighbours = x.reindex([n, c // channels, h, w, channels, size, size],
                           ['i0', f'i1*{channels}+i4', f'i2+i5-{size // 2}', f'i3+i6-{size // 2}'])
    return (neighbours * scale).sum([4, 5, 6])


def box_by_convolution(x, weight):
    """Convolution with equal weights (1, C, K, K) and zero padding of K//2: (N, C, H, W) → (N, 1, H, W).

    Rounded as the original's convolution is: bit for bit on the CPU, elsewhere added up in blocks of channels.
    """
    size = weight.shape[2]
    if _by_onednn():
        return convolve(x, weight, jt.zeros(1), size // 2)
    return box_sum(x, size, BLOCK, weight[0, 0, 0, 0]).sum(1, keepdims=True)


def blocks2(x):
    """Non-overlapping 2×2 blocks: (N, C, H, W) → (N, C, H//2, W//2, 2, 2); an odd last row or column is dropped."""
    n, c, h, w = x.shape
    return x.reindex([n, c, h // 2, w // 2, 2, 2], ['i0', 'i1', '2*i2+i4', '2*i3+i5'])


def max_pool2(x):
    """Maximum of each of `blocks2`: (N, C, H, W) → (N, C, H//2, W//2)."""
    if not jt.flags.use_cuda:
        return _MaxPool2()(x)
    if min(x.shape[2:]) > 2:
        return nn.pool(x, 2, 'maximum', stride=2)
    return blocks2(x).max(dims=(4, 5))  # nn.pool refuses maps of two pixels


def linear(x, weight, bias=None):
    """x (…, D) · weightᵀ (D, O) + bias (O,) → (…, O)."""
    out = nn.matmul_transpose(x, weight)
    return out if bias is None else out + bias


def batched_matmul(a, b, scale=1.0, b_swapped=False):
    """scale times the product (N, heads, T, D) × (N, heads, D, U) → (N, heads, T, U). b_swapped: b
    is given as (N, heads, U, D)."""
    return _BatchedMatmul(scale, b_swapped)(a, b)


def softmax(x):
    """Softmax of the last axis of (N, heads, T, U)."""
    return _OneDNNSoftmax()(x) if _by_onednn() else nn.softmax(x, dim=-1)


def _by_onednn():
    """Whether oneDNN computes: on the CPU, where Jittor has it."""
    return bool(jt.mkl_ops) and not jt.flags.use_cuda


class _OneDNNConvolution(jt.Function):
    """`convolve` of float32 maps on the CPU, whose channels are multiples of ONEDNN_BLOCK
    (those of the last may be any)."""

    def __init__(self, padding, padding_mode):
        reflecting = padding_mode == 'reflect'
        self.padding = {'border': padding * reflecting, 'zeros': padding * (not reflecting)}

    def execute(self, weight, bias, *maps):
        self.weight, self.maps = weight, maps
        n, _, h, w = maps[0].shape
        channels, _, size, _ = weight.shape
        wider = 2 * sum(self.padding.values()) - size + 1
        inputs = [weight, bias, *self._filled_up(maps, weight)]
        return self._compute([(n, channels, h + wider, w + wider)], inputs, 'convolution_forward.cc')[0]

    def grad(self, gradient):
        of_maps = self._compute(self._filled_up([x.shape for x in self.maps], (1, 1, 1, 1)), [gradient, self.weight],
                                'convolution_backward_maps.cc')
        of_weight, of_bias = self._compute([self.weight.shape, self.weight.shape[:1]],
                                           [gradient, *self._filled_up(self.maps, self.weight)],
                                           'convolution_backward_weight.cc')
        return of_weight, of_bias, *of_maps[:len(self.maps)]

    def _compute(self, shapes, inputs, source):
        return _onednn(shapes, inputs, source, _source('convolution.h'), self.padding)

    @staticmethod
    def _filled_up(maps, filling):
        return [*maps, *[filling] * (MAPS - len(maps))]


class _BatchedMatmul(jt.Function):
    """`batched_matmul`. On the CPU, the loop that Jittor makes of it reaches a seventh of the
    speed, that of its gradient less.

    The library swaps the last two axes as it reads: Jittor's own transpose of them computes
    on the CPU, of a GPU's Vars too.
    """

    def __init__(self, scale, b_swapped):
        self.scale, self.b_swapped = scale, b_swapped

    def execute(self, a, b):
        self.factors = a, b
        return self._product(a, b, b_swapped=self.b_swapped)

    def grad(self, gradient):
        a, b = self.factors
        of_b = (gradient, a) if self.b_swapped else (a, gradient)
        return self._product(gradient, b, b_swapped=not self.b_swapped), self._product(*of_b, a_swapped=True)

    def _product(self, a, b, a_swapped=False, b_swapped=False):
        """Of a and b, each with its last two axes swapped if asked for."""
        if _by_onednn():
            shape = [*a.shape[:2], a.shape[3 if a_swapped else 2], b.shape[2 if b_swapped else 3]]
            options = {'a_swapped': int(a_swapped), 'b_swapped': int(b_swapped), 'scale': self.scale}
            return _onednn([shape], [a, b], 'matmul.cc', data=options)[0]
        if jt.flags.use_cuda:
            return self.scale * jt.compile_extern.cublas_ops.cublas_batched_matmul(a, b, a_swapped, b_swapped)
        a, b = (x.transpose(0, 1, 3, 2) if swapped else x for x, swapped in ((a, a_swapped), (b, b_swapped)))
        return self.scale * jt.matmul(a, b)


class _OneDNNSoftmax(jt.Function):
    """`softmax` of float32 on the CPU; the loop that Jittor makes of it computes one exponential after the other."""

    def execute(self, x):
        self.out, = _onednn([x.shape], [x], 'softmax.cc')
        return self.out

    def grad(self, gradient):  # not oneDNN's, which without AVX-512 takes six times as long
        return self.out * (gradient - (self.out * gradient).sum(3, keepdims=True))


class _MaxPool2(jt.Function):
    """`max_pool2` on the CPU, where Jittor's computes on one core."""

    def execute(self, x):
        self.x = x
        n, c, h, w = x.shape
        return jt.code((n, c, h // 2, w // 2), 'float32', [x], cpu_header=_source('max_pool.h'),
                       cpu_src=_source('max_pool.cc'))

    def grad(self, gradient):
        return jt.code(self.x.shape, 'float32', [self.x, gradient], cpu_header=_source('max_pool.h'),
                       cpu_src=_source('max_pool_backward.cc'))


def _onednn(shapes, inputs, source, header='#include <dnnl.hpp>', data=None):
    """float32 Vars of those shapes, computed from the inputs by the C++ in a file of
    network/onednn, which calls oneDNN."""
    outs = jt.code(shapes, ['float32'] * len(shapes), inputs, cpu_header=header, cpu_src=_source(source),
                   data=data or {})
    folder = onednn_folder()
    for out in outs:
        out.compile_options = {f'FLAGS: -I"{folder}/include" -L"{folder}/lib" -lmkldnn ': 1}
    return outs


@functools.lru_cache(maxsize=None)
def _source(name):
    """The C++ in a file of network/onednn."""
    return (SOURCES / name).read_text(encoding='utf-8')
