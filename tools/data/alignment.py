"""Moving infrared images onto visible ones: one transform, and how it is applied."""
import math
from typing import NamedTuple

import cv2
import numpy as np

from tools.data.images import SIXTEEN_TO_EIGHT_BIT, luma

FOLDER, AFFINE, EACH = KINDS = 'folder', 'affine', 'each'  # one transform for all pairs, a general affine one, each pair's own
LARGEST_VALUE = 255
DIGITS = 5  # after the point, of a transform that was estimated
SEAM = 4  # pixels over which the infrared image passes into what fills its border


class Align(NamedTuple):
    """How infrared images are moved to lie where the visible ones show the same things.

    About the image's centre: turned by `angle`, made `scale` times as large, then moved by dx, dy. `stretch` and `shear`, for a general
    affine transform, come first: wider by √stretch and lower by as much, then each row moved right by `shear` times its y.
    """
    dx: float = 0.       # pixels of the visible image, to the right
    dy: float = 0.       # and down
    scale: float = 1.
    angle: float = 0.    # degrees, clockwise as one sees it
    stretch: float = 1.
    shear: float = 0.

    def matrix(self, shape):
        """2×3: where a pixel (x, y, 1) of an infrared image of `shape` (height, width) goes."""
        cos, sin = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        wider = math.sqrt(self.stretch)
        linear = self.scale * np.array([[cos, -sin], [sin, cos]]) @ [[wider, self.shear], [0, 1 / wider]]
        centre = _centre(shape)
        return np.column_stack([linear, centre + (self.dx, self.dy) - linear @ centre])

    def text(self):
        """For people: what is done to infrared images."""
        parts = [f'moved by ({self.dx:+.1f}, {self.dy:+.1f}) pixels']
        parts += [f'made {self.scale:.3f} times as large'] * (round(self.scale, 3) != 1)
        parts += [f'turned by {self.angle:+.2f}°'] * (round(self.angle, 2) != 0)
        parts += [f'stretched by {self.stretch:.3f}, sheared by {self.shear:+.3f}'] * ((self.stretch, self.shear) != (1, 0))
        return ', '.join(parts)

    def noted(self):
        """As JSON holds it: {name: number}, without those of an affine transform where there is none. `read_align` reads it."""
        return {name: value for name, value in self._asdict().items()
                if value != self._field_defaults[name] or name not in ('stretch', 'shear')}

    def rounded(self):
        """With as many digits as mean something."""
        return Align(*(round(float(value), DIGITS) for value in self))


def align_of_matrix(matrix, shape):
    """The Align whose matrix for images of `shape` is this 2×3 one; it must not mirror."""
    linear, centre = np.asarray(matrix)[:, :2], _centre(shape)
    turned, upper = np.linalg.qr(linear)
    signs = np.sign(np.diag(upper))
    turned, upper = turned * signs, upper * signs[:, None]
    scale = math.sqrt(upper[0, 0] * upper[1, 1])
    dx, dy = matrix @ [*centre, 1] - centre
    return Align(float(dx), float(dy), scale, math.degrees(math.atan2(turned[1, 0], turned[0, 0])),
                 float(upper[0, 0] / upper[1, 1]), float(upper[0, 1] / scale))


def read_align(content):
    """What `Align.noted` gave, or {file name: that} if each pair has its own. ValueError for anything else."""
    if not content or not isinstance(content, dict):
        raise ValueError(f'align must be numbers by the names {", ".join(Align._fields)}, not {content!r}')
    if all(isinstance(value, dict) for value in content.values()):
        return {name: read_align(value) for name, value in content.items()}
    unknown = set(content) - set(Align._fields)
    if unknown or not all(type(value) in (int, float) and math.isfinite(value) for value in content.values()):
        raise ValueError(f'align must be numbers by the names {", ".join(Align._fields)}, not {content!r}')
    align = Align(**content)
    if align.scale <= 0 or align.stretch <= 0:
        raise ValueError('the scale and stretch of align must be above 0')
    return align


def aligned(ir, visible, align):
    """An infrared image moved onto the visible one; where it has nothing to show then, the visible one's luma stands.

    ir: H×W or H×W×3. visible: of the same height and width. Each uint8, uint16, or float in 0…255. align: an Align, or None, which changes
    nothing.
    """
    if align is None:
        return ir
    size, matrix = ir.shape[1::-1], align.matrix(ir.shape)
    moved = cv2.warpAffine(ir, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    covered = cv2.warpAffine(np.ones(ir.shape[:2], np.float32), matrix, size, flags=cv2.INTER_LINEAR)
    # The picture's own edges are no seams: they count as covered.
    share = np.clip(2 * cv2.GaussianBlur(covered, (0, 0), SEAM / 2, borderType=cv2.BORDER_REPLICATE) - 1, 0, 1)
    filling = _in_range_of(luma(visible), ir.dtype)
    if ir.ndim == 3:
        share, filling = share[..., None], filling[..., None]
    mixed = share * moved + (1 - share) * filling
    return np.rint(mixed).astype(ir.dtype) if ir.dtype.kind == 'u' else mixed.clip(0, LARGEST_VALUE).astype(ir.dtype)


def _in_range_of(image, dtype):
    """Values of an image as float32, in the range of those that another type holds."""
    units = [SIXTEEN_TO_EIGHT_BIT if one == np.uint16 else 1 for one in (dtype, image.dtype)]
    return image.astype(np.float32) * (units[0] / units[1])


def _centre(shape):
    return (np.array(shape[1::-1]) - 1) / 2
