"""Metrics after human vision: information that an eye with noise loses, sensitivity to contrast."""
import cv2
import numpy as np

from tools.evaluation.metrics.image import gaussian_mean, images, sobel, stretched

SCALES = 17, 9, 5, 3  # windows of VIF, σ a fifth of each
NOISE = 2.0  # variance of the eye's noise in VIF
NOISE_OF_VIFF = 0.005 * 255 ** 2
VIFF_WEIGHTS = 1 / 2.15, 0, 0.15 / 2.15, 1 / 2.15  # of the scales
TINY = 1e-10  # below it a variance counts as 0
BLOCK = 16  # pixels of a side of Q_CV's blocks
SALIENCE = 5  # Q_CV's exponent of the gradient


def vif(fused, ir, vi):
    """Visual information fidelity in the pixel domain, VIF(A→F) + VIF(B→F). From 0, higher is better; all equal: 2.

    VIF = Σ log(1 + g²·σ_s²/(σ_v² + 2)) / Σ log(1 + σ_s²/2) over four scales, Gaussian windows of 17, 9, 5 and 3 pixels;
    g is the local gain from source to fused image, σ_v² what it leaves unexplained, 2 the variance of the eye's noise.
    From 41×41 pixels. A flat source holds no information to be lost: 1. Source: Sheikh & Bovik, IEEE TIP 15, 2006.
    """
    fused, ir, vi = images(smallest=41, fused=fused, ir=ir, vi=vi)
    return information_fidelity(fused, ir) + information_fidelity(fused, vi)


def information_fidelity(fused, source, ceiling=np.inf):
    """VIF of one source, of two Images. ceiling: what products of two gray levels are cut at in the first scale."""
    kept = present = 0.0
    for gain, variance, unexplained in _scale_models(fused, source, ceiling):
        kept += np.sum(np.log1p(gain ** 2 * variance / (unexplained + NOISE)))
        present += np.sum(np.log1p(variance / NOISE))
    return float(kept / present) if present > 0 else 1.0


def viff(fused, ir, vi):
    """Visual information fidelity for fusion: at each place that of the source with the smaller gain (VIS where they are equal).

    From 0, higher is better; all equal: 1. Noise 325.125 in the place of VIF's 2, each scale Σ V / Σ D as there, their mean weighed
    by 1, 0, 0.15 and 1. From 41×41 pixels; flat sources hold no information to be lost: 1.
    Source: Y. Han, Cai, Cao & Xu, A new image fusion performance metric based on visual information fidelity, Inf. Fusion 14, 2013.
    """
    fused, ir, vi = images(smallest=41, fused=fused, ir=ir, vi=vi)
    total = 0.0
    for weight, of_ir, of_vi in zip(VIFF_WEIGHTS, _scale_models(fused, ir), _scale_models(fused, vi)):
        gain, variance, unexplained = np.where(of_ir[0] < of_vi[0], of_ir, of_vi)
        kept = np.log10(1 + gain ** 2 * variance / (unexplained + NOISE_OF_VIFF))
        present = np.log10(1 + variance / NOISE_OF_VIFF)
        total += weight * np.sum(kept + 1e-7) / np.sum(present + 1e-7)
    return float(total)


def q_cv(fused, ir, vi):
    """Chen & Varshney's error Σ (L_A·D_A + L_B·D_B) / Σ (L_A + L_B) over blocks of 16×16 pixels. From 0, LOWER is better.

    All images are stretched to 0…255 first, so that a loss of contrast is not seen. L: Σ g⁵ of the Sobel gradient; D: mean squared error
    after a filter of contrast sensitivity, whose frequency is per image and not per degree, so that values depend on the image's size.
    Blocks at the lower and right edge are filled up with zeros. The sources must not both be flat.
    Source: H. Chen & Varshney, Inf. Fusion 8, 2007, the exponent from Z. Liu's toolbox.
    """
    fused, *sources = images(fused=fused, ir=ir, vi=vi)
    sensitivity = _mannos_sakrison(_radius(fused.shape) / 4)
    total = weights = 0.0
    for source in sources:
        weight = source.once(_salience)
        error = _filtered(source.once(stretched) - fused.once(stretched), sensitivity)
        total += np.sum(weight * _block_sums(error ** 2) / BLOCK ** 2)
        weights += np.sum(weight)
    if weights == 0:
        raise ValueError('both sources are flat, for which this metric is not defined')
    return float(total / weights)


