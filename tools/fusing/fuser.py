"""Fusing arrays from Python, in three lines:

    from tools.fusing.fuser import load_fuser
    fuser = load_fuser()  # the newest run, else the weights that come with the repository; or load_fuser(FOLDER)
    fused = fuser(ir, vi)
"""
import ctypes
import sys
from typing import Dict, NamedTuple

import numpy as np

from network.net_conv_trans import EPSILON, to_windows
from network.strips import fuse_pair
from network.transformer_cam import cross_atten
from tools.base.errors import UserError
from tools.data.alignment import EACH, aligned
from tools.data.displacement import sure_align
from tools.data.images import SIXTEEN_TO_EIGHT_BIT, luma, rgb_to_ycrcb, ycrcb_to_rgb
from tools.runtime import jt, ran_out_of_memory, usual_jittor
from tools.weights.fusion import RUNS, FusionModel, load_fusion_model

SMALLEST = 8  # pixels: one deep feature
FEW = 0.002  # of the pixels, half at each end of the range …
MOST = 0.5  # … should not take more of it
LARGEST_VALUE = 255


class Fused(NamedTuple):
    image: np.ndarray            # H×W or H×W×3 uint8
    maps: Dict[str, np.ndarray]  # CAM's 'ir_self', 'vi_self', 'cross', each (128, H//8, W//8); none for a constant pair
    doubt: str = ''              # what is wrong with the result, as far as can be seen from it


def load_fuser(model=None, auto_ir=None, auto_vi=None, epoch=None, runs=RUNS, deep_shares=None, align=None) -> 'Fuser':
    """A `Fuser` with the weights that `tools.weights.fusion.load_fusion_model` finds for these arguments.

    align: how infrared images are moved before they are fused, a `tools.data.alignment.Align`; 'each': as each pair's
    edges say. It computes on the CPU unless `tools.runtime.use_device(cuda=True)` was called.
    Raises UserError if weights are missing or unsuitable.
    """
    with usual_jittor():
        return Fuser(load_fusion_model(model, auto_ir, auto_vi, epoch, runs, deep_shares), align)


class Fuser:
    """Fuses an infrared and a visible image: `fused = fuser(ir, vi)`."""

    def __init__(self, model: FusionModel, align=None):
        self.model, self.align = model, align
        return_memory()  # that reading the weights took

    def __call__(self, ir, vi):
        """The fused image, uint8 of the shape of `vi`.

        ir, vi: H×W gray or H×W×3 RGB, of one height and width, at least 8×8; uint8, uint16, or float in 0…255.
        Of colour images the luma is fused. If `vi` is in colour, so is the result, with the chroma of `vi`.
        Raises UserError for arrays of another kind, if the weights give values that are not numbers, or where a pair
        is to be aligned by itself and does not say surely how.
        """
        return self.fuse(ir, vi).image

    def fuse(self, ir, vi) -> Fused:
        """As `fuser(ir, vi)`, with CAM's maps beside the image, and what is doubtful about it."""
        vi, *values = self._prepared(ir, vi)
        if all(map(is_constant, values)):
            # The network's normalisation would blow up rounding errors. Its training target is the brighter one.
            fused, maps, doubt = np.maximum(*values), {}, ''
        else:
            fused, maps = self._through_network(*values)
            doubt = self._doubt(fused)
        return Fused(_as_picture(fused, vi), maps, doubt)

    def unscaled(self, ir, vi) -> Fused:
        """As `fuse`, but the image is what the network gives before it is stretched: H×W float32, values of any size.

        `scaled` makes a picture of it: with the same limits for all frames of a video, they do not flicker.
        """
        _, *values = self._prepared(ir, vi)
        if all(map(is_constant, values)):
            raise UserError('each image has a single value throughout, so this frame cannot share the range of the '
                            'others')
        fused, maps = self._through_network(*values, normalize=False)
        return Fused(fused, maps, self._doubt(_stretched(fused, fused.min(), fused.max())))

    def attention(self, ir, vi):
        """Where the cross-attention looks: {'ir': what infrared patches take from visible ones, 'vi': vice versa}.

        Each (windows, heads, 256, 256) float32, whose last axis sums to 1. A window has 256×256 pixels, a patch 16×16;
        windows and patches are counted row by row, and the last ones may reach beyond the image. ir, vi: as for a
        call, but computed whole.
        Raises UserError as a call does, and for a network without cross-attention.
        """
        networks, (_, *values) = self.model.networks, self._prepared(ir, vi)
        cam = networks.fusion.cross_atten_block
        if not isinstance(cam.cross_atten_block, cross_atten):
            raise UserError(f'{self.model.files.fusion} is of variant {self.model.variant}, which has no '
                            'cross-attention')
        with usual_jittor(), jt.no_grad():
            deep = [encoder(jt.array(image[None, None]))[1] for encoder, image in zip(networks, values)]
            weights = cam.attention(*(to_windows(features, cam.img_size) for features in deep))
            return dict(zip(('ir', 'vi'), jt.fetch_sync(list(weights))))

    def _prepared(self, ir, vi):
        """The visible image, and what is fused: the luma of the infrared one, moved, and of the visible one.

        float32 in 0…255.
        """
        ir, vi = _checked(ir, 'infrared'), _checked(vi, 'visible')
        if ir.shape[:2] != vi.shape[:2]:
            raise UserError(f'the infrared image is {size_text(ir)}, the visible one {size_text(vi)}: '
                            'they must be of one size')
        ir_values, vi_values = _to_8_bit_range(luma(ir)), _to_8_bit_range(luma(vi))
        align = sure_align(ir_values, vi_values) if self.align == EACH else self.align
        return vi, aligned(ir_values, vi_values, align), vi_values

    def _through_network(self, ir, vi, **options):
        """The fused image H×W float32, and CAM's maps. options: of `network.strips.fuse_pair`."""
        try:
            with usual_jittor():
                maps = fuse_pair(self.model.networks, ir, vi, **options)
        except (RuntimeError, MemoryError) as error:
            if not ran_out_of_memory(error):
                raise
            raise UserError(f'there is not enough memory for {size_text(vi)} pixels '
                            '(--cuda false uses the memory of the CPU)') from error
        finally:
            return_memory()
        fused = maps.pop('out')
        if not np.isfinite(fused).all():
            raise UserError(f'{self.model.files.fusion} gave values that are not numbers: '
                            'its weights, or those of its encoders, are bad')
        return fused, maps

    def _doubt(self, fused):
        """A line if a few pixels of the fused image, normalised to 0…255, leave the others
        little of the range; else ''."""
        low, high = np.quantile(fused, (FEW / 2, 1 - FEW / 2))
        taken = 1 - (high - low) / LARGEST_VALUE
        if self.model.deep_shares != 'signed' or taken <= MOST:
            return ''
        return (f'{1000 * FEW:g} ‰ of the pixels take up {taken:.0%} of the range and leave little to the others: '
                'signed deep shares may have exploded there; bounded ones cannot (--deep_shares bounded)')


