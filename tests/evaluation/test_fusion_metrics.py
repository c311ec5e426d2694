"""The metrics: against means over published images, against their formulas written out, and on odd input.

Those against the toolboxes' values on real images are in test_calibration.py.
"""
import contextlib
import json
import math

import cv2
import numpy as np
import pytest
from conftest import REFERENCE, SHARED_DATA
from metric_functions import m
from scipy.signal import convolve2d

from tools.evaluation.metrics import METRICS, MORE_METRICS, fmi
from tools.evaluation.metrics.image import Image
from tools.evaluation.protocols import PROTOCOLS

pytestmark = pytest.mark.filterwarnings('error')

OF_FUSED = [m.en, m.sd, m.sf, m.ag, m.ei]
OF_THREE = [m.mi, m.cc, m.scd, m.vif, m.qabf, m.nabf, m.mse, m.psnr, m.ssim, m.ms_ssim, m.fmi, m.ce, m.q_mi, m.q_te, m.q_ncie, m.q_g,
            m.q_m, m.q_sf, m.q_p, m.q_s, m.q_c, m.q_y, m.q_cv, m.q_cb, m.viff]
ALL = OF_FUSED + OF_THREE
FEATURES = ['pixel', 'dct', 'wavelet', 'gradient']


def score(metric, fused, ir, vi, **options):
    return metric(fused) if metric in OF_FUSED else metric(fused, ir, vi, **options)


def scene(height=170, width=190, seed=0):
    """A triple (fused, ir, vi), uint8: smooth random sources and their mean with some noise."""
    random = np.random.default_rng(seed)
    ir, vi = (cv2.GaussianBlur(random.uniform(0, 255, (height, width)), (0, 0), sigma) for sigma in (3, 1))
    ir, vi = (255 * (image - image.min()) / np.ptp(image) for image in (ir, vi))
    fused = np.clip((ir + vi) / 2 + random.normal(0, 3, (height, width)), 0, 255)
    return tuple(np.rint(image).astype(np.uint8) for image in (fused, ir, vi))


# On real images

MEANS = json.loads((REFERENCE / 'metrics.json').read_text(encoding='utf-8'))['mean_over_21_official_crossfuse_outputs']


def read(path):
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert image is not None, path
    return image


@pytest.mark.parametrize('published', ['crossfuse_pytorch'] if SHARED_DATA else [])
def test_means_of_the_published_images(published):
    sources, fused = SHARED_DATA / 'images' / '21_pairs_tno', SHARED_DATA / 'results_of_others' / published
    triples = [(read(fused / f'results_transfuse_IR{i}.png'), read(sources / 'ir' / f'IR{i}.png'),
                read(sources / 'vis' / f'VIS{i}.png')) for i in range(1, 22)]
    expected = {m.psnr: 14.400, m.mi: MEANS['exact_plugin']['CF_MI_bits']}
    expected.update({metric: MEANS['tang_matlab_octave'][name] for metric, name in [
        (m.en, 'EN'), (m.sd, 'SD'), (m.sf, 'SF'), (m.ag, 'AG'), (m.cc, 'CC'), (m.scd, 'SCD'), (m.vif, 'VIF'),
        (m.qabf, 'Qabf'), (m.mse, 'MSE')]})
    for metric, value in expected.items():
        assert np.mean([score(metric, *triple) for triple in triples]) == pytest.approx(value, rel=1e-4), metric


@pytest.mark.parametrize('shared', [SHARED_DATA] if SHARED_DATA else [])
def test_vifb_in_colour(shared):
    entry = json.loads((REFERENCE / 'metrics_more.json').read_text(encoding='utf-8'))['colour']['M3FD00370']
    ir, vi = (cv2.imread(str(shared.parent / entry[role]))[:480, :640].astype(float) for role in ('ir', 'vis'))
    ir = ir[:, :, 2]  # the first channel, of RGB
    planes = [(np.floor((ir + vi[:, :, k]) / 2 + 0.5), ir, vi[:, :, k]) for k in range(3)]
    for metric, name in ((m.q_cb, 'Qcb'), (m.q_cv, 'Qcv'), (m.ce, 'Cross_entropy')):
        expected = entry['values']['vifb_octave'][name]
        assert np.mean([metric(*plane) for plane in planes]) == pytest.approx(expected, rel=1e-9), name


