"""Whether infrared images lie where the visible ones show the same things, and if not, what moves them there.

Both modalities show the same edges, some of them, with other contrast: compared is how an edge stands out from what is around it, and
its direction, whichever side of it is the brighter. First small images are compared as a whole, turned and scaled by some steps, by their
correlation; then parts of larger ones, each of which says where it belongs, and of these the transform is fitted that most agree on.
At last all parts together are moved to where they fit best in sum, which is more exact than where each of them does.
"""
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
from scipy import fft, ndimage, optimize
from tqdm import tqdm

from tools.base.errors import UserError
from tools.base.threads import in_order
from tools.base.wording import counted, some
from tools.data.alignment import AFFINE, EACH, Align, align_of_matrix
from tools.data.images import fitted, read_gray
from tools.data.reading import AS_THEY_ARE

SMALL, LARGE, LARGEST = 128, 256, 512  # pixels that the shorter side of images is brought to; at last it stays as it is between the two
REACH = 16  # pixels of the small images, to each side: an eighth of the shorter one
SCALES, ANGLES = (0.94, 0.97, 1, 1.03, 1.06), (-2, 0, 2)
PART, PART_STEP = 64, 24  # pixels of the large images: a part's side, and from one to the next
PASSES = (8, 2.), (4, 1.)  # pixels of the large images that a part may be off, and to which parts must agree
LAST_REACHES = 6, 4  # pixels of the largest images that all parts together may be off, in one pass after the other
FITS_IN_SUM, FLAT = 1000, 1e-3  # their scale, and the slope at which they are largest (a step of as many pixels) for SciPy's minimizer
MOST_TRIALS, CONFIDENCE = 2000, 0.999  # of RANSAC
SMOOTHING, STANDS_OUT_MOST = 1, 3
AROUND = 12  # pixels of the large images: deviation of the Gaussian that an edge is compared with
SMALLEST, LONGEST = 64, 4  # images of fewer pixels, or this many times as long as wide, say nothing
TAKEN_FOR_MISTAKES = 0.2  # by which a fit may change lengths: no two cameras differ so after the first step

LOOKED_AT = 24  # pairs, evenly spread, for a doubt or for one transform: they come from one pair of cameras
SURE = 0.35    # parts that must agree for a pair to be sure of its displacement
DISPLACED = 0.02  # of the shorter side, on average: from there on a pair is doubted
FEW = 0.05    # pairs in a folder that may be displaced without a word
SAME = 0.01   # of the shorter side: by which pairs may differ in what they say, and still say the same
THREADS, AHEAD = 2, 4  # pairs being estimated
PROGRESS_AFTER_SECONDS = 2
UNMOVED = Align()


class Estimate(NamedTuple):
    """What a pair of images says."""
    align: Align     # in pixels of the visible image
    agreeing: float  # share of the parts that say so
    distance: float  # by which pixels are moved on average, as a share of the shorter side
    shape: tuple     # of the images


def estimate(ir, visible, affine=False, exact=True):
    """How an infrared image (H×W) is to be moved onto the visible one (H×W) -> Estimate.

    affine: with stretch and shear. exact: to parts of a pixel; it takes as long again, and is not needed to see that a pair does not fit.
    """
    if min(ir.shape) < SMALLEST or max(ir.shape) > LONGEST * min(ir.shape):
        return Estimate(Align(), 0., 0., ir.shape)
    small = [_edges(image, SMALL) for image in (ir, visible)]
    matrix = _best_of_steps(*small)
    large = [_edges(image, LARGE) for image in (ir, visible)]
    matrix, agreeing = _in_other_size(matrix, small[0], large[0]), 0.
    for reach, tolerance in PASSES:
        matrix, agreeing = _refined(*large, matrix, PART_STEP, reach, tolerance, affine)
    last = large
    if exact and agreeing:
        shorter = max(min(*ir.shape, LARGEST), LARGE)
        if shorter > LARGE:
            last = [_edges(image, shorter) for image in (ir, visible)]
            matrix = _in_other_size(matrix, large[0], last[0])
        for reach in LAST_REACHES:
            matrix = _settled(*last, matrix, PART_STEP * shorter // LARGE, reach, affine)
    found = align_of_matrix(_in_other_size(matrix, last[0], ir), ir.shape)
    if not affine:
        found = found._replace(stretch=1., shear=0.)
    found = found.rounded()
    return Estimate(found, agreeing, mean_distance(found, ir.shape) / min(ir.shape), ir.shape)


def mean_distance(align, shape, other=UNMOVED):
    """By how many pixels two transforms differ, on average over an image of `shape`; by default from staying where it is."""
    height, width = shape[:2]
    x, y = np.meshgrid(np.linspace(0, width - 1, 9), np.linspace(0, height - 1, 9))
    points = np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    return float(np.hypot(*((align.matrix(shape) - other.matrix(shape)) @ points)).mean())


def _edges(image, shorter):
    """(3, h, w) float32 of an image brought to a size: how edges stand out, and their direction as cosine and sine of twice the angle."""
    scale = shorter / min(image.shape)
    size = tuple(round(scale * side) for side in image.shape[::-1])
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR).astype(np.float32)
    image = cv2.GaussianBlur(image, (0, 0), SMOOTHING)
    dx, dy = cv2.Sobel(image, cv2.CV_32F, 1, 0), cv2.Sobel(image, cv2.CV_32F, 0, 1)
    strength = cv2.magnitude(dx, dy)
    around = cv2.GaussianBlur(strength, (0, 0), AROUND * shorter / LARGE)
    standing_out = np.minimum(strength / (around + 0.5 * strength.mean() + 1e-6), STANDS_OUT_MOST)
    direction = standing_out / np.maximum(strength ** 2, 1e-6)
    return np.stack([standing_out, direction * (dx ** 2 - dy ** 2), direction * 2 * dx * dy])


