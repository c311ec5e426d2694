"""Drawn scenes: the same everywhere, of any size, with what fusion is for in them, and written where others look."""
import hashlib
import os
import subprocess
import sys
import warnings

import cv2
import numpy as np
import pytest
from conftest import REPOSITORY

from tools.base.errors import UserError
from tools.data.images import list_images, luma, read_image
from tools.scenes.drawing import Scene
from tools.scenes.folders import TEST_SIZES, write_database, write_test_folders
from tools.scenes.places import NIGHT, SUNNY, car, make_scene, paint_land, person, smoke, tree

MANY = range(24)
HOT = 180  # in the infrared picture: people, and the warmest parts of cars


@pytest.fixture(scope='module')
def scenes():
    return [make_scene(seed, 96, 120) for seed in MANY]


def drawn(weather, *things):
    """A meadow with things on it -> (infrared, visible); each thing: a function and its arguments after the scene."""
    scene = Scene(np.random.default_rng(0), weather, 192, 240)
    scene.eye, scene.horizon, scene.centre, scene.focal = 2, 60, 120, 240
    paint_land(scene, [])
    for draw, *arguments in things:
        scene.rng = np.random.default_rng(1)
        draw(scene, *arguments)
    scene.rng = np.random.default_rng(99)  # the noise of the sensors
    infrared, visible = scene.photograph()
    return infrared.astype(int), visible.astype(int)


def digest(seeds):
    pictures = [picture.tobytes() for seed in seeds for picture in make_scene(seed, 120, 160)]
    return hashlib.sha256(b''.join(pictures)).hexdigest()


# One scene

def test_same_seed_gives_the_same_scene_and_other_seeds_others(scenes):
    for seed in (0, 5):
        for again, first in zip(make_scene(seed, 96, 120), scenes[seed]):
            np.testing.assert_array_equal(again, first)
    for modality in (0, 1):
        assert len({pair[modality].tobytes() for pair in scenes}) == len(scenes)


def test_a_processor_without_vector_instructions_draws_the_same():
    environment = dict(os.environ, NPY_DISABLE_CPU_FEATURES='SSE42 AVX F16C FMA3 AVX2 AVX512F',
                       OPENCV_CPU_DISABLE='SSE4.1,SSE4.2,AVX,FP16,AVX2,FMA3',
                       PYTHONPATH=os.pathsep.join([str(REPOSITORY), str(REPOSITORY / 'tests' / 'scenes'), str(REPOSITORY / 'tests')]))
    command = [sys.executable, '-c', 'import test_scenes; print(test_scenes.digest(range(12)))']
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.stdout.strip() == digest(range(12)), result.stderr


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


def test_what_is_where_does_not_depend_on_the_size(scenes):
    alike = []
    for seed in MANY:
        larger = cv2.resize(luma(make_scene(seed, 192, 240)[1]), (120, 96), interpolation=cv2.INTER_AREA)
        alike.append(np.corrcoef(larger.ravel(), luma(scenes[seed][1]).ravel())[0, 1])
    assert np.median(alike) > 0.85


# What the two cameras see

def test_every_scene_has_warm_things_on_a_cool_background(scenes):
    for infrared, _ in scenes:
        assert np.median(infrared) < 120 and (infrared > HOT).sum() > 5


def test_visible_is_in_colour_by_day_and_some_scenes_are_at_night(scenes):
    nights = [visible for _, visible in scenes if visible.mean() < 70]
    days = [visible for _, visible in scenes if visible.mean() >= 70]
    assert len(nights) >= 6 and len(days) >= 6
    for visible in days:
        assert (visible.max(2).astype(int) - visible.min(2)).mean() > 3


def test_the_two_pictures_are_registered_but_unlike(scenes):
    """Edges coincide more often than by chance, and the pictures still differ: each holds what the other lacks."""
    def edges(picture):
        smooth = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 1.5)
        return np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)).ravel()

    gray = [(infrared, luma(visible)) for infrared, visible in scenes]
    together = np.mean([np.corrcoef(edges(a), edges(b))[0, 1] for a, b in gray])
    shifted = np.mean([np.corrcoef(edges(a), edges(np.roll(b, (20, 25), (0, 1))))[0, 1] for a, b in gray])
    assert together > shifted + 0.15
    assert np.mean([np.abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) for a, b in gray]) < 0.8


