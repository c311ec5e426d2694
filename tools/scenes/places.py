"""Drawn scenes, a street or a track through open country, as an infrared and a visible camera see them.

They are no substitute for real images: enough to see what fusion is for, and that training works.
"""
import cv2
import numpy as np

from tools.errors import UserError
from tools.scenes.drawing import CIRCLE, Scene, Weather, mix, rgb

MIN_SIZE, MAX_SIZE = 8, 4096  # pixels

SUNNY = Weather(night=False, shadows=True, light=rgb(245, 242, 238), sky_top=rgb(90, 140, 205), sky_low=rgb(200, 215, 230), sight=400)
OVERCAST = Weather(night=False, shadows=False, light=rgb(218, 220, 225), sky_top=rgb(165, 172, 182), sky_low=rgb(205, 208, 212), sight=120)
DUSK = Weather(night=False, shadows=True, light=rgb(175, 145, 135), sky_top=rgb(70, 85, 125), sky_low=rgb(225, 160, 115), sight=250)
NIGHT = Weather(night=True, shadows=False, light=rgb(58, 62, 80), sky_top=rgb(8, 10, 20), sky_low=rgb(32, 32, 40), sight=400)
WEATHERS = SUNNY, SUNNY, OVERCAST, DUSK, NIGHT, NIGHT, NIGHT  # by night fusion matters most

CLOTHES = rgb([40, 44, 60], [120, 30, 34], [60, 70, 50], [150, 145, 140], [35, 35, 38], [180, 120, 40], [40, 80, 130], [95, 60, 45])
CAR_PAINTS = rgb([190, 192, 195], [30, 32, 36], [120, 20, 24], [28, 52, 100], [225, 225, 220], [150, 120, 60])
WALLS = rgb([150, 95, 75], [190, 175, 150], [160, 160, 158], [205, 195, 180], [175, 130, 95], [140, 150, 160])
GREENS = rgb([84, 112, 50], [104, 116, 54], [66, 94, 52], [130, 112, 56])
MEADOWS = rgb([96, 104, 56], [130, 118, 70], [74, 88, 46], [150, 130, 96])
EARTH, PAVING, ASPHALT, PAINT = rgb([150, 125, 95], [150, 145, 138], [88, 88, 92], [215, 213, 205])
HILL, SMOKE, BARK, SKIN, HAIR = rgb([95, 108, 100], [230, 230, 230], [80, 62, 48], [196, 150, 120], [40, 30, 25])
GLASS, RUBBER, METAL = rgb([60, 72, 84], [28, 28, 30], [70, 74, 78])
WARM_LIGHT, WHITE_LIGHT, RED_LIGHT = rgb([255, 190, 110], [255, 245, 225], [255, 40, 25])


def make_scene(seed: int, height: int, width: int):
    """One scene as its two cameras see it: infrared (height×width uint8) and visible (height×width×3 uint8, RGB).

    The same seed and size give the same pair, another seed another scene. Raises UserError for sides below 8 or above 4096 pixels.
    """
    if not (MIN_SIZE <= min(height, width) and max(height, width) <= MAX_SIZE):
        raise UserError(f'a scene must be {MIN_SIZE} to {MAX_SIZE} pixels high and wide, not {height}×{width}')
    rng = np.random.default_rng(seed)
    scene = Scene(rng, WEATHERS[rng.integers(len(WEATHERS))], height, width)
    for draw, x, z, *more in sorted(lay_out(scene, street=rng.random() < 0.6), key=lambda thing: -thing[2]):
        draw(scene, x, z, *more)
    return scene.photograph()


def lay_out(scene, street):
    """Paint the land. Returns what stands on it, as (function, x, z, further arguments)."""
    rng = scene.rng
    half = rng.uniform(3.2, 5.5) if street else 1.5
    walk = half + rng.uniform(2, 3)
    way = [(-1, half, 8, ASPHALT, 0.34), (half / 2 - 0.7, half / 2 + 0.7, 8, ASPHALT * 0.85, 0.37), (-1, 0.08, 4, PAINT, 0.3),
           (half - 0.45, half - 0.3, 8, PAINT, 0.3), (half, walk, 8, PAVING, 0.3), (half, half + 0.2, 8, PAVING * 1.3, 0.3)]
    paint_land(scene, way if street else [(-1, half, 8, EARTH, 0.27)], bend=0 if street else rng.uniform(-5, 5))
    nearest = scene.focal * scene.eye / (len(scene.rows) - scene.horizon)
    view = 0.45 * scene.columns.size / scene.focal  # metres to either side, per metre of distance
    things = [(car, side * half / 2, rng.uniform(2, 6) * nearest, side < 0) for side in rng.choice([-1, 1], rng.integers(1, 4))]
    for z in nearest * rng.uniform(1.3, 4, rng.integers(3, 8)):
        things.append((person, rng.uniform(-1, 1) * min(view * z, walk if street else np.inf), z))
    for side in (-1, 1):
        built = rng.choice([0.2, 0.9]) if street else 0.05
        stops = np.cumsum([rng.uniform(7, 11), *rng.uniform(8, 18, 6)])
        for near, far in zip(stops[:-1], stops[1:]):
            if rng.random() < built:
                things.append((house, side * (walk + 0.3), far, near, rng.uniform(5, 16)))
            else:
                for z in np.linspace(near, far, 3):
                    things.append((tree, side * (walk + rng.uniform(1, 5 if street else 12)), z, rng.choice([1.5, 5, 8])))
            if street and rng.random() < 0.6:
                things += [(street_lamp, side * (walk - 0.4), near + 1), (tree, side * (walk - 0.6), far - 2, rng.uniform(3, 5))]
    if not street and rng.random() < 0.5:
        things.append((smoke, rng.uniform(-1.5, 1.5) * view * nearest, 1.5 * nearest))
    return things


