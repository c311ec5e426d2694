"""The convolution on the CPU, by oneDNN, with PyTorch's rounding: bit for bit, wherever PyTorch too computes it by oneDNN
(with one thread, it gives 1×1 kernels to another library).
"""
from tools.jittor_setup import onednn_folder
from tools.runtime import jt

HEADER = '#include <dnnl.hpp>'
# x (N, C, H, W), weight (O, C, K, K), bias (O,) → out. Left to choose, this oneDNN takes another algorithm on processors
# with AVX-512, which adds up all C·K·K products in one chain, with two to three times the rounding error; the blocked
# layout of the output rules it out.
CONVOLVE = '''
    using namespace dnnl;
    using tag = memory::format_tag;
    const auto type = memory::data_type::f32;
    const int isa = (int)get_effective_cpu_isa(), avx512 = (int)cpu_isa::avx512_core;
    const auto out_layout = (isa & avx512) == avx512 ? tag::aBcd16b : tag::any;

    const memory::dims x_shape{in0_shape0, in0_shape1, in0_shape2, in0_shape3};
    const memory::dims weight_shape{in1_shape0, in1_shape1, in1_shape2, in1_shape3};
    const memory::dims bias_shape{in2_shape0}, out_shape{out_shape0, out_shape1, out_shape2, out_shape3};
    const memory::dims strides{1, 1}, padding{(int)data["padding_h"], (int)data["padding_w"]};

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


def computes_on_cpu():
    """Whether `CPUConvolution` can be used: on the CPU, where Jittor has oneDNN."""
    return bool(jt.mkl_ops) and not jt.flags.use_cuda


class CPUConvolution(jt.Function):
    """A convolution with stride 1: float32 (N, C, H, W), weights (O, C, K, K) and bias (O,) → (N, O, H', W')."""

    def __init__(self, padding):
        self.padding = padding

    def execute(self, x, weight, bias):
        self.operands = x, weight
        n, _, h, w = x.shape
        channels, _, height, width = weight.shape
        padding_h, padding_w = self.padding
        out = jt.code([n, channels, h + 2 * padding_h - height + 1, w + 2 * padding_w - width + 1], 'float32',
                      [x, weight, bias], cpu_header=HEADER, cpu_src=CONVOLVE,
                      data={'padding_h': padding_h, 'padding_w': padding_w})
        folder = onednn_folder()
        out.compile_options = {f'FLAGS: -I"{folder}/include" -L"{folder}/lib" -lmkldnn ': 1}
        return out

    def grad(self, gradient):
        x, weight = self.operands
        options = (1, 1, *self.padding, 1, 1, 1)  # strides, paddings, dilations, groups
        return (jt.mkl_ops.mkl_conv_backward_x(weight, gradient, *x.shape[2:], *options),
                jt.mkl_ops.mkl_conv_backward_w(x, gradient, *weight.shape[2:], *options),
                gradient.sum(3).sum(2).sum(0))
