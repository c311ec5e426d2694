"""Metrics of similarity: errors, correlations and structural similarity to the sources."""
import cv2
import numpy as np

from tools.evaluation.metrics.image import PEAK, Image, gaussian_mean, images

SIGMA = 1.5  # of SSIM's windows
MS_SSIM_WEIGHTS = 0.0448, 0.2856, 0.3001, 0.2363, 0.1333
UIQI_CONSTANT = 2e-16  # in the place of SSIM's constants, which makes it Wang's universal image quality index
ROUNDING = 1e-9  # squared gray levels below which a covariance is the rounding of 0
REDUNDANT = 0.75  # similarity of the sources from which on Q_Y takes a mean of both


def cc(fused, ir, vi):
    """Correlation (r(F,A) + r(F,B)) / 2, r being Pearson's: −1…1, higher is better. With a flat image, r is taken as 0.

    Source: Ma, Ma & Li, as of `tools.evaluation.metrics.features.sd`.
    """
    fused, ir, vi = images(fused=fused, ir=ir, vi=vi)
    return (_correlation(fused.pixels, ir.pixels) + _correlation(fused.pixels, vi.pixels)) / 2


def scd(fused, ir, vi):
    """Sum of the correlations of differences r(F − B, A) + r(F − A, B): −2…2, higher is better.

    Where one side is flat (F equal to a source, say), r is taken as 0. Source: Aslantas & Bendes, AEU 69, 2015.
    """
    fused, ir, vi = (image.pixels for image in images(fused=fused, ir=ir, vi=vi))
    return _correlation(fused - vi, ir) + _correlation(fused - ir, vi)


def mse(fused, ir, vi):
    """Mean squared error (mean (F − A)² + mean (F − B)²) / 2 with gray levels divided by 255: 0…1, LOWER is better."""
    fused, ir, vi = (image.pixels for image in images(fused=fused, ir=ir, vi=vi))
    return float(np.mean((fused - ir) ** 2) + np.mean((fused - vi) ** 2)) / (2 * PEAK ** 2)


def psnr(fused, ir, vi):
    """Peak signal-to-noise ratio 10·log₁₀(255² / MSE) in dB, of the MSE averaged over both sources.

    From 0, higher is better. Infinite where all three images are equal.
    """
    error = mse(fused, ir, vi)
    return float(-10 * np.log10(error)) if error > 0 else float('inf')


def ssim(fused, ir, vi):
    """Structural similarity (SSIM(F,A) + SSIM(F,B)) / 2, over whole Gaussian windows of 11×11 pixels, σ 1.5.

    −1…1, higher is better. From 11×11 pixels.
    Source: Wang, Bovik, Sheikh & Simoncelli, IEEE TIP 13, 2004, with L = 255, K = 0.01 and 0.03.
    """
    fused, ir, vi = images(smallest=11, fused=fused, ir=ir, vi=vi)
    return (gaussian_ssim(fused, ir) + gaussian_ssim(fused, vi)) / 2


def ms_ssim(fused, ir, vi, value_range=1.0):
    """Structural similarity over five scales, mean of both sources, Π c_k^w_k · SSIM_5^w_5: 0…1, higher is better.

    c_k is the mean of the contrast and structure term at scale k, negative ones counting as 0; between scales 2×2
    means, odd sides being extended by zeros. From 161×161 pixels. Source: Wang, Simoncelli & Bovik, Asilomar 2003.

    value_range: L in SSIM's constants. The default 1 for values on 0…255 makes the constants all but vanish; so the
    Python port of Tang's toolbox computes it, whose numbers this reproduces. 255 gives Wang's own, which are larger.
    """
    fused, *sources = (image.once(_pyramid) for image in images(smallest=161, fused=fused, ir=ir, vi=vi))
    total = 0.0
    for source in sources:
        product = 1.0
        for scale, (x, y, weight) in enumerate(zip(fused, source, MS_SSIM_WEIGHTS), 1):
            last = scale == len(MS_SSIM_WEIGHTS)
            value = gaussian_ssim(x, y, value_range) if last else contrast_map(x, y, 11, (0.03 * value_range) ** 2).mean()
            product *= max(float(value), 0.0) ** weight
        total += product
    return total / 2


def q_s(fused, ir, vi):
    """Piella's quality: mean of λ·SSIM(F,A) + (1 − λ)·SSIM(F,B), λ the share of A in the local variance. −1…1, higher is better.

    Windows and constants as of `ssim`; Piella has 8×8 windows and no constants. Where both sources are flat λ is ½. From 11×11 pixels.
    Source: Piella & Heijmans, A new quality metric for image fusion, ICIP 2003, as Z. Liu has it.
    """
    fused, ir, vi = images(smallest=11, fused=fused, ir=ir, vi=vi)
    (_, of_ir), (_, of_vi) = ir.once(moments, 11), vi.once(moments, 11)
    both = of_ir + of_vi
    share = np.divide(of_ir, both, out=np.full_like(both, 0.5), where=both > 0)
    return float(np.mean(share * ssim_map(fused, ir, 11, *_constants(PEAK)) + (1 - share) * ssim_map(fused, vi, 11, *_constants(PEAK))))


