"""Feature mutual information, computed for many 3×3 windows at once: the work behind `tools.evaluation.metrics.information.fmi`."""
from typing import NamedTuple

import cv2
import numpy as np

WINDOW = 3
PLACES = WINDOW ** 2
ENDS, STAIRS = PLACES - 1, 2 * PLACES - 1
CHUNK = 8192  # windows worked on at a time: few enough for the processor's cache, many enough for calls of NumPy to cost little
SMALLEST = np.finfo(np.float32).tiny
EVEN = np.float32(1 / PLACES)
FROM_MIDDLE = np.arange(PLACES, dtype=np.float32) - PLACES // 2  # of the nine places
# A window's cumulated p is kept as even integers from 0 to WHOLE, which merge fast; their last bit is there to tell p from q. Half of
# WHOLE can be divided by 1 to 12, so that common fractions are exact. Others are rounded up as often as is right on average, as ROUNDING
# has another threshold for each window: with MANY windows, 16 bits are enough.
WHOLE = {np.dtype(np.uint16): 2 * 27720, np.dtype(np.uint32): 2 * 27720 * 19000}
MANY = 2 ** 16
ROUNDING = (0.01 + 0.98 * (np.arange(CHUNK) * (np.sqrt(5) - 1) / 2 % 1)).astype(np.float32)
PAGE, SHIFT = 4096, 320  # bytes


class Windows(NamedTuple):
    """N windows of a feature map, each read column by column as a distribution p over its nine places."""
    p: np.ndarray        # 9×N, float32, as those below the next
    ends: np.ndarray     # 8×N, uint16 or uint32: cumulated p without the last, which is 1, in WHOLEs; even numbers
    entropy: np.ndarray  # N: in nats
    mean: np.ndarray     # N: of the place, counted from the middle one
    square: np.ndarray   # N: mean of its square
    spread: np.ndarray   # N: its deviation by the length of p without its mean; 0 if p is even


def feature_mutual_information(fused, ir, vi, feature):
    """Mean over all 3×3 windows of the normalised mutual information of fused and source, averaged over the sources.

    The arguments are tools.evaluation.metrics.image.Image, and one of FEATURES. Every window of the feature map is scaled to 0…1 and read
    as a distribution. The joint distribution is the mixture of independence and of the strongest coupling of the two (the
    bounds of Fréchet) that gives their Pearson correlation. A pair of equal windows has the value 1, a pair of windows without entropy 0.
    Source: M. Haghighat, M. A. Razian, Fast-FMI: non-reference image fusion metric, AICT 2014.
    """
    of_fused, sources = _feature_map(fused.pixels, feature), [source.once(_with_windows, feature) for source in (ir, vi)]
    height, width = of_fused.shape
    values = np.empty((2, (height - WINDOW + 1) * width), np.float32)
    size, starts = _chunks(of_fused.shape)
    memory = _Memory(size, sources[0][1][0].ends.dtype)
    for start, q, *of_sources in zip(starts, _read_windows(of_fused, kept=False), *(windows for _, windows in sources)):
        for p, of_source in zip(of_sources, values):
            of_source[start:start + size] = _information(p, q, memory)
    total = 0.0
    for (source, _), of_source in zip(sources, values):
        equal = cv2.erode((source == of_fused).astype(np.uint8), np.ones((WINDOW, WINDOW)))[1:-1, 1:-1]
        total += np.where(equal, 1, of_source.reshape(-1, width)[:, :1 - WINDOW]).mean(dtype=np.float64) / 2
    return max(float(total), 0.0)  # below 0 by rounding only


def _feature_map(pixels, feature):
    return np.ascontiguousarray(feature(pixels), dtype=np.float64)


def _with_windows(pixels, feature):
    """The feature map, and the Windows of all its chunks."""
    of_pixels = _feature_map(pixels, feature)
    return of_pixels, list(_read_windows(of_pixels, kept=True))


def _chunks(shape):
    """(windows in a chunk, the first one of each chunk) of a map of that shape. The last chunk begins early enough to be as large.

    Windows are numbered like the pixels at their upper left, and those count that wrap around the right edge, so that each of the nine
    places of a chunk is one piece of memory.
    """
    count = (shape[0] - WINDOW + 1) * shape[1] - WINDOW + 1
    size = min(CHUNK, count)
    return size, [min(start, count - size) for start in range(0, count, size)]


