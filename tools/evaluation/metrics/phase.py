"""Q_P, a metric of phase congruency: features are where the frequencies of an image are in step."""
import cv2
import numpy as np

from tools.evaluation.metrics.image import images

SCALES, ORIENTATIONS = 4, 6
SHORTEST_WAVE, WAVE_STEP = 3, 2.1  # pixels; from one scale to the next
BANDWIDTH = 0.55  # ratio of σ to the centre of a filter, in log frequency
ANGULAR_SPREAD = np.pi / 7.2
EPSILON = 0.0001
NOISE_DEVIATIONS = 2
FEATURE = 0.1  # phase congruency from which on a pixel counts as one
CONSTANT = 0.0001  # of the correlations


def q_p(fused, ir, vi):
    """Phase congruency kept: product of the local correlations of three feature maps of F with those of the sources. 0…1.

    Higher is better. The maps are phase congruency and its largest and smallest moment; at each pixel the best counts of A, of B, and of
    the source whose phase congruency is larger. The sources must have features (pixels with a phase congruency above 0.1).
    Source: Zhao, Laganière & Liu, Performance assessment of combinative pixel-level image fusion based on an absolute feature
    measurement, Int. J. Innov. Comput. Inf. Control 3, 2007; phase congruency after P. Kovesi, Videre 1, 1999, as in Z. Liu's toolbox.
    """
    fused, ir, vi = (image.once(_feature_maps) for image in images(fused=fused, ir=ir, vi=vi))
    stronger = np.where(ir[0] > vi[0], ir, vi)
    masks = [maps[0] > FEATURE for maps in (ir, vi, stronger)]
    if not masks[2].any():
        raise ValueError('the sources have no features (their phase congruency is below 0.1): this metric is not defined')
    product = 1.0
    for index in range(3):
        best = np.max([_correlation(maps[index] * mask, fused[index]) * mask for maps, mask in zip((ir, vi, stronger), masks)], axis=0)
        product *= best.sum() / masks[2].sum()
    return float(product)


def _correlation(x, y):
    """Of two maps, in Gaussian windows of 11×11 pixels, σ 1.5, zeros outside."""
    blur = lambda pixels: cv2.GaussianBlur(pixels, (11, 11), 1.5, borderType=cv2.BORDER_CONSTANT)
    mean_x, mean_y = blur(x), blur(y)
    variances = (blur(x * x) - mean_x ** 2) * (blur(y * y) - mean_y ** 2)
    return (blur(x * y) - mean_x * mean_y + CONSTANT) / (np.sqrt(np.abs(variances)) + CONSTANT)


def _feature_maps(pixels):
    """Phase congruency, its largest and its smallest moment: an array 3×H×W."""
    from scipy.fft import fft2, ifft2
    spectrum = fft2(pixels)
    waves = _radial_filters(pixels.shape)
    energies = amplitudes = xx = yy = xy = 0.0
    for angle, spread in _angular_filters(pixels.shape):
        filters = waves * spread
        responses = ifft2(spectrum * filters, axes=(1, 2))  # 4×H×W
        even, odd, amplitude = responses.real, responses.imag, np.abs(responses)
        mean_even, mean_odd = even.sum(axis=0), odd.sum(axis=0)
        length = np.hypot(mean_even, mean_odd) + EPSILON
        mean_even, mean_odd = mean_even / length, mean_odd / length
        energy = (even * mean_even + odd * mean_odd - np.abs(even * mean_odd - odd * mean_even)).sum(axis=0)
        energy = np.maximum(energy - _noise(amplitude[0], filters), 0)
        total = amplitude.sum(axis=0)
        energy *= 1 / (1 + np.exp(10 * (0.5 - total / (amplitude.max(axis=0) + EPSILON) / SCALES)))  # the spread of frequencies
        energies, amplitudes = energies + energy, amplitudes + total
        congruency = np.divide(energy, total, out=np.zeros_like(total), where=total > 0)
        x, y = congruency * np.cos(angle), congruency * np.sin(angle)
        xx, yy, xy = xx + x * x / 3, yy + y * y / 3, xy + x * y / 6  # Kovesi's later version has four times this xy
    difference = np.sqrt(xy ** 2 + (xx - yy) ** 2) + EPSILON
    return np.array([energies / (amplitudes + EPSILON), (xx + yy + difference) / 2, (xx + yy - difference) / 2])


def _noise(smallest_scale, filters):
    """What of the energy is noise, estimated from the amplitude at the smallest scale. filters: 4×H×W."""
    power = np.median(smallest_scale ** 2) / np.log(2) / np.sum(filters[0] ** 2)
    # The sums over all pixels of products of the filters' real parts in space are, by Parseval, those of their even parts here.
    even = (filters + np.roll(filters[:, ::-1, ::-1], 1, axis=(1, 2))) / 2
    products = even.reshape(SCALES, -1) @ even.reshape(SCALES, -1).T
    spread = np.sqrt(power * np.trace(products) + 2 * power * np.triu(products, 1).sum())
    return spread * (np.sqrt(np.pi / 2) + NOISE_DEVIATIONS * np.sqrt(2 - np.pi / 2)) / 1.7


def _frequencies(side):
    """Of an axis, 0 in the middle; those of an odd side reach ½ at both ends, as in Kovesi's code."""
    return (np.arange(side) - side // 2) / (side - side % 2)


def _radial_filters(shape):
    """Log-Gabor filters of all scales, and a low-pass: 4×H×W, frequency 0 first."""
    radius = np.fft.ifftshift(np.hypot(_frequencies(shape[0])[:, None], _frequencies(shape[1])))
    # fftshift and these frequencies are the toolbox's: for odd sides its low-pass is off by one sample.
    low = [(np.arange(side) - side // 2) / side for side in shape]
    low_pass = 1 / (1 + (np.fft.fftshift(np.hypot(low[0][:, None], low[1])) / 0.45) ** 30)
    radius[0, 0] = 1
    waves = SHORTEST_WAVE * WAVE_STEP ** np.arange(SCALES)[:, None, None]
    filters = np.exp(-np.log(radius * waves) ** 2 / (2 * np.log(BANDWIDTH) ** 2)) * low_pass
    filters[:, 0, 0] = 0
    return filters


def _angular_filters(shape):
    """(angle, filter H×W) for each orientation."""
    angles = np.fft.ifftshift(np.arctan2(-_frequencies(shape[0])[:, None], _frequencies(shape[1])))
    for angle in np.arange(ORIENTATIONS) * np.pi / ORIENTATIONS:
        distance = np.abs(np.arctan2(np.sin(angles - angle), np.cos(angles - angle)))
        yield angle, np.exp(-distance ** 2 / (2 * ANGULAR_SPREAD ** 2))
