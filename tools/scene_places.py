"""Where synthetic scenes take place: weather, sky, ground, a street or a field, and what stands there.

`plan` draws what is where; textures have a generator of their own, so that the layout does not depend on their size.
"""
from typing import List, NamedTuple

import numpy as np

from tools import scene_objects as objects
from tools.scene_canvas import NOISE_TILE, Camera, Canvas, Sun, band, covering, fractal, noise_on_ground, rgb

FARTHEST_HAZE = 150  # metres; flat ground is not hazed further, or it would end in a white line

GREENS = [rgb(66, 92, 40), rgb(88, 100, 46), rgb(54, 78, 44), rgb(112, 98, 48)]
MEADOWS = [rgb(96, 104, 56), rgb(130, 118, 70), rgb(74, 88, 46), rgb(150, 130, 96)]
WHITE_PAINT = rgb(215, 213, 205)


class Weather(NamedTuple):
    """Light of a scene: `ambient` is what the sky gives, by night also the town; lamps come on top."""
    night: bool
    ambient: np.ndarray
    sunshine: np.ndarray
    sky_top: np.ndarray
    sky_low: np.ndarray
    sun: Sun
    sight: float  # metres until haze has swallowed two thirds of the contrast


def random_weather(plan) -> Weather:
    """Sunny, overcast, dusk or (most often, since fusion matters most there) night."""
    shear, fall = plan.choice([-1, 1]) * plan.uniform(0.5, 1.6), plan.uniform(-0.5, 0.35)
    kind = plan.choice(['sunny', 'overcast', 'dusk', 'night'], p=[0.3, 0.15, 0.15, 0.4])
    if kind == 'sunny':
        return Weather(False, rgb(120, 130, 150), rgb(225, 215, 190), rgb(90, 140, 205), rgb(200, 215, 230),
                       Sun(shear, fall, strength=1), sight=400)
    if kind == 'overcast':
        return Weather(False, rgb(215, 217, 222), rgb(60, 60, 60), rgb(165, 172, 182), rgb(205, 208, 212),
                       Sun(shear, fall, strength=0.3), sight=plan.uniform(60, 250))
    if kind == 'dusk':
        return Weather(False, rgb(92, 96, 118), rgb(150, 105, 75), rgb(70, 85, 125), rgb(225, 160, 115),
                       Sun(shear * 2, fall, strength=0.6), sight=250)
    dark = plan.uniform(0.5, 1.3)
    return Weather(True, rgb(62, 66, 84) * dark, rgb(0, 0, 0), rgb(8, 10, 20), rgb(34, 34, 42) * dark,
                   Sun(shear, fall, strength=0), sight=400)


def street(plan, noise, weather: Weather, height: int, width: int) -> Canvas:
    """A street with pavements, houses or trees on both sides, lamps, cars and people."""
    from_above = plan.random() < 0.25  # seen from a mast or a first floor instead of from a car
    if from_above:
        canvas = _under_sky(plan, noise, weather, (height, width), plan.uniform(0.05, 0.2), plan.uniform(5, 7))
    else:
        canvas = _under_sky(plan, noise, weather, (height, width), plan.uniform(0.36, 0.48), plan.uniform(1.5, 2.6))
    half = plan.uniform(3.2, 5.5)
    walk = half + plan.uniform(2, 3)
    _lay_street(canvas, plan, half, walk)
    _skyline(canvas, plan)
    _street_sides(canvas, plan, weather, walk)
    _traffic(canvas, plan, weather, half, walk)
    if weather.night and not from_above and plan.random() < 0.5:  # the headlights of the car that carries the cameras
        canvas.add_light(canvas.camera.centre, 0.75 * height, 0.3 * width, 0.15 * height, objects.WHITE_LIGHT * 0.25)
    return canvas


