// Input: x (N, C, H, W) -> the maximum of each 2x2 block, (N, C, H/2, W/2).
each_block(in0_shape0 * in0_shape1, in0_shape2, in0_shape3, [=](long block, long upper, long lower) {
    out0_p[block] = std::max(std::max(in0_p[upper], in0_p[upper + 1]), std::max(in0_p[lower], in0_p[lower + 1]));
});
