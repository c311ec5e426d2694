"""The operations whose way depends on the device: the layers call these and know nothing of it."""
from network.padding import reflection_pad
from tools.runtime import jt, nn
from tools.runtime.setup import onednn_folder

BLOCK = 8  # channels that `box_of_channels` adds up before the blocks are, on a GPU

ONEDNN_BLOCK = 16  # channels, at most, whose numbers oneDNN's layouts keep side by side
MAPS = 4  # that a convolution on the CPU takes, however few there are: so it is compiled once

ONEDNN_HEADER = '#include <dnnl.hpp>'
# What the three operations of a convolution share. Its input is written once, from the maps straight into oneDNN's layout, with the
# padding around it.
CONVOLUTION_HEADER = ONEDNN_HEADER + r'''
#include "mem/allocator.h"
#include "var.h"

namespace jittor {
using namespace dnnl;
using tag = memory::format_tag;
static const auto real = memory::data_type::f32;

static memory::dims shape_of(Var* var) { return {var->shape[0], var->shape[1], var->shape[2], var->shape[3]}; }

// As network.padding.reflection_indices.
static inline long reflected(long position, long length) {
    const long period = std::max(2 * (length - 1), 1l);
    position = (position % period + period) % period;
    return std::min(position, period - position);
}

struct Convolution {
    engine cpu{engine::kind::cpu, 0};
    stream work{cpu};
    std::vector<Allocation> scratches;
    const memory::dim border;  // reflected rows and columns around the maps
    const memory::dims strides{1, 1}, zeros;  // zeros: rows and columns of them
    memory::dims x, weight, y;

    Convolution(const vector<Var*>& maps, const memory::dims& weight, DataMap& data):
            border(data["border"]), zeros{(int)data["zeros"], (int)data["zeros"]}, x(shape_of(maps[0])), weight(weight) {
        x[1] = weight[1];
        for (int axis : {2, 3}) x[axis] += 2 * border;
        y = {x[0], weight[0], x[2] + 2 * zeros[0] - weight[2] + 1, x[3] + 2 * zeros[0] - weight[3] + 1};
    }

    memory::desc any(const memory::dims& shape) { return {shape, real, tag::any}; }

    memory plain(Var* var) { return memory({shape_of(var), real, tag::abcd}, cpu, var->mem_ptr); }

    // From Jittor's pool, whose pages are there already.
    memory scratch(const memory::desc& layout) {
        scratches.emplace_back(cpu_allocator, layout.get_size());
        return memory(layout, cpu, scratches.back().ptr);
    }

    memory laid_out(memory from, const memory::desc& layout) {
        if (from.get_desc() == layout) return from;
        memory to = scratch(layout);
        reorder(from, to).execute(work, from, to);
        return to;
    }

    // Does to(memory of a map, its place in x) for each map.
    template <class To> void each_map(const vector<Var*>& maps, memory x, To to) {
        memory::dim channel = 0;
        for (auto* map : maps) {
            const auto shape = shape_of(map);
            if (channel == weight[1]) return;  // what follows only fills up
            to(plain(map), memory(x.get_desc().submemory_desc(shape, {0, channel, border, border}), cpu, x.get_data_handle()));
            channel += shape[1];
        }
    }

    // Does to(number of the border, number inside that it mirrors) for all of x.
    template <class To> void each_mirrored(memory x, To to) {
        const auto layout = x.get_desc().data;
        const auto& blocks = layout.format_desc.blocking;  // of channels, whose numbers stand side by side
        const long inner = blocks.inner_nblks ? blocks.inner_blks[0] : 1;
        const long height = layout.dims[2], width = layout.dims[3], border = this->border;
        float* numbers = (float*)x.get_data_handle();
        #pragma omp parallel for collapse(2)
        for (long n = 0; n < layout.dims[0]; n++)
            for (long block = 0; block < layout.padded_dims[1] / inner; block++) {
                float* plane = numbers + n * blocks.strides[0] + block * blocks.strides[1];
                for (long i = 0; i < height; i++) {
                    const bool inside = i >= border && i < height - border;
                    const long row = border + reflected(i - border, height - 2 * border);
                    for (long j = 0; j < width; j = inside && j == border - 1 ? width - border : j + 1) {
                        const long column = border + reflected(j - border, width - 2 * border);
                        for (long k = 0; k < inner; k++)
                            to(plane[i * blocks.strides[2] + j * blocks.strides[3] + k],
                               plane[row * blocks.strides[2] + column * blocks.strides[3] + k]);
                    }
                }
            }
    }

    memory padded(const vector<Var*>& maps, const memory::desc& layout) {
        if (!border && shape_of(maps[0])[1] == weight[1]) return laid_out(plain(maps[0]), layout);
        memory x = scratch(layout);
        each_map(maps, x, [&](memory map, memory place) { reorder(map, place).execute(work, map, place); });
        if (border) each_mirrored(x, [](float& outside, float& inside) { outside = inside; });
        return x;
    }

    convolution_forward::primitive_desc forward() {
        return {{prop_kind::forward, algorithm::convolution_direct, any(x), any(weight), any(y), strides, zeros, zeros}, cpu};
    }
};
}
'''

