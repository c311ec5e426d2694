"""Metrics of image fusion: how good is the fused image F of an infrared image A (`ir`) and a visible image B (`vis`)?

Every function takes H×W arrays of one size, of any real type, with values on the scale 0…255, and returns a float:

    from tools.fusion_metrics import qabf
    print(qabf(fused, ir, vis))

A new metric is a function here and a line in the table METRICS; it is then in all tables and figures of the evaluation.

ValueError: an argument is not an array of two dimensions, is empty, holds NaN, infinite values or values outside
0…255, differs in size from the others, or is too small for the metric. Flat images are allowed, and give what the
docstrings say.
"""
from functools import partial
from typing import Callable, NamedTuple

import cv2
import numpy as np

from tools.fmi import FEATURES, WINDOW, feature_mutual_information

PEAK = 255.0  # the largest gray level
LEVELS = 256


# Of the fused image alone

def en(fused):
    """Entropy −Σ p·log₂ p of the histogram of 256 gray levels, in bits: 0…8, higher is better. A flat image has 0.

    Values between two gray levels count for the nearest. Source: Roberts et al., J. Appl. Remote Sens. 2, 2008.
    """
    image, = _images(fused=fused)
    return _entropy(np.bincount(_levels(image).ravel()))


def sd(fused):
    """Standard deviation sqrt(mean (F − mean F)²), in gray levels: 0…127.5, higher is better. A flat image has 0.

    Source: Ma, Ma & Li, Infrared and visible image fusion methods and applications: a survey, Inf. Fusion 45, 2019.
    """
    image, = _images(fused=fused)
    return float(image.std())


def sf(fused):
    """Spatial frequency sqrt(mean (F[i+1,j] − F[i,j])² + mean (F[i,j+1] − F[i,j])²): 0…361, higher is better.

    From 2×2 pixels. A flat image has 0. Source: Eskicioglu & Fisher, IEEE Trans. Commun. 43, 1995.
    """
    image, = _images(smallest=2, fused=fused)
    return float(np.sqrt(sum(np.mean(np.diff(image, axis=axis) ** 2) for axis in (0, 1))))


def ag(fused):
    """Average gradient Σ sqrt((dx² + dy²) / 2) / ((M−1)(N−1)), dx and dy central differences (one-sided at the edges).

    From 0, higher is better. From 2×2 pixels. A flat image has 0. Source: Cui et al., Opt. Commun. 341, 2015.
    """
    image, = _images(smallest=2, fused=fused)
    dy, dx = np.gradient(image)
    rows, columns = image.shape
    return float(np.sqrt((dx ** 2 + dy ** 2) / 2).sum() / ((rows - 1) * (columns - 1)))


# Of the fused image and its sources

def mi(fused, ir, vis):
    """Mutual information I(F;A) + I(F;B) from joint histograms of 256×256 gray levels, in bits: 0…16, higher is better.

    A flat fused image has 0. Never above EN(F) + I(A;B). Source: Qu, Zhang & Yan, Electron. Lett. 38, 2002.
    """
    fused, ir, vis = map(_levels, _images(fused=fused, ir=ir, vis=vis))
    return _mutual_information(fused, ir) + _mutual_information(fused, vis)


def cc(fused, ir, vis):
    """Correlation (r(F,A) + r(F,B)) / 2, r being Pearson's: −1…1, higher is better. With a flat image, r is taken as 0.

    Source: Ma, Ma & Li, as of `sd`.
    """
    fused, ir, vis = _images(fused=fused, ir=ir, vis=vis)
    return (_correlation(fused, ir) + _correlation(fused, vis)) / 2


def scd(fused, ir, vis):
    """Sum of the correlations of differences r(F − B, A) + r(F − A, B): −2…2, higher is better.

    Where one side is flat (F equal to a source, say), r is taken as 0. Source: Aslantas & Bendes, AEU 69, 2015.
    """
    fused, ir, vis = _images(fused=fused, ir=ir, vis=vis)
    return _correlation(fused - vis, ir) + _correlation(fused - ir, vis)


