"""What synthetic scenes are painted with: a camera, noise, and a canvas that keeps colour, heat and light apart."""
from typing import NamedTuple, Sequence, Tuple

import cv2
import numpy as np

GAMMA = 2.2
SUBPIXEL_BITS = 4  # OpenCV's fixed-point coordinates
FAR_OUTSIDE = 1e5  # pixels; points are clipped here, before they overflow fixed point
NOISE_TILE = 512
AXIS = np.linspace(0, 2 * np.pi, 25)[:-1]
CIRCLE = np.stack([np.cos(AXIS), np.sin(AXIS)], 1)


def rgb(*values: float) -> np.ndarray:
    """sRGB values of 0 to 255 as linear reflectance of 0 to 1, float32."""
    return (np.array(values, np.float32) / 255) ** GAMMA


def ellipse(x: float, y: float, radius_x: float, radius_y: float) -> np.ndarray:
    """An ellipse as an N×2 polygon."""
    return CIRCLE * (radius_x, radius_y) + (x, y)


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """A rectangle as a 4×2 polygon."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)


def capsule(start: Sequence[float], end: Sequence[float], radius_start: float, radius_end: float) -> np.ndarray:
    """A limb: the hull of two circles, as an N×2 polygon."""
    circles = np.vstack([CIRCLE * radius_start + start, CIRCLE * radius_end + end]).astype(np.float32)
    return cv2.convexHull(circles)[:, 0].astype(float)


def fractal(rng: np.random.Generator, height: int, width: int, cell: float, octaves: int = 5) -> np.ndarray:
    """Fractal noise, height×width float32, with mean about 0 and standard deviation 1.

    `cell` is the size of its largest patches in pixels; each octave has patches half as large.
    """
    total = np.zeros((height, width), np.float32)
    weight = 1.0
    for _ in range(octaves):
        if cell < 1:
            break
        rows, columns = int(height / cell) + 3, int(width / cell) + 3
        grid = rng.standard_normal((rows, columns), np.float32)
        grown = cv2.resize(grid, None, fx=cell, fy=cell, interpolation=cv2.INTER_CUBIC) if cell > 1 else grid
        total += weight * grown[:height, :width]
        weight *= 0.6
        cell /= 2
    return total / max(float(total.std()), 1e-3)


class Camera(NamedTuple):
    """A pinhole camera that looks along a flat ground: x to the right, y up, z ahead, in metres; pictures in pixels."""
    centre: float   # column of the vanishing point
    horizon: float  # its row
    focal: float    # focal length in pixels
    height: float   # above the ground in metres

    def project(self, x: float, y: float, z: float) -> Tuple[float, float]:
        """Column and row of a point in the world."""
        return self.centre + self.focal * x / z, self.horizon + self.focal * (self.height - y) / z

    def scale(self, z: float) -> float:
        """Pixels per metre at the distance z."""
        return self.focal / z


class Sun(NamedTuple):
    """Where shadows fall, in metres of ground per metre of height: `shear` to the right, `fall` towards the camera."""
    shear: float
    fall: float
    strength: float  # 0 at night and under clouds, 1 in full sun


class Canvas:
    """The layers of one scene, all height×width of the canvas.

    colour: linear reflectance, 3 channels. heat: radiated warmth, 0 cold sky to 1 skin.
    glow: light sent out, 3 channels. lit: share of the sun's light that arrives (shadows).
    lamps: light received from lamps, 3 channels. noise: the generator of textures.
    """

    def __init__(self, height: int, width: int, camera: Camera, sun: Sun, haze: np.ndarray, sight: float,
                 noise: np.random.Generator):
        self.shape = height, width
        self.noise = noise
        self.camera, self.sun, self.haze, self.sight = camera, sun, haze, sight
        self.colour = np.zeros((height, width, 3), np.float32)
        self.heat = np.zeros((height, width), np.float32)
        self.glow = np.zeros((height, width, 3), np.float32)
        self.lamps = np.zeros((height, width, 3), np.float32)
        self.lit = np.ones((height, width), np.float32)
        # Two unlike textures, since what patterns a surface in one band seldom patterns it in the other.
        self.grain = fractal(noise, height, width, height / 20)
        self.heat_grain = fractal(noise, height, width, height / 12, octaves=4)

    def cover(self, polygons: Sequence[np.ndarray], margin: float = 0):
        """Union of polygons: (anti-aliased mask of 0 to 1, slices of the canvas it lies in); None if it is outside."""
        points = np.clip(np.vstack(polygons), -FAR_OUTSIDE, FAR_OUTSIDE)
        left, top = np.maximum(np.floor(points.min(0) - margin - 1).astype(int), 0)
        right, bottom = np.minimum(np.ceil(points.max(0) + margin + 2).astype(int), self.shape[::-1])
        if left >= right or top >= bottom:
            return None
        mask = np.zeros((bottom - top, right - left), np.uint8)
        for polygon in polygons:
            corners = np.clip(polygon, -FAR_OUTSIDE, FAR_OUTSIDE) - (left, top)
            fixed_point = np.round(corners * (1 << SUBPIXEL_BITS)).astype(np.int32)
            cv2.fillPoly(mask, [fixed_point], 255, cv2.LINE_AA, SUBPIXEL_BITS)
        return mask.astype(np.float32) / 255, (slice(top, bottom), slice(left, right))

    def hazed(self, colour: np.ndarray, z: float) -> np.ndarray:
        """A colour as it looks through z metres of air."""
        clear = np.exp(-z / self.sight)
        return colour * clear + self.haze * (1 - clear)

    def blend(self, mask: np.ndarray, where, colour: np.ndarray, heat, glow=0.0) -> None:
        """Lay a surface over what is there; colour and glow: (3,) or h×w×3, heat: a number or h×w, as `mask`."""
        soft = mask[..., None]
        self.colour[where] += soft * (colour - self.colour[where])
        self.glow[where] += soft * (glow - self.glow[where])
        self.heat[where] += mask * (heat - self.heat[where])
        self.lit[where] += mask * (1 - self.lit[where])

    def paint(self, polygons: Sequence[np.ndarray], colour: np.ndarray, heat: float, z: float, texture: float = 0.06,
              glow=0.0, round_shading: float = 0.0) -> None:
        """Paint polygons z metres away, with a grain, brighter towards the sun by `round_shading`."""
        covered = self.cover(polygons)
        if covered is None:
            return
        mask, where = covered
        shade = 1 + texture * self.grain[where]
        if round_shading:
            across = np.linspace(-1, 1, mask.shape[1], dtype=np.float32)
            shade = shade * (1 - np.sign(self.sun.shear) * round_shading * across)
        surface = self.hazed(colour * np.clip(shade, 0.2, 3)[..., None], z)
        self.blend(mask, where, surface, heat * (1 + 0.05 * self.heat_grain[where]), glow)

    def shadow(self, polygons: Sequence[np.ndarray], ground_row: float, size: float) -> None:
        """Cast the shadow of polygons, `size` pixels large, that stand on `ground_row`; darken where they touch it."""
        thrown = []
        for polygon in polygons:
            above = ground_row - polygon[:, 1]
            thrown.append(np.stack([polygon[:, 0] + above * self.sun.shear, ground_row + above * self.sun.fall], 1))
        self._darken(thrown, 0.85 * self.sun.strength, 0.02 * size)
        everything = np.vstack(polygons)
        left, right = everything[:, 0].min(), everything[:, 0].max()
        touch = ellipse((left + right) / 2, ground_row, (right - left) * 0.55, 0.05 * size)
        self._darken([touch], 0.5, 0.03 * size)

    def _darken(self, polygons: Sequence[np.ndarray], strength: float, softness: float) -> None:
        softness = max(softness, 0.6)
        covered = self.cover(polygons, margin=2 * softness)
        if covered is None or strength == 0:
            return
        mask, where = covered
        self.lit[where] *= 1 - strength * cv2.GaussianBlur(mask, (0, 0), softness)

    def add_light(self, x: float, y: float, radius_x: float, radius_y: float, colour: np.ndarray) -> None:
        """Lamp light that falls on things around (x, y), fading like a bell curve."""
        rows = np.exp(-0.5 * ((np.arange(self.shape[0], dtype=np.float32) - y) / radius_y) ** 2)
        columns = np.exp(-0.5 * ((np.arange(self.shape[1], dtype=np.float32) - x) / radius_x) ** 2)
        self.lamps += (rows[:, None] * columns)[..., None] * colour

    def warp(self, picture: np.ndarray, corners: np.ndarray, z: float, lit: float) -> None:
        """Lay a flat h×w×7 picture (colour, heat, glow) on a wall z metres away, which gets the share `lit` of the sun.

        corners: 4×2, where the picture's corners come to lie, from its top left clockwise.
        """
        covered = self.cover([corners])
        if covered is None:
            return
        mask, where = covered
        height, width = picture.shape[:2]
        source = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
        target = (corners - (where[1].start, where[0].start)).astype(np.float32)
        matrix = cv2.getPerspectiveTransform(source, target)
        size = mask.shape[::-1]
        # In two halves, since OpenCV warps four channels at most.
        surface = cv2.warpPerspective(picture[..., :4], matrix, size, borderMode=cv2.BORDER_REPLICATE)
        glow = cv2.warpPerspective(picture[..., 4:], matrix, size, borderMode=cv2.BORDER_REPLICATE)
        colour, heat = surface[..., :3], surface[..., 3]
        colour = colour * (1 + 0.08 * self.grain[where])[..., None]
        self.blend(mask, where, self.hazed(colour, z), heat * (1 + 0.06 * self.heat_grain[where]), glow)
        self.lit[where] += mask * (lit - 1)


def noise_on_ground(tile: np.ndarray, x: np.ndarray, z: np.ndarray, metres: float) -> np.ndarray:
    """Look up a square noise tile at x, z in metres (same shape); the tile covers `metres` and is mirrored beyond."""
    last = tile.shape[0] - 1
    columns, rows = (np.abs(np.mod(2 * along / metres + 1, 4) - 2) * (last / 2) for along in (x, z))
    return cv2.remap(tile, columns, rows, cv2.INTER_LINEAR)


def band(value: np.ndarray, low, high, softness) -> np.ndarray:
    """1 where low < value < high, 0 outside, with anti-aliased edges `softness` wide (the footprint of a pixel)."""
    return np.clip((value - low) / softness + 0.5, 0, 1) * np.clip((high - value) / softness + 0.5, 0, 1)


def covering(colour: np.ndarray, share: np.ndarray, over: np.ndarray) -> np.ndarray:
    """Mix `over` into `colour` by `share`; colours H×W×3 or (3,), share H×W."""
    return colour + share[..., None] * (over - colour)
