// Inputs: gradient (N, O, H_out, W_out), maps -> the gradients (O, C, K, K) of the weight and (O,) of the bias.
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
