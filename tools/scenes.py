"""Synthetic pairs of registered infrared and visible pictures, for trying the project out and for its tests.

They are no substitute for real images: enough to see what fusion is for, and that training works. The visible camera
sees colour, light and shadow, and at night little more than lamps reach; the infrared camera sees warmth.
"""
from pathlib import Path
from typing import Dict, Tuple

import cv2
import numpy as np
from tqdm import tqdm

from tools.errors import UserError
from tools.images import luma, write_image
from tools.scene_canvas import GAMMA, Canvas
from tools.scene_places import Weather, field, random_weather, street

RENDER_SCALE = 2  # scenes are painted this much larger and averaged down, which smooths every edge
LARGE = 2_000_000  # pixels; from here on that would take more memory than it is worth
MIN_SIZE, MAX_SIZE = 8, 4096

SEQUENCE_LENGTH, SEQUENCES_PER_SET = 20, 2  # a database's folders: set00/V000, set00/V001, set01/V000, …
SEEDS_PER_RUN = 1_000_000  # scenes of different seeds, and of training and testing, never coincide
GRAY_TEST_SEEDS, COLOUR_TEST_SEEDS = 800_000, 900_000
GRAY_TEST_SIZES = ((256, 320), (288, 360), (235, 317))
COLOUR_TEST_SIZES = ((320, 400), (256, 341), (240, 320))


def make_scene(seed: int, height: int, width: int) -> Tuple[np.ndarray, np.ndarray]:
    """One scene as its two cameras see it: infrared (height×width uint8) and visible (height×width×3 uint8, RGB).

    The same seed and size give the same pair; another seed gives another scene. Raises UserError for sides below 8 or
    above 4096 pixels.
    """
    _check_size(height, width)
    plan, noise = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    weather = random_weather(plan)
    place = street if plan.random() < 0.6 else field
    scale = RENDER_SCALE if height * width < LARGE else 1
    canvas = place(plan, noise, weather, height * scale, width * scale)
    return _infrared(canvas, noise, weather, (width, height)), _visible(canvas, noise, weather, (width, height))


def write_database(folder, scenes: int, size: Tuple[int, int], seed: int) -> None:
    """Write `scenes` pairs of (height, width) to train on, in KAIST's layout: `set00/V000/{lwir,visible}/I00000.jpg`.

    Writing the same again is fine; UserError if the folder holds other files, which would be trained on too.
    """
    files = {}
    for index in range(scenes):
        sequence, frame = divmod(index, SEQUENCE_LENGTH)
        part = Path(folder) / f'set{sequence // SEQUENCES_PER_SET:02d}' / f'V{sequence % SEQUENCES_PER_SET:03d}'
        pair = part / 'lwir' / f'I{frame:05d}.jpg', part / 'visible' / f'I{frame:05d}.jpg'
        files[pair] = (SEEDS_PER_RUN * seed + index, *size)
    _write(folder, files, gray=False)


def write_test_folders(folder, pairs: int, seed: int) -> Tuple[Path, Path]:
    """Write two test sets of `pairs` pairs each, images of three sizes; returns their folders.

    `scenes_gray`: gray, in TNO's style, ir/IR1.png with vis/VIS1.png. `scenes_color`: the visible image in colour, in
    M3FD's style, ir/00001.png with vis/00001.png. UserError as for `write_database`.
    """
    gray, colour = Path(folder) / 'scenes_gray', Path(folder) / 'scenes_color'
    gray_files, colour_files = {}, {}
    for n in range(1, pairs + 1):
        pair = gray / 'ir' / f'IR{n}.png', gray / 'vis' / f'VIS{n}.png'
        gray_files[pair] = (SEEDS_PER_RUN * seed + GRAY_TEST_SEEDS + n, *GRAY_TEST_SIZES[n % 3])
        pair = colour / 'ir' / f'{n:05d}.png', colour / 'vis' / f'{n:05d}.png'
        colour_files[pair] = (SEEDS_PER_RUN * seed + COLOUR_TEST_SEEDS + n, *COLOUR_TEST_SIZES[n % 3])
    _write(gray, gray_files, gray=True)
    _write(colour, colour_files, gray=False)
    return gray, colour


def _write(folder, files: Dict[Tuple[Path, Path], Tuple[int, int, int]], gray: bool) -> None:
    """Make and write scenes: `files` maps (infrared path, visible path) to (seed, height, width)."""
    ours = {path for pair in files for path in pair}
    found = [path for path in Path(folder).rglob('*') if path.is_file() and not path.name.startswith('.')]
    others = [path for path in found if path not in ours]
    if others:
        raise UserError(f'{folder} holds other files, such as {min(others)}: choose another folder, or delete them')
    for _, height, width in files.values():
        _check_size(height, width)
    for (ir_path, visible_path), (seed, height, width) in tqdm(files.items(), desc=Path(folder).name, unit='scene'):
        infrared, visible = make_scene(seed, height, width)
        write_image(ir_path, infrared)
        write_image(visible_path, luma(visible) if gray else visible)


def _check_size(height: int, width: int) -> None:
    if not (MIN_SIZE <= min(height, width) and max(height, width) <= MAX_SIZE):
        raise UserError(f'a scene must be {MIN_SIZE} to {MAX_SIZE} pixels high and wide, not {height}×{width}')


def _visible(canvas: Canvas, noise, weather: Weather, size) -> np.ndarray:
    """What the visible camera records: light on surfaces, glare, blur, noise that grows in the dark."""
    light = weather.ambient + weather.sunshine * canvas.lit[..., None] + canvas.lamps
    light *= (0.55 + 0.45 * canvas.lit)[..., None]  # shadows lack some of the sky's light too
    picture = _shrink(canvas.colour * light + canvas.glow, size)
    if weather.night:
        glow = _shrink(canvas.glow, size)
        for strength, reach in ((0.35, 0.008), (0.12, 0.04)):  # glare near a lamp, and a halo
            picture += strength * cv2.GaussianBlur(glow, (0, 0), reach * size[1] + 0.5)
    picture = cv2.GaussianBlur(picture, (0, 0), 0.5)
    picture = np.clip(picture, 0, 1) ** (1 / GAMMA)
    coloured = noise.standard_normal(picture.shape, np.float32)
    gray = noise.standard_normal(picture.shape[:2], np.float32)[..., None]
    picture += (0.02 if weather.night else 0.006) * (0.5 * coloured + gray)
    return _eight_bits(picture)


def _infrared(canvas: Canvas, noise, weather: Weather, size) -> np.ndarray:
    """What the infrared camera records: warmth, soft optics, stripes and noise of the sensor, fitted contrast."""
    sun_warmth = 0.12 * float(weather.sunshine.mean()) * canvas.lit * (canvas.heat > 0.15)  # not on the sky
    picture = cv2.GaussianBlur(_shrink(canvas.heat + sun_warmth, size), (0, 0), 0.7 + 0.001 * size[1])
    stripes, grain = noise.standard_normal(size[0], np.float32), noise.standard_normal(picture.shape, np.float32)
    picture += 0.006 * stripes + 0.012 * grain
    low, high = 0.02, max(0.85, float(np.percentile(picture, 99.8)))
    return _eight_bits((picture - low) / (high - low))


def _shrink(layer: np.ndarray, size) -> np.ndarray:
    return cv2.resize(layer, size, interpolation=cv2.INTER_AREA)


def _eight_bits(picture: np.ndarray) -> np.ndarray:
    return np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
