"""Metrics of image features: contrast, gradients and edges, and how many of the sources' are kept."""
import cv2
import numpy as np

from tools.evaluation.metrics.image import images, ratio, sigmoid, sobel

TINY = 1e-5  # what Q_G puts in the place of a gradient of 0


def sd(fused):
    """Standard deviation sqrt(mean (F − mean F)²), in gray levels: 0…127.5, higher is better. A flat image has 0.

    Source: Ma, Ma & Li, Infrared and visible image fusion methods and applications: a survey, Inf. Fusion 45, 2019.
    """
    fused, = images(fused=fused)
    return float(fused.pixels.std())


def sf(fused):
    """Spatial frequency sqrt(mean (F[i+1,j] − F[i,j])² + mean (F[i,j+1] − F[i,j])²): 0…361, higher is better.

    From 2×2 pixels. A flat image has 0. Source: Eskicioglu & Fisher, IEEE Trans. Commun. 43, 1995.
    """
    fused, = images(smallest=2, fused=fused)
    return float(np.sqrt(sum(np.mean(np.diff(fused.pixels, axis=axis) ** 2) for axis in (0, 1))))


def ag(fused):
    """Average gradient Σ sqrt((dx² + dy²) / 2) / ((M−1)(N−1)), dx and dy central differences (one-sided at the edges).

    From 0, higher is better. From 2×2 pixels. A flat image has 0. Source: Cui et al., Opt. Commun. 341, 2015.
    """
    fused, = images(smallest=2, fused=fused)
    dy, dx = np.gradient(fused.pixels)
    rows, columns = fused.shape
    return float(np.sqrt((dx ** 2 + dy ** 2) / 2).sum() / ((rows - 1) * (columns - 1)))


def ei(fused):
    """Edge intensity: mean strength of the Sobel gradient, the image continued by its edge pixels. From 0, higher is better.

    A flat image has 0. Source: Rajalingam & Priya, Hybrid multimodality medical image fusion technique, IJESI 2, 2018, by VIFB.
    """
    fused, = images(fused=fused)
    return float(np.hypot(*sobel(fused.pixels, cv2.BORDER_REPLICATE)).mean())


def qabf(fused, ir, vi):
    """Edge information kept, Σ (Q_AF·g_A + Q_BF·g_B) / Σ (g_A + g_B): 0…1, higher is better.

    g is the strength of the Sobel gradient (zeros outside the image) and Q the product of two sigmoids, of how well
    strength and orientation are kept. Where neither source has any edge (both black) it is 0.
    Source: Xydeas & Petrović, Objective image fusion performance measure, Electron. Lett. 36, 2000.
    """
    fused, *sources = (image.once(_gradient) for image in images(fused=fused, ir=ir, vi=vi))
    return edges_kept(fused, sources, ratio)


def edges_kept(fused, sources, kept):
    """Qabf of gradients (strength, orientation). kept: how well a strength is, of those of source and fused image."""
    total = weights = 0.0
    for strength, angle in sources:
        orientation = 1 - np.abs(angle - fused[1]) / (np.pi / 2)
        quality = sigmoid(kept(strength, fused[0]), 0.9994, 15, 0.5) * sigmoid(orientation, 0.9879, 22, 0.8)
        total += np.sum(quality * strength)
        weights += np.sum(strength)
    return float(total / weights) if weights > 0 else 0.0


def nabf(fused, ir, vi):
    """Fusion artefacts Σ n·((1 − Q_AF)·w_A + (1 − Q_BF)·w_B) / Σ (w_A + w_B), edges that neither source has: 0…1.

    LOWER is better. n is 1 where g_F > g_A and g_F > g_B; w = g^1.5 for gradients of at least 2 gray levels per pixel,
    else 0.001; Q as in `qabf`, with other sigmoids and the root of their product. From 2×2 pixels. Flat images have 0.
    Source: B. K. Shreyamsha Kumar, SIViP 7, 2013.
    """
    fused, *sources = (image.once(_gradient_per_pixel) for image in images(smallest=2, fused=fused, ir=ir, vi=vi))
    return artefacts(fused, sources)


def artefacts(fused, sources):
    """Nabf of gradients (strength, orientation)."""
    strength_fused, angle_fused = fused
    added = np.all([strength_fused > strength for strength, _ in sources], axis=0)
    lost = weights = 0.0
    for strength, angle in sources:
        orientation = np.abs(np.abs(angle - angle_fused) - np.pi / 2) * 2 / np.pi
        similarity = ratio(strength, strength_fused)
        quality = np.sqrt(sigmoid(similarity, 0.9999, 19, 0.5) * sigmoid(orientation, 0.9995, 22, 0.5))
        weight = np.where(strength >= 2, strength ** 1.5, 0.001)
        lost += np.sum(added * (1 - quality) * weight)
        weights += np.sum(weight)
    return float(lost / weights)


