// Inputs: gradient (N, O, H_out, W_out), weight -> the gradients of the maps.
Convolution c(_outputs, shape_of(in1), data);
convolution_backward_data::primitive_desc backward({algorithm::convolution_direct, c.any(c.x), c.any(c.weight), c.any(c.y),
    c.strides, c.zeros, c.zeros}, c.cpu, c.forward());
memory x = c.scratch(backward.diff_src_desc());
convolution_backward_data(backward).execute(c.work, {
    {DNNL_ARG_DIFF_DST, c.laid_out(c.plain(in0), backward.diff_dst_desc())},
    {DNNL_ARG_WEIGHTS, c.laid_out(c.plain(in1), backward.weights_desc())}, {DNNL_ARG_DIFF_SRC, x}});
if (c.border) c.each_mirrored(x, [](float& outside, float& inside) { inside += outside; });
c.each_map(_outputs, x, [&](memory map, memory place) { reorder(place, map).execute(c.work, place, map); });
