"""The metrics by name, as this project defines them and as toolboxes of the field compute them.

A protocol reproduces a toolbox with its conventions and its mistakes, so that a table can be compared with published
ones. It holds those metrics of the toolbox that were checked against it; `tests/reference/metrics*.json` have the
values. The first line of a function's docstring says how it differs from ours; tables show it.
"""
import inspect
from typing import Dict, List, NamedTuple, Tuple

import cv2
import numpy as np

from tools.evaluation.metrics import LOWER, METRICS, MORE_METRICS, Metric
from tools.evaluation.metrics.features import ag, artefacts, edges_kept, nabf, orientation_of, sd, sf
from tools.evaluation.metrics.image import PEAK, Image, images, levels, ratio, stretched
from tools.evaluation.metrics.information import en, fmi, mi, tsallis_quality
from tools.evaluation.metrics.perception import information_fidelity
from tools.evaluation.metrics.similarity import gaussian_ssim, mse, psnr, ssim

DEFAULT_PROTOCOL = 'default'
ALL_PROTOCOLS = 'all'
ALL, EVERY = 'all', 'every'  # what `--metrics` takes beside names
FIRST_METRICS = ('EN', 'SD', 'MI')  # what is computed unless asked otherwise

OURS = {metric.name: metric for metric in (*METRICS, *MORE_METRICS)}
EN, SD, SF, AG, CC, SCD, VIF, QABF, MSE, FMI_DCT, FMI_W, CE, EI = (
    OURS[name] for name in ('EN', 'SD', 'SF', 'AG', 'CC', 'SCD', 'VIF', 'Qabf', 'MSE', 'FMI_dct', 'FMI_w', 'CE', 'EI'))


# Hui Li's MATLAB code (imagefusion-nestfuse, analysis_metrics_7.m): what CrossFuse's paper reports

def sd_not_divided(fused, ir, vi):
    """Root of the sum, not of the mean, of squared deviations, on 0…1: it grows with the image's size."""
    fused, = images(fused=fused)
    return sd(fused) * fused.size ** 0.5 / PEAK


def twice_entropy(fused, ir, vi):
    """What is called MI there: its joint entropies come out as 0 and what remains is EN(F) for each source."""
    return 2 * en(fused)


def ssim_to_the_border(fused, ir, vi, value_range=PEAK):
    """MATLAB's `ssim`, mean of both sources: windows at the border see the image continued by its edge pixels."""
    fused, ir, vi = (image.once(_continued) for image in images(fused=fused, ir=ir, vi=vi))
    return (gaussian_ssim(fused, ir, value_range) + gaussian_ssim(fused, vi, value_range)) / 2


def _continued(pixels):
    return Image(np.pad(pixels, 5, 'edge'))


HLI = (EN, Metric('SD', sd_not_divided), Metric('MI', twice_entropy), Metric('SSIM', ssim_to_the_border),
       FMI_DCT, FMI_W)


# Linfeng Tang's Evaluation-for-Image-Fusion (analysis_Reference.m)

def mi_merging_white(fused, ir, vi):
    """MI whose joint histograms count the gray levels 254 and 255 as one, those of a single image as two."""
    given = images(fused=fused, ir=ir, vi=vi)
    merged = [image.once(_white_merged) for image in given]
    lost = [en(image) - en(one) for image, one in zip(given, merged)]
    return mi(*merged) + 2 * lost[0] + lost[1] + lost[2]


def _white_merged(pixels):
    return Image(np.minimum(pixels, 254))


def psnr_of_unit_scale(fused, ir, vi):
    """Peak 255 against the error of images on 0…1: 48.13 dB too high."""
    return psnr(fused, ir, vi) + 20 * np.log10(PEAK)


def nabf_called_wrongly(fused, ir, vi):
    """The toolbox passes (A, B, F) to a function of (F, A, B): artefacts of the infrared image against the others."""
    return nabf(ir, vi, fused)


def ssim_of_unit_scale(fused, ir, vi):
    """SSIM whose constants are those of a range of 1, for images on 0…255."""
    return ssim_to_the_border(fused, ir, vi, value_range=1.0)


def ms_ssim_of_exposures(fused, ir, vi):
    """MEF-SSIM over three scales: the fused image against one desired image that is made of both sources.

    Source: Ma, Zeng & Wang, Perceptual quality assessment for multi-exposure image fusion, IEEE TIP 24, 2015.
    """
    weights = np.array([0.0448, 0.2856, 0.3001])
    scale = [image.pixels for image in images(smallest=44, fused=fused, ir=ir, vi=vi)]
    product = 1.0
    for weight in weights / weights.sum():
        similarity = _exposure_ssim(*scale)
        if similarity < 0:
            raise ValueError('a scale is opposed to the sources (below 0), which this metric is not defined for')
        product *= similarity ** weight
        scale = [_halved(image) for image in scale]
    return float(product)


