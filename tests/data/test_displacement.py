"""Infrared images that do not lie where the visible ones show the same things: seen, and moved."""
import json

import cv2
import numpy as np
import pytest

from tools.base.errors import UserError
from tools.data import align as align_images
from tools.data.alignment import Align, align_of_matrix, aligned, read_align
from tools.data.displacement import align_items, displacement_doubts, estimate, find_align, is_sure, mean_distance
from tools.data.images import luma, read_gray, read_image, write_image
from tools.data.loader import Batches
from tools.data.reading import Reading
from tools.scenes.places import make_scene

KNOWN = Align(6, -2, 1.01, 0.5)
SIZE = 192, 240


def scene(seed, size=SIZE):
    ir, visible = make_scene(seed, *size)
    return ir, luma(visible)


def displaced(ir, align=KNOWN):
    """The infrared image as a camera would see it that `align` brings back."""
    return cv2.warpAffine(ir, align.matrix(ir.shape), ir.shape[::-1], flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
                          borderMode=cv2.BORDER_REFLECT)


def write_pairs(folder, aligns):
    """A pair of drawn scenes for each Align, which is what moves its infrared image back; None: as it is."""
    pairs = []
    for seed, align in enumerate(aligns):
        ir, visible = scene(seed)
        pairs.append((folder / 'ir' / f'{seed}.png', folder / 'vi' / f'{seed}.png'))
        write_image(pairs[-1][0], displaced(ir, align) if align else ir)
        write_image(pairs[-1][1], visible)
    return pairs


# ---- the transform

@pytest.mark.parametrize('align', [Align(), KNOWN, Align(-3.5, 8, 0.95, -2, 1.04, 0.03)], ids=str)
def test_a_transform_and_its_matrix(align):
    shape = 40, 61
    assert np.allclose(align_of_matrix(align.matrix(shape), shape), align)
    assert read_align(json.loads(json.dumps(align.noted()))) == pytest.approx(align)
    assert np.allclose(align.matrix(shape) @ [30, 19.5, 1], np.add([30, 19.5], align[:2]))  # the centre is only moved


def test_what_dx_dy_scale_and_angle_mean():
    assert np.allclose(Align(6, -2).matrix((11, 21)) @ [3, 4, 1], [9, 2])
    assert np.allclose(Align(scale=2).matrix((11, 21)) @ [12, 5, 1], [14, 5])
    assert np.allclose(Align(angle=90).matrix((11, 21)) @ [12, 5, 1], [10, 7])  # to the right becomes down


@pytest.mark.parametrize('content', [None, {}, 3, {'dx': 'far'}, {'dy': None}, {'dx': 1, 'size': 2}, {'scale': 0}, {'a': {'dx': []}}],
                         ids=str)
def test_what_is_no_transform(content):
    with pytest.raises(ValueError, match='align must be numbers|scale and stretch'):
        read_align(content)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32])
def test_the_border_shows_the_visible_image(dtype):
    ir, visible = np.full((40, 60), 200, np.uint8), np.full((40, 60, 3), 90, np.uint8)
    ir = (ir.astype(np.uint16) * 257 if dtype == np.uint16 else ir.astype(dtype))
    moved = aligned(ir, visible, Align(20, 0))
    unit = 257 if dtype == np.uint16 else 1
    assert moved.dtype == dtype and moved.shape == ir.shape
    assert (moved[:, :12] == 90 * unit).all() and (moved[:, 30:] == 200 * unit).all()
    assert aligned(ir, visible, None) is ir


def test_moving_by_whole_pixels_is_exact():
    ir, visible = scene(1)
    moved = aligned(ir, visible, Align(6, -2))
    assert np.array_equal(moved[10:-10, 20:-10], ir[12:-8, 14:-16])


# ---- estimating

@pytest.mark.parametrize('seed, align', enumerate([KNOWN, Align(-15, 9, 0.96, -2), Align(0.5, 0.5), Align(3, 12, 1.05, 1)], 2))
def test_a_displacement_is_found(seed, align):
    ir, visible = scene(seed)
    found = estimate(displaced(ir, align), visible)
    assert is_sure(found) and mean_distance(found.align, SIZE, align) < 0.7
    assert found.distance == pytest.approx(mean_distance(align, SIZE) / SIZE[0], abs=0.01)


def test_stretch_and_shear_are_found_if_asked_for():
    ir, visible = scene(3)
    align = Align(4, 3, 1, 0, 1.03, 0.02)
    found = estimate(displaced(ir, align), visible, affine=True)
    assert is_sure(found) and mean_distance(found.align, SIZE, align) < 0.7
    assert estimate(displaced(ir, align), visible).align[4:] == (1, 0)


