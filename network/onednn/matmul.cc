// Inputs: a (N, heads, M, K) and b (N, heads, K, U), each with its last two axes swapped if a_swapped or b_swapped
// -> scale times their product, out (N, heads, M, U). b is swapped back first: so the product has the rounding of PyTorch.
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
