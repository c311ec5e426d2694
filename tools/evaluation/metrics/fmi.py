"""Feature mutual information, computed for many 3×3 windows at once: the work behind `tools.evaluation.metrics.information.fmi`."""
from typing import NamedTuple

import cv2
import numpy as np

WINDOW = 3
PLACES = WINDOW ** 2
CHUNK = 4096  # windows worked on at a time, so that what is computed of them stays in the processor's cache
SMALLEST = np.finfo(np.float32).tiny
WHOLE = 2 ** 30  # a probability of 1 in cumulated distributions: integers, so that they merge fast and without denormal numbers
FROM_MIDDLE = np.arange(PLACES, dtype=np.float32) - PLACES // 2  # of the nine places


class Windows(NamedTuple):
    """N windows of some rows of a feature map, each read column by column as a distribution p over its nine places."""
    feature: np.ndarray    # these rows of the map, float64
    standard: np.ndarray   # 9×N, float32 as those below: p without its mean, of length 1; 0 if p is even
    ends: np.ndarray       # 8×N, int32: cumulated p without the last, which is 1, in WHOLEs; even numbers
    entropy: np.ndarray    # N: in nats
    mean: np.ndarray       # N: of the place, counted from the middle one
    variance: np.ndarray   # N: of the place


def feature_mutual_information(fused, ir, vi, feature):
    """Mean over all 3×3 windows of the normalised mutual information of fused and source, averaged over the sources.

    The arguments are tools.evaluation.metrics.image.Image, and one of FEATURES. Every window of the feature map is scaled to 0…1 and read
    as a distribution. The joint distribution is the mixture of independence and of the strongest coupling of the two (the
    bounds of Fréchet) that gives their Pearson correlation. A pair of equal windows has the value 1, a pair of windows without entropy 0.
    Source: M. Haghighat, M. A. Razian, Fast-FMI: non-reference image fusion metric, AICT 2014.
    """
    sources = [source.once(_all_windows, feature) for source in (ir, vi)]
    memory = _Memory.of(max(part.entropy.size for part in sources[0]))
    total = count = 0.0
    for of_fused, *of_sources in zip(_read_windows(fused.pixels, feature), *sources):
        total += sum(_information(source, of_fused, memory) for source in of_sources)
        count += of_fused.entropy.size
    return max(float(total / (2 * count)), 0.0)  # below 0 by rounding only


def _all_windows(pixels, feature):
    return list(_read_windows(pixels, feature))