def test_the_order_of_brightness_does_not_matter():
    ir, visible = scene(2)
    assert mean_distance(estimate(255 - displaced(ir), visible).align, SIZE, KNOWN) < 0.7


@pytest.mark.parametrize('size, largest', [((80, 90), 1), ((8, 8), 256), ((64, 900), 256), ((128, 160), 256)],
                         ids=['flat', 'tiny', 'long', 'noise'])
def test_what_says_nothing_is_not_sure(size, largest):
    assert not is_sure(estimate(*np.random.RandomState(0).randint(0, largest, (2, *size), np.uint8)))


# ---- folders

def test_pairs_that_fit_give_no_line(tmp_path):
    assert displacement_doubts(write_pairs(tmp_path, [None] * 4)) == []


def test_pairs_that_are_displaced_alike(tmp_path):
    pairs = write_pairs(tmp_path, [Align(-6, 3, 1 / 1.03)] * 3 + [None])
    line, = displacement_doubts(pairs)
    assert line == 'doubtful: infrared is displaced by about (6, -3) pixels and 1.03 times as large in 3 of 4 pairs; --align mends that'
    align, left_out = find_align(pairs[:3], 'folder')
    assert not left_out and mean_distance(align, SIZE, Align(-6, 3, 1 / 1.03)) < 0.5


def test_pairs_that_are_displaced_otherwise_each(tmp_path):
    aligns = [Align(9, 0), Align(0, -11), Align(-7, 7), Align(0, 14)]
    pairs = write_pairs(tmp_path, aligns)
    line, = displacement_doubts(pairs)
    assert line.endswith('differently in each pair, in 4 of 4 pairs; --align each mends that')
    found, left_out = find_align(pairs, 'each')
    assert not left_out
    assert all(mean_distance(found[ir], SIZE, align) < 0.7 for (ir, _), align in zip(pairs, aligns))


def test_each_leaves_out_what_is_not_sure_and_a_folder_of_such_is_refused(tmp_path, capsys):
    pairs = write_pairs(tmp_path, [KNOWN, KNOWN])
    write_image(pairs[0][0], np.random.RandomState(0).randint(0, 256, SIZE, np.uint8))
    reading, left = align_items(pairs, 'each')
    assert left == pairs[1:] and list(reading.align) == [pairs[1][0]]
    assert f'1 pair left out because its displacement is uncertain: {pairs[0][0]}' in capsys.readouterr().out
    with pytest.raises(UserError, match='only 0 of 1 pairs examined show clearly'):
        find_align(pairs[:1], 'folder')


def test_what_cannot_be_read_is_passed_over(tmp_path):
    pairs = write_pairs(tmp_path, [None] * 2)
    pairs[0][0].write_bytes(b'no image')
    assert displacement_doubts(pairs) == []


# ---- training, and images for use elsewhere

def test_training_reads_moved_images(tmp_path):
    pairs = write_pairs(tmp_path, [KNOWN, Align(-5, 5)])
    ir, visible = scene(0)
    batch = lambda align: next(Batches(pairs[:1], 1, SIZE, reading=Reading(align=align)).epoch(0)).arrays
    assert np.array_equal(batch(None)[0][0, 0], read_gray(pairs[0][0])) and np.array_equal(batch(KNOWN)[1][0, 0], visible)
    expected = aligned(read_gray(pairs[0][0]), visible, KNOWN)
    for align in KNOWN, {pairs[0][0]: KNOWN}:
        assert np.array_equal(batch(align)[0][0, 0], expected)
    off = lambda image: np.abs(np.subtract(image, ir, dtype=float))[20:-20, 20:-20].mean()
    assert off(expected) < off(read_gray(pairs[0][0])) / 2


def test_a_folder_of_moved_images(tmp_path):
    write_pairs(tmp_path, [Align(-6, 3)] * 2)
    folders = ['--ir', str(tmp_path / 'ir'), '--vi', str(tmp_path / 'vi')]
    assert align_images.main([*folders, '--out', str(tmp_path / 'moved')]) == 0
    align = read_align(json.loads((tmp_path / 'moved' / 'align.json').read_text()))
    assert mean_distance(align, SIZE, Align(-6, 3)) < 0.5
    assert np.array_equal(read_image(tmp_path / 'moved' / '1.png'),
                          aligned(read_image(tmp_path / 'ir' / '1.png'), read_image(tmp_path / 'vi' / '1.png'), align))
    with pytest.raises(UserError, match='holds the images themselves'):
        align_images.main([*folders, '--out', str(tmp_path / 'ir')])