def scaled(unscaled, vi, low, high):
    """The picture, uint8 of the shape of `vi`, from `Fuser.unscaled`: `low` becomes black, `high` white."""
    return _as_picture(_stretched(unscaled, low, high), _checked(vi, 'visible'))


def return_memory():
    """Give freed memory back to the system; Jittor and glibc keep it in pieces that other image sizes do not fit."""
    jt.gc()
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None) if sys.platform == 'linux' else None
    if trim is not None:
        trim(0)


def is_constant(image):
    """Whether all pixels have the same value."""
    return image.min() == image.max()


def size_text(image):
    """Width×height of an image, as people write it."""
    return f'{image.shape[1]}×{image.shape[0]}'


def _checked(image, name):
    """The image as an array of uint8, uint16 or float32."""
    image = np.ascontiguousarray(image)
    if not (image.ndim == 2 or image.ndim == 3 and image.shape[2] == 3):
        raise UserError(f'the {name} image must be H×W or H×W×3, not of shape {image.shape}')
    if min(image.shape[:2]) < SMALLEST:
        raise UserError(f'the {name} image is {size_text(image)}: at least {SMALLEST}×{SMALLEST} pixels are needed')
    if image.dtype in (np.uint8, np.uint16):
        return image
    if image.dtype.kind != 'f':
        raise UserError(f'the {name} image has {image.dtype} values: '
                        f'give uint8, uint16, or float with values 0…{LARGEST_VALUE}')
    low, high = image.min(), image.max()
    if not (0 <= low and high <= LARGEST_VALUE):  # also if they are NaN
        raise UserError(f'the {name} image has float values from {low} to {high}: '
                        f'they must lie in 0…{LARGEST_VALUE}')
    if low < high <= 1:
        raise UserError(f'the {name} image has float values in 0…1: multiply them by {LARGEST_VALUE}')
    return image.astype(np.float32)


def _to_8_bit_range(image):
    """The values as float32 in 0…255."""
    return image.astype(np.float32) / (SIXTEEN_TO_EIGHT_BIT if image.dtype == np.uint16 else 1)


def _stretched(fused, low, high):
    """Values with `low` made 0, `high` 255, and what lies beyond cut off."""
    return (LARGEST_VALUE * (fused - low) / (high - low + EPSILON)).clip(0, LARGEST_VALUE)


def _as_picture(fused, vi):
    """uint8 of fused values (H×W) in 0…255, with the chroma of `vi` if that is in colour."""
    fused = fused.astype(np.uint8)  # truncated, as in the original
    return _with_chroma(fused, _to_8_bit_range(vi)) if vi.ndim == 3 else fused


def _with_chroma(fused, vi):
    """H×W×3 uint8 RGB with `fused` (H×W) as luma and the chroma of `vi` (H×W×3 float32, 0…255)."""
    ycrcb = rgb_to_ycrcb(vi)
    ycrcb[:, :, 0] = fused
    return ycrcb_to_rgb(ycrcb).clip(0, LARGEST_VALUE).round().astype(np.uint8)