def vif(fused, ir, vis):
    """Visual information fidelity in the pixel domain, VIF(A→F) + VIF(B→F). From 0, higher is better; all equal: 2.

    VIF = Σ log(1 + g²·σ_s²/(σ_v² + 2)) / Σ log(1 + σ_s²/2) over four scales, Gaussian windows of 17, 9, 5 and 3 pixels;
    g is the local gain from source to fused image, σ_v² what it leaves unexplained, 2 the variance of the eye's noise.
    From 41×41 pixels. A flat source holds no information to be lost: 1. Source: Sheikh & Bovik, IEEE TIP 15, 2006.
    """
    fused, ir, vis = _images(smallest=41, fused=fused, ir=ir, vis=vis)
    return _information_fidelity(fused, ir) + _information_fidelity(fused, vis)


def qabf(fused, ir, vis):
    """Edge information kept, Σ (Q_AF·g_A + Q_BF·g_B) / Σ (g_A + g_B): 0…1, higher is better.

    g is the strength of the Sobel gradient (zeros outside the image) and Q the product of two sigmoids, of how well
    strength and orientation are kept. Where neither source has any edge (both black) it is 0.
    Source: Xydeas & Petrović, Objective image fusion performance measure, Electron. Lett. 36, 2000.
    """
    fused, *sources = _images(fused=fused, ir=ir, vis=vis)
    strength_fused, angle_fused = _gradient(fused, cv2.BORDER_CONSTANT)
    kept = weights = 0.0
    for source in sources:
        strength, angle = _gradient(source, cv2.BORDER_CONSTANT)
        orientation = 1 - np.abs(angle - angle_fused) / (np.pi / 2)
        quality = _sigmoid(_ratio(strength, strength_fused), 0.9994, 15, 0.5) * _sigmoid(orientation, 0.9879, 22, 0.8)
        kept += np.sum(quality * strength)
        weights += np.sum(strength)
    return float(kept / weights) if weights > 0 else 0.0


def nabf(fused, ir, vis):
    """Fusion artefacts Σ n·((1 − Q_AF)·w_A + (1 − Q_BF)·w_B) / Σ (w_A + w_B), edges that neither source has: 0…1.

    LOWER is better. n is 1 where g_F > g_A and g_F > g_B; w = g^1.5 for gradients of at least 2 gray levels per pixel,
    else 0.001; Q as in `qabf`, with other sigmoids and the root of their product. From 2×2 pixels. Flat images have 0.
    Source: B. K. Shreyamsha Kumar, SIViP 7, 2013.
    """
    # The Sobel weights of one side sum up to 4 over a distance of 2: an eighth of the sum is the gradient per pixel.
    images = [image / 8 for image in _images(smallest=2, fused=fused, ir=ir, vis=vis)]
    (strength_fused, angle_fused), *sources = (_gradient(image, cv2.BORDER_REFLECT_101) for image in images)
    added = np.all([strength_fused > strength for strength, _ in sources], axis=0)
    lost = weights = 0.0
    for strength, angle in sources:
        orientation = np.abs(np.abs(angle - angle_fused) - np.pi / 2) * 2 / np.pi
        similarity = _ratio(strength, strength_fused)
        quality = np.sqrt(_sigmoid(similarity, 0.9999, 19, 0.5) * _sigmoid(orientation, 0.9995, 22, 0.5))
        weight = np.where(strength >= 2, strength ** 1.5, 0.001)
        lost += np.sum(added * (1 - quality) * weight)
        weights += np.sum(weight)
    return float(lost / weights)


def mse(fused, ir, vis):
    """Mean squared error (mean (F − A)² + mean (F − B)²) / 2 with gray levels divided by 255: 0…1, LOWER is better."""
    fused, ir, vis = _images(fused=fused, ir=ir, vis=vis)
    return float(np.mean((fused - ir) ** 2) + np.mean((fused - vis) ** 2)) / (2 * PEAK ** 2)


def psnr(fused, ir, vis):
    """Peak signal-to-noise ratio 10·log₁₀(255² / MSE) in dB, of the MSE averaged over both sources.

    From 0, higher is better. Infinite where all three images are equal.
    """
    error = mse(fused, ir, vis)
    return float(-10 * np.log10(error)) if error > 0 else float('inf')


def ssim(fused, ir, vis):
    """Structural similarity (SSIM(F,A) + SSIM(F,B)) / 2, over whole Gaussian windows of 11×11 pixels, σ 1.5.

    −1…1, higher is better. From 11×11 pixels.
    Source: Wang, Bovik, Sheikh & Simoncelli, IEEE TIP 13, 2004, with L = 255, K = 0.01 and 0.03.
    """
    fused, ir, vis = _images(smallest=11, fused=fused, ir=ir, vis=vis)
    return (gaussian_ssim(fused, ir, PEAK) + gaussian_ssim(fused, vis, PEAK)) / 2


