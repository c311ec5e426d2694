"""Metrics of information: entropies and what the images share, from histograms of gray levels and from features."""
import numpy as np

from tools.evaluation.metrics.fmi import FEATURES, WINDOW, feature_mutual_information
from tools.evaluation.metrics.image import LEVELS, images, levels

TSALLIS_ORDER = 0.43137  # Nava's
SHARPEST = 8  # bits of an image that has all 256 levels equally often


def en(fused):
    """Entropy −Σ p·log₂ p of the histogram of 256 gray levels, in bits: 0…8, higher is better. A flat image has 0.

    Values between two gray levels count for the nearest. Source: Roberts et al., J. Appl. Remote Sens. 2, 2008.
    """
    fused, = images(fused=fused)
    return _entropy(_counts(fused))


def mi(fused, ir, vi):
    """Mutual information I(F;A) + I(F;B) from joint histograms of 256×256 gray levels, in bits: 0…16, higher is better.

    A flat fused image has 0. Never above EN(F) + I(A;B). Source: Qu, Zhang & Yan, Electron. Lett. 38, 2002.
    """
    fused, ir, vi = images(fused=fused, ir=ir, vi=vi)
    return _mutual_information(fused, ir) + _mutual_information(fused, vi)


def ce(fused, ir, vi):
    """Cross entropy Σ p·log₂(p/q) of the gray levels of source (p) and fused image (q), where both have any; mean of the sources.

    LOWER is better, equal histograms have 0; it can be negative, since levels that F lacks do not count.
    Source: VIFB, after Bulanon, Burks & Alchanatis, Biosyst. Eng. 103, 2009.
    """
    fused, ir, vi = images(fused=fused, ir=ir, vi=vi)
    q = _counts(fused) / fused.size
    total = 0.0
    for source in (ir, vi):
        p = _counts(source) / source.size
        both = (p > 0) & (q > 0)
        total += np.sum(p[both] * np.log2(p[both] / q[both]))
    return float(total / 2)


def q_mi(fused, ir, vi):
    """Normalised mutual information 2·(I(A;F) / (H(A) + H(F)) + I(B;F) / (H(B) + H(F))): 0…2, higher is better.

    A pair of flat images counts 0. Source: Hossny, Nahavandi & Creighton, Electron. Lett. 44, 2008.
    """
    fused, ir, vi = images(fused=fused, ir=ir, vi=vi)
    total = 0.0
    for source in (ir, vi):
        entropies = _entropy(_counts(source)) + _entropy(_counts(fused))
        total += 2 * _mutual_information(source, fused) / entropies if entropies > 0 else 0.0
    return total


def q_te(fused, ir, vi):
    """Tsallis entropy (T(A;F) + T(B;F)) / (H(A)^q + H(B)^q + T(A;B)) of order q = 0.43137, H in bits. Higher is better.

    T(X;Y) = (1 − Σ p(x,y)^q / (p(x)·p(y))^(q−1)) / (1 − q). The sources must not both be flat.
    Source: Nava, Cristóbal & Escalante-Ramírez, SPIE Newsroom 2007; Cvejic, Canagarajah & Bull, Electron. Lett. 42, 2006.
    """
    return tsallis_quality(*images(fused=fused, ir=ir, vi=vi), levels)


def tsallis_quality(fused, ir, vi, leveled, swapped=False):
    """`q_te` of three Images. leveled: what makes gray levels of pixels. swapped: with each marginal in the place of the other."""
    order = TSALLIS_ORDER

    def shared(x, y):
        joint = _joint_counts(x, y, leveled) / x.size
        of_x, of_y = joint.sum(axis=1), joint.sum(axis=0)
        independent = np.outer(of_y, of_x) if swapped else np.outer(of_x, of_y)
        some = independent > 0
        return (1 - np.sum(joint[some] ** order / independent[some] ** (order - 1))) / (1 - order)

    whole = _entropy(_counts(ir)) ** order + _entropy(_counts(vi)) ** order + shared(ir, vi)
    if whole == 0:
        raise ValueError('both sources are flat, for which this metric is not defined')
    return float((shared(ir, fused) + shared(vi, fused)) / whole)


def q_ncie(fused, ir, vi):
    """Nonlinear correlation information entropy 1 + Σ λ/3·log₂₅₆(λ/3). 0.80…1, higher is better.

    λ: eigenvalues of the matrix of I(X;Y) / 8 bits between A, B and F, with 1 on its diagonal. As 8 bits stand for full correlation
    whatever the entropies are, values are close together, and 1 is out of reach. Independent images have 0.802.
    Source: Q. Wang, Shen & Jin, in Stathaki (ed.), Image Fusion, 2008, chapter 19.
    """
    fused, ir, vi = images(fused=fused, ir=ir, vi=vi)
    matrix = np.eye(3)
    for i, j, x, y in ((0, 1, ir, vi), (0, 2, ir, fused), (1, 2, vi, fused)):
        matrix[i, j] = matrix[j, i] = _mutual_information(x, y) / SHARPEST
    shares = np.linalg.eigvalsh(matrix) / 3
    shares = shares[shares > 0]
    return float(1 + np.sum(shares * np.log2(shares)) / SHARPEST)


def fmi(fused, ir, vi, feature='pixel'):
    """Feature mutual information of F with A and B over 3×3 windows, normalised, mean of both: 0…1, higher is better.

    feature: 'pixel' (the images themselves), 'dct' (of the whole image), 'wavelet' (discrete Meyer), 'gradient' (along
    the rows), or 'edge' (thinned Sobel edges). From 3×3 pixels. How: `tools.evaluation.metrics.fmi.feature_mutual_information`.
    Source: Haghighat, Aghagolzadeh & Seyedarabi, Comput. Electr. Eng. 37, 2011, and its fast version of 2014.
    """
    if feature not in FEATURES:
        raise ValueError(f'feature must be one of {", ".join(FEATURES)}, not {feature!r}')
    return feature_mutual_information(*images(smallest=WINDOW, fused=fused, ir=ir, vi=vi), FEATURES[feature])


def _counts(image):
    return np.bincount(image.once(levels).ravel(), minlength=LEVELS)


def _joint_counts(x, y, leveled=levels):
    joint = np.bincount((x.once(leveled) * LEVELS + y.once(leveled)).ravel(), minlength=LEVELS ** 2)
    return joint.reshape(LEVELS, LEVELS)


def _entropy(counts):
    p = counts[counts > 0] / counts.sum()
    return float(abs(np.sum(p * np.log2(p))))  # the sum is never positive; abs turns -0 into 0


def _mutual_information(x, y):
    joint = _joint_counts(x, y)
    information = _entropy(joint.sum(axis=1)) + _entropy(joint.sum(axis=0)) - _entropy(joint)
    return max(information, 0.0)  # below 0 by rounding only
