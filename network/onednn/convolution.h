// What the three operations of a convolution share. Its input is written once, from the maps straight into the layout of oneDNN,
// with the padding around it.
#include <dnnl.hpp>
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
