namespace jittor {
// Does to(number of a 2x2 block, number of its first element, number of the one below) for all blocks of so many maps.
template <class To> static void each_block(long maps, long height, long width, To to) {
    const long down = height / 2, across = width / 2;
    #pragma omp parallel for
    for (long row = 0; row < maps * down; row++) {
        const long upper = (row / down * height + row % down * 2) * width;
        for (long j = 0; j < across; j++) to(row * across + j, upper + 2 * j, upper + width + 2 * j);
    }
}
}