def field(plan, noise, weather: Weather, height: int, width: int) -> Canvas:
    """Open country: hills, meadow, perhaps a path, trees, a house, a vehicle, people and smoke."""
    canvas = _under_sky(plan, noise, weather, (height, width), plan.uniform(0.25, 0.45), plan.uniform(2, 4.5))
    ground = Ground(canvas)
    grass = MEADOWS[plan.integers(len(MEADOWS))] * plan.uniform(0.8, 1.2)
    bare = rgb(150, 125, 95) * plan.uniform(0.7, 1.1)
    bend = plan.uniform(-4, 4) + plan.uniform(-6, 6) * np.sin(ground.z / plan.uniform(8, 20))
    edge = plan.uniform(1, 2.2) + 0.3 * ground.coarse
    path = band(np.abs(ground.x - bend), -1, edge, np.maximum(ground.footprint, 0.4)) * (plan.random() < 0.7)
    patches = np.clip(0.5 * ground.coarse, 0, 1)
    colour = covering(covering(grass * np.ones_like(ground.z)[..., None], patches * 0.6, bare), path, bare)
    colour = colour * np.clip(1 + 0.18 * ground.coarse + 0.28 * ground.fine, 0.3, 2)[..., None]
    heat = (0.2 + 0.07 * path + 0.04 * patches) * (1 + 0.08 * ground.coarse + 0.08 * ground.fine)
    ground.lay(colour, heat)
    _hills(canvas, plan)
    _field_things(canvas, plan, weather)
    return canvas


class Ground:
    """The canvas below the horizon, as arrays of its rows×width.

    x, z: metres; footprint, along: a pixel's width and length in metres; coarse, fine: noise that lies on the ground.
    """

    def __init__(self, canvas: Canvas):
        camera, (height, width) = canvas.camera, canvas.shape
        self.canvas = canvas
        self.rows = slice(max(0, int(np.ceil(camera.horizon)) + 1), height)
        below = (np.arange(self.rows.start, height, dtype=np.float32) - camera.horizon)[:, None]
        self.z = camera.focal * camera.height / below * np.ones((1, width), np.float32)
        self.footprint = self.z / camera.focal
        self.along = np.maximum(self.footprint * self.z / camera.height, 0.01)
        self.x = (np.arange(width, dtype=np.float32) - camera.centre) * self.footprint
        tile = fractal(canvas.noise, NOISE_TILE, NOISE_TILE, NOISE_TILE / 8)
        grit = fractal(canvas.noise, NOISE_TILE, NOISE_TILE, 4)
        self.coarse = noise_on_ground(tile, self.x, self.z, metres=40)
        self.fine = noise_on_ground(grit, self.x, self.z, metres=7) * np.clip(1.2 - self.z / 30, 0.1, 1)

    def lay(self, colour: np.ndarray, heat: np.ndarray) -> None:
        """Put the ground on the canvas, seen through haze."""
        clear = np.exp(-np.minimum(self.z, FARTHEST_HAZE) / self.canvas.sight)[..., None]
        self.canvas.colour[self.rows] = colour * clear + self.canvas.haze * (1 - clear)
        self.canvas.heat[self.rows] = heat
        self.canvas.glow[self.rows] = 0


def _under_sky(plan, noise, weather, shape, horizon, camera_height) -> Canvas:
    """A canvas with nothing but the sky on it; `horizon` as a share of the height."""
    height, width = shape
    focal = max(height, 0.6 * width)
    camera = Camera(width * plan.uniform(0.4, 0.6), height * horizon, focal * plan.uniform(1.05, 1.35), camera_height)
    haze = weather.sky_low * (0.15 if weather.night else 0.9)
    canvas = Canvas(height, width, camera, weather.sun, haze, weather.sight, noise)
    rise = np.clip(1 - np.arange(height, dtype=np.float32) / max(camera.horizon, 1), 0, 1)[:, None]
    cloudy = fractal(canvas.noise, height, width, height / 3, octaves=6) * 0.5 + plan.uniform(-0.5, 0.5)
    clouds = np.clip(cloudy, 0, 1) * (0.2 if weather.night else 0.8)
    sky = weather.sky_low + rise[..., None] * (weather.sky_top - weather.sky_low)
    white = weather.sky_low * 0.9 + (0.0 if weather.night else 0.08)
    canvas.glow[:] = covering(sky, clouds * np.sqrt(rise), white)  # the sky is a light, not a surface
    canvas.heat[:] = 0.03 + 0.1 * (1 - rise) ** 3 + 0.04 * clouds
    return canvas


