// Inputs: weight (O, C, K, K), bias (O,), maps -> (N, O, H_out, W_out).
// Left to choose, this oneDNN takes another algorithm on processors with AVX-512, which adds up all C*K*K products in one chain, with
// two to three times the rounding error; the blocked layout of the output rules it out.
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