def q_c(fused, ir, vi):
    """Cvejic's quality: mean of s·Q(A,F) + (1 − s)·Q(B,F), s = c_AF / (c_AF + c_BF). −1…1, higher is better.

    Q: universal image quality index over whole Gaussian windows of 7×7 pixels, c: covariances there. Where s is below 0 the result is 0,
    where it is above 1 the result is 1, as Z. Liu has it (Cvejic cuts s itself), so that it depends on which source is called A. Windows in
    which an image is exactly flat have the covariance 0 and not the noise of rounding, which decides there in the toolbox; where
    both covariances are 0, a window does not count.
    From 7×7 pixels. Source: Cvejic, Loza, Bull & Canagarajah, A similarity metric for assessment of image fusion algorithms,
    Int. J. Signal Process. 2, 2005.
    """
    fused, ir, vi = images(smallest=7, fused=fused, ir=ir, vi=vi)
    of_ir, of_vi = (exact_covariance(source, fused) for source in (ir, vi))
    both = of_ir + of_vi
    counts = np.maximum(np.abs(both), np.abs(of_ir)) > ROUNDING
    if not counts.any():
        raise ValueError('no window shares any structure with a source: this metric is not defined')
    share = np.divide(of_ir, both, out=np.copysign(np.inf, of_ir), where=np.abs(both) > ROUNDING)
    inside = share.clip(0, 1)
    value = inside * _quality_index(ir, fused) + (1 - inside) * _quality_index(vi, fused)
    return float(np.mean(np.where(share < 0, 0, np.where(share > 1, 1, value))[counts]))


def q_y(fused, ir, vi):
    """Yang's quality: where the sources are alike, λ·S(A,F) + (1 − λ)·S(B,F), else the larger of S(A,F) and S(B,F); its mean.

    S: as Q of `q_c`; alike: S(A,B) ≥ 0.75; λ: the share of A in the local variance. −1…1, higher is better. From 7×7 pixels; windows that
    are exactly flat in both sources do not count. Source: C. Yang, Zhang, Wang & Liu, A novel similarity based quality metric for image
    fusion, Inf. Fusion 9, 2008.
    """
    fused, ir, vi = images(smallest=7, fused=fused, ir=ir, vi=vi)
    of_ir, of_vi = (source.once(_exact_moments)[1] for source in (ir, vi))
    alike, counts = _quality_index(ir, vi) >= REDUNDANT, of_ir + of_vi > 0
    share = np.divide(of_ir, of_ir + of_vi, out=np.zeros_like(of_ir), where=counts)
    with_ir, with_vi = _quality_index(ir, fused), _quality_index(vi, fused)
    value = np.where(alike, share * with_ir + (1 - share) * with_vi, np.maximum(with_ir, with_vi))
    counts |= ~alike
    if not counts.any():
        raise ValueError('both sources are flat, for which this metric is not defined')
    return float(np.mean(value[counts]))


# What they are made of

def gaussian_ssim(x, y, value_range=PEAK):
    """Mean SSIM of two Images from 11×11, over whole Gaussian windows. value_range: L in its constants."""
    return float(ssim_map(x, y, 11, *_constants(value_range)).mean())


def ssim_map(x, y, window, luminance, contrast):
    """SSIM of two Images for each whole window. luminance, contrast: its constants C1 and C2."""
    (mean_x, _), (mean_y, _) = x.once(moments, window), y.once(moments, window)
    return (2 * mean_x * mean_y + luminance) / (mean_x ** 2 + mean_y ** 2 + luminance) * contrast_map(x, y, window, contrast)


def contrast_map(x, y, window, contrast):
    """SSIM without its term of luminance."""
    (_, variance_x), (_, variance_y) = x.once(moments, window), y.once(moments, window)
    return (2 * covariance(x, y, window) + contrast) / (variance_x + variance_y + contrast)


def moments(pixels, window):
    """Mean and variance of each whole Gaussian window."""
    mean = gaussian_mean(pixels, window, SIGMA)
    return mean, gaussian_mean(pixels * pixels, window, SIGMA) - mean * mean


def covariance(x, y, window):
    """Of two Images, in each whole Gaussian window."""
    return gaussian_mean(x.pixels * y.pixels, window, SIGMA) - x.once(moments, window)[0] * y.once(moments, window)[0]


def exact_covariance(x, y):
    """Of windows of 7×7 pixels, exactly 0 where one of the images is flat."""
    return np.where(x.once(_flat) | y.once(_flat), 0, covariance(x, y, 7))


def _exact_moments(pixels):
    mean, variance = moments(pixels, 7)
    return mean, np.where(_flat(pixels), 0, variance)


def _flat(pixels):
    """Whether a window of 7×7 pixels has one value only."""
    window = np.ones((7, 7))
    return (cv2.dilate(pixels, window) == cv2.erode(pixels, window))[3:-3, 3:-3]


def _quality_index(x, y):
    """SSIM whose constants all but vanish, over windows of 7×7 pixels; 1 in its structure where both are flat."""
    (mean_x, variance_x), (mean_y, variance_y) = x.once(_exact_moments), y.once(_exact_moments)
    c = UIQI_CONSTANT
    return ((2 * mean_x * mean_y + c) * (2 * exact_covariance(x, y) + c)
            / ((mean_x ** 2 + mean_y ** 2 + c) * (variance_x + variance_y + c)))


def _constants(value_range):
    return (0.01 * value_range) ** 2, (0.03 * value_range) ** 2


def _correlation(x, y):
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    x, y = x - x.mean(), y - y.mean()
    return float(np.sum(x * y) / np.sqrt(np.sum(x * x) * np.sum(y * y)))


def _pyramid(pixels):
    """The Images of all scales of MS-SSIM: means of 2×2 pixels; an odd side gets a line of zeros before it, as PyTorch's pooling pads."""
    scales = [Image(pixels)]
    for _ in MS_SSIM_WEIGHTS[1:]:
        pixels = np.pad(pixels, [(side % 2, 0) for side in pixels.shape])
        pixels = cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        scales.append(Image(pixels))
    return scales
