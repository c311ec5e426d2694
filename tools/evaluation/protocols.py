"""The metrics by name, as this project defines them and as four toolboxes of the field compute them.

A protocol reproduces a toolbox with its conventions and its mistakes, so that a table can be compared with published
ones. It holds those metrics of the toolbox that were checked against it; `tests/reference/metrics.json` has the values.
The first line of a function's docstring says how it differs from ours; tables show it.
"""
import inspect
from typing import Dict, List

import cv2
import numpy as np

from tools import fusion_metrics as m
from tools.fusion_metrics import METRICS, Metric

DEFAULT_PROTOCOL = 'default'
ALL_PROTOCOLS = 'all'
FIRST_METRICS = ('EN', 'SD', 'MI')  # what is computed unless asked otherwise

OURS = {metric.name: metric for metric in METRICS}
EN, SD, SF, AG, CC, SCD, VIF, QABF, MSE, FMI_DCT, FMI_W = (
    OURS[name] for name in ('EN', 'SD', 'SF', 'AG', 'CC', 'SCD', 'VIF', 'Qabf', 'MSE', 'FMI_dct', 'FMI_w'))


# Hui Li's MATLAB code (imagefusion-nestfuse, analysis_metrics_7.m): what CrossFuse's paper reports

def sd_not_divided(fused, ir, vis):
    """Root of the sum, not of the mean, of squared deviations, on 0…1: it grows with the image's size."""
    return m.sd(fused) * fused.size ** 0.5 / m.PEAK


def twice_entropy(fused, ir, vis):
    """What is called MI there: its joint entropies come out as 0 and what remains is EN(F) for each source."""
    return 2 * m.en(fused)


def ssim_to_the_border(fused, ir, vis, value_range=m.PEAK):
    """MATLAB's `ssim`, mean of both sources: windows at the border see the image continued by its edge pixels."""
    fused, ir, vis = (np.pad(image.astype(np.float64), 5, 'edge') for image in (fused, ir, vis))
    return (m.gaussian_ssim(fused, ir, value_range) + m.gaussian_ssim(fused, vis, value_range)) / 2


HLI = (EN, Metric('SD', sd_not_divided), Metric('MI', twice_entropy), Metric('SSIM', ssim_to_the_border),
       FMI_DCT, FMI_W)


# Linfeng Tang's Evaluation-for-Image-Fusion (analysis_Reference.m)

def mi_merging_white(fused, ir, vis):
    """MI whose joint histograms count the gray levels 254 and 255 as one, those of a single image as two."""
    images = [np.minimum(image, 254) for image in (fused, ir, vis)]
    lost = 2 * (m.en(fused) - m.en(images[0])) + sum(m.en(full) - m.en(cut) for full, cut in zip((ir, vis), images[1:]))
    return m.mi(*images) + lost


def psnr_of_unit_scale(fused, ir, vis):
    """Peak 255 against the error of images on 0…1: 48.13 dB too high."""
    return m.psnr(fused, ir, vis) + 20 * np.log10(m.PEAK)


def nabf_called_wrongly(fused, ir, vis):
    """The toolbox passes (A, B, F) to a function of (F, A, B): artefacts of the infrared image against the others."""
    return m.nabf(ir, vis, fused)


def ssim_of_unit_scale(fused, ir, vis):
    """SSIM whose constants are those of a range of 1, for images on 0…255."""
    return ssim_to_the_border(fused, ir, vis, value_range=1.0)


def ms_ssim_of_exposures(fused, ir, vis):
    """MEF-SSIM over three scales: the fused image against one desired image that is made of both sources.

    Source: Ma, Zeng & Wang, Perceptual quality assessment for multi-exposure image fusion, IEEE TIP 24, 2015.
    """
    weights = np.array([0.0448, 0.2856, 0.3001])
    images = [image.astype(np.float64) for image in (fused, ir, vis)]
    if min(fused.shape) < 44:
        raise ValueError(f'the images are {fused.shape[1]}×{fused.shape[0]} pixels; this metric needs at least 44×44')
    product = 1.0
    for scale, weight in enumerate(weights / weights.sum()):
        if scale > 0:
            images = [_halved(image) for image in images]
        product *= _exposure_ssim(*images) ** weight
    return float(product)