def ms_ssim(fused, ir, vis, value_range=1.0):
    """Structural similarity over five scales, mean of both sources, Π c_k^w_k · SSIM_5^w_5: 0…1, higher is better.

    c_k is the mean of the contrast and structure term at scale k, negative ones counting as 0; between scales 2×2
    means, odd sides being extended by zeros. From 161×161 pixels. Source: Wang, Simoncelli & Bovik, Asilomar 2003.

    value_range: L in SSIM's constants. The default 1 for values on 0…255 makes the constants all but vanish; so the
    Python port of Tang's toolbox computes it, whose numbers this reproduces. 255 gives Wang's own, which are larger.
    """
    fused, ir, vis = _images(smallest=161, fused=fused, ir=ir, vis=vis)
    return (_multi_scale_ssim(fused, ir, value_range) + _multi_scale_ssim(fused, vis, value_range)) / 2


def fmi(fused, ir, vis, feature='pixel'):
    """Feature mutual information of F with A and B over 3×3 windows, normalised, mean of both: 0…1, higher is better.

    feature: 'pixel' (the images themselves), 'dct' (of the whole image), 'wavelet' (discrete Meyer), 'gradient' (along
    the rows), or 'edge' (thinned Sobel edges). From 3×3 pixels. How: `tools.fmi.feature_mutual_information`.
    Source: Haghighat, Aghagolzadeh & Seyedarabi, Comput. Electr. Eng. 37, 2011, and its fast version of 2014.
    """
    if feature not in FEATURES:
        raise ValueError(f'feature must be one of {", ".join(FEATURES)}, not {feature!r}')
    return feature_mutual_information(*map(FEATURES[feature], _images(smallest=WINDOW, fused=fused, ir=ir, vis=vis)))


# The table of them

class Metric(NamedTuple):
    """A metric as a table shows it."""
    name: str
    compute: Callable  # (fused, ir, vis) -> float, each H×W on the scale 0…255
    lower_is_better: bool = False


def of_fused(function):
    """A metric of the fused image alone, called like one that takes its sources too."""
    return lambda fused, ir, vis: function(fused)


METRICS = (
    Metric('EN', of_fused(en)),
    Metric('SD', of_fused(sd)),
    Metric('MI', mi),
    Metric('SF', of_fused(sf)),
    Metric('AG', of_fused(ag)),
    Metric('CC', cc),
    Metric('SCD', scd),
    Metric('VIF', vif),
    Metric('Qabf', qabf),
    Metric('Nabf', nabf, lower_is_better=True),
    Metric('MSE', mse, lower_is_better=True),
    Metric('PSNR', psnr),
    Metric('SSIM', ssim),
    Metric('MS-SSIM', ms_ssim),
    Metric('FMI_pixel', partial(fmi, feature='pixel')),
    Metric('FMI_dct', partial(fmi, feature='dct')),
    Metric('FMI_w', partial(fmi, feature='wavelet')),
    Metric('FMI_gradient', partial(fmi, feature='gradient')),
)


# What they are made of

def _images(smallest=1, **images):
    """The named arguments as float64, checked."""
    checked = []
    for name, image in images.items():
        image = np.asarray(image)
        if image.ndim != 2 or image.dtype.kind not in 'buif':
            raise ValueError(f'{name} must be an H×W array of numbers, not {image.dtype} of shape {image.shape}')
        if min(image.shape) < smallest:
            raise ValueError(f'{name} is {image.shape[1]}×{image.shape[0]} pixels; '
                             f'this metric needs at least {smallest}×{smallest}')
        image = image.astype(np.float64)
        if not np.isfinite(image).all():
            raise ValueError(f'{name} contains NaN or infinite values')
        if image.min() < 0 or image.max() > PEAK:
            raise ValueError(f'{name} has values from {image.min():g} to {image.max():g}; the metrics take 0…255')
        checked.append(image)
    shapes = [image.shape for image in checked]
    if len(set(shapes)) > 1:
        sizes = ', '.join(f'{name} {shape[1]}×{shape[0]}' for name, shape in zip(images, shapes))
        raise ValueError(f'the images differ in size: {sizes}')
    return checked