def q_g(fused, ir, vi):
    """Edge information kept, as `qabf` but the mean over all pixels of its value there: 0…1, higher is better.

    So flat regions count as much as edges; its sigmoids differ, and angles are folded at π. Gradients of 0 count as 0.00001.
    Source: Xydeas & Petrović, Objective pixel-level image fusion performance measure, Proc. SPIE 4051, 2000, as Z. Liu has it.
    """
    (strength_fused, angle_fused), *sources = (image.once(_gradient_never_zero) for image in images(fused=fused, ir=ir, vi=vi))
    total = weights = 0.0
    for strength, angle in sources:
        orientation = np.abs(np.abs(angle - angle_fused) - np.pi / 2) * 2 / np.pi
        quality = sigmoid(ratio(strength, strength_fused), 1, 10, 0.5) * sigmoid(orientation, 1, 20, 0.75)
        total, weights = total + quality * strength, weights + strength
    return float(np.mean(total / weights))


def q_m(fused, ir, vi):
    """Wavelet coefficients kept over two levels of Haar, finer^(2/3)·coarser^(1/3): 0…3, higher is better.

    Of each level Σ E·W / ΣW over pixels and sources: W = H² + V² + D² of a source, E = Σ exp(−|source − F|) over these three bands, so
    that only coefficients kept to within some gray levels count. From 4×4 pixels; a level where both sources are flat makes it undefined.
    Source: P.-W. Wang & B. Liu, A novel image fusion metric based on multi-scale analysis, ICSP 2008.
    """
    fused, *sources = (image.once(_haar_details) for image in images(smallest=4, fused=fused, ir=ir, vi=vi))
    product = 1.0
    for level, exponent in enumerate((2 / 3, 1 / 3)):
        kept = weights = 0.0
        for source in sources:
            weight = (source[level] ** 2).sum(axis=0)
            kept += np.sum(np.exp(-np.abs(source[level] - fused[level])).sum(axis=0) * weight)
            weights += np.sum(weight)
        if weights == 0:
            raise ValueError('both sources are flat, for which this metric is not defined')
        product *= (kept / weights) ** exponent
    return float(product)


def q_sf(fused, ir, vi):
    """Ratio of spatial frequency error (SF_F − SF_R) / SF_R: from −1, BEST AT 0; below it blurred, above it sharpened or noisy.

    SF² sums squared differences along rows, columns and both diagonals (these by √½), over the number of pixels; SF_R has at each place the
    larger difference of the two sources, which must not both be flat. From 2×2 pixels.
    Source: Y. Zheng, Essock, Hansen & Haun, Inf. Fusion 8, 2007.
    """
    fused, ir, vi = images(smallest=2, fused=fused, ir=ir, vi=vi)
    of_fused = of_sources = 0.0
    for weight, f, a, b in zip((1, 1, 0.5 ** 0.5, 0.5 ** 0.5), *(image.once(_differences) for image in (fused, ir, vi))):
        of_fused += weight * np.sum(f ** 2)
        of_sources += weight * np.sum(np.maximum(np.abs(a), np.abs(b)) ** 2)
    if of_sources == 0:
        raise ValueError('both sources are flat, for which this metric is not defined')
    return float(np.sqrt(of_fused / of_sources) - 1)


def orientation_of(dx, dy):
    """Of a gradient, in (−π/2, π/2]; π/2 where there is no horizontal change."""
    return np.arctan(np.divide(dy, -dx, out=np.full_like(dx, np.inf), where=dx != 0))


def _gradient(pixels, border=cv2.BORDER_CONSTANT):
    """Sobel gradient: (strength, orientation)."""
    dx, dy = sobel(pixels, border)
    return np.hypot(dx, dy), orientation_of(dx, dy)


def _gradient_per_pixel(pixels):
    # The Sobel weights of one side sum up to 4 over a distance of 2: an eighth of the sum is the gradient per pixel.
    return _gradient(pixels / 8, cv2.BORDER_REFLECT_101)


def _gradient_never_zero(pixels):
    dx, dy = sobel(pixels, cv2.BORDER_CONSTANT)
    strength = np.hypot(dx, dy)
    return np.where(strength == 0, TINY, strength), np.arctan(dy / np.where(dx == 0, TINY, dx))


def _haar_details(pixels):
    """Horizontal, vertical and diagonal coefficients of two levels: a list of arrays 3×h×w. An odd last row or column is dropped."""
    found = []
    for _ in range(2):
        rows, columns = (side // 2 * 2 for side in pixels.shape)
        a, b, c, d = (pixels[i:rows:2, j:columns:2] for i in (0, 1) for j in (0, 1))
        found.append(np.array([a - b + c - d, a + b - c - d, a - b - c + d]) / 2)
        pixels = (a + b + c + d) / 2
    return found


def _differences(pixels):
    """Between neighbours along columns, rows and both diagonals."""
    return (pixels[1:] - pixels[:-1], pixels[:, 1:] - pixels[:, :-1],
            pixels[1:, 1:] - pixels[:-1, :-1], pixels[1:, :-1] - pixels[:-1, 1:])
