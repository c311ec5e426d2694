"""Synthetic scenes: deterministic, of any size, with what fusion is for in them, and written where others look."""
import subprocess
import sys
import warnings

import cv2
import numpy as np
import pytest

from conftest import REPOSITORY
from tools.errors import UserError
from tools.images import list_images, luma, read_image
from tools.scene_canvas import Camera, Canvas, Sun, capsule, ellipse, fractal, rgb
from tools.scene_objects import person, smoke
from tools.scene_places import random_weather
from tools.scenes import COLOUR_TEST_SIZES, GRAY_TEST_SIZES, make_scene, write_database, write_test_folders

MANY = range(24)


@pytest.fixture(scope='module')
def scenes():
    return [make_scene(seed, 96, 120) for seed in MANY]


def is_night(seed):
    return random_weather(np.random.default_rng([seed, 0])).night


def test_same_seed_gives_the_same_scene_and_other_seeds_others(scenes):
    for seed in (0, 5):
        for again, first in zip(make_scene(seed, 96, 120), scenes[seed]):
            np.testing.assert_array_equal(again, first)
    for modality in (0, 1):
        assert len({pair[modality].tobytes() for pair in scenes}) == len(scenes)
    pairs = [(a, b) for a in MANY for b in MANY if a < b]
    assert min(np.abs(scenes[a][1].astype(int) - scenes[b][1]).mean() for a, b in pairs) > 3


@pytest.mark.parametrize('height, width', [(8, 8), (8, 61), (61, 8), (13, 17), (33, 65), (101, 203), (256, 320)])
def test_any_size(height, width):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for seed in range(12 if height * width < 10_000 else 2):
            infrared, visible = make_scene(seed, height, width)
            assert infrared.shape == (height, width) and infrared.dtype == np.uint8
            assert visible.shape == (height, width, 3) and visible.dtype == np.uint8
            assert infrared.std() > 1 and visible.std() > 1


@pytest.mark.parametrize('size', [(7, 100), (100, 7), (0, 0), (4097, 100)])
def test_impossible_size_is_refused(size):
    with pytest.raises(UserError, match='8 to 4096 pixels'):
        make_scene(0, *size)


def test_large_scenes_are_not_enlarged(monkeypatch):
    import tools.scenes
    monkeypatch.setattr(tools.scenes, 'LARGE', 1000)
    infrared, visible = make_scene(3, 60, 80)
    assert infrared.shape == (60, 80) and visible.shape == (60, 80, 3)


def test_layout_does_not_depend_on_the_size(scenes):
    alike = []
    for seed in MANY:
        larger = cv2.resize(luma(make_scene(seed, 192, 240)[1]), (120, 96), interpolation=cv2.INTER_AREA)
        alike.append(np.corrcoef(larger.ravel(), luma(scenes[seed][1]).ravel())[0, 1])
    assert np.median(alike) > 0.85


def test_infrared_shows_warm_things_on_a_cool_background(scenes):
    for infrared, _ in scenes:
        assert np.median(infrared) < 150
    hot = [np.percentile(infrared, 99.7) for infrared, _ in scenes]
    assert np.mean(np.array(hot) > 170) > 0.8


def test_visible_is_in_colour_and_dark_at_night(scenes):
    nights = [visible for seed, (_, visible) in zip(MANY, scenes) if is_night(seed)]
    days = [visible for seed, (_, visible) in zip(MANY, scenes) if not is_night(seed)]
    assert len(nights) >= 5 and len(days) >= 5
    assert max(night.mean() for night in nights) < min(day.mean() for day in days)
    for visible in days:
        assert (visible.max(2).astype(int) - visible.min(2)).mean() > 3


def test_the_two_modalities_are_registered_but_unlike(scenes):
    """Edges coincide more often than by chance, and the pictures still differ: each holds what the other lacks."""
    def edges(picture):
        smooth = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 1.5)
        return np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)).ravel()

    gray = [(infrared, luma(visible)) for infrared, visible in scenes]
    together = np.mean([np.corrcoef(edges(a), edges(b))[0, 1] for a, b in gray])
    shifted = np.mean([np.corrcoef(edges(a), edges(np.roll(b, (20, 25), (0, 1))))[0, 1] for a, b in gray])
    assert together > shifted + 0.15
    assert np.mean([np.abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) for a, b in gray]) < 0.8


def canvas_with_grass(sun_strength=1.0):
    camera = Camera(centre=100, horizon=20, focal=200, height=2)
    canvas = Canvas(160, 200, camera, Sun(1.0, 0.5, sun_strength), rgb(200, 200, 200), 1e6, np.random.default_rng(0))
    canvas.colour[:], canvas.heat[:] = rgb(90, 100, 60), 0.2
    return canvas


def test_a_camouflaged_person_is_seen_in_the_infrared_only():
    difference, warmth = {}, {}
    for camouflage in (0.0, 0.9):
        canvas = canvas_with_grass(sun_strength=0)
        before = canvas.colour.copy()
        person(canvas, np.random.default_rng(1), 0.0, 6.0, camouflage)
        difference[camouflage] = np.abs(canvas.colour - before).sum()
        warmth[camouflage] = canvas.heat.max()
    assert difference[0.9] < 0.5 * difference[0.0]
    assert warmth[0.9] > 0.85 and warmth[0.9] == pytest.approx(warmth[0.0])