def test_a_person_in_the_dark_is_plain_in_the_infrared_only():
    empty, peopled = drawn(NIGHT), drawn(NIGHT, (person, 0, 6))
    body = peopled[0] > HOT
    assert body.sum() > 300 and not (empty[0] > HOT).any()
    infrared, visible = (np.abs(after - before)[body].mean() for before, after in zip(empty, peopled))
    assert infrared > 100 and visible < 40


def test_smoke_hides_a_person_from_the_eye_only():
    behind, smoke_alone, clear = drawn(SUNNY, (person, 0, 7), (smoke, 0, 5)), drawn(SUNNY, (smoke, 0, 5)), drawn(SUNNY, (person, 0, 7))
    body = clear[0] > HOT
    np.testing.assert_array_equal(behind[0], clear[0])
    assert np.abs(behind[1] - smoke_alone[1])[body].mean() < 10 < 40 < np.abs(behind[1] - clear[1])[body].mean()


def test_a_person_glimmers_through_a_bush():
    bush = tree, 0, 6, 1.5
    body = drawn(SUNNY, (person, 0, 7))[0] > HOT
    warmer = drawn(SUNNY, (person, 0, 7), bush)[0] - drawn(SUNNY, bush)[0]
    assert np.percentile(warmer[body], 5) > 20


def test_shadows_are_seen_by_the_visible_camera_only_and_need_the_sun():
    darkened = {}
    for weather in (SUNNY, SUNNY._replace(shadows=False)):
        (infrared, visible), (bare_infrared, bare) = drawn(weather, (person, 0, 6)), drawn(weather)
        # On the ground
        darkened[weather.shadows] = ((bare - visible).min(axis=2) > 15)[infrared == bare_infrared].sum()
    assert darkened[True] > 100 > 2 * darkened[False]


def test_lamps_light_up_what_is_near_by_night_only():
    (_, lit), (_, dark) = drawn(NIGHT, (car, 0, 8, True)), drawn(NIGHT)
    ground = slice(150, 160), slice(100, 140)  # before the car
    assert (lit - dark)[ground].mean() > 20
    (_, day), (_, bare) = drawn(SUNNY, (car, 0, 8, True)), drawn(SUNNY)
    assert (day - bare)[ground].max() <= 0


def test_a_lamp_glares_by_night_only():
    """One bright point: by night the camera sees a halo around it, wider than the point."""
    halo = {}
    for weather in (SUNNY, NIGHT):
        scene = Scene(np.random.default_rng(0), weather, 192, 240)
        scene.visible[:] = 0
        scene.visible[90:100, 110:120] = 100
        _, visible = scene.photograph()
        halo[weather.night] = int(visible[95, 124].min()) - int(visible[20:40].max())
    assert halo[True] > 100 and halo[False] <= 0


# Folders

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
    assert [path.name for path in list_images(gray / 'vi')] == ['VIS1.png', 'VIS2.png', 'VIS3.png', 'VIS4.png']
    names = [path.name for path in list_images(colour / 'ir')]
    assert names == [path.name for path in list_images(colour / 'vi')] and names[0] == '00001.png'
    for folder, channels in ((gray, ()), (colour, (3,))):
        found = [read_image(path).shape for path in list_images(folder / 'vi')]
        assert set(found) == {size + channels for size in TEST_SIZES} and len(set(TEST_SIZES)) == 3
        assert [shape[:2] for shape in found] == [read_image(path).shape for path in list_images(folder / 'ir')]


def run_make_scenes(*arguments):
    return subprocess.run([sys.executable, '-m', 'tools.scenes', *arguments], cwd=REPOSITORY, capture_output=True, text=True)


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
        assert 'setting' in result.stderr or '(see python -m tools.scenes --help)' in result.stderr or '5000' in result.stderr
    assert not list(tmp_path.rglob('*.*'))
