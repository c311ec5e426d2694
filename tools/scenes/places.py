"""Drawn scenes, a street or open country: no substitute for real images, but enough to see what fusion is
for, and that training works."""
import numpy as np

from tools.base.errors import UserError
from tools.scenes.drawing import BOX, CIRCLE, Scene, Weather, mix, rgb

MIN_SIZE, MAX_SIZE = 8, 4096  # pixels

SUNNY = Weather(night=False, shadows=True, light=rgb(245, 242, 238), sky_top=rgb(90, 140, 205),
                sky_low=rgb(200, 215, 230), sight=400)
OVERCAST = Weather(night=False, shadows=False, light=rgb(218, 220, 225), sky_top=rgb(165, 172, 182),
                   sky_low=rgb(205, 208, 212), sight=120)
NIGHT = Weather(night=True, shadows=False, light=rgb(62, 66, 84), sky_top=rgb(8, 10, 20), sky_low=rgb(32, 32, 40),
                sight=400)

# And what cars are painted with
CLOTHES = rgb([40, 44, 60], [120, 30, 34], [60, 70, 50], [150, 145, 140], [180, 120, 40], [40, 80, 130])
WALLS = rgb([150, 95, 75], [190, 175, 150], [160, 160, 158], [140, 150, 160])
GREENS = rgb([84, 112, 50], [104, 116, 54], [66, 94, 52], [130, 112, 56])
EARTH, PAVING, ASPHALT, GLASS, BLACK = rgb([150, 125, 95], [150, 145, 138], [88, 88, 92], [60, 72, 84], [28, 28, 30])
WHITE, RED, ORANGE, SKIN = rgb([232, 230, 226], [255, 40, 25], [255, 190, 110], [196, 150, 120])


def make_scene(seed: int, height: int, width: int):
    """One scene as its two cameras see it: infrared (height×width uint8) and visible (height×width×3 uint8, RGB).

    The same seed and size give the same pair, another seed another scene. Raises UserError for
    sides below 8 or above 4096 pixels.
    """
    if not (MIN_SIZE <= min(height, width) and max(height, width) <= MAX_SIZE):
        raise UserError(f'a scene must be {MIN_SIZE} to {MAX_SIZE} pixels high and wide, not {height}×{width}')
    rng = np.random.default_rng(seed)
    scene = Scene(rng, (SUNNY, OVERCAST, NIGHT, NIGHT)[rng.integers(4)], height, width)  # by night fusion matters most
    street = rng.random() < 0.6
    half, walk = 4 if street else 1.5, 6.5
    way = [(-1, half, 8, ASPHALT, 0.34), (-1, 0.08, 4, WHITE, 0.3), (half, walk, 8, PAVING, 0.3)]
    paint_land(scene, way if street else [(-1, half, 8, EARTH, 0.27)])
    things: list = [(car, side * half / 2, rng.uniform(9, 30), side < 0)
                    for side in rng.choice([-1, 1], rng.integers(1, 4))]
    things += [(person, rng.uniform(-1, 1) * min(0.4 * z, walk), z) for z in rng.uniform(5.5, 18, rng.integers(3, 8))]
    for side in (-1, 1):
        for far in np.arange(20, 90, 12):
            if street and rng.random() < 0.75:
                things += [(house, side * walk, far), (tree, side * (walk - 0.6), far - rng.uniform(0, 12),
                                                       rng.choice([1.5, 4]))]
            else:
                things += [(tree, side * (walk + rng.uniform(0, 8)), z, rng.choice([1.5, 5, 8]))
                           for z in far - rng.uniform(0, 12, 3)]
    if not street and rng.random() < 0.5:
        things.append((smoke, rng.uniform(-3, 3), rng.uniform(7, 9)))
    for draw, x, z, *more in sorted(things, key=lambda thing: -thing[2]):
        draw(scene, x, z, *more)
    return scene.photograph()


def paint_land(scene, strips):
    """Paint a hill, a meadow, and strips along the way: (metres from its middle: from, to; painted
    metres of every 8; colour; heat)."""
    colour, heat = scene.rng.choice(GREENS), 0.2
    ridge = scene.horizon - len(scene.rows) * (0.06 + 0.024 * scene.noise(scene.columns / scene.columns.size / 2, 0))
    scene.blend(..., np.clip(scene.rows - ridge, 0, 1), 250, colour * 0.5, 0.15)
    where = slice(int(scene.horizon) + 1, None), slice(None)
    z = scene.focal * scene.eye / (scene.rows[where[0]] - scene.horizon)
    x, pixel = (scene.columns - scene.centre) * z / scene.focal, z / scene.focal
    for low, high, painted, above, warmth in strips:
        share = np.clip((abs(x) - low) / pixel + 0.5, 0,
                        1) * np.clip((high - abs(x)) / pixel + 0.5, 0, 1) * (np.mod(z, 8) < painted)
        colour, heat = mix(colour, share, above), mix(heat, share, warmth)
    noise = 1 + 0.1 * scene.noise(x / 40, z / 40) + 0.1 * scene.noise(x / 6, z / 6) * np.clip(1.2 - z / 30, 0.1, 1)
    # Hazed further, it would end in a white line
    scene.blend(where, 1, np.minimum(z, 150), colour * noise, heat * np.sqrt(noise))