def _moved(edges, matrix):
    """Edges (3, h, w) after their image is moved by a 2×3 matrix."""
    strength, cos, sin = (cv2.warpAffine(plane, matrix, plane.shape[::-1]) for plane in edges)
    twice = 2 * np.arctan2(matrix[1, 0], matrix[0, 0])
    turn_cos, turn_sin = np.float32(np.cos(twice)), np.float32(np.sin(twice))
    return np.stack([strength, turn_cos * cos - turn_sin * sin, turn_sin * cos + turn_cos * sin])


def _best_of_steps(ir, visible):
    """The 2×3 matrix, of some scales and angles and all shifts in reach, with the largest correlation."""
    shape = visible.shape[1:]
    padded = [fft.next_fast_len(side + 2 * REACH, real=True) for side in shape]
    window = np.sqrt(np.outer(*(np.hanning(side + 2)[1:-1] for side in shape))).astype(np.float32)

    def spectrum(edges):
        edges = edges - np.array([edges[0].mean(), 0, 0], np.float32)[:, None, None]
        edges *= window
        return fft.rfft2(edges, padded) / max(np.linalg.norm(edges), 1e-6)

    target, best = spectrum(visible), (-np.inf, None)
    for scale in SCALES:
        for angle in ANGLES:
            matrix = Align(scale=scale, angle=angle).matrix(shape)
            found = fft.irfft2((target * spectrum(_moved(ir, matrix)).conj()).sum(axis=0), padded)
            found = np.roll(found, (REACH, REACH), (0, 1))[:2 * REACH + 1, :2 * REACH + 1]
            row, column = np.unravel_index(found.argmax(), found.shape)
            if found[row, column] > best[0]:
                matrix[:, 2] += column - REACH, row - REACH
                best = found[row, column], matrix
    return best[1]


def _in_other_size(matrix, image, other):
    """A matrix for one image (…, h, w) as one for the same in another size."""
    align, grow = align_of_matrix(matrix, image.shape[-2:]), min(other.shape[-2:]) / min(image.shape[-2:])
    return align._replace(dx=grow * align.dx, dy=grow * align.dy).matrix(other.shape[-2:])


def _refined(ir, visible, matrix, part_step, reach, tolerance, affine):
    """(the matrix after parts have said where they belong, share of the parts that agree)."""
    points, found = _where_parts_belong(_moved(ir, matrix), visible, matrix, part_step, reach)
    sound = ~np.isnan(found).any(axis=1)
    if sound.sum() < 4:
        return matrix, 0.
    fit = cv2.estimateAffine2D if affine else cv2.estimateAffinePartial2D
    step, inliers = fit(points[sound], found[sound], method=cv2.RANSAC, ransacReprojThreshold=tolerance, maxIters=MOST_TRIALS,
                        confidence=CONFIDENCE)
    if step is None or np.abs(step[:, :2] - np.eye(2)).max() > TAKEN_FOR_MISTAKES:
        return matrix, 0.
    return step @ np.vstack([matrix, [0, 0, 1]]), float(inliers.sum() / len(points))