def fmi_of_edges(fused, ir, vi):
    """The name is the toolbox's: its pixels are thinned Sobel edges, 0 and 1."""
    return fmi(fused, ir, vi, feature='edge')


def _exposure_ssim(fused, ir, vi):
    """One scale of MEF-SSIM, over whole windows of 11×11 pixels."""
    window, margin = 11, 5
    box = lambda image: cv2.blur(image, (window, window))[margin:-margin, margin:-margin]
    gauss = lambda image: cv2.GaussianBlur(image, (window, window), 1.5)[margin:-margin, margin:-margin]
    norm = lambda image: np.sqrt(window ** 2 * np.maximum(box(image * image) - box(image) ** 2, 0))  # of image − mean
    covariance = lambda x, y: gauss(x * y) - gauss(x) * gauss(y)
    tiny = np.finfo(float).eps

    contrast_ir, contrast_vi = norm(ir) + 0.001, norm(vi) + 0.001
    consistency = np.minimum((norm(ir + vi) + tiny) / (norm(ir) + norm(vi) + tiny), 1 - tiny)
    power = np.minimum(np.tan(np.pi / 2 * consistency), 10)
    share_ir, share_vi = (contrast_ir / window) ** power + tiny, (contrast_vi / window) ** power + tiny
    weight_ir = share_ir / (share_ir + share_vi) / contrast_ir
    weight_vi = share_vi / (share_ir + share_vi) / contrast_vi

    # The desired patch is a·ir + b·vis without its mean, stretched to the larger contrast.
    products = box(ir * vi) - box(ir) * box(vi)
    length = np.sqrt(np.maximum((weight_ir * norm(ir)) ** 2 + (weight_vi * norm(vi)) ** 2
                                + 2 * weight_ir * weight_vi * window ** 2 * products, 0))
    stretch = np.divide(np.maximum(contrast_ir, contrast_vi), length, out=np.ones_like(length), where=length > 0)
    a, b = weight_ir * stretch, weight_vi * stretch
    var_desired = a ** 2 * covariance(ir, ir) + b ** 2 * covariance(vi, vi) + 2 * a * b * covariance(ir, vi)
    shared = a * covariance(ir, fused) + b * covariance(vi, fused)
    constant = (0.03 * PEAK) ** 2
    return float(np.mean((2 * shared + constant) / (var_desired + covariance(fused, fused) + constant)))


def _halved(image):
    """Means of 2×2 pixels; an odd side is continued by its last line."""
    image = np.pad(image, [(0, side % 2) for side in image.shape], 'edge')
    return cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


MI_OF_TANG, PSNR_OF_TANG = Metric('MI', mi_merging_white), Metric('PSNR', psnr_of_unit_scale, kin='error')
MS_SSIM_OF_TANG, FMI_OF_TANG = Metric('MS-SSIM', ms_ssim_of_exposures), Metric('FMI_pixel', fmi_of_edges, kin='FMI')
TANG = (EN, SD, MI_OF_TANG, SF, AG, CC, SCD, VIF, QABF, Metric('Nabf', nabf_called_wrongly, LOWER), MSE, PSNR_OF_TANG,
        Metric('SSIM', ssim_of_unit_scale), MS_SSIM_OF_TANG, FMI_OF_TANG, FMI_DCT, FMI_W)


# The same toolbox as it was in January 2022: its functions see images on 0…1, or of type uint8, whose
# results are rounded and cut at 255

def sf_of_unit_scale(fused, ir, vi):
    """Of values on 0…1: a 255th of it."""
    return sf(fused) / PEAK


def sd_of_bytes(fused, ir, vi):
    """Differences below the mean count as 0, and squares above 255 as 255, so that it never exceeds 16."""
    fused, = images(fused=fused)
    above = np.clip(np.floor(np.rint(fused.pixels) - fused.pixels.mean() + 0.5), 0, PEAK)
    return float(np.sqrt(np.mean(np.minimum(above ** 2, PEAK))))


def vif_of_bytes(fused, ir, vi):
    """In the first scale products of two gray levels are cut at 255, so that it falls out but where the picture is
    nearly black."""
    fused, ir, vi = images(smallest=41, fused=fused, ir=ir, vi=vi)
    return information_fidelity(fused, ir, ceiling=PEAK) + information_fidelity(fused, vi, ceiling=PEAK)