def _read_windows(pixels, feature):
    """The Windows of the map that `feature` makes of an image, some rows after the other."""
    whole = np.ascontiguousarray(feature(pixels), dtype=np.float64)
    height, width = (side - WINDOW + 1 for side in whole.shape)
    lowest = cv2.erode(whole, np.ones((WINDOW, WINDOW)))[1:-1, 1:-1]
    rows = max(1, CHUNK // width)
    for top in range(0, height, rows):
        low, part = lowest[top:top + rows], whole[top:top + rows + WINDOW - 1]
        p = np.empty((PLACES, low.size), np.float32)
        for place in range(PLACES):
            down, right = place % WINDOW, place // WINDOW  # the order matters: the coupling depends on it
            p[place] = (part[down:down + len(low), right:right + width] - low).ravel()
        total = p.sum(axis=0)
        flat = total == 0
        if flat.any():
            p[:, flat], total[flat] = 1, PLACES
        p /= total
        standard = p - np.float32(1 / PLACES)
        length = np.sqrt(np.einsum('ij,ij->j', standard, standard))
        length[length == 0] = 1
        standard /= length
        mean, squares = np.stack([FROM_MIDDLE, FROM_MIDDLE ** 2]) @ p
        entropy = -_times_log(p, np.empty_like(p)).sum(axis=0)
        p *= WHOLE // 2
        for place in range(1, PLACES - 1):
            p[place] += p[place - 1]
        ends = p[:-1].astype(np.int32)
        np.minimum(ends, WHOLE // 2, out=ends)  # above it by rounding only
        ends *= 2
        yield Windows(part, standard, ends, entropy, mean, squares - mean ** 2)


class _Memory(NamedTuple):
    """What is written over for each chunk of n windows: to be given new memory each time would take longer than the computing."""
    merged: np.ndarray  # 3×16×n, int32
    known: np.ndarray   # 16×2×n, uint32
    width: np.ndarray   # 17×2×n, uint32: how wide the intervals of p and q are
    last: np.ndarray    # 2×2×n, uint32: where they end, in this cell and in the one before
    offset: np.ndarray  # 17×n, int32
    cells: np.ndarray   # 3×17×n, float32

    @classmethod
    def of(cls, size):
        bounds, cells = 2 * (PLACES - 1), 2 * PLACES - 1
        return cls(np.empty((3, bounds, size), np.int32), np.empty((bounds, 2, size), np.uint32), np.empty((cells, 2, size), np.uint32),
                   np.empty((2, 2, size), np.uint32), np.empty((cells, size), np.int32), np.empty((3, cells, size), np.float32))


def _information(source, fused, memory):
    """Sum over some windows of 2·I / (H(p) + H(q)), I being the mutual information of the pair."""
    entropies = source.entropy + fused.entropy
    information = entropies - _joint_entropy(source, fused, _Memory(*(array[..., :entropies.size] for array in memory)))
    value = np.divide(2 * information, entropies, out=np.zeros_like(entropies), where=entropies > 0)
    equal = cv2.erode((source.feature == fused.feature).astype(np.uint8), np.ones((WINDOW, WINDOW)))[1:-1, 1:-1].ravel()
    return np.where(equal, 1, value).sum(dtype=np.float64)


def _joint_entropy(p, q, memory):
    """Entropy of the joint distributions 9×9 of N pairs of windows, with marginals p and q and their Pearson correlation, in nats.

    A joint distribution is r·p⊗q + s·b, r = 1 − s: a share s of the bound b, which lies on a staircase of 17 cells from the first pair of
    places to the last (the overlaps of the intervals of the cumulated p and q), and of independence, whose entropy is known. So only the
    stairs are gone through. r can be negative; there it counts with its absolute value in the logarithm.
    """
    correlation = np.einsum('ij,ij->j', p.standard, q.standard)
    # The lower Fréchet bound is the upper bound with one side read backwards.
    backwards = -(correlation < 0).astype(np.int32)  # all bits, or none
    mean_p, ends_p = p.mean * (1 + 2 * backwards.astype(np.float32)), memory.offset[:PLACES - 1]
    np.subtract(WHOLE, p.ends[::-1], out=ends_p)
    ends_p ^= p.ends
    ends_p &= backwards
    ends_p ^= p.ends
    overlap, product, spare = _staircase(ends_p, q.ends, memory)
    spare *= spare  # the offsets between the places, squared
    spare *= overlap
    covariance = (p.variance + q.variance + (mean_p - q.mean) ** 2 - spare.sum(axis=0)) / 2
    spread = np.sqrt(np.maximum(p.variance * q.variance, 0))
    share = np.divide(np.abs(correlation) * spread, covariance, out=np.zeros_like(spread), where=(spread > 0) & (covariance > 0))
    rest = 1 - share
    product *= rest
    overlap *= share
    overlap += product  # what the joint distribution has on the stairs
    stairs = _times_log(overlap, spare).sum(axis=0) - _times_log(product, spare).sum(axis=0)
    return rest * (p.entropy + q.entropy) - _times_log(rest, np.empty_like(rest)) - stairs


def _staircase(ends_p, ends_q, memory):
    """The cells, from the first to the last, where the intervals of two cumulated distributions (8×N each) overlap.

    Returns three arrays 17×N, float32: the overlap, the product of the two probabilities, the place of p less that of q.
    """
    merged, only_p, only_q = _merged(ends_p, ends_q, memory.merged)
    np.bitwise_and(merged, 1, out=only_p)
    np.subtract(only_p, 1, out=only_q)  # all bits where a bound is of q, none where it is of p: bounds are picked faster than by np.where
    np.negative(only_p, out=only_p)
    known, width, offset = memory.known, memory.width, memory.offset
    # Where the intervals of p and of q begin, and then where they end, for each cell: bounds of the other one are passed over.
    for one, of_one in enumerate((only_p, only_q)):
        np.bitwise_and(merged, of_one, out=known[:, one].view(np.int32))  # 0 if it is of the other
    width[0] = 0
    for cell in range(1, 2 * PLACES - 1):
        np.maximum(known[cell - 1], width[cell - 1], out=width[cell])
    for one, of_other in enumerate((only_q, only_p)):
        np.bitwise_or(merged, of_other, out=known[:, one].view(np.int32))  # the largest unsigned integer if it is of the other
    last, before = memory.last
    last[...] = WHOLE
    np.subtract(last, width[-1], out=width[-1])
    for cell in range(2 * PLACES - 3, -1, -1):
        np.minimum(known[cell], last, out=before)
        np.subtract(before, width[cell], out=width[cell])
        last, before = before, last
    offset[0] = 0
    step = np.bitwise_or(only_q, 1, out=only_q)  # 1 or −1
    for cell in range(1, 2 * PLACES - 1):
        np.add(offset[cell - 1], step[cell - 1], out=offset[cell])
    overlap, product, spare = memory.cells
    product[...], spare[...] = width[:, 0].view(np.int32), width[:, 1].view(np.int32)
    product *= spare
    product *= np.float32(1 / WHOLE ** 2)
    overlap[0], overlap[1:-1], overlap[-1] = merged[0], np.subtract(merged[1:], merged[:-1], out=only_p[1:]), WHOLE - merged[-1]
    overlap *= np.float32(1 / WHOLE)
    spare[...] = offset
    return overlap, product, spare


def _merged(x, y, memory):
    """Two ascending arrays 8×N of even integers as one 16×N, by a network that merges; those of x are made odd.

    memory: 3×16×N. Returns them in another order, the first of which holds the result.
    """
    merged, other, third = memory
    half = len(x)
    np.bitwise_or(x, 1, out=merged[:half])
    merged[half:] = y[::-1]
    while half:
        pairs, sorted_pairs = (array.reshape(-1, 2, half, x.shape[1]) for array in (merged, other))
        np.minimum(pairs[:, 0], pairs[:, 1], out=sorted_pairs[:, 0])
        np.maximum(pairs[:, 0], pairs[:, 1], out=sorted_pairs[:, 1])
        merged, other, half = other, merged, half // 2
    return merged, other, third


def _times_log(x, out):
    """x·log |x|, 0 for 0."""
    np.abs(x, out=out)
    out += SMALLEST
    np.log(out, out=out)
    out *= x
    return out


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