def _settled(ir, visible, matrix, part_step, reach, affine):
    """The matrix after all parts have been moved, by one transform, to where the sum of their correlations is largest."""
    centres, fits = _how_parts_fit(_moved(ir, matrix), visible, matrix, part_step, reach)
    if len(centres) < 4:
        return matrix
    (x, y), one, none = ((centres - centres.mean(axis=0)) / PART).T, np.ones(len(centres)), np.zeros(len(centres))
    # What a unit of each parameter moves parts by, (parameters, 2, n).
    moves = np.array([(one, none), (none, one), *([(x, none), (y, none), (none, x), (none, y)] if affine else [(x, y), (-y, x)])])
    smooth = ndimage.spline_filter1d(ndimage.spline_filter1d(fits.astype(np.float64), axis=1), axis=2)
    smooth *= FITS_IN_SUM / smooth.sum()

    def misfit(step):
        dx, dy = np.tensordot(step, moves, 1)
        at = np.arange(len(centres)), reach + dy, reach + dx
        return -ndimage.map_coordinates(smooth, at, order=3, prefilter=False, mode='nearest').sum()
    best = optimize.minimize(misfit, np.zeros(len(moves)), method='BFGS', options={'gtol': FLAT, 'eps': FLAT}).x
    fit = cv2.estimateAffine2D if affine else cv2.estimateAffinePartial2D
    step, _ = fit(centres, centres + np.tensordot(best, moves, 1).T)
    if step is None or np.abs(step[:, :2] - np.eye(2)).max() > TAKEN_FOR_MISTAKES:
        return matrix
    return step @ np.vstack([matrix, [0, 0, 1]])


def _where_parts_belong(ir, visible, matrix, part_step, reach):
    """(n, 2) centres of parts of the moved infrared edges, and where each lies in the visible ones; NaN where nothing is found in reach."""
    centres, fits = _how_parts_fit(ir, visible, matrix, part_step, reach)
    rows, columns = np.divmod(fits.reshape(-1, (2 * reach + 1) ** 2).argmax(axis=1), 2 * reach + 1)
    at_edge = (np.minimum(rows, columns) == 0) | (np.maximum(rows, columns) == 2 * reach)
    rows, columns, every = rows.clip(1, 2 * reach - 1), columns.clip(1, 2 * reach - 1), np.arange(len(fits))
    peak = fits[every, rows, columns]
    x = columns + _peak_between(fits[every, rows, columns - 1], peak, fits[every, rows, columns + 1])
    y = rows + _peak_between(fits[every, rows - 1, columns], peak, fits[every, rows + 1, columns])
    found = centres + np.stack([x, y], axis=1) - reach
    found[at_edge] = np.nan
    return centres, found


def _how_parts_fit(ir, visible, matrix, part_step, reach):
    """(n, 2) centres of parts of the moved infrared edges, and their correlations (n, 2·reach + 1, 2·reach + 1) with the visible ones."""
    height, width = ir.shape[1:]
    side = PART + 2 * reach
    covered = cv2.warpAffine(np.ones((height, width), np.uint8), matrix, (width, height), flags=cv2.INTER_NEAREST)
    corners = [np.linspace(0, length - side, max(2, round((length - side) / part_step) + 1)).astype(int) for length in (height, width)]
    tops, lefts = (grid.ravel() for grid in np.meshgrid(*corners, indexing='ij'))
    # A corner that is not covered lies outside of the infrared image.
    ends = reach, reach + PART - 1
    inside = np.all([covered[tops + down, lefts + right] for down in ends for right in ends], axis=0)
    tops, lefts = tops[inside], lefts[inside]
    if not len(tops):
        return np.empty((0, 2)), np.empty((0, 2 * reach + 1, 2 * reach + 1))
    parts = np.stack([ir[:, top + reach:top + reach + PART, left + reach:left + reach + PART] for top, left in zip(tops, lefts)])
    around = np.stack([visible[:, top:top + side, left:left + side] for top, left in zip(tops, lefts)])
    fits = fft.irfft2((fft.rfft2(around) * fft.rfft2(parts, (side, side)).conj()).sum(axis=1), (side, side))
    return np.stack([lefts, tops], axis=1) + reach + (PART - 1) / 2, fits[:, :2 * reach + 1, :2 * reach + 1]


def _peak_between(before, peak, after):
    """Where a parabola through three values, one pixel apart, is highest, from the middle one on."""
    return (before - after) / np.minimum(2 * (before - 2 * peak + after), -1e-9)