def qabf_of_unit_scale(fused, ir, vi):
    """Of values on 0…1: where two gradients are exactly equal, their strength, at most 5.7, stands for how
    well it is kept, and not 1."""
    fused, *sources = (image.once(_gradient_as_matlab_adds) for image in images(fused=fused, ir=ir, vi=vi))
    return edges_kept(fused, sources, lambda x, y: np.where(x == y, y, ratio(x, y)))


def nabf_of_unit_scale(fused, ir, vi):
    """Of values on 0…1: no gradient reaches the threshold of 2, so that all pixels weigh the same."""
    fused, *sources = (image.once(_gradient_per_pixel_by_columns)
                       for image in images(smallest=2, fused=fused, ir=ir, vi=vi))
    return artefacts(fused, sources)


def exposure_ssim(fused, ir, vi):
    """MEF-SSIM of one scale, the first factor of what is called MS-SSIM there."""
    return _exposure_ssim(*(image.pixels for image in images(smallest=11, fused=fused, ir=ir, vi=vi)))


# Whether two gradients are exactly equal hangs on the order in which products are added up; these
# are the toolbox's, in MATLAB.
ALONG, ACROSS = np.array([-1, 0, 1]), np.array([1, 2, 1])


def _gradient_as_matlab_adds(pixels):
    """(strength, orientation) by a convolution, its nine products added up column after column;
    of the image turned by 180°."""
    padded = np.pad(pixels[::-1, ::-1] / PEAK, 1)
    across, down = (sum(sum(_products(padded, kernel), []))
                    for kernel in (np.outer(ACROSS, ALONG), np.outer(-ALONG, ACROSS)))
    return np.sqrt(across ** 2 + down ** 2), orientation_of(-across, down)


def _gradient_per_pixel_by_columns(pixels):
    """(strength, orientation), the products of each column of the window added up first."""
    padded = np.pad(pixels / PEAK, 1, 'reflect')
    across, down = (sum(sum(column) for column in _products(padded, kernel / 8))
                    for kernel in (np.outer(ACROSS, ALONG), np.outer(ALONG, ACROSS)))
    return np.sqrt(across ** 2 + down ** 2), orientation_of(across, down)


def _products(padded, kernel):
    """Each weight times the pixels that it meets: a list for each column of the kernel."""
    rows, columns = (side - 2 for side in padded.shape)
    return [[kernel[i, j] * padded[i:i + rows, j:j + columns] for i in range(3)] for j in range(3)]


TANG_2022_01 = (EN, Metric('SD', sd_of_bytes), MI_OF_TANG, Metric('SF', sf_of_unit_scale), AG, CC, SCD,
                Metric('VIF', vif_of_bytes), Metric('Qabf', qabf_of_unit_scale),
                Metric('Nabf', nabf_of_unit_scale, LOWER), MSE, PSNR_OF_TANG, Metric('SSIM', exposure_ssim),
                MS_SSIM_OF_TANG, FMI_OF_TANG, FMI_DCT, FMI_W)


# CDDFuse's utils/Evaluator.py

def mi_in_nats(fused, ir, vi):
    """In nats instead of bits: 0.693 of it."""
    return mi(fused, ir, vi) * np.log(2)


def ag_per_pixel(fused, ir, vi):
    """Divided by the number of pixels M·N instead of (M−1)(N−1)."""
    fused, = images(fused=fused)
    rows, columns = fused.shape
    return ag(fused) * (rows - 1) * (columns - 1) / (rows * columns)


def mse_of_gray_levels(fused, ir, vi):
    """Of gray levels 0…255 instead of 0…1: 65025 times as much."""
    return mse(fused, ir, vi) * PEAK ** 2


def psnr_of_brightest_pixel(fused, ir, vi):
    """The peak is the largest value of the fused image."""
    fused, = images(fused=fused)
    if fused.pixels.max() == 0:
        raise ValueError('fused is black; the peak of this PSNR would be 0')
    return psnr(fused, ir, vi) + 20 * np.log10(fused.pixels.max() / PEAK)


def ssim_of_range_two(fused, ir, vi):
    """Sum of both sources, with scikit-image's defaults for floats: uniform 7×7 windows and a range of 2 (for 255)."""
    from skimage.metrics import structural_similarity
    fused, *sources = (image.pixels for image in images(smallest=7, fused=fused, ir=ir, vi=vi))
    return float(sum(structural_similarity(fused, source, data_range=2) for source in sources))


CDDFUSE = (EN, SD, Metric('MI', mi_in_nats), SF, Metric('AG', ag_per_pixel), CC, SCD, VIF, QABF,
           Metric('MSE', mse_of_gray_levels, LOWER, kin='error'), Metric('PSNR', psnr_of_brightest_pixel, kin='error'),
           Metric('SSIM', ssim_of_range_two))


# VIFB (metrics/*.m)