# Inputs: weight (O, C, K, K), bias (O,), maps → (N, O, H', W'). Left to choose, this oneDNN takes another algorithm on processors
# with AVX-512, which adds up all C·K·K products in one chain, with two to three times the rounding error; the blocked
# layout of the output rules it out.
CONVOLUTION_FORWARD = '''
    const vector<Var*> maps(_inputs.begin() + 2, _inputs.end());
    Convolution c(maps, shape_of(in0), data);
    const int isa = (int)get_effective_cpu_isa(), avx512 = (int)cpu_isa::avx512_core;
    const memory::desc out_layout(c.y, real, (isa & avx512) == avx512 ? tag::aBcd16b : tag::any);
    const memory::desc bias_layout({in1_shape0}, real, tag::a);
    convolution_forward::primitive_desc forward({prop_kind::forward_inference, algorithm::convolution_direct, c.any(c.x),
        c.any(c.weight), bias_layout, out_layout, c.strides, c.zeros, c.zeros}, c.cpu);
    memory y = c.plain(out0), computed = forward.dst_desc() == y.get_desc() ? y : c.scratch(forward.dst_desc());
    convolution_forward(forward).execute(c.work, {
        {DNNL_ARG_SRC, c.padded(maps, forward.src_desc())}, {DNNL_ARG_WEIGHTS, c.laid_out(c.plain(in0), forward.weights_desc())},
        {DNNL_ARG_BIAS, memory(bias_layout, c.cpu, in1_p)}, {DNNL_ARG_DST, computed}});
    if (computed != y) reorder(computed, y).execute(c.work, computed, y);
'''

# Inputs: gradient (N, O, H', W'), weight → the maps' gradients.
CONVOLUTION_BACKWARD_MAPS = '''
    Convolution c(_outputs, shape_of(in1), data);
    convolution_backward_data::primitive_desc backward({algorithm::convolution_direct, c.any(c.x), c.any(c.weight), c.any(c.y),
        c.strides, c.zeros, c.zeros}, c.cpu, c.forward());
    memory x = c.scratch(backward.diff_src_desc());
    convolution_backward_data(backward).execute(c.work, {
        {DNNL_ARG_DIFF_DST, c.laid_out(c.plain(in0), backward.diff_dst_desc())},
        {DNNL_ARG_WEIGHTS, c.laid_out(c.plain(in1), backward.weights_desc())}, {DNNL_ARG_DIFF_SRC, x}});
    if (c.border) c.each_mirrored(x, [](float& outside, float& inside) { inside += outside; });
    c.each_map(_outputs, x, [&](memory map, memory place) { reorder(place, map).execute(c.work, place, map); });
'''