def _levels(image):
    return np.rint(image).astype(np.intp)


def _entropy(counts):
    p = counts[counts > 0] / counts.sum()
    return float(abs(np.sum(p * np.log2(p))))  # the sum is never positive; abs turns -0 into 0


def _mutual_information(x, y):
    joint = np.bincount((x * LEVELS + y).ravel(), minlength=LEVELS ** 2).reshape(LEVELS, LEVELS)
    information = _entropy(joint.sum(axis=1)) + _entropy(joint.sum(axis=0)) - _entropy(joint)
    return max(information, 0.0)  # below 0 by rounding only


def _correlation(x, y):
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    x, y = x - x.mean(), y - y.mean()
    return float(np.sum(x * y) / np.sqrt(np.sum(x * x) * np.sum(y * y)))


def _information_fidelity(fused, source):
    tiny, noise_of_eye = 1e-10, 2.0
    kept = present = 0.0
    for window in (17, 9, 5, 3):
        blur = lambda image: _gaussian_mean(image, window)
        if window < 17:
            fused, source = blur(fused)[::2, ::2], blur(source)[::2, ::2]
        mean_fused, mean_source = blur(fused), blur(source)
        var_fused = np.maximum(blur(fused * fused) - mean_fused ** 2, 0)
        var_source = np.maximum(blur(source * source) - mean_source ** 2, 0)
        covariance = blur(fused * source) - mean_fused * mean_source
        gain = covariance / (var_source + tiny)
        gain[(covariance < 0) | (var_source < tiny) | (var_fused < tiny)] = 0
        unexplained = np.maximum(var_fused - gain * covariance, tiny)
        var_source[var_source < tiny] = 0
        kept += np.sum(np.log1p(gain ** 2 * var_source / (unexplained + noise_of_eye)))
        present += np.sum(np.log1p(var_source / noise_of_eye))
    return float(kept / present) if present > 0 else 1.0


def _gaussian_mean(image, window):
    """Weighted mean over each whole window of `window`×`window` pixels, σ = window / 5."""
    kernel, margin = cv2.getGaussianKernel(window, window / 5), window // 2
    return cv2.sepFilter2D(image, cv2.CV_64F, kernel, kernel)[margin:-margin, margin:-margin]


def _gradient(image, border):
    """Sobel gradient: (strength, orientation), orientation in (−π/2, π/2], π/2 where there is no horizontal change."""
    dx, dy = (cv2.Sobel(image, cv2.CV_64F, x, 1 - x, borderType=border) for x in (1, 0))
    slope = np.divide(dy, -dx, out=np.full_like(dx, np.inf), where=dx != 0)
    return np.hypot(dx, dy), np.arctan(slope)


def _ratio(x, y):
    """The smaller by the larger, 1 where they are equal, 0 where both are 0."""
    larger = np.maximum(x, y)
    return np.divide(np.minimum(x, y), larger, out=np.zeros_like(larger), where=larger > 0)


def _sigmoid(x, gamma, kappa, sigma):
    return gamma / (1 + np.exp(-kappa * (x - sigma)))


def gaussian_ssim(x, y, value_range, **constants):
    """Mean SSIM of two float images from 11×11, over whole Gaussian windows. constants: K1 and K2, if not Wang's."""
    from skimage.metrics import structural_similarity  # imported when needed: it takes longer than EN, SD and MI
    return float(structural_similarity(x, y, data_range=value_range, gaussian_weights=True, sigma=1.5,
                                       use_sample_covariance=False, **constants))


def _multi_scale_ssim(x, y, value_range):
    weights = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    product = 1.0
    for scale, weight in enumerate(weights):
        if scale > 0:
            x, y = _halved(x), _halved(y)
        last = scale == len(weights) - 1
        # A huge K1 makes the luminance term 1, which leaves contrast and structure.
        value = gaussian_ssim(x, y, value_range) if last else gaussian_ssim(x, y, value_range, K1=1e9)
        product *= max(value, 0.0) ** weight
    return product


def _halved(image):
    """Means of 2×2 pixels; an odd side gets a line of zeros before it, as the padding of PyTorch's pooling gives."""
    image = np.pad(image, [(side % 2, 0) for side in image.shape])
    return cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