def person(scene, x, z):
    """Someone who stands there, in clothes that let some of the body's warmth through."""
    tall, stride = scene.rng.uniform((1.55, 0.09), (1.9, 0.16))
    coat, trousers = scene.rng.choice(CLOTHES, 2, replace=False)
    legs = [BOX * (0.08, 0.5 * tall) + (side * stride, 0) for side in (-1, 1)]
    torso = [BOX * (0.23, 0.37 * tall) + (0, 0.44 * tall), CIRCLE * (0.23, 0.08) + (0, 0.81 * tall)]
    scene.stand(x, z, [(legs, trousers, 0.66), (torso, coat, 0.74),
                       ([CIRCLE * (0.1, 0.13) + (0, 0.93 * tall)], SKIN, 0.96)])


def car(scene, x, z, oncoming):
    """A car with its engine running, and by night with its lamps on, seen from its front (`oncoming`) or its back."""
    night, paint = scene.weather.night, scene.rng.choice(CLOTHES)
    lamp, reach = (WHITE, 4) if oncoming else (RED, 1.5)  # metres
    wheels = [BOX * (0.13, 0.5) + (side, 0) for side in (-0.7, 0.7)]
    lights = [CIRCLE * (0.14, 0.09) + (side, 0.68) for side in (-0.66, 0.66)]
    (column, row), scale = scene.project(x, -0.4, z), scene.focal / z
    away = np.hypot((scene.columns - column) / reach, scene.rows - row) / scale
    scene.visible *= 1 + 0.15 * night * reach * lamp / scene.weather.light * np.exp(-away ** 2)
    scene.stand(x, z, [(wheels, BLACK, 0.6), ([CIRCLE * (0.75, 0.7) + (0, 0.85)], paint * 0.8, 0.4),
                       ([CIRCLE * (0.62, 0.55) + (0, 0.87)], GLASS, 0.22),
                       ([BOX * (0.88, 0.65) + (0, 0.27)], paint, 0.44), ([BOX * (0.42, 0.2) + (0, 0.5)], BLACK, 0.9),
                       (lights, lamp * (100 if night else 0.6), 0.6)])


def house(scene, side, far):
    """A house of 12 m whose wall along the road is the plane x = `side`, and ends at z = `far`."""
    rng, wall, tall = scene.rng, scene.rng.choice(WALLS), scene.rng.uniform(5, 16)
    for wide, deep, shade in ((2 * side, 0, 0.7), (0, 12, 1)):  # its front, and its wall along the road
        windows = [(left, left + 0.1, low, low + 1.5,
                    GLASS + scene.weather.night * ORANGE * max(rng.uniform(-30, 20), 0), 0.16)
                   for left in np.arange(0.08, 0.9, 0.22) for low in np.arange(1, tall - 1.8, 3)]
        for left, right, low, high, *surface in [(0, 1, 0, tall, wall * shade, 0.35), *windows]:
            corners = [scene.project(side + wide * along, y, far - 12 + deep * along)
                       for along, y in ((left, low), (left, high), (right, high), (right, low))]
            scene.blend(*scene.cover([np.array(corners)]), far, *surface)


def tree(scene, x, z, tall):
    """A tree; below 2.5 m it is a bush, through which some warmth is seen."""
    half, wide, hides_heat = (0.35 * tall, 0.4 * tall, 1) if tall > 2.5 else (0.5 * tall, 0.6 * tall, 0.4)
    green = scene.rng.choice(GREENS)
    crown = [([CIRCLE * (wide, half) * size + (0, tall - half * size)], green * shade, 0.22)
             for size, shade in ((1, 0.5), (0.7, 1))]
    scene.stand(x, z, [([BOX * (0.025 * tall, tall - half)], EARTH * 0.3, 0.3)], hides_heat)
    scene.stand(x, z, crown, hides_heat, ragged=0.25 * tall)


def smoke(scene, x, z):
    """It hides things from the eye, not from the infrared camera."""
    puffs = [([CIRCLE * size + (right, 1)], WHITE * shade, 0)
             for right, size, shade in ((-1, 1.4, 0.4), (1, 1.6, 0.5), (0, 1.7, 0.7))]
    scene.stand(x, z, puffs, hides_heat=0, ragged=1.5)