# Inputs: gradient (N, O, H', W'), maps → the gradients (O, C, K, K) of the weight and (O,) of the bias.
CONVOLUTION_BACKWARD_WEIGHT = '''
    const vector<Var*> maps(_inputs.begin() + 1, _inputs.end());
    Convolution c(maps, shape_of(out0), data);
    const memory::desc bias_layout({out1_shape0}, real, tag::a);
    convolution_backward_weights::primitive_desc backward({algorithm::convolution_direct, c.any(c.x), c.any(c.weight), bias_layout,
        c.any(c.y), c.strides, c.zeros, c.zeros}, c.cpu, c.forward());
    memory weight = c.plain(out0);
    memory computed = backward.diff_weights_desc() == weight.get_desc() ? weight : c.scratch(backward.diff_weights_desc());
    convolution_backward_weights(backward).execute(c.work, {
        {DNNL_ARG_SRC, c.padded(maps, backward.src_desc())},
        {DNNL_ARG_DIFF_DST, c.laid_out(c.plain(in0), backward.diff_dst_desc())}, {DNNL_ARG_DIFF_WEIGHTS, computed},
        {DNNL_ARG_DIFF_BIAS, memory(bias_layout, c.cpu, out1_p)}});
    if (computed != weight) reorder(computed, weight).execute(c.work, computed, weight);
'''

# a (N, heads, M, K) and b (N, heads, K, U), each with its last two axes swapped if `a_swapped` or `b_swapped` → `scale` times
# their product, out (N, heads, M, U). b is swapped back first: so the product has PyTorch's rounding.
ONEDNN_MATMUL = '''
    using namespace dnnl;
    using tag = memory::format_tag;
    const auto type = memory::data_type::f32;
    const memory::dim batch = out_shape0 * out_shape1, rows = out_shape2, columns = out_shape3;
    const memory::dim inner = (int)data["a_swapped"] ? in0_shape2 : in0_shape3;
    const memory::desc a_layout({batch, rows, inner}, type, (int)data["a_swapped"] ? tag::acb : tag::abc);
    const memory::desc b_layout({batch, inner, columns}, type, tag::abc), out_layout({batch, rows, columns}, type, tag::abc);

    engine cpu(engine::kind::cpu, 0);
    stream work(cpu);
    memory b(b_layout, cpu, in1_p);
    if ((int)data["b_swapped"]) {
        memory swapped({{batch, inner, columns}, type, tag::acb}, cpu, in1_p);
        b = memory(b_layout, cpu);
        reorder(swapped, b).execute(work, swapped, b);
    }
    primitive_attr scaled;
    scaled.set_output_scales(0, {(float)data["scale"]});
    matmul(matmul::primitive_desc({a_layout, b_layout, out_layout}, scaled, cpu)).execute(work, {
        {DNNL_ARG_SRC, memory(a_layout, cpu, in0_p)}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, memory(out_layout, cpu, out_p)}});
'''

# x (N, heads, M, U) → out, the softmax of its last axis.
ONEDNN_SOFTMAX = '''
    using namespace dnnl;
    const memory::desc layout({in0_shape0 * in0_shape1 * in0_shape2, in0_shape3}, memory::data_type::f32, memory::format_tag::ab);
    engine cpu(engine::kind::cpu, 0);
    stream work(cpu);
    softmax_forward(softmax_forward::primitive_desc({prop_kind::forward_inference, layout, 1}, cpu)).execute(work, {
        {DNNL_ARG_SRC, memory(layout, cpu, in0_p)}, {DNNL_ARG_DST, memory(layout, cpu, out_p)}});
'''


# Does something for each 2×2 block of x (N, C, H, W), whose rows are `upper` and `lower`, and its number out of (N, C, H//2, W//2).
EACH_BLOCK = '''
    const long height = in0_shape2 / 2, width = in0_shape3 / 2;
    #pragma omp parallel for
    for (long row = 0; row < in0_shape0 * in0_shape1 * height; row++) {
        const long first = (row / height * in0_shape2 + row %% height * 2) * in0_shape3, second = first + in0_shape3;
        const float *upper = in0_p + first, *lower = in0_p + second;
        for (long j = 0; j < width; j++) { %s }
    }
'''
MAX_POOL = EACH_BLOCK % '''
            out0_p[row * width + j] = std::max(std::max(upper[2 * j], upper[2 * j + 1]), std::max(lower[2 * j], lower[2 * j + 1]));'''