def paint_land(scene, strips, bend=0):
    """Paint hills, a meadow, and strips along the way: (metres from its middle: from, to; painted metres of every 8; colour; heat)."""
    where = slice(int(scene.horizon) + 1, None), slice(None)
    z = scene.focal * scene.eye / (scene.rows[where[0]] - scene.horizon)
    pixel = z / scene.focal
    x = (scene.columns - scene.centre) * pixel
    coarse, fine = scene.noise(x / 40, z / 40), scene.noise(x / 6, z / 6) * np.clip(1.2 - z / 30, 0.1, 1)
    aside = np.abs(x - bend * np.sin(z / 12)) + 0.05 * bend * coarse
    colour, heat = scene.rng.choice(MEADOWS) * (1 + 0.2 * coarse + 0.2 * fine), 0.2
    for low, high, painted, above, warmth in strips:
        share = np.clip((aside - low) / pixel + 0.5, 0, 1) * np.clip((high - aside) / pixel + 0.5, 0, 1) * (np.mod(z, 8) < painted)
        colour, heat = mix(colour, share, above), mix(heat, share, warmth)
    noise = 0.07 * coarse + 0.08 * fine
    scene.blend(where, 1, np.minimum(z, 150), colour * (1 + noise), heat * (1 + 0.5 * noise))  # hazed further, it would end in a white line

    for z, colour, tall, heat in ((300, HILL, 0.1, 0.13), (120, MEADOWS[0], 0.05, 0.17), (60, MEADOWS[2] * 0.7, 0.03, 0.21)):
        ridge = scene.noise(scene.columns / scene.columns.size / 2, np.full((1, 1, 1), z / 100))
        top = scene.horizon - len(scene.rows) * tall * scene.rng.uniform(0.4, 1.3) * np.maximum(0.6 + 0.3 * ridge, 0.1)
        scene.blend(..., np.clip(scene.rows - top, 0, 1) * (scene.rows <= scene.horizon + 1), z, colour, heat)


def limb(start, end, radius_start, radius_end):
    """The hull of two circles, as an N×2 polygon."""
    circles = np.concatenate([CIRCLE * radius_start + start, CIRCLE * radius_end + end])
    return cv2.convexHull(circles.astype(np.float32))[:, 0].astype(float)


def person(scene, x, z):
    """Someone who walks or stands, in clothes that let some of the body's warmth through."""
    tall, stride, swing, turn = scene.rng.uniform((1.55, 0.08, 0, -0.03), (1.9, 0.22, 0.1, 0.03))
    coat, trousers = scene.rng.choice(CLOTHES, 2, replace=False)
    legs, arms = ([limb((side * hip, high * tall), (side * out, low * tall), thick, thick / 2) for side in (-1, 1)]
                  for hip, high, out, low, thick in ((0.08, 0.5, stride, 0.025, 0.1), (0.16, 0.8, 0.26 - swing, 0.48, 0.07)))
    torso = [limb((0, 0.79 * tall), (0, 0.5 * tall), 0.17, 0.15), limb((0, 0.82 * tall), (0, 0.87 * tall), 0.07, 0.06)]
    head, hair = CIRCLE * (0.09, 0.115) + (turn, 0.93 * tall), CIRCLE * (0.085, 0.075) + (-turn, 0.96 * tall)
    scene.stand(x, z, [(legs, trousers, 0.66), (arms[:1], coat * 0.7, 0.7), (torso, coat, 0.74), (arms[1:], coat * 0.8, 0.68),
                       ([head], SKIN, 0.96), ([hair], HAIR, 0.8)])