# The formulas, written out

def entropy(values):
    """Of a list of anything."""
    counts = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return -sum(count / len(values) * math.log2(count / len(values)) for count in counts.values())


def test_en_mi_of_formula():
    fused, ir, vi = (image.ravel().tolist() for image in scene(31, 47))
    assert m.en(np.reshape(fused, (31, 47))) == pytest.approx(entropy(fused))
    expected = sum(entropy(fused) + entropy(source) - entropy(list(zip(fused, source))) for source in (ir, vi))
    assert m.mi(*scene(31, 47)) == pytest.approx(expected)


def test_sd_sf_ag_of_formula():
    fused = scene(13, 17)[0].astype(float)
    rows, columns = fused.shape
    assert m.sd(fused) == pytest.approx(math.sqrt(((fused - fused.mean()) ** 2).sum() / fused.size))

    across = [(fused[i, j] - fused[i, j - 1]) ** 2 for i in range(rows) for j in range(1, columns)]
    down = [(fused[i, j] - fused[i - 1, j]) ** 2 for i in range(1, rows) for j in range(columns)]
    assert m.sf(fused) == pytest.approx(math.sqrt(np.mean(across) + np.mean(down)))

    def slope(line, k):
        before, after = max(k - 1, 0), min(k + 1, len(line) - 1)
        return (line[after] - line[before]) / (after - before)
    total = sum(math.sqrt((slope(fused[i], j) ** 2 + slope(fused[:, j], i) ** 2) / 2)
                for i in range(rows) for j in range(columns))
    assert m.ag(fused) == pytest.approx(total / ((rows - 1) * (columns - 1)))


def test_cc_scd_mse_psnr_of_formula():
    fused, ir, vi = (image.astype(float) for image in scene(20, 30))
    pearson = lambda x, y: np.corrcoef(x.ravel(), y.ravel())[0, 1]
    assert m.cc(fused, ir, vi) == pytest.approx((pearson(fused, ir) + pearson(fused, vi)) / 2)
    assert m.scd(fused, ir, vi) == pytest.approx(pearson(fused - vi, ir) + pearson(fused - ir, vi))
    error = (np.mean((fused - ir) ** 2) + np.mean((fused - vi) ** 2)) / 2
    assert m.mse(fused, ir, vi) == pytest.approx(error / 255 ** 2)
    assert m.psnr(fused, ir, vi) == pytest.approx(10 * math.log10(255 ** 2 / error))


def sobel(image, i, j):
    """(to the right, downwards) at a pixel of an image that has a border of one."""
    window = image[i:i + 3, j:j + 3]
    weights = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    return (window * weights).sum(), (window * weights.T).sum()


def test_qabf_of_formula():
    images = [np.pad(image.astype(float), 1) for image in scene(12, 15)]
    above = below = 0.0
    for i in range(12):
        for j in range(15):
            (strength_fused, angle_fused), *sources = [
                (math.hypot(dx, dy), math.atan(dy / -dx) if dx else math.pi / 2)
                for dx, dy in (sobel(image, i, j) for image in images)]
            for strength, angle in sources:
                larger = max(strength, strength_fused)
                kept = min(strength, strength_fused) / larger if larger else 1
                turned = 1 - abs(angle - angle_fused) / (math.pi / 2)
                quality = 0.9994 / (1 + math.exp(-15 * (kept - 0.5))) * 0.9879 / (1 + math.exp(-22 * (turned - 0.8)))
                above += quality * strength
                below += strength
    assert m.qabf(*scene(12, 15)) == pytest.approx(above / below)