def displacement_doubts(pairs, reading=AS_THEY_ARE):
    """A line to show if infrared images are displaced against the visible ones, none if they fit -> list.

    pairs: of paths, some of which are looked at; those that cannot be read are passed over: whoever uses them names them.
    """
    found = [one for one in estimates(_spread(pairs), reading, exact=False).values() if one]
    moved = [one for one in found if is_sure(one) and one.distance >= DISPLACED]
    if len(moved) <= FEW * len(found):
        return []
    common = common_align(moved)
    alike = [one for one in moved if mean_distance(one.align, one.shape, common) <= SAME * min(one.shape)]
    number = len(alike) if 2 * len(alike) > len(moved) else len(moved)
    where = f' in {number} of {len(found)} pairs{" examined" if len(found) < len(pairs) else ""}' if len(pairs) > 1 else ''
    if number == len(alike):
        return [f'doubtful: infrared {_displaced(common)}{where}; --align mends that']
    pixels = sorted(one.distance * min(one.shape) for one in moved)
    return [f'doubtful: infrared is displaced by {pixels[0]:.0f} to {pixels[-1]:.0f} pixels, differently in each pair,{where}; '
            '--align each mends that']


def find_align(pairs, kind, reading=AS_THEY_ARE):
    """What moves the infrared images of pairs -> (an Align, for 'each' {infrared file: Align}; {pair left out: why}).

    pairs: of paths. kind: 'folder', one transform for all, the median of what pairs say; 'affine', with stretch and
    shear; 'each'. UserError if too few pairs are sure of it.
    """
    looked_at = pairs if kind == EACH else _spread(pairs)
    found = {pair: one for pair, one in estimates(looked_at, reading, affine=kind == AFFINE).items() if one}
    sure = {pair: one for pair, one in found.items() if is_sure(one)}
    if not sure or kind != EACH and 2 * len(sure) < len(found):
        raise UserError(f'align: only {len(sure)} of {len(looked_at)} pairs examined show clearly how infrared is displaced: '
                        'too few to move images by')
    if kind != EACH:
        return common_align(sure.values()), {}
    return {ir: one.align for (ir, _), one in sure.items()}, {
        pair: f'it is uncertain how infrared is displaced: only {one.agreeing:.0%} of the parts agree (--align each)'
        for pair, one in found.items() if pair not in sure}


def align_items(items, kind, reading=AS_THEY_ARE):
    """(the reading with what moves the infrared images to train on, if a kind is asked for; the pairs that are left).

    Prints what is done, or what is doubtful if nothing is.
    """
    if not kind:
        for doubt in displacement_doubts(items, reading):
            print(doubt)
        return reading, items
    align, left_out = find_align(items, kind, reading)
    print(align_text(align))
    if left_out:
        print(f'{counted(len(left_out), "pair")} left out because {"its" if len(left_out) == 1 else "their"} '
              f'displacement is uncertain: {some(ir for ir, _ in left_out)}')
    return replace(reading, align=align), [pair for pair in items if pair not in left_out]


def align_text(align):
    """What is done to infrared images, to be shown. align: as from `find_align`."""
    return f'infrared is {align.text()}' if isinstance(align, Align) else f'{len(align)} infrared images are moved, each on its own'


def sure_align(ir, visible):
    """The Align of one pair of images (H×W). UserError if it is not sure."""
    found = estimate(ir, visible)
    if not is_sure(found):
        raise UserError('it is uncertain how the infrared image is displaced against the visible one: '
                        f'only {found.agreeing:.0%} of their parts agree')
    return found.align


def estimates(pairs, reading=AS_THEY_ARE, affine=False, exact=True):
    """{pair: Estimate, or None where it cannot be read}. pairs: of paths; an infrared image of another size is made to fit."""
    def of(pair):
        try:
            ir, visible = reading.infrared(pair[0]), read_gray(pair[1])
        except UserError:
            return None
        return estimate(fitted(ir, visible.shape), visible, affine, exact)

    working = in_order(of, pairs, THREADS, AHEAD)
    return dict(zip(pairs, tqdm(working, 'comparing pairs', len(pairs), delay=PROGRESS_AFTER_SECONDS, leave=False, disable=None)))


def is_sure(found):
    """Whether enough parts of a pair agree."""
    return found.agreeing >= SURE


def common_align(found):
    """What several estimates say in the median, each number by itself."""
    return Align(*np.median([one.align for one in found], axis=0)).rounded()


def _displaced(align):
    """How infrared lies that `align` would move back, as text."""
    right, down, scale, angle = -align.dx, -align.dy, 1 / align.scale, -align.angle
    parts = [f'displaced by about ({right:.0f}, {down:.0f}) pixels'] * (max(abs(right), abs(down)) >= 0.5)
    parts += [f'{scale:.2f} times as large'] * (round(scale, 2) != 1) + [f'turned by {angle:.1f}°'] * (abs(angle) >= 0.5)
    return 'is ' + ' and '.join(parts)


def _spread(pairs):
    return [pairs[index * len(pairs) // LOOKED_AT] for index in range(LOOKED_AT)] if len(pairs) > LOOKED_AT else list(pairs)
