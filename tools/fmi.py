"""Feature mutual information, computed for all 3×3 windows at once: the work behind `tools.fusion_metrics.fmi`."""
import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

WINDOW = 3
CHUNK = 2048  # windows worked on at a time: their 9×9 joint distributions stay in the processor's cache
SMALLEST = np.finfo(np.float32).tiny
POSITIONS = np.arange(1, WINDOW ** 2 + 1)[:, None]


def feature_mutual_information(fused, ir, vis):
    """Mean over all 3×3 windows of the normalised mutual information of fused and source, averaged over the sources.

    The arguments are feature maps (H×W, any scale) of the three images. Every window is scaled to 0…1 and read, column
    by column, as a distribution over its nine positions. The joint distribution is the mixture of independence and of
    the strongest coupling of the two (the bounds of Fréchet) that gives their Pearson correlation. A pair of equal
    windows has the value 1, a pair of windows without entropy 0.
    Source: M. Haghighat, M. A. Razian, Fast-FMI: non-reference image fusion metric, AICT 2014.
    """
    height, width = (side - WINDOW + 1 for side in fused.shape)
    rows = max(1, CHUNK // width)
    total = 0.0
    for top in range(0, height, rows):
        of_fused, of_ir, of_vis = (_windows(feature[top:top + rows + WINDOW - 1]) for feature in (fused, ir, vis))
        q = _distribution(of_fused)
        total += sum(np.where((source == of_fused).all(axis=0), 1.0, _normalised_information(_distribution(source), q)).sum()
                     for source in (of_ir, of_vis))
    return max(float(total / (2 * height * width)), 0.0)  # below 0 by rounding only


def _windows(feature):
    """All windows of a map as an array 9×N; the nine go down the columns, since the coupling depends on their order."""
    return sliding_window_view(feature, (WINDOW, WINDOW)).transpose(3, 2, 0, 1).reshape(WINDOW ** 2, -1)


def _normalised_information(p, q):
    """2·I / (H(p) + H(q)) of N pairs of distributions, each array 9×N."""
    entropies = _entropy(p) + _entropy(q)
    information = entropies - _joint_entropy(p, q)
    return np.divide(2 * information, entropies, out=np.zeros_like(information), where=entropies > 0)


def _distribution(windows):
    low = windows.min(axis=0)
    span = windows.max(axis=0) - low
    scaled = np.divide(windows - low, span, out=np.ones_like(windows), where=span > 0)
    return scaled / scaled.sum(axis=0)


def _entropy(p):
    """Entropy of distributions 9×N in nats."""
    return -(p * np.log(p + SMALLEST)).sum(axis=0)


def _joint_entropy(p, q):
    """Entropy of the joint distribution 9×9×N with marginals p and q (each 9×N) and their Pearson correlation, in nats.

    That distribution can be negative in places; there it counts with its absolute value in the logarithm.
    Three quarters of the evaluation's time are spent here, so the two large arrays are used again and again.
    """
    correlation = _correlation(p, q)
    # The lower Fréchet bound is the upper bound with one side read backwards.
    p = np.where(correlation < 0, p[::-1], p)
    spread = _deviation(p) * _deviation(q)
    p, q = p.astype(np.float32)[:, None], q.astype(np.float32)[None]  # half the time, and 1e-7 is close enough here
    end_p, end_q = p.cumsum(axis=0), q.cumsum(axis=1)
    joint = np.minimum(end_p, end_q)  # the upper bound, cumulated
    covariance = joint.sum(axis=(0, 1)) - end_p.sum(axis=(0, 1)) * end_q.sum(axis=(0, 1))
    possible = (spread > 0) & (covariance > 0)
    share = np.divide(np.abs(correlation) * spread, covariance, out=np.zeros_like(spread), where=possible)
    share = share.astype(np.float32)
    # The bound itself: how much the intervals of the cumulated distributions overlap.
    other = np.maximum(end_p - p, end_q - q)
    joint -= other
    np.maximum(joint, 0, out=joint)
    joint *= share
    joint += np.multiply(p, (1 - share) * q, out=other)
    np.abs(joint, out=other)
    other += SMALLEST
    np.log(other, out=other)
    other *= joint
    return -other.sum(axis=(0, 1))


def _correlation(p, q):
    p, q = p - 1 / len(p), q - 1 / len(q)  # the exact mean: a flat window has correlation 0, not noise
    scale = np.sqrt((p * p).sum(axis=0) * (q * q).sum(axis=0))
    return np.divide((p * q).sum(axis=0), scale, out=np.zeros_like(scale), where=scale > 0)


def _deviation(p):
    """Standard deviation of the position 1…9 under p."""
    variance = (POSITIONS ** 2 * p).sum(axis=0) - (POSITIONS * p).sum(axis=0) ** 2
    return np.sqrt(np.maximum(variance, 0))


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