def _read_windows(feature, kept):
    """The Windows of each chunk of a map. kept: all of them, not each until the next is read."""
    size, starts = _chunks(feature.shape)
    kind = np.dtype(np.uint16 if feature.size > MANY else np.uint32)
    lowest = cv2.erode(feature, np.ones((WINDOW, WINDOW)), anchor=(0, 0))
    lowest[:, 1 - WINDOW:] = lowest.min()  # of windows that wrap around, which do not matter but must not be negative
    item, exact = feature.itemsize, np.empty((WINDOW, size))
    sums, p, ends = _arrays(((PLACES, size), np.float32), ((PLACES, size), np.float32), ((ENDS, size), kind))
    for start in starts:
        if kept:
            p, ends = _arrays(((PLACES, size), np.float32), ((ENDS, size), kind))
        for right in range(WINDOW):  # the order matters: the coupling depends on it
            column = np.ndarray((WINDOW, size), np.float64, feature, (start + right) * item, (feature.shape[1] * item, item))
            p[WINDOW * right:WINDOW * (right + 1)] = np.subtract(column, lowest.ravel()[start:start + size], out=exact)
        sums[0] = p[0]
        for place in range(1, PLACES):
            np.add(sums[place - 1], p[place], out=sums[place])
        scale = 1 / np.maximum(sums[-1], SMALLEST)  # a flat window becomes 0, and is even by its spread
        p *= scale
        sums *= scale
        mean, square = (np.einsum('ij,i->j', p, power) for power in (FROM_MIDDLE, FROM_MIDDLE ** 2))
        sums *= WHOLE[kind] // 2
        sums += ROUNDING[:size]
        np.copyto(ends, np.minimum(sums[:-1], WHOLE[kind] // 2, out=sums[:-1]), casting='unsafe')
        ends += ends
        length = np.einsum('ij,ij->j', p, p) - EVEN  # squared; at least 1/72, as the lowest place has p = 0, or the window is flat
        spread = np.sqrt(np.maximum(square - mean ** 2, 0) / np.maximum(length, EVEN / PLACES))
        entropy = -np.einsum('ij,ij->j', _log(p, out=sums), p)
        yield Windows(p, ends, entropy, mean, square, spread)


class _Memory:
    """What is written over for each chunk: to be given new memory each time would take longer than the computing."""

    def __init__(self, size, kind):
        """size: windows in a chunk. kind: the type of their ends."""
        stairs, bounds = (2 * STAIRS, size), (2 * ENDS, size)
        self.bounds, self.spare, *large = _arrays((stairs, kind), (bounds, kind), *[(stairs, kind)] * 3)
        self.bounds = self.bounds[:2 * ENDS + 2]  # 0, the merged ends, WHOLE
        self.whole = kind.type(WHOLE[kind])
        self.bounds[0], self.bounds[-1] = 0, self.whole
        # The same memory at different times.
        self.masks = large[0][:4 * ENDS].reshape(2, 2 * ENDS, size)
        self.begins, self.ends = (one.reshape(STAIRS, 2, size) for one in large[1:])
        self.steps = large[2][:STAIRS]
        self.floats = [one.view(np.uint8).reshape(-1)[:4 * STAIRS * size].view(np.float32).reshape(STAIRS, size) for one in large]


def _arrays(*shapes_and_types):
    """Arrays, each of which begins at another place of a memory page: else each write would hold up reading from the other arrays."""
    sizes = [int(np.prod(shape)) * np.dtype(kind).itemsize for shape, kind in shapes_and_types]
    starts = np.cumsum([0, *(-(-size // PAGE) * PAGE + SHIFT for size in sizes)])
    memory = np.empty(starts[-1], np.uint8)
    return [memory[start:start + size].view(kind).reshape(shape) for start, size, (shape, kind) in zip(starts, sizes, shapes_and_types)]


def _information(p, q, memory):
    """2·I / (H(p) + H(q)) of N pairs of windows, I being their mutual information in nats.

    A joint distribution is r·p⊗q + s·b, r = 1 − s: a share s of the bound b, which lies on a staircase of 17 cells from the first pair
    of places to the last (the overlaps of the intervals of the cumulated p and q), and of independence. With v = r + s·b / p⊗q, which
    is r off the stairs, I = Σ p⊗q·v·log |v|, so that only the stairs are gone through. r can be negative.
    """
    correlation = np.einsum('ij,ij->j', p.p, q.p) - EVEN  # but for the lengths of both, which `spread` holds
    merged = _merged(p.ends, q.ends, correlation < 0, memory)
    overlap, product, spare = _stairs(merged, memory)
    whole = np.float32(memory.whole)
    # On the stairs, the number of a cell is the sum of its places.
    square = np.einsum('ij,i->j', overlap, (np.arange(STAIRS, dtype=np.float32) - STAIRS // 2) ** 2 / whole)
    covariance = (square - p.square - q.square) / 2 - np.sign(correlation) * p.mean * q.mean
    share = np.abs(correlation) * p.spread * q.spread / np.maximum(covariance, SMALLEST)
    share[covariance <= 0] = 0
    rest = 1 - share
    overlap /= product
    overlap *= share * whole
    overlap += rest
    of_stairs = _log(overlap, out=spare)
    of_stairs *= overlap
    of_rest = rest * _log(rest, np.empty_like(rest))
    of_stairs -= of_rest
    information = np.einsum('ij,ij->j', of_stairs, product) / whole ** 2 + of_rest
    return 2 * information / np.maximum(p.entropy + q.entropy, SMALLEST)


def _merged(ends_p, ends_q, backwards, memory):
    """The ends of p and of q, 8×N each, as one ascending array 16×N, those of p made odd. backwards: where the places of q are reversed.

    For the lower Fréchet bound is the upper bound with one side read backwards.
    """
    merged, other, half = memory.bounds[1:-1], memory.spare, ENDS
    np.bitwise_or(ends_p, 1, out=merged[:half])
    falling, forwards = merged[half:], ends_q[::-1]
    np.subtract(memory.whole, ends_q, out=falling)
    falling ^= forwards  # bits are picked faster than numbers by np.where
    falling &= np.negative(backwards.astype(falling.dtype))  # all of them, or none
    falling ^= forwards
    while half:  # a network that merges
        pairs, sorted_pairs = (array.reshape(-1, 2, half, array.shape[1]) for array in (merged, other))
        np.minimum(pairs[:, 0], pairs[:, 1], out=sorted_pairs[:, 0])
        np.maximum(pairs[:, 0], pairs[:, 1], out=sorted_pairs[:, 1])
        merged, other, half = other, merged, half // 2
    return merged


def _stairs(merged, memory):
    """The cells, from the first to the last, where the intervals of two cumulated distributions overlap.

    Returns three arrays 17×N, float32: the overlap in WHOLEs, the product of the two probabilities in their square, and one to write to.
    """
    is_p, is_q = memory.masks  # all bits of what is, none of what is not
    np.bitwise_and(merged, 1, out=is_q)
    merged ^= is_q
    is_q -= 1
    np.invert(is_q, out=is_p)
    begins, ends = memory.begins, memory.ends
    begins[0], ends[-1] = 0, memory.whole
    for one, of_one, of_other in ((0, is_p, is_q), (1, is_q, is_p)):
        np.bitwise_and(merged, of_one, out=begins[1:, one])
        np.bitwise_or(merged, of_other, out=ends[:-1, one])
    for cell in range(1, STAIRS):  # bounds of the other one are passed over
        np.maximum(begins[cell - 1], begins[cell], out=begins[cell])
        np.minimum(ends[-cell], ends[-cell - 1], out=ends[-cell - 1])
    ends -= begins
    product, overlap, spare = memory.floats
    product[...], overlap[...] = ends[:, 0], ends[:, 1]
    product *= overlap
    product += 1  # next to nothing, but no 0 to divide by
    overlap[...] = np.subtract(memory.bounds[1:], memory.bounds[:-1], out=memory.steps)
    return overlap, product, spare


def _log(x, out):
    """log |x|, but finite for 0."""
    np.abs(x, out=out)
    out += SMALLEST
    return cv2.log(out, out).reshape(x.shape)


def horizontal_gradient(image):
    """Central differences along the rows, as MATLAB's `gradient` with one result."""
    return np.gradient(image, axis=1)


def cosine_transform(image):
    """Two-dimensional orthonormal DCT of the whole image."""
    from scipy.fft import dctn
    return dctn(image, norm='ortho')


def wavelet_transform(image):
    """One level of the discrete Meyer wavelet, its bands as one map: average, horizontal; vertical, diagonal."""
    import pywt
    average, (horizontal, vertical, diagonal) = pywt.dwt2(image, 'dmey', mode='symmetric')
    return np.block([[average, horizontal], [vertical, diagonal]])


def sobel_edges(image):
    """Sobel edges as 0 and 1, as Octave's `edge`: above twice the root mean square, and a peak in its row or column."""
    strength = sum(cv2.Sobel(image, cv2.CV_64F, dx, 1 - dx, borderType=cv2.BORDER_REPLICATE) ** 2 for dx in (0, 1))
    strength[strength <= 4 * strength.mean()] = 0
    around = np.pad(strength, 1)
    peak_in_row = (strength > around[1:-1, :-2]) & (strength > around[1:-1, 2:])
    peak_in_column = (strength > around[:-2, 1:-1]) & (strength > around[2:, 1:-1])
    return (peak_in_row | peak_in_column).astype(np.float64)


FEATURES = {'pixel': lambda image: image, 'dct': cosine_transform, 'wavelet': wavelet_transform,
            'gradient': horizontal_gradient, 'edge': sobel_edges}