def sf_per_pixel(fused, ir, vi):
    """Both sums of squared differences are divided by the number of pixels, not of differences."""
    fused, = images(fused=fused)
    return float(np.sqrt(sum(np.sum(np.diff(fused.pixels, axis=axis) ** 2) for axis in (0, 1)) / fused.size))


def rmse_of_sums(fused, ir, vi):
    """RMSE with the division by the number of pixels after the root: it shrinks as the image grows."""
    fused, ir, vi = images(fused=fused, ir=ir, vi=vi)
    return float(sum(np.linalg.norm(fused.pixels - source.pixels) for source in (ir, vi)) / (2 * fused.size))


def psnr_of_rmse(fused, ir, vi):
    """The formula of PSNR with that RMSE in the place of the mean squared error."""
    error = rmse_of_sums(fused, ir, vi)
    return float(20 * np.log10(PEAK / np.sqrt(error))) if error > 0 else float('inf')


def ssim_sum(fused, ir, vi):
    """Sum of both sources instead of their mean."""
    return 2 * ssim(fused, ir, vi)


VIFB = (EN, SD, Metric('MI', mi_in_nats), Metric('SF', sf_per_pixel), AG, QABF,
        Metric('PSNR', psnr_of_rmse, kin='error'), Metric('SSIM', ssim_sum), CE, EI,
        Metric('RMSE', rmse_of_sums, LOWER, kin='error'), OURS['Q_CV'], OURS['Q_CB'])


# Zheng Liu's imageFusionMetrics (metric*.m)

def tsallis_of_swapped_marginals(fused, ir, vi):
    """Each gray level's probability is taken from the histogram of the other image; cells for
    which that is 0 are left out."""
    return tsallis_quality(*images(fused=fused, ir=ir, vi=vi), leveled=_stretched_levels, swapped=True)


def _stretched_levels(pixels):
    return levels(stretched(pixels))


LIU = tuple(Metric('Q_TE', tsallis_of_swapped_marginals) if name == 'Q_TE' else OURS[name] for name in (
    'Q_MI', 'Q_TE', 'Q_NCIE', 'Q_G', 'Q_M', 'Q_SF', 'Q_P', 'Q_S', 'Q_C', 'Q_Y', 'Q_CV', 'Q_CB'))


class Protocol(NamedTuple):
    """A toolbox, or ours."""
    metrics: Tuple[Metric, ...]  # what `--metrics all` is
    more: Tuple[Metric, ...] = (CE, EI)  # what `--metrics every` adds, if it is not among them


PROTOCOLS = {DEFAULT_PROTOCOL: Protocol(METRICS, MORE_METRICS), 'hli': Protocol(HLI), 'tang': Protocol(TANG),
             'tang_2022_01': Protocol(TANG_2022_01), 'cddfuse': Protocol(CDDFUSE), 'vifb': Protocol(VIFB),
             'liu': Protocol(LIU)}


def definitions(every=True) -> Dict[Metric, List[str]]:
    """Every definition of a metric once, those of one name together -> the names of the protocols that share it.

    every: or else only those that are in `metrics` of some protocol.
    """
    shared: Dict[Metric, List[str]] = {}
    for name, protocol in PROTOCOLS.items():
        for metric in dict.fromkeys(protocol.metrics + protocol.more):
            shared.setdefault(metric, []).append(name)
    wanted = [metric for protocol in PROTOCOLS.values() for metric in protocol.metrics]
    names = [metric.name for metric in shared]
    ordered = sorted(shared, key=lambda metric: names.index(metric.name))
    return {metric: shared[metric] for metric in ordered if every or metric in wanted}


def metrics_of(protocol, every=False) -> List[Metric]:
    """The metrics of a protocol, named as a table of its scores names them: `SD (hli)`, those of the default just `SD`.

    Of `all`: every definition once, whoever shares it: `MI (cddfuse, vifb)`. every: with those
    that are computed only when named.
    """
    if protocol == ALL_PROTOCOLS:
        return [metric._replace(name=label(metric, protocols)) for metric, protocols in definitions(every).items()]
    metrics, more = PROTOCOLS[protocol]
    return [metric._replace(name=label(metric, [protocol]))
            for metric in dict.fromkeys(metrics + more if every else metrics)]


def label(metric, protocols):
    """What tables call a metric of some protocols."""
    return metric.name if protocols[0] == DEFAULT_PROTOCOL else f'{metric.name} ({", ".join(protocols)})'


def base_name(metric):
    """The name of a metric without the protocols in its label."""
    return metric.name.split(' (')[0]


def how_it_differs(metric):
    """What makes a metric of a protocol other than ours of that name, in one line."""
    return ' '.join(inspect.getdoc(metric.compute).split('\n\n')[0].split())