def fmi_of_edges(fused, ir, vis):
    """The name is the toolbox's: its pixels are thinned Sobel edges, 0 and 1."""
    return m.fmi(fused, ir, vis, feature='edge')


def _exposure_ssim(fused, ir, vis):
    """One scale of MEF-SSIM, over whole windows of 11×11 pixels."""
    window, margin = 11, 5
    box = lambda image: cv2.blur(image, (window, window))[margin:-margin, margin:-margin]
    gauss = lambda image: cv2.GaussianBlur(image, (window, window), 1.5)[margin:-margin, margin:-margin]
    norm = lambda image: np.sqrt(window ** 2 * np.maximum(box(image * image) - box(image) ** 2, 0))  # of image − mean
    covariance = lambda x, y: gauss(x * y) - gauss(x) * gauss(y)
    tiny = np.finfo(float).eps

    contrast_ir, contrast_vis = norm(ir) + 0.001, norm(vis) + 0.001
    consistency = np.minimum((norm(ir + vis) + tiny) / (norm(ir) + norm(vis) + tiny), 1 - tiny)
    power = np.minimum(np.tan(np.pi / 2 * consistency), 10)
    share_ir, share_vis = (contrast_ir / window) ** power + tiny, (contrast_vis / window) ** power + tiny
    weight_ir = share_ir / (share_ir + share_vis) / contrast_ir
    weight_vis = share_vis / (share_ir + share_vis) / contrast_vis

    # The desired patch is a·ir + b·vis without its mean, stretched to the larger contrast.
    products = box(ir * vis) - box(ir) * box(vis)
    length = np.sqrt(np.maximum((weight_ir * norm(ir)) ** 2 + (weight_vis * norm(vis)) ** 2
                                + 2 * weight_ir * weight_vis * window ** 2 * products, 0))
    stretch = np.divide(np.maximum(contrast_ir, contrast_vis), length, out=np.ones_like(length), where=length > 0)
    a, b = weight_ir * stretch, weight_vis * stretch
    var_desired = a ** 2 * covariance(ir, ir) + b ** 2 * covariance(vis, vis) + 2 * a * b * covariance(ir, vis)
    shared = a * covariance(ir, fused) + b * covariance(vis, fused)
    constant = (0.03 * m.PEAK) ** 2
    return float(np.mean((2 * shared + constant) / (var_desired + covariance(fused, fused) + constant)))


def _halved(image):
    """Means of 2×2 pixels; an odd side is continued by its last line."""
    image = np.pad(image, [(0, side % 2) for side in image.shape], 'edge')
    return cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


TANG = (EN, SD, Metric('MI', mi_merging_white), SF, AG, CC, SCD, VIF, QABF,
        Metric('Nabf', nabf_called_wrongly, lower_is_better=True), MSE, Metric('PSNR', psnr_of_unit_scale),
        Metric('SSIM', ssim_of_unit_scale), Metric('MS-SSIM', ms_ssim_of_exposures),
        Metric('FMI_pixel', fmi_of_edges), FMI_DCT, FMI_W)


# CDDFuse's utils/Evaluator.py

def mi_in_nats(fused, ir, vis):
    """In nats instead of bits: 0.693 of it."""
    return m.mi(fused, ir, vis) * np.log(2)


def ag_per_pixel(fused, ir, vis):
    """Divided by the number of pixels M·N instead of (M−1)(N−1)."""
    rows, columns = fused.shape
    return m.ag(fused) * (rows - 1) * (columns - 1) / (rows * columns)


def mse_of_gray_levels(fused, ir, vis):
    """Of gray levels 0…255 instead of 0…1: 65025 times as much."""
    return m.mse(fused, ir, vis) * m.PEAK ** 2


def psnr_of_brightest_pixel(fused, ir, vis):
    """The peak is the largest value of the fused image."""
    if fused.max() == 0:
        raise ValueError('fused is black; the peak of this PSNR would be 0')
    return m.psnr(fused, ir, vis) + 20 * np.log10(fused.max() / m.PEAK)


def ssim_of_range_two(fused, ir, vis):
    """Sum of both sources, with scikit-image's defaults for floats: uniform 7×7 windows and a range of 2 (for 255)."""
    from skimage.metrics import structural_similarity
    fused, ir, vis = (image.astype(np.float64) for image in (fused, ir, vis))
    return float(sum(structural_similarity(fused, source, data_range=2) for source in (ir, vis)))