def _lay_street(canvas, plan, half, walk) -> None:
    """Grass, pavements from `half` to `walk` metres beside the middle, kerbs, asphalt and its markings."""
    ground = Ground(canvas)
    aside, soft = np.abs(ground.x), ground.footprint
    green = rgb(84, 98, 52) * plan.uniform(0.7, 1.3)
    paving = rgb(150, 145, 138) * plan.uniform(0.7, 1.1)
    asphalt = rgb(92, 92, 96) * plan.uniform(0.6, 1.2)
    pavement, road = band(aside, half, walk, soft), band(aside, -1, half, soft)
    colour = covering(green * (1 + 0.25 * ground.coarse + 0.2 * ground.fine)[..., None], pavement, paving)
    colour = covering(colour, band(aside, half, half + 0.18, soft), paving * 1.3)
    colour = covering(colour, road, asphalt)
    heat = 0.2 + 0.1 * pavement + 0.17 * road
    for share in _markings(plan, half, ground):
        colour = covering(colour, 0.85 * share, WHITE_PAINT)
        heat = heat - 0.05 * share
    tyres = band(np.abs(aside - half / 2), 0.5, 1.0, np.maximum(soft, 0.3))  # where wheels run: darker, and warmer
    colour = colour * (1 + 0.07 * ground.coarse + 0.07 * ground.fine - 0.08 * tyres)[..., None]
    heat = heat * (1 + 0.05 * ground.coarse + 0.04 * ground.fine) + 0.025 * tyres
    ground.lay(colour, heat)


def _markings(plan, half, ground) -> List[np.ndarray]:
    """White paint on the road: edge lines, a dashed middle, sometimes a zebra crossing; each as shares of pixels."""
    x, z, soft = ground.x, ground.z, ground.footprint
    dashes = band(np.mod(z + plan.uniform(0, 8), 8), 1, 5, ground.along)
    marks = [band(np.abs(x), half - 0.45, half - 0.3, soft), band(x, -0.07, 0.07, soft) * dashes]
    if plan.random() < 0.4:
        near = plan.uniform(7, 16)
        stripes = band(np.mod(x, 1.1), 0.25, 0.8, soft) * band(np.abs(x), -1, half - 0.6, soft)
        marks.append(stripes * band(z, near, near + 3.2, ground.along))
    return marks


def _skyline(canvas, plan) -> None:
    """Distant roofs and treetops along the horizon."""
    camera, width = canvas.camera, canvas.shape[1]
    for z, colour, heat, texture in ((260, rgb(95, 105, 110), 0.16, 0.1), (150, rgb(66, 84, 58), 0.2, 0.3)):
        columns = np.linspace(0, width, 160)
        metres = 8 + 4 * np.repeat(canvas.noise.standard_normal(40), 4) + 0.5 * canvas.noise.standard_normal(160)
        top = np.stack([columns, camera.horizon - np.abs(camera.scale(z) * metres) - 1], 1)
        shape = np.vstack([(0, camera.horizon + 2), top, (width, camera.horizon + 2)])
        canvas.paint([shape], colour * plan.uniform(0.7, 1.2), heat, z * 0.7, texture=texture)


def _street_sides(canvas, plan, weather, walk) -> None:
    """Houses, trees and lamps on both sides, from far to near."""
    for side in (-1, 1):
        wooded = plan.random() < 0.35
        stops = np.cumsum(np.r_[plan.uniform(5, 9), plan.uniform(8, 18, 6)])
        for near, far in list(zip(stops[:-1], stops[1:]))[::-1]:
            if wooded or plan.random() < 0.15:
                for z in np.linspace(far, near, 3):
                    _plant(canvas, plan, side * (walk + plan.uniform(1, 5)), z, plan.uniform(4, 9))
            else:
                objects.building(canvas, plan, side * (walk + 0.3), near, far, plan.uniform(5, 16), weather.night)
            if plan.random() < 0.3:
                _plant(canvas, plan, side * (walk - 0.6), (near + far) / 2, plan.uniform(3.5, 5.5))
            if plan.random() < 0.45:
                lit = weather.night and plan.random() < 0.6
                objects.lamp_post(canvas, plan, side * (walk - 0.4), near + 1, lit)


