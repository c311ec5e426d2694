"""A scene that is painted once, from far to near, and then photographed by an infrared and a visible camera.

Units: x to the right, y up and z ahead in metres; columns and rows in pixels. All numbers are float64: processors differ in the last bit of
what they compute, which at this precision does not reach the 8 bits of a picture. So a seed gives the same pictures on every machine.
"""
from collections import namedtuple

import cv2
import numpy as np

GAMMA = 2.2
SUBPIXEL_BITS = 4  # OpenCV's fixed-point coordinates
TILE = 256  # side of the square of noise that all textures are taken from
CIRCLE = np.array([(np.cos(turn), np.sin(turn)) for turn in np.arange(24) * np.pi / 12])

# light, sky_top, sky_low: linear RGB, without what lamps add; sight: metres until haze has swallowed two thirds of the contrast.
Weather = namedtuple('Weather', 'night shadows light sky_top sky_low sight')


def rgb(*values):
    """sRGB values of 0 to 255 as linear light of 0 to 1."""
    return (np.array(values) / 255) ** GAMMA


def mix(below, share, above):
    """`above` laid over `below`, hiding a share of it."""
    return below + share * (above - below)


class Scene:
    """A camera above flat ground, and what it sees in height×width×channels.

    `colour`: reflected share of light, `glow`: light sent out, `lamps`: light received from lamps, all linear RGB; `heat`: radiated warmth,
    0 cold to 1 hot. `rng` decides what is where, independently of the size.
    """

    def __init__(self, rng, weather: Weather, height: int, width: int):
        self.rng, self.weather = rng, weather
        self.eye = rng.uniform(1.6, 4.5)  # metres above the ground
        self.horizon, self.centre = height * (0.5 - 0.06 * self.eye), width * rng.uniform(0.4, 0.6)
        self.focal = max(height, 0.6 * width) * rng.uniform(1.05, 1.35)
        self.sunny_side = rng.choice([-1, 1])
        slope = -self.sunny_side * rng.uniform(0.5, 1.6), rng.uniform(-0.4, 0.3)
        self.shadow_slope = slope if weather.shadows else (0, 0.06)  # to the right and down, per unit of height
        self.rows, self.columns = np.arange(height)[:, None, None], np.arange(width)[None, :, None]
        self.colour, self.glow, self.lamps, self.heat = (np.zeros((height, width, channels)) for channels in (3, 3, 3, 1))
        frequency = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE))
        tile = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((TILE, TILE))) / np.maximum(frequency, 4 / TILE) ** 1.6)
        self.tile = tile / tile.std()
        self.grain, self.heat_grain = (self.noise(self.columns / height * 4 + shift, self.rows / height * 4) for shift in (0, 0.5))

        rise = np.clip(1 - self.rows / self.horizon, 0, 1)
        clouds = self.noise((self.columns - self.centre) / width / (rise + 0.3), 0.6 / (rise + 0.3)) * 0.5 + rng.uniform(-0.4, 0.5)
        clouds = np.clip(clouds, 0, 0.8) * np.sqrt(rise)
        self.glow += mix(mix(weather.sky_low, rise, weather.sky_top), clouds, weather.sky_low)  # the sky is a light, not a surface
        self.heat += 0.04 + 0.1 * (1 - rise) ** 3 + 0.03 * clouds

    def project(self, x, y, z):
        """Column and row of a point in the world."""
        return np.array([self.centre + self.focal * x / z, self.horizon + self.focal * (self.eye - y) / z])

    def noise(self, u, v):
        """Fractal noise h×w×1 of mean 0 and deviation 1, at u to the right and v down (broadcast); it repeats at every whole number."""
        u, v = (np.mod(along * TILE, TILE)[..., 0].astype(np.float32) for along in np.broadcast_arrays(u, v))
        return cv2.remap(self.tile, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)[..., None]

    def cover(self, polygons, margin=0):
        """The union of polygons: slices of the picture around it, and its mask h×w×1 of 0 to 1 there."""
        points, size = np.concatenate(polygons), self.heat.shape[1::-1]
        left, top = np.clip(points.min(0) - margin - 1, 0, np.subtract(size, 1)).astype(int)
        right, bottom = np.clip(points.max(0) + margin + 2, (left + 1, top + 1), size).astype(int)
        mask = np.zeros((bottom - top, right - left), np.uint8)
        for polygon in polygons:
            fixed_point = np.round((polygon - (left, top)) * 2 ** SUBPIXEL_BITS).astype(np.int32)
            cv2.fillPoly(mask, [fixed_point], 255, cv2.LINE_AA, SUBPIXEL_BITS)
        return (slice(top, bottom), slice(left, right)), mask[..., None] / 255

    def blend(self, where, mask, z, colour, heat, glow=0, hides_heat=1):
        """Lay a surface, z metres away, over what is there; `hides_heat`: how much of the warmth behind it holds back."""
        haze = self.weather.sky_low * (0.4 if self.weather.night else 0.9)
        colour = mix(haze, np.exp(-z / self.weather.sight), colour * np.maximum(1 + 0.07 * self.grain[where], 0))
        heat = heat * (1 + 0.04 * self.heat_grain[where])
        for layer, share, value in ((self.colour, mask, colour), (self.glow, mask, glow), (self.heat, mask * hides_heat, heat)):
            layer[where] = mix(layer[where], share, value)

    def stand(self, x, z, parts):
        """Paint a thing that stands at x, z, and its shadow. `parts`: (polygons in its own metres, then as for `blend`), back to front."""
        foot, scale = self.project(x, 0, z), self.focal / z
        placed = [[foot + polygon * (scale, -scale) for polygon in polygons] for polygons, *_ in parts]
        shadow = [polygon * (1, 0) + (0, foot[1]) + (foot[1] - polygon[:, 1:]) * self.shadow_slope for polygon in sum(placed, [])]
        softness = 0.6 + 0.03 * scale
        where, mask = self.cover(shadow, margin=2 * softness)
        self.colour[where] *= 1 - 0.6 * cv2.GaussianBlur(mask, (0, 0), softness)[..., None]
        for polygons, (_, colour, *more) in zip(placed, parts):
            where, mask = self.cover(polygons)
            self.blend(where, mask, z, colour * (1 + 0.2 * self.sunny_side * np.linspace(-1, 1, mask.shape[1])[:, None]), *more)

    def puff(self, x, z, y, wide, tall, colour, heat, solid, hides_heat):
        """Paint a ragged ball with two radii in metres; `solid`: how fast it gets dense from its edge inwards."""
        (column, row), scale = self.project(x, y, z), self.focal / z
        where, _ = self.cover([CIRCLE * (1.3 * wide * scale, 1.3 * tall * scale) + (column, row)])
        right, down = (self.columns[:, where[1]] - column) / (wide * scale), (self.rows[where[0]] - row) / (tall * scale)
        lumps = self.noise(right * 0.2 + self.rng.random(), down * tall / wide * 0.2 + self.rng.random())
        mask = np.clip((0.9 - np.hypot(right, down) - 0.16 * lumps) * solid, 0, 0.97)
        light = np.clip(0.75 - 0.3 * down + 0.25 * self.sunny_side * right + 0.22 * lumps, 0.15, 1.6)
        self.blend(where, mask, z, colour * light, heat + 0.035 * lumps, hides_heat=hides_heat)

    def lamp(self, x, y, z, wide, tall, light):
        """Let a lamp shine on what is around x, y, z, fading over two radii in metres."""
        (column, row), scale = self.project(x, y, z), self.focal / z
        self.lamps += light * np.exp(-((self.columns - column) / (wide * scale)) ** 2) * np.exp(-((self.rows - row) / (tall * scale)) ** 2)

    def photograph(self):
        """What the cameras record, uint8: infrared (height×width) with soft optics, and the stripes and the noise of its sensor; visible
        (height×width×3, RGB) with the glare of lamps, and noise that grows in the dark.
        """
        rng, night, (height, width, _) = self.rng, self.weather.night, self.heat.shape
        infrared = cv2.GaussianBlur(self.heat, (0, 0), 0.7 + 0.001 * height) - 0.02
        infrared = (infrared + 0.006 * rng.standard_normal(width) + 0.012 * rng.standard_normal((height, width))) / 0.8
        visible = self.colour * (self.weather.light + self.lamps) + self.glow
        if night:
            visible += 0.3 * cv2.GaussianBlur(self.glow, (0, 0), 0.5 + 0.015 * height)
        visible = np.clip(cv2.GaussianBlur(visible, (0, 0), 0.5), 0, 1) ** (1 / GAMMA)
        noise = 0.5 * rng.standard_normal(self.colour.shape) + rng.standard_normal(self.heat.shape)
        visible += (0.02 if night else 0.006) * noise
        return tuple(np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8) for picture in (infrared, visible))