def test_smoke_hides_from_the_eye_only():
    canvas = canvas_with_grass()
    person(canvas, np.random.default_rng(1), 0.0, 7.0)
    heat, colour = canvas.heat.copy(), canvas.colour.copy()
    smoke(canvas, np.random.default_rng(2), 0.0, 6.0, 1.5)
    np.testing.assert_array_equal(canvas.heat, heat)
    body = heat > 0.5
    assert np.abs(canvas.colour - colour)[body].mean() > 0.1


def test_shadows_fall_away_from_the_sun_and_need_one():
    lit = {}
    for strength in (0.0, 1.0):
        canvas = canvas_with_grass(strength)
        post = capsule((100, 60), (100, 120), 8, 8)
        canvas.shadow([post], 120, 60)
        lit[strength] = canvas.lit
    # Shear 1 and fall 0.5: what is 40 pixels above the ground falls 40 to the right and 20 down.
    assert lit[1.0][140, 140] < 0.5 and lit[1.0][140, 60] == 1
    assert lit[0.0][140, 140] == 1 and lit[0.0][120, 100] < 1   # without sun only where it touches the ground


def test_painting_is_clipped_at_the_borders_and_smooth():
    canvas = canvas_with_grass()
    canvas.paint([ellipse(0, 0, 30, 30)], rgb(255, 0, 0), 0.9, z=5, texture=0)
    assert canvas.heat[2, 2] > 0.7 and canvas.heat[80, 80] == pytest.approx(0.2)
    assert canvas.cover([ellipse(-500, -500, 10, 10)]) is None
    mask, _ = canvas.cover([ellipse(50.5, 50.5, 10, 10)])
    assert ((mask > 0.05) & (mask < 0.95)).sum() > 20
    assert mask.sum() == pytest.approx(np.pi * 100, rel=0.15)  # OpenCV's anti-aliasing swells it by half a pixel


def test_fractal_noise_is_normalised():
    for height, width, cell in ((64, 80, 16), (3, 5, 200), (40, 40, 1)):
        noise = fractal(np.random.default_rng(0), height, width, cell)
        assert noise.shape == (height, width) and noise.std() == pytest.approx(1, rel=1e-3)


def test_database_has_the_layout_of_kaist(tmp_path):
    write_database(tmp_path, 45, (16, 20), seed=1)
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob('*.jpg'))
    assert len(files) == 90
    assert {name.rsplit('/', 1)[0] for name in files} == {
        f'{part}/{kind}' for part in ('set00/V000', 'set00/V001', 'set01/V000') for kind in ('lwir', 'visible')}
    assert 'set01/V000/visible/I00004.jpg' in files and 'set01/V000/lwir/I00004.jpg' in files
    assert read_image(tmp_path / 'set00/V001/lwir/I00003.jpg').shape == (16, 20)
    visible = read_image(tmp_path / 'set00/V001/visible/I00003.jpg')
    expected = make_scene(1_000_000 + 23, 16, 20)[1]
    assert visible.shape == (16, 20, 3) and np.abs(visible.astype(int) - expected).mean() < 12  # JPEG


def test_database_with_other_files_is_refused(tmp_path):
    write_database(tmp_path, 3, (16, 20), seed=0)
    write_database(tmp_path, 3, (16, 20), seed=0)  # the same again is fine
    with pytest.raises(UserError, match='I00002.jpg.*choose another folder'):
        write_database(tmp_path, 2, (16, 20), seed=0)


def test_test_folders(tmp_path):
    gray, colour = write_test_folders(tmp_path, 4, seed=0)
    assert (gray, colour) == (tmp_path / 'scenes_gray', tmp_path / 'scenes_color')
    assert [path.name for path in list_images(gray / 'ir')] == ['IR1.png', 'IR2.png', 'IR3.png', 'IR4.png']
    assert [path.name for path in list_images(gray / 'vis')] == ['VIS1.png', 'VIS2.png', 'VIS3.png', 'VIS4.png']
    names = [path.name for path in list_images(colour / 'ir')]
    assert names == [path.name for path in list_images(colour / 'vis')] and names[0] == '00001.png'
    for folder, sizes, channels in ((gray, GRAY_TEST_SIZES, ()), (colour, COLOUR_TEST_SIZES, (3,))):
        found = [read_image(path).shape for path in list_images(folder / 'vis')]
        assert set(found) == {size + channels for size in sizes} and len(set(sizes)) == 3
        assert [shape[:2] for shape in found] == [read_image(path).shape for path in list_images(folder / 'ir')]


def run_make_scenes(*arguments):
    command = [sys.executable, str(REPOSITORY / 'make_scenes.py'), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_script(tmp_path):
    sizes = '--scenes', '2', '--test_pairs', '1', '--height', '24', '--width', '30'
    result = run_make_scenes('--folder', str(tmp_path), *sizes)
    assert result.returncode == 0, result.stderr
    assert str(tmp_path / 'database') in result.stdout and 'scenes_color' in result.stdout
    assert len(list((tmp_path / 'database').rglob('*.jpg'))) == 4
    assert len(list((tmp_path / 'images').rglob('*.png'))) == 4


def test_script_without_scenes_to_train_on(tmp_path):
    result = run_make_scenes('--folder', str(tmp_path), '--scenes', '0', '--test_pairs', '1')
    assert result.returncode == 0 and 'to train on' not in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ['images']


def test_script_refuses_nonsense_in_one_line(tmp_path):
    for arguments in (('--scenes', '-1'), ('--height', '4'), ('--colour', 'red'), ('--width', '5000')):
        result = run_make_scenes('--folder', str(tmp_path), *arguments)
        assert result.returncode == 1
        assert result.stderr.startswith('error: ') and result.stderr.count('\n') == 1, result.stderr
    assert not list(tmp_path.rglob('*.*'))