# Inputs: x, and the gradient of its blocks' maxima, which goes to the first of equal ones.
MAX_POOL_BACKWARD = 'std::memset(out0_p, 0, out0->size);' + EACH_BLOCK % '''
            const bool right = upper[2 * j + 1] > upper[2 * j], lower_right = lower[2 * j + 1] > lower[2 * j];
            const bool below = lower[2 * j + lower_right] > upper[2 * j + right];
            out0_p[(below ? second : first) + 2 * j + (below ? lower_right : right)] = in1_p[row * width + j];'''


def use_mixed_precision(wanted, device):
    """Let a GPU's tensor cores multiply in convolutions and matrix products, if `wanted` and the device is 'cuda': factors rounded to
    TF32 (11 bits), sums in float32.

    Not float16: Jittor lets cuDNN add up in the type of the factors, and with float16 sums stage 2 gave NaN after eleven steps.
    Without this, products of matrices are float32's; in convolutions cuDNN chooses TF32 by itself, for PyTorch as for Jittor, unless
    the environment variable NVIDIA_TF32_OVERRIDE is 0.
    """
    if wanted and device != 'cuda':
        print('mixed_precision = True is for the GPU; on the CPU it is ignored')
    jt.flags.use_tensorcore = int(wanted and device == 'cuda')


