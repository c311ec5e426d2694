"""The operations whose way depends on the device: the layers call these and know nothing of it."""
from tools.jittor_setup import onednn_folder
from tools.runtime import jt, nn

BLOCK = 8  # channels that `box_of_channels` adds up before the blocks are, on a GPU

ONEDNN_HEADER = '#include <dnnl.hpp>'
# x (N, C, H, W), weight (O, C, K, K), bias (O,) → out. Left to choose, this oneDNN takes another algorithm on processors
# with AVX-512, which adds up all C·K·K products in one chain, with two to three times the rounding error; the blocked
# layout of the output rules it out.
ONEDNN_CONVOLUTION = '''
    using namespace dnnl;
    using tag = memory::format_tag;
    const auto type = memory::data_type::f32;
    const int isa = (int)get_effective_cpu_isa(), avx512 = (int)cpu_isa::avx512_core;
    const auto out_layout = (isa & avx512) == avx512 ? tag::aBcd16b : tag::any;

    const memory::dims x_shape{in0_shape0, in0_shape1, in0_shape2, in0_shape3};
    const memory::dims weight_shape{in1_shape0, in1_shape1, in1_shape2, in1_shape3};
    const memory::dims bias_shape{in2_shape0}, out_shape{out_shape0, out_shape1, out_shape2, out_shape3};
    const memory::dims strides{1, 1}, padding{(int)data["padding"], (int)data["padding"]};

    engine cpu(engine::kind::cpu, 0);
    stream work(cpu);
    convolution_forward::primitive_desc convolution({
        prop_kind::forward_inference, algorithm::convolution_direct, {x_shape, type, tag::any},
        {weight_shape, type, tag::any}, {bias_shape, type, tag::a}, {out_shape, type, out_layout},
        strides, padding, padding}, cpu);

    auto laid_out = [&](memory from, const memory::desc& layout) {
        if (from.get_desc() == layout) return from;
        memory to(layout, cpu);
        reorder(from, to).execute(work, from, to);
        return to;
    };
    memory x({x_shape, type, tag::abcd}, cpu, in0_p), weight({weight_shape, type, tag::abcd}, cpu, in1_p);
    memory bias({bias_shape, type, tag::a}, cpu, in2_p), y({out_shape, type, tag::abcd}, cpu, out_p);
    memory computed = convolution.dst_desc() == y.get_desc() ? y : memory(convolution.dst_desc(), cpu);
    convolution_forward(convolution).execute(work, {
        {DNNL_ARG_SRC, laid_out(x, convolution.src_desc())},
        {DNNL_ARG_WEIGHTS, laid_out(weight, convolution.weights_desc())},
        {DNNL_ARG_BIAS, bias}, {DNNL_ARG_DST, computed}});
    if (computed != y) reorder(computed, y).execute(work, computed, y);
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


def convolve(x, weight, bias, padding=0):
    """Convolution with stride 1 and zero padding: (N, C, H, W), weights (O, C, K, K) and bias (O,) → (N, O, H', W').

    On the CPU with PyTorch's rounding: bit for bit, wherever PyTorch too computes it by oneDNN (with one thread, it gives 1×1
    kernels to another library).
    """
    if _by_onednn():
        return _OneDNNConvolution(padding)(x, weight, bias)
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
    """`convolve` of float32 on the CPU."""

    def __init__(self, padding):
        self.padding = padding

    def execute(self, x, weight, bias):
        self.operands = x, weight
        n, _, h, w = x.shape
        channels, _, size, _ = weight.shape
        return _onednn([n, channels, h + 2 * self.padding - size + 1, w + 2 * self.padding - size + 1], [x, weight, bias],
                       ONEDNN_CONVOLUTION, padding=self.padding)

    def grad(self, gradient):
        x, weight = self.operands
        options = (1, 1, self.padding, self.padding, 1, 1, 1)  # strides, paddings, dilations, groups
        return (jt.mkl_ops.mkl_conv_backward_x(weight, gradient, *x.shape[2:], *options),
                jt.mkl_ops.mkl_conv_backward_w(x, gradient, *weight.shape[2:], *options),
                gradient.sum(3).sum(2).sum(0))


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
            return _onednn(shape, [a, b], ONEDNN_MATMUL, a_swapped=int(a_swapped), b_swapped=int(b_swapped), scale=self.scale)
        if jt.flags.use_cuda:
            return self.scale * jt.compile_extern.cublas_ops.cublas_batched_matmul(a, b, a_swapped, b_swapped)
        a, b = (x.transpose(0, 1, 3, 2) if swapped else x for x, swapped in ((a, a_swapped), (b, b_swapped)))
        return self.scale * jt.matmul(a, b)


class _OneDNNSoftmax(jt.Function):
    """`softmax` of float32 on the CPU; the loop that Jittor makes of it computes one exponential after the other."""

    def execute(self, x):
        self.out = _onednn(x.shape, [x], ONEDNN_SOFTMAX)
        return self.out

    def grad(self, gradient):  # not oneDNN's, which without AVX-512 takes six times as long
        return self.out * (gradient - (self.out * gradient).sum(3, keepdims=True))


def _onednn(shape, inputs, source, **data):
    """A float32 Var of that shape, computed from the inputs by C++ that calls oneDNN."""
    out = jt.code(shape, 'float32', inputs, cpu_header=ONEDNN_HEADER, cpu_src=source, data=data)
    folder = onednn_folder()
    out.compile_options = {f'FLAGS: -I"{folder}/include" -L"{folder}/lib" -lmkldnn ': 1}
    return out