def car(scene, x, z, oncoming):
    """A car with its engine running, and by night with its lamps on, seen from its front (`oncoming`) or its back."""
    def block(bottom, top, low, high, x=0):
        """A trapezium by its half widths and heights."""
        return np.array([(x - bottom, low), (x - top, high), (x + top, high), (x + bottom, low)])
    night, roof, paint = scene.weather.night, scene.rng.uniform(1.4, 1.75), scene.rng.choice(CAR_PAINTS)
    lamp, shine = (WHITE_LIGHT, 6) if oncoming else (RED_LIGHT, 1.5)
    hot = block(0.42, 0.42, 0.52, 0.72) if oncoming else block(0.1, 0.1, 0.2, 0.28, x=-0.4)  # radiator or exhaust
    scene.stand(x, z, [([block(0.13, 0.13, 0, 0.45, side) for side in (-0.7, 0.7)], RUBBER, 0.6),
                       ([block(0.85, 0.52, 0.85, roof)], paint * 0.85, 0.36), ([block(0.73, 0.46, 0.95, roof - 0.1)], GLASS, 0.22),
                       ([block(0.85, 0.9, 0.25, 0.6), block(0.9, 0.86, 0.6, 0.92)], paint, 0.44), ([hot], RUBBER, 0.9),
                       ([CIRCLE * (0.14, 0.085) + (side, 0.68) for side in (-0.66, 0.66)], lamp * 0.6, 0.6, lamp * shine * night)])
    scene.lamp(x, -0.4, z, 0.8 + 0.4 * shine, 1, lamp * 0.08 * shine * night)


def street_lamp(scene, x, z):
    """A lamp whose arm reaches over the road; most of them shine by night."""
    tall, arm, lit = scene.rng.uniform(4.5, 6), -np.sign(x), scene.weather.night * (scene.rng.random() < 0.7)
    post = [limb((0, 0), (0, tall), 0.08, 0.05), limb((0, tall), (arm, tall + 0.15), 0.045, 0.04)]
    scene.stand(x, z, [(post, METAL, 0.28), ([CIRCLE * (0.28, 0.09) + (arm, tall + 0.1)], PAINT, 0.3 + 0.4 * lit, WARM_LIGHT * 8 * lit)])
    scene.lamp(x + arm, 0, z, 4.5, 1.3, WARM_LIGHT * 0.45 * lit)
    scene.lamp(x + arm, 0.8 * tall, z, 2.5, 3.4, WARM_LIGHT * 0.25 * lit)


def house(scene, side, far, near, tall):
    """A house whose wall along the road is the plane x = `side`, with its front at z = `near`."""
    rng = scene.rng
    wall, (warmth, storey, step) = rng.choice(WALLS), rng.uniform((0.26, 2.8, 2.2), (0.42, 3.4, 3.2))
    sunny = 1 if side * scene.sunny_side < 0 else 0.6
    for start, end, shade in (((side + 12 * np.sign(side), near), (side, near), 0.8), ((side, near), (side, far), sunny)):
        way = np.subtract(end, start)
        length = np.abs(way).sum()

        def paint(left, right, low, high, *surface):
            """Paint a rectangle of the wall, from `left` to `right` metres along it."""
            corners = [(*(start + way * along / length), y) for along, y in ((left, low), (left, high), (right, high), (right, low))]
            scene.blend(*scene.cover([np.array([scene.project(x, y, z) for x, z, y in corners])]), (start[1] + end[1]) / 2, *surface)
        paint(0, length, 0, tall, wall * shade, warmth)
        for left in np.arange(0.5 * step, length - step, step):
            for low in np.arange(1, tall - 1.8, storey):
                light = WARM_LIGHT * rng.uniform(0.2, 0.9) * (scene.weather.night and rng.random() < 0.3)
                paint(left, left + 0.4 * step, low, low + 1.5, GLASS, 0.16, light)


def tree(scene, x, z, tall):
    """A tree; below 2.5 m it is a bush, through which some warmth is seen."""
    stem = 0.3 * tall if tall > 2.5 else 0
    wide, middle, half = scene.rng.uniform(0.3, 0.45) * tall * (1 if stem else 1.6), (tall + stem) / 2, (tall - stem) / 2
    green, dense = scene.rng.choice(GREENS), 1 if stem else 0.4
    crown, trunk = CIRCLE * (0.5 * wide, 0.6 * half) + (0, middle), limb((0, 0), (0.03 * tall, middle), 0.028 * tall, 0.015 * tall)
    scene.stand(x, z, [([crown], green * 0.5, 0.22, 0, dense), ([trunk], BARK, 0.3, 0, dense)])
    scene.puff(x, z, middle, wide, half, green, heat=0.22, solid=max(3, 0.2 * half * scene.focal / z), hides_heat=dense)


def smoke(scene, x, z):
    """It hides things from the eye, not from the infrared camera."""
    scene.puff(x, z, y=1, wide=3, tall=2, colour=SMOKE, heat=0, solid=2, hides_heat=0)