def convolve(x, weight, bias, padding=0, padding_mode='zeros'):
    """Convolution with stride 1: (N, C, H, W), weights (O, C, K, K) and bias (O,) → (N, O, H', W').

    x may also be several maps (N, Ci, H, W), whose channels follow one another. padding_mode: 'zeros' or 'reflect'.
    On the CPU with PyTorch's rounding: bit for bit, wherever PyTorch too computes it by oneDNN (with one thread, it gives 1×1
    kernels to another library).
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


def box_of_channels(x, weight):
    """Convolution with equal weights (1, C, K, K) and zero padding of K//2: (N, C, H, W) → (N, 1, H, W).

    Rounded as the original's convolution is: bit for bit on the CPU, elsewhere added up in blocks of channels.
    """
    size = weight.shape[2]
    if _by_onednn():
        return convolve(x, weight, jt.zeros(1), size // 2)
    n, c, h, w = x.shape
    blocks = x.reshape(n, c // BLOCK, BLOCK, h, w)
    neighbours = blocks.reindex([n, c // BLOCK, h, w, BLOCK, size, size],
                                ['i0', 'i1', 'i4', f'i2+i5-{size // 2}', f'i3+i6-{size // 2}'])
    return (neighbours * weight[0, 0, 0, 0]).sum([4, 5, 6]).sum(1, keepdims=True)


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
    """scale times the product (N, heads, T, D) × (N, heads, D, U) → (N, heads, T, U). b_swapped: b is given as (N, heads, U, D)."""
    return _BatchedMatmul(scale, b_swapped)(a, b)


def softmax(x):
    """Softmax of the last axis of (N, heads, T, U)."""
    return _OneDNNSoftmax()(x) if _by_onednn() else nn.softmax(x, dim=-1)


def _by_onednn():
    """Whether oneDNN computes: on the CPU, where Jittor has it."""
    return bool(jt.mkl_ops) and not jt.flags.use_cuda


class _OneDNNConvolution(jt.Function):
    """`convolve` of float32 maps on the CPU, whose channels are multiples of ONEDNN_BLOCK (those of the last may be any)."""

    def __init__(self, padding, padding_mode):
        reflecting = padding_mode == 'reflect'
        self.padding = {'border': padding * reflecting, 'zeros': padding * (not reflecting)}

    def execute(self, weight, bias, *maps):
        self.weight, self.maps = weight, maps
        n, _, h, w = maps[0].shape
        channels, _, size, _ = weight.shape
        wider = 2 * sum(self.padding.values()) - size + 1
        out, = self._compute([(n, channels, h + wider, w + wider)], [weight, bias, *self._filled_up(maps, weight)], CONVOLUTION_FORWARD)
        return out

    def grad(self, gradient):
        of_maps = self._compute(self._filled_up([x.shape for x in self.maps], (1, 1, 1, 1)), [gradient, self.weight],
                                CONVOLUTION_BACKWARD_MAPS)
        of_weight, of_bias = self._compute([self.weight.shape, self.weight.shape[:1]],
                                           [gradient, *self._filled_up(self.maps, self.weight)], CONVOLUTION_BACKWARD_WEIGHT)
        return of_weight, of_bias, *of_maps[:len(self.maps)]

    def _compute(self, shapes, inputs, source):
        return _onednn(shapes, inputs, source, CONVOLUTION_HEADER, self.padding)

    @staticmethod
    def _filled_up(maps, filling):
        return [*maps, *[filling] * (MAPS - len(maps))]


class _BatchedMatmul(jt.Function):
    """`batched_matmul`. On the CPU, the loop that Jittor makes of it reaches a seventh of the speed, that of its gradient less.

    The library swaps the last two axes as it reads: Jittor's own transpose of them computes on the CPU, of a GPU's Vars too.
    """

    def __init__(self, scale, b_swapped):
        self.scale, self.b_swapped = scale, b_swapped

    def execute(self, a, b):
        self.factors = a, b
        return self._product(a, b, b_swapped=self.b_swapped)

    def grad(self, gradient):
        a, b = self.factors
        return (self._product(gradient, b, b_swapped=not self.b_swapped),
                self._product(gradient, a, a_swapped=True) if self.b_swapped else self._product(a, gradient, a_swapped=True))

    def _product(self, a, b, a_swapped=False, b_swapped=False):
        """Of a and b, each with its last two axes swapped if asked for."""
        if _by_onednn():
            shape = [*a.shape[:2], a.shape[3 if a_swapped else 2], b.shape[2 if b_swapped else 3]]
            options = {'a_swapped': int(a_swapped), 'b_swapped': int(b_swapped), 'scale': self.scale}
            return _onednn([shape], [a, b], ONEDNN_MATMUL, data=options)[0]
        if jt.flags.use_cuda:
            return self.scale * jt.compile_extern.cublas_ops.cublas_batched_matmul(a, b, a_swapped, b_swapped)
        a, b = (x.transpose(0, 1, 3, 2) if swapped else x for x, swapped in ((a, a_swapped), (b, b_swapped)))
        return self.scale * jt.matmul(a, b)


class _OneDNNSoftmax(jt.Function):
    """`softmax` of float32 on the CPU; the loop that Jittor makes of it computes one exponential after the other."""

    def execute(self, x):
        self.out, = _onednn([x.shape], [x], ONEDNN_SOFTMAX)
        return self.out

    def grad(self, gradient):  # not oneDNN's, which without AVX-512 takes six times as long
        return self.out * (gradient - (self.out * gradient).sum(3, keepdims=True))


class _MaxPool2(jt.Function):
    """`max_pool2` on the CPU, where Jittor's computes on one core."""

    def execute(self, x):
        self.x = x
        n, c, h, w = x.shape
        return jt.code((n, c, h // 2, w // 2), 'float32', [x], cpu_src=MAX_POOL)

    def grad(self, gradient):
        return jt.code(self.x.shape, 'float32', [self.x, gradient], cpu_src=MAX_POOL_BACKWARD)


def _onednn(shapes, inputs, source, header=ONEDNN_HEADER, data=None):
    """float32 Vars of those shapes, computed from the inputs by C++ that calls oneDNN."""
    outs = jt.code(shapes, ['float32'] * len(shapes), inputs, cpu_header=header, cpu_src=source, data=data or {})
    folder = onednn_folder()
    for out in outs:
        out.compile_options = {f'FLAGS: -I"{folder}/include" -L"{folder}/lib" -lmkldnn ': 1}
    return outs