def test_nabf_of_formula():
    images = [np.pad(image.astype(float), 1, 'reflect') for image in scene(12, 15)]
    above = below = 0.0
    for i in range(12):
        for j in range(15):
            (strength_fused, angle_fused), *sources = [
                (math.hypot(dx, dy) / 8, math.atan(dx / dy) if dy else math.copysign(math.pi / 2, dx) if dx else 0)
                for dx, dy in (sobel(image, i, j) for image in images)]
            for strength, angle in sources:
                larger = max(strength, strength_fused)
                kept = min(strength, strength_fused) / larger if larger else 0
                turned = abs(abs(angle - angle_fused) - math.pi / 2) * 2 / math.pi
                quality = math.sqrt(0.9999 / (1 + math.exp(-19 * (kept - 0.5)))
                                    * 0.9995 / (1 + math.exp(-22 * (turned - 0.5))))
                weight = strength ** 1.5 if strength >= 2 else 0.001
                if all(strength_fused > other for other, _ in sources):
                    above += (1 - quality) * weight
                below += weight
    assert above > 0
    assert m.nabf(*scene(12, 15)) == pytest.approx(above / below)


def gaussian(size, sigma):
    offsets = np.arange(size) - size // 2
    window = np.exp(-(offsets[:, None] ** 2 + offsets ** 2) / (2 * sigma ** 2))
    return window / window.sum()


def test_vif_of_formula():
    def fidelity(fused, source):
        above = below = 0.0
        for size in (17, 9, 5, 3):
            mean = lambda image: convolve2d(image, gaussian(size, size / 5), mode='valid')
            if size < 17:
                fused, source = mean(fused)[::2, ::2], mean(source)[::2, ::2]
            variance = mean(source ** 2) - mean(source) ** 2
            covariance = mean(source * fused) - mean(source) * mean(fused)
            gain = np.maximum(covariance, 0) / variance
            rest = mean(fused ** 2) - mean(fused) ** 2 - gain * covariance
            above += np.log(1 + gain ** 2 * variance / (rest + 2)).sum()
            below += np.log(1 + variance / 2).sum()
        return above / below
    fused, ir, vi = (image.astype(float) for image in scene(50, 60))
    assert m.vif(fused, ir, vi) == pytest.approx(fidelity(fused, ir) + fidelity(fused, vi), rel=1e-6)


def similarity(x, y, value_range):
    """(mean SSIM, mean of its contrast and structure term)."""
    mean = lambda image: convolve2d(image, gaussian(11, 1.5), mode='valid')
    luminance, contrast = (0.01 * value_range) ** 2, (0.03 * value_range) ** 2
    variances = mean(x ** 2) - mean(x) ** 2 + mean(y ** 2) - mean(y) ** 2
    structure = (2 * (mean(x * y) - mean(x) * mean(y)) + contrast) / (variances + contrast)
    whole = structure * (2 * mean(x) * mean(y) + luminance) / (mean(x) ** 2 + mean(y) ** 2 + luminance)
    return whole.mean(), structure.mean()


def test_ssim_of_formula():
    fused, ir, vi = (image.astype(float) for image in scene(40, 50))
    expected = (similarity(fused, ir, 255)[0] + similarity(fused, vi, 255)[0]) / 2
    assert m.ssim(fused, ir, vi) == pytest.approx(expected)