def q_cb(fused, ir, vi):
    """Chen & Blum's quality: how well local contrast is kept, mean of λ·min(c_A,c_F)/max(c_A,c_F) + (1 − λ)·(the same of B). 0…1.

    Higher is better. c: contrast |G₂∗x / G₄∗x − 1|, masked, of the image stretched to 0…255 and filtered by contrast sensitivity;
    λ: the share of A in c_A² + c_B². Where neither source has any contrast the value is 0.
    Source: Y. Chen & Blum, A new automated quality assessment algorithm for image fusion, Image Vis. Comput. 27, 2009.
    """
    fused, ir, vi = (image.once(_masked_contrast) for image in images(fused=fused, ir=ir, vi=vi))
    power = ir ** 2 + vi ** 2
    share = np.divide(ir ** 2, power, out=np.zeros_like(power), where=power > 0)
    kept = []
    for source in (ir, vi):
        larger = np.maximum(source, fused)
        kept.append(np.divide(np.minimum(source, fused), larger, out=np.zeros_like(larger), where=larger > 0))
    return float(np.mean(share * kept[0] + (1 - share) * kept[1]))


# What they are made of

def _scale_models(fused, source, ceiling=np.inf):
    """For each scale (local gain from source to fused image, variance of the source, what the gain leaves unexplained), of two Images."""
    for scale, (of_fused, of_source) in enumerate(zip(fused.once(_scales, ceiling), source.once(_scales, ceiling))):
        (pixels_fused, mean_fused, var_fused), (pixels, mean, variance) = of_fused, of_source
        product = pixels_fused * pixels
        if scale == 0 and ceiling < np.inf:
            product = np.minimum(product, ceiling)
        covariance = _window_mean(product, SCALES[scale]) - mean_fused * mean
        gain = covariance / (variance + TINY)
        gain[(covariance < 0) | (variance < TINY) | (var_fused < TINY)] = 0
        yield gain, np.where(variance < TINY, 0, variance), np.maximum(var_fused - gain * covariance, TINY)


def _scales(pixels, ceiling):
    """A list of (pixels, local mean, local variance), each scale every second pixel of the one before, blurred."""
    found = []
    for scale, window in enumerate(SCALES):
        if scale > 0:
            pixels = _window_mean(pixels, window)[::2, ::2]
        mean, square = _window_mean(pixels, window), pixels * pixels
        if scale == 0 and ceiling < np.inf:
            square = np.minimum(square, ceiling)
        found.append((pixels, mean, np.maximum(_window_mean(square, window) - mean ** 2, 0)))
    return found


def _window_mean(pixels, window):
    return gaussian_mean(pixels, window, window / 5)


def _radius(shape):
    """Distance from frequency 0 in cycles per image side, where the real DFT of an H×W image has it."""
    rows, columns = shape
    return np.hypot(np.fft.fftfreq(rows, 1 / rows)[:, None], np.fft.rfftfreq(columns, 1 / columns))


def _filtered(pixels, gain):
    from scipy.fft import irfft2, rfft2
    return irfft2(rfft2(pixels) * gain, pixels.shape)


def _mannos_sakrison(r):
    return 2.6 * (0.0192 + 0.144 * r) * np.exp(-(0.144 * r) ** 1.1)


def _salience(pixels):
    return _block_sums(np.hypot(*sobel(stretched(pixels), cv2.BORDER_CONSTANT)) ** SALIENCE)


def _block_sums(pixels):
    pixels = np.pad(pixels, [(0, -side % BLOCK) for side in pixels.shape])
    return pixels.reshape(len(pixels) // BLOCK, BLOCK, -1, BLOCK).sum(axis=(1, 3))


def _masked_contrast(pixels):
    """C³ / (C² + 0.0001) of the contrast C, 0 where the wider mean is 0."""
    r = _radius(pixels.shape) / 15
    sensitivity = np.exp(-(r / 15.3870) ** 2) - 0.7622 * np.exp(-(r / 1.3456) ** 2)
    seen = _filtered(stretched(pixels), sensitivity)
    near, far = (_wide_mean(seen, sigma) for sigma in (2, 4))
    contrast = np.abs(np.divide(near, far, out=np.ones_like(far), where=far != 0) - 1)
    return contrast ** 3 / (contrast ** 2 + 0.0001)


def _wide_mean(pixels, sigma):
    """By a Gaussian cut off after 15 pixels, its sum not brought to 1, zeros outside the image."""
    offsets = np.arange(-15, 16)
    kernel = np.exp(-offsets ** 2 / (2 * sigma ** 2)) / (np.sqrt(2 * np.pi) * sigma)
    return cv2.sepFilter2D(pixels, cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_CONSTANT)
