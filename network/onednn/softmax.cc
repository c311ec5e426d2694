// Input: x (N, heads, M, U) -> the softmax of its last axis.
using namespace dnnl;
const memory::desc layout({in0_shape0 * in0_shape1 * in0_shape2, in0_shape3}, memory::data_type::f32, memory::format_tag::ab);
engine cpu(engine::kind::cpu, 0);
stream work(cpu);
softmax_forward(softmax_forward::primitive_desc({prop_kind::forward_inference, layout, 1}, cpu)).execute(work, {
    {DNNL_ARG_SRC, memory(layout, cpu, in0_p)}, {DNNL_ARG_DST, memory(layout, cpu, out_p)}});