CDDFUSE = (EN, SD, Metric('MI', mi_in_nats), SF, Metric('AG', ag_per_pixel), CC, SCD, VIF, QABF,
           Metric('MSE', mse_of_gray_levels, lower_is_better=True), Metric('PSNR', psnr_of_brightest_pixel),
           Metric('SSIM', ssim_of_range_two))


# VIFB (metrics/*.m)

def sf_per_pixel(fused, ir, vis):
    """Both sums of squared differences are divided by the number of pixels, not of differences."""
    fused = fused.astype(np.float64)
    return float(np.sqrt(sum(np.sum(np.diff(fused, axis=axis) ** 2) for axis in (0, 1)) / fused.size))


def cross_entropy(fused, ir, vis):
    """CE: Σ p·log₂(p/q) of the gray levels of source and fused image, where both have any; mean of the sources."""
    fused, ir, vis = (np.bincount(np.rint(image).astype(np.intp).ravel(), minlength=m.LEVELS) / image.size
                      for image in (fused, ir, vis))
    total = 0.0
    for source in (ir, vis):
        both = (source > 0) & (fused > 0)
        total += np.sum(source[both] * np.log2(source[both] / fused[both]))
    return float(total / 2)


def edge_intensity(fused, ir, vis):
    """EI: mean strength of the Sobel gradient."""
    fused = fused.astype(np.float64)
    dx, dy = (cv2.Sobel(fused, cv2.CV_64F, x, 1 - x, borderType=cv2.BORDER_REPLICATE) for x in (1, 0))
    return float(np.hypot(dx, dy).mean())


def rmse_of_sums(fused, ir, vis):
    """RMSE with the division by the number of pixels after the root: it shrinks as the image grows."""
    return float(sum(np.linalg.norm(fused.astype(np.float64) - source) for source in (ir, vis)) / (2 * fused.size))


def psnr_of_rmse(fused, ir, vis):
    """The formula of PSNR with that RMSE in the place of the mean squared error."""
    error = rmse_of_sums(fused, ir, vis)
    return float(20 * np.log10(m.PEAK / np.sqrt(error))) if error > 0 else float('inf')


def ssim_sum(fused, ir, vis):
    """Sum of both sources instead of their mean."""
    return 2 * m.ssim(fused, ir, vis)


VIFB = (EN, SD, Metric('MI', mi_in_nats), Metric('SF', sf_per_pixel), AG, QABF, Metric('PSNR', psnr_of_rmse),
        Metric('SSIM', ssim_sum), Metric('CE', cross_entropy, lower_is_better=True), Metric('EI', edge_intensity),
        Metric('RMSE', rmse_of_sums, lower_is_better=True))

PROTOCOLS = {DEFAULT_PROTOCOL: METRICS, 'hli': HLI, 'tang': TANG, 'cddfuse': CDDFUSE, 'vifb': VIFB}


def definitions() -> Dict[Metric, List[str]]:
    """Every definition of a metric once, those of one name together -> the names of the protocols that share it."""
    shared: Dict[Metric, List[str]] = {}
    for protocol, metrics in PROTOCOLS.items():
        for metric in metrics:
            shared.setdefault(metric, []).append(protocol)
    names = [metric.name for metric in shared]
    return {metric: shared[metric] for metric in sorted(shared, key=lambda metric: names.index(metric.name))}


def metrics_of(protocol) -> List[Metric]:
    """The metrics of a protocol, named as a table of its scores names them: `SD (hli)`, those of the default just `SD`.

    Of `all`: every definition once, whoever shares it: `MI (cddfuse, vifb)`.
    """
    shared = definitions() if protocol == ALL_PROTOCOLS else {metric: [protocol] for metric in PROTOCOLS[protocol]}
    return [metric._replace(name=label(metric, protocols)) for metric, protocols in shared.items()]


def label(metric, protocols):
    """What tables call a metric of some protocols."""
    return metric.name if protocols[0] == DEFAULT_PROTOCOL else f'{metric.name} ({", ".join(protocols)})'


def base_name(metric):
    """The name of a metric without the protocols in its label."""
    return metric.name.split(' (')[0]


def how_it_differs(metric):
    """One line on what makes a metric of a protocol other than ours of that name."""
    return inspect.getdoc(metric.compute).splitlines()[0]