@pytest.mark.parametrize('value_range', [1.0, 255.0])
def test_ms_ssim_of_formula(value_range):
    def of_scales(x, y):
        product = 1.0
        for k, weight in enumerate([0.0448, 0.2856, 0.3001, 0.2363, 0.1333]):
            if k:
                x, y = (image.reshape(len(image) // 2, 2, -1, 2).mean(axis=(1, 3)) for image in (x, y))
            whole, structure = similarity(x, y, value_range)
            product *= (whole if k == 4 else structure) ** weight
        return product
    fused, ir, vi = (image.astype(float) for image in scene(176, 192))
    expected = (of_scales(fused, ir) + of_scales(fused, vi)) / 2
    assert m.ms_ssim(fused, ir, vi, value_range) == pytest.approx(expected)
    assert m.ms_ssim(fused, ir, vi) == m.ms_ssim(fused, ir, vi, 1.0)


def window_information(source, fused):
    """Normalised mutual information of two 3×3 windows, one cell of the joint distribution after the other."""
    if (source == fused).all():
        return 1.0

    def distribution(window):
        window = window.T.ravel() - window.min()
        window = window / window.max() if window.max() else np.ones(9)
        return window / window.sum()

    def bound(i, j):
        """The cumulated joint distribution at the bound of Fréchet that the sign of the correlation asks for."""
        if i < 0 or j < 0:
            return 0.0
        a, b = p[:i + 1].sum(), q[:j + 1].sum()
        return min(a, b) if correlation > 0 else max(a + b - 1, 0)

    def bits(values):
        return -sum(value * math.log2(abs(value)) for value in values if abs(value) > 1e-15)

    p, q = distribution(source), distribution(fused)
    places = np.arange(9)
    correlation = 0.0 if np.ptp(p) == 0 or np.ptp(q) == 0 else np.corrcoef(p, q)[0, 1]
    deviation = lambda w: math.sqrt(max((places ** 2 * w).sum() - (places * w).sum() ** 2, 0))
    share = 0.0
    if abs(correlation) > 1e-12 and deviation(p) > 0 and deviation(q) > 0:
        covariance = sum(bound(i, j) - p[:i + 1].sum() * q[:j + 1].sum() for i in range(9) for j in range(9))
        share = correlation / (covariance / (deviation(p) * deviation(q)))
    joint = [share * (bound(i, j) - bound(i - 1, j) - bound(i, j - 1) + bound(i - 1, j - 1)) + (1 - share) * p[i] * q[j]
             for i in range(9) for j in range(9)]
    entropies = bits(p) + bits(q)
    return 2 * (entropies - bits(joint)) / entropies if entropies else 0.0


@pytest.mark.parametrize('feature', ['pixel', 'gradient'])
@pytest.mark.parametrize('levels', [256, 3])
def test_fmi_of_formula(feature, levels):
    random = np.random.default_rng(levels)
    images = random.integers(0, levels, (3, 9, 11)).astype(float)  # 3 levels: flat, equal and single-peaked windows
    images[:, :4, :4] = [[[7]], [[7]], [[9]]]
    maps = [np.gradient(image, axis=1) if feature == 'gradient' else image for image in images]
    values = [window_information(source[i:i + 3, j:j + 3], maps[0][i:i + 3, j:j + 3])
              for source in maps[1:] for i in range(7) for j in range(9)]
    assert m.fmi(*images, feature=feature) == pytest.approx(np.mean(values), abs=1e-6)


OLD_FMI = {'pixel': 0.46998012, 'dct': 0.28523681, 'wavelet': 0.33973645, 'gradient': 0.49235986, 'edge': 0.8951621}


@pytest.mark.parametrize('feature', OLD_FMI)
def test_fmi_as_it_was_before_it_became_fast(feature):
    """Computed with all 81 cells of every joint distribution."""
    assert m.fmi(*scene(60, 70), feature=feature) == pytest.approx(OLD_FMI[feature], abs=1e-6)


@pytest.mark.parametrize('feature', ['pixel', 'wavelet'])
def test_fmi_of_many_windows_is_that_of_finer_numbers(feature, monkeypatch):
    images = scene(260, 258)
    assert images[0].size > fmi.MANY  # whose windows are kept in 16 bits
    of_sixteen_bits = m.fmi(*images, feature=feature)
    monkeypatch.setattr(fmi, 'MANY', 10 ** 9)
    of_more = m.fmi(*images, feature=feature)
    assert of_sixteen_bits != of_more and of_sixteen_bits == pytest.approx(of_more, abs=1e-6)


# What the values mean

def test_known_values():
    steps = np.arange(256, dtype=np.uint8).reshape(16, 16)
    board = np.indices((8, 8)).sum(axis=0) % 2 * 255
    assert m.en(steps) == 8
    assert m.en(board) == 1
    # The nearest gray level counts
    assert m.en(np.array([[99.0, 99.4, 99.6]])) == pytest.approx(entropy([99, 99, 100]))
    assert m.mi(steps, steps, steps) == 16
    assert m.mi(steps, np.zeros((16, 16)), steps) == 8
    assert m.sd(board) == 127.5
    assert m.sf(board) == pytest.approx(255 * math.sqrt(2))
    assert m.ag(np.tile(np.arange(10.0), (10, 1))) == pytest.approx(math.sqrt(0.5) * 100 / 81)


@pytest.mark.parametrize('metric, best', [
    (m.cc, 1), (m.vif, 2), (m.qabf, 0.9994 / (1 + math.exp(-7.5)) * 0.9879 / (1 + math.exp(-4.4))),
    (m.nabf, 0), (m.mse, 0), (m.psnr, math.inf), (m.ssim, 1), (m.ms_ssim, 1), (m.fmi, 1), (m.ce, 0), (m.q_mi, 2), (m.q_m, 3),
    (m.q_g, 1 / (1 + math.exp(-5)) ** 2), (m.q_sf, 0), (m.q_s, 1), (m.q_c, 1), (m.q_y, 1), (m.q_cv, 0), (m.q_cb, 1),
    (m.viff, 1)])
def test_all_equal_is_best(metric, best):
    image = scene()[1]
    assert metric(image, image, image) == pytest.approx(best, abs=1e-6)
    fused, ir, vi = scene()
    worse = metric(fused, ir, vi)
    assert worse > best if metric in (m.nabf, m.mse, m.ce, m.q_cv) else abs(worse) > 0.01 if metric is m.q_sf else worse < best


def test_phase_congruency_of_equal_images_is_nearly_best():
    """Not quite: features of the sources are cut out before they are compared, those of the fused image are not."""
    fused, ir, vi = scene()
    assert 1 > m.q_p(ir, ir, ir) > 0.98 > m.q_p(fused, ir, vi)


def test_the_table_says_which_values_are_better():
    """An image of another scene is worse by each metric that sees the sources."""
    fused, ir, vi = scene()
    worse = scene(seed=9)[0]
    for metric in (*METRICS, *MORE_METRICS):
        values = metric.graded(metric.compute(fused, ir, vi)), metric.graded(metric.compute(worse, ir, vi))
        if metric.name not in ('EN', 'SD', 'SF', 'AG', 'EI', 'CE', 'Q_SF'):  # but those that see only how much there is
            assert (values[0] < values[1]) == metric.lower_is_better, metric.name


def test_scd_of_a_sum_is_best():
    _, ir, vi = (image // 2 for image in scene())
    assert m.scd(ir + vi, ir, vi) == pytest.approx(2)


@pytest.mark.parametrize('metric', METRICS, ids=lambda metric: metric.name)
def test_the_table_says_which_way_is_better(metric):
    fused, ir, vi = scene()
    flat = np.full_like(ir, 90)
    if metric.name in ('EN', 'SD', 'SF', 'AG', 'SCD'):
        better, worse = (metric.compute(image, ir // 2, vi // 2) for image in (ir // 2 + vi // 2, flat))
    else:
        better, worse = metric.compute(ir, ir, ir), metric.compute(fused, ir, vi)
    assert (better < worse) == metric.lower_is_better and better != worse


@pytest.mark.parametrize('metric', [metric for metric in OF_THREE if metric is not m.q_c])
def test_sources_are_equal_partners(metric):
    fused, ir, vi = scene()
    assert metric(fused, ir, vi) == pytest.approx(metric(fused, vi, ir), rel=1e-10)


# What they accept

@pytest.mark.parametrize('metric', ALL)
def test_any_real_type_and_no_side_effect(metric):
    images = scene(60, 70) if metric is m.q_p else scene()  # which takes longest
    for image in images:
        image.flags.writeable = False
    value = score(metric, *images)
    assert type(value) is float
    for dtype in (np.int32, np.uint16, np.float32, np.float64):
        assert score(metric, *(image.astype(dtype) for image in images)) == value
    assert score(metric, *(np.asfortranarray(image) for image in images)) == pytest.approx(value, rel=1e-12)


FLAT = {m.en: 0, m.sd: 0, m.sf: 0, m.ag: 0, m.mi: 0, m.cc: 0, m.scd: 0, m.vif: 2, m.nabf: 0, m.mse: 0, m.psnr: math.inf,
        m.ssim: 1, m.ms_ssim: 1, m.fmi: 1, m.ei: 0, m.ce: 0, m.q_mi: 0, m.q_ncie: 1 - math.log(3, 256), m.q_s: 1, m.q_cb: 0, m.viff: 1}
NOT_OF_FLAT = [m.q_te, m.q_m, m.q_sf, m.q_p, m.q_c, m.q_y, m.q_cv]


@pytest.mark.parametrize('level', [0, 1, 77.3, 255])
@pytest.mark.parametrize('metric', ALL)
def test_flat_images(metric, level):
    flat = np.full((170, 170), level)
    if metric in NOT_OF_FLAT:
        with pytest.raises(ValueError, match='not defined'):
            score(metric, flat, flat, flat)
        return
    value = score(metric, flat, flat, flat)
    if metric in FLAT:
        assert value == pytest.approx(FLAT[metric], abs=1e-9)
    else:  # qabf and q_g see an edge around an image that is not black
        assert value == 0 if level == 0 and metric is m.qabf else 0.9 < value < 1


@pytest.mark.parametrize('feature', FEATURES + ['edge'])
@pytest.mark.parametrize('which', [0, 1, 2])
def test_one_flat_image(which, feature):
    images = list(scene())
    images[which] = np.full_like(images[which], 100)
    for metric in ALL if feature == 'pixel' else []:
        if metric is m.q_c and which == 0:
            with pytest.raises(ValueError, match='not defined'):
                score(metric, *images)
        else:
            assert math.isfinite(score(metric, *images)), metric
    assert 0 <= m.fmi(*images, feature=feature) <= 1
    if which == 0:
        assert m.mi(*images) == m.cc(*images) == 0


@pytest.mark.parametrize('metric', ALL)
@pytest.mark.parametrize('bad, message', [
    (lambda image: np.where(image == image.max(), np.nan, image), 'fused contains NaN'),
    (lambda image: np.where(image == image.max(), np.inf, image), 'fused contains NaN or infinite'),
    (lambda image: image.astype(float) + 1, r'fused has values from .* to 256'),
    (lambda image: image.astype(float) - 300, 'fused has values from'),
    (lambda image: np.dstack([image] * 3), r'fused must be an H×W array of numbers, not uint8 of shape .170, 190, 3.'),
    (lambda image: image.astype(complex), 'not complex128'),
    (lambda image: image[:0], 'fused is 190×0 pixels'),
])
def test_bad_input(metric, bad, message):
    fused, ir, vi = scene()
    fused[0, 0] = 255
    with pytest.raises(ValueError, match=message):
        score(metric, bad(fused), ir, vi)


@pytest.mark.parametrize('metric', OF_THREE)
def test_different_sizes(metric):
    fused, ir, vi = scene()
    with pytest.raises(ValueError, match='differ in size: fused 190×170, ir 189×170, vi 190×170'):
        metric(fused, ir[:, :-1], vi)


@pytest.mark.parametrize('metric, side', [
    (m.sf, 2), (m.ag, 2), (m.vif, 41), (m.nabf, 2), (m.ssim, 11), (m.ms_ssim, 161), (m.fmi, 3),
    (m.q_m, 4), (m.q_sf, 2), (m.q_s, 11), (m.q_c, 7), (m.q_y, 7), (m.viff, 41)])
def test_smallest_size(metric, side):
    images = scene(side, side + 5)
    assert math.isfinite(score(metric, *images))
    with pytest.raises(ValueError, match=f'needs at least {side}×{side}'):
        score(metric, *(image[1:] for image in images))


def test_unknown_feature():
    with pytest.raises(ValueError, match='pixel, dct, wavelet, gradient, edge, not .sobel.'):
        m.fmi(*scene(), feature='sobel')


@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_protocols_on_odd_images(protocol):
    flat = np.full((170, 170), 90, np.uint8)
    single = flat.copy()
    single[80, 80] = 255
    for images in [(flat, flat, flat), (single, flat, flat), (flat, single, scene(170, 170)[2])]:
        for metric in PROTOCOLS[protocol].metrics:
            with contextlib.suppress(ValueError):  # not defined for these
                assert not math.isnan(metric.compute(*images)), metric.name


def test_what_was_computed_of_an_image_changes_nothing():
    fused, other, ir, vi = (Image(image) for image in (*scene()[:1], 255 - scene()[0], *scene()[1:]))
    for metric in (*METRICS, *MORE_METRICS):
        alone = metric.compute(fused.pixels, ir.pixels, vi.pixels)
        metric.compute(other, ir, vi)
        assert metric.compute(fused, ir, vi) == alone, metric.name
