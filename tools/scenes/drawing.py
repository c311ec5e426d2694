"""A scene that is painted once, from far to near, and then photographed by an infrared and a visible camera.

Units: x to the right, y up and z ahead in metres; columns and rows in pixels. All numbers are float64: processors
differ in the last bit of what they compute, which at this precision does not reach the 8 bits of a picture. So a seed
gives the same pictures on every machine.
"""
from collections import namedtuple

import cv2
import numpy as np

GAMMA = 2.2
SUBPIXEL_BITS = 4  # OpenCV's fixed-point coordinates
TILE = 256  # side of the square of noise that all textures are taken from
CIRCLE = np.array([(np.cos(turn), np.sin(turn)) for turn in np.arange(24) * np.pi / 12])
BOX = np.array([(-1, 0), (1, 0), (1, 1), (-1, 1)])  # it stands on the ground

# light, sky_top, sky_low: linear RGB, without what lamps add; sight: metres until haze has
# swallowed two thirds of the contrast.
Weather = namedtuple('Weather', 'night shadows light sky_top sky_low sight')


def rgb(*values):
    """sRGB values of 0 to 255 as linear light of 0 to 1."""
    return (np.array(values) / 255) ** GAMMA


def mix(below, share, above):
    """`above` laid over `below`, hiding a share of it."""
    return below + share * (above - below)


class Scene:
    """A camera above flat ground, and what it sees, height×width×channels: `visible`, linear RGB, and `heat`, radiated
    warmth, 0 cold to 1 hot. `rng` decides what is where, independently of the size.
    """

    def __init__(self, rng, weather: Weather, height: int, width: int):
        self.rng, self.weather = rng, weather
        self.eye = rng.uniform(1.6, 3.5)  # metres above the ground
        self.horizon, self.centre = height * (0.5 - 0.06 * self.eye), width * rng.uniform(0.4, 0.6)
        self.focal = max(height, 0.6 * width) * rng.uniform(1.05, 1.35)
        # Where a metre to the right and a metre up lie in the shadow, to the right and down;
        # without sun it is under the thing.
        self.shadow = [(1, 0), (rng.uniform(-1.6, 1.6), 0.2)] if weather.shadows else [(0.6, 0), (0, 0.05)]
        self.rows, self.columns = np.arange(height)[:, None, None], np.arange(width)[None, :, None]
        frequency = np.maximum(np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)), 4 / TILE)
        tile = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((TILE, TILE))) / frequency ** 1.6)
        self.tile = tile / tile.std()
        self.grain = self.noise(self.columns / height * 4, self.rows / height * 4)
        rise = np.clip(1 - self.rows / self.horizon, 0, 1)
        clouds = np.clip(0.4 * self.noise(self.columns / width, 3 * self.rows / height) + rng.uniform(-0.3, 0.5), 0,
                         0.8) * np.sqrt(rise)
        self.visible = mix(mix(weather.sky_low, rise, weather.sky_top), clouds, weather.sky_low)
        self.heat = 0.04 + 0.1 * (1 - rise) ** 3 + 0.03 * clouds

    def project(self, x, y, z):
        """Column and row of a point in the world."""
        return np.array([self.centre + self.focal * x / z, self.horizon + self.focal * (self.eye - y) / z])

    def noise(self, u, v):
        """Fractal noise h×w×1 of mean 0 and deviation 1, at u to the right and v down (broadcast); it
        repeats at every whole number."""
        u, v = (np.mod(along * TILE, TILE)[..., 0].astype(np.float32) for along in np.broadcast_arrays(u, v))
        return cv2.remap(self.tile, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)[..., None]

    def cover(self, polygons, ragged=0):
        """The union of polygons: slices of the picture around it, and its mask h×w×1 of 0 to 1 there;
        `ragged`: pixels of its edge."""
        points, size = np.concatenate(polygons), self.heat.shape[1::-1]
        left, top = np.clip(points.min(0) - ragged - 1, 0, np.subtract(size, 1)).astype(int)
        right, bottom = np.clip(points.max(0) + ragged + 2, (left + 1, top + 1), size).astype(int)
        where, mask = (slice(top, bottom), slice(left, right)), np.zeros((bottom - top, right - left), np.uint8)
        for polygon in polygons:
            fixed_point = np.round((polygon - (left, top)) * 2 ** SUBPIXEL_BITS).astype(np.int32)
            cv2.fillPoly(mask, [fixed_point], 255, cv2.LINE_AA, SUBPIXEL_BITS)
        mask = mask[..., None] / 255
        if ragged:
            lumps = self.noise(self.columns[:, where[1]] / ragged / 6, self.rows[where[0]] / ragged / 6)
            mask = np.clip(4 * cv2.blur(mask, (int(ragged) + 1,) * 2)[..., None] * (1 + 0.3 * lumps) - 1, 0, 1)
        return where, mask

    def blend(self, where, mask, z, colour, heat, hides_heat=1):
        """Lay a surface, z metres away, over what is there; `hides_heat`: how much of the
        warmth behind it holds back."""
        light, clear = self.weather.light * (1 + 0.07 * self.grain[where]), np.exp(-z / self.weather.sight)
        self.visible[where] = mix(self.visible[where], mask, mix(0.8 * self.weather.sky_low, clear, colour * light))
        self.heat[where] = mix(self.heat[where], mask * hides_heat, heat)

    def stand(self, x, z, parts, hides_heat=1, ragged=0):
        """Paint a thing that stands at x, z, and its shadow. `parts`, back to front: (polygons in
        its own metres, colour, heat)."""
        foot, scale = self.project(x, 0, z), self.focal / z
        where, mask = self.cover([foot + scale * polygon @ self.shadow for polygons, *_ in parts
                                  for polygon in polygons], ragged * scale)
        self.visible[where] *= 1 - 0.6 * mask
        for polygons, *surface in parts:
            where, mask = self.cover([foot + polygon * (scale, -scale) for polygon in polygons], ragged * scale)
            self.blend(where, mask, z, *surface, hides_heat)

    def photograph(self):
        """What the cameras record, uint8: infrared (height×width) and visible (height×width×3, RGB), with
        the noise of their sensors."""
        rng, night, (height, width, _) = self.rng, self.weather.night, self.heat.shape
        # Which makes stripes
        infrared = cv2.GaussianBlur(self.heat, (0, 0), 0.7 + 0.001 * height) + 0.006 * rng.standard_normal(width)
        infrared = (infrared - 0.02 + 0.012 * rng.standard_normal((height, width))) / 0.8
        glare = 0.3 * night * cv2.GaussianBlur(self.visible, (0, 0), 0.5 + 0.015 * height)
        visible = np.clip(cv2.GaussianBlur(self.visible, (0, 0), 0.5) + glare, 0, 1) ** (1 / GAMMA)
        visible += (0.02 if night else 0.006) * (0.5 * rng.standard_normal(visible.shape)
                                                 + rng.standard_normal(self.heat.shape))
        return tuple(np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8) for picture in (infrared, visible))