def _plant(canvas, plan, x, z, height) -> None:
    green = GREENS[plan.integers(len(GREENS))] * plan.uniform(0.8, 1.4)
    objects.tree(canvas, plan, x, z, height, green)


def _draw_far_to_near(canvas, plan, things) -> None:
    """things: (distance, function, its arguments after the canvas and the generator)."""
    for _, draw, arguments in sorted(things, key=lambda thing: -thing[0]):
        draw(canvas, plan, *arguments)


def _traffic(canvas, plan, weather, half, walk) -> None:
    """Cars and people on the street."""
    things = []
    for _ in range(plan.integers(0, 4)):
        oncoming, z = plan.random() < 0.5, plan.uniform(9, 45)
        things.append((z, objects.car_ahead, ((-half if oncoming else half) / 2, z, oncoming, weather.night)))
    if plan.random() < 0.25:
        z = plan.uniform(12, 25)
        things.append((z, objects.car_side, (plan.uniform(-3, 3), z)))
    for _ in range(plan.integers(2, 7)):
        z = plan.uniform(6.5, 26)
        on_pavement = plan.choice([-1, 1]) * plan.uniform(half + 0.3, walk)
        x = on_pavement if plan.random() < 0.6 else plan.uniform(-half, half)
        things.append((z, objects.person, (x, z)))
    _draw_far_to_near(canvas, plan, things)


def _hills(canvas, plan) -> None:
    """Rolling hills and a wood along the horizon."""
    camera, (height, width) = canvas.camera, canvas.shape
    columns = np.linspace(0, width, 80)
    for z, rise, rough, colour, heat in ((500, plan.uniform(0.05, 0.2), 0.006, rgb(100, 115, 110), 0.13),
                                         (200, plan.uniform(0.02, 0.1), 0.01, rgb(92, 105, 70), 0.17),
                                         (90, plan.uniform(0.02, 0.06), 0.014, rgb(58, 76, 42), 0.21)):
        wave = np.sin(columns / width * plan.uniform(2, 7) + plan.uniform(0, 6)) * 0.35 + 0.65
        top = camera.horizon - height * (rise * wave + rough * np.abs(canvas.noise.standard_normal(80)))
        shape = np.vstack([(0, camera.horizon + 2), np.stack([columns, top], 1), (width, camera.horizon + 2)])
        canvas.paint([shape], colour, heat, z * 0.6, texture=0.25)


def _field_things(canvas, plan, weather) -> None:
    """Trees, bushes, perhaps a house, a vehicle, people (half of them camouflaged) and smoke."""
    wide = canvas.shape[1] / canvas.camera.focal / 2  # half the view, in metres per metre of distance
    things = []
    for _ in range(plan.integers(8, 22)):
        z = plan.uniform(8, 80)
        tall = plan.uniform(4, 9) if plan.random() < 0.5 else plan.uniform(0.8, 2)
        things.append((z, _plant, (plan.uniform(-1.2, 1.2) * wide * z, z, tall)))
    if plan.random() < 0.4:
        z, side = plan.uniform(25, 45), plan.choice([-1, 1]) * plan.uniform(0.2, 0.6)
        things.append((z, objects.building, (side * wide * z, z, z + 9, plan.uniform(3, 6), weather.night)))
    if plan.random() < 0.55:
        z = plan.uniform(12, 30)
        things.append((z, objects.car_side, (plan.uniform(-0.7, 0.7) * wide * z, z, plan.random() < 0.7)))
    for _ in range(plan.integers(1, 6)):
        z = plan.uniform(7, 28)
        camouflage = plan.choice([0.0, 0.9])
        things.append((z, objects.person, (plan.uniform(-0.85, 0.85) * wide * z, z, camouflage)))
    if plan.random() < 0.3:
        z = plan.uniform(8, 14)
        things.append((z, objects.smoke, (plan.uniform(-0.6, 0.6) * wide * z, z, plan.uniform(1, 2.2))))
    _draw_far_to_near(canvas, plan, things)
