"""Fusing a pair of images of any size, in bounded memory.

A pair that fits goes through the networks as in training. A larger one goes through the same forward pass, but for two
parts of the fusion network, for which others stand that call them piece by piece: CAM with some windows, the decoder
with a strip of the image. A strip is computed with as many rows around it as its result can depend on, by the layers'
own word (`network.layers.reach`). So the fused image is the same, up to rounding.
"""
import copy
import math
from typing import Dict, NamedTuple

import numpy as np

from network.layers import reach
from network.net_autoencoder import Auto_Encoder_single
from network.net_conv_trans import Trans_FuseNet
from network.padding import pad_to_indices
from tools.runtime import jt, nn

# Pixels of an image that is computed whole, and of a strip; a GPU is slow with small pieces
FITS, FITS_ON_GPU = 400_000, 1_000_000
WINDOWS = 8  # that go through CAM at once
PIXELS_PER_DEEP = 4  # of the image take as much memory as one of the maps that a deeper block of the encoder computes


class Networks(NamedTuple):
    """What a pair of images goes through: both encoders and the fusion network, all in eval
    mode, with train_flag=False."""
    ir: Auto_Encoder_single
    vi: Auto_Encoder_single
    fusion: Trans_FuseNet


def fuse_pair(networks: Networks, ir, vi, fits=None, normalize=True) -> Dict[str, np.ndarray]:
    """Fuse two images, arrays (H, W) with values 0…255, H and W at least 8.

    fits: pixels of an image that is computed whole, and of a strip; None: as the device takes them well.
    normalize: False leaves the fused image with the decoder's own values.
    Returns the fused image 'out' (H, W) in 0…255, and CAM's maps 'cross', 'ir_self' and 'vi_self' (128, H//8, W//8).
    """
    fits = fits or (FITS_ON_GPU if jt.flags.use_cuda else FITS)
    with jt.no_grad():
        if ir.size <= fits:
            fusion = networks.fusion
            (ir_sh, ir_de), (vi_sh, vi_de) = _features(networks.ir, ir), _features(networks.vi, vi)
        else:
            fusion = copy.copy(networks.fusion)
            fusion.cross_atten_block = _InChunks(fusion.cross_atten_block)
            fusion.decoder_fusion = _InStrips(fusion.decoder_fusion, fits)
            ir_sh, vi_sh = _Shallow(networks.ir, ir), _Shallow(networks.vi, vi)
            ir_de, vi_de = _deep_features(networks.ir, ir, fits), _deep_features(networks.vi, vi, fits)
        # By default not named: a network whose forward pass is another need not know of it.
        outputs = fusion(ir_de, ir_sh, vi_de, vi_sh, **({} if normalize else {'normalize': False}))
        names = list(outputs)
        arrays = dict(zip(names, jt.fetch_sync([outputs[name] for name in names])))
        return {'out': arrays.pop('out')[0, 0], **{name: maps[0] for name, maps in arrays.items()}}


def _features(encoder, image):
    """Shallow and deep ones, computed now: left to Jittor, both encoders would fill the memory at once."""
    features = encoder(_as_batch(image))
    jt.sync(list(features))
    return features


class _Shallow(NamedTuple):
    """The shallow features of an image, computed where they are needed: at full size and in all channels
    they would fill the memory."""
    encoder: Auto_Encoder_single
    image: np.ndarray

    def rows(self, first, last):
        """Those of the rows from first to last: (1, 32, last - first, W)."""
        halo = math.ceil(reach(self.encoder.fea_encoder1.conv1)[0])
        above = max(first - halo, 0)
        shallow = self.encoder.shallow(_as_batch(self.image[above:last + halo]))
        return shallow[:, :, first - above:last - above]


class _InChunks:
    """CAM, some windows at a time."""

    def __init__(self, cam):
        self.cam = cam

    def __call__(self, ir, vi, shift_flag):
        ir, vi = ir.numpy(), vi.numpy()
        parts = [slice(first, first + WINDOWS) for first in range(0, len(ir), WINDOWS)]
        chunks = [jt.fetch_sync(list(self.cam(jt.array(ir[part]), jt.array(vi[part]), shift_flag))) for part in parts]
        return [jt.array(np.concatenate(maps)) for maps in zip(*chunks)]


class _InStrips:
    """The decoder, strip by strip; its shallow features are `_Shallow`."""

    def __init__(self, decoder, fits):
        self.decoder, self.fits = decoder, fits
        self.merge_deep = decoder.merge_deep

    def __call__(self, deep, ir_sh, vi_sh):
        deep = deep.numpy()
        height, width = ir_sh.image.shape
        halo, scale = reach(self.decoder)  # in deep rows
        halo, scale = math.ceil(halo), int(1 / scale)
        up_rows = pad_to_indices(scale * deep.shape[2], height)
        strips = []
        for top, bottom in _strips(height, width, self.fits, scale):
            first, last = max(top - scale * halo, 0), min(bottom + scale * halo, height)
            rows = up_rows[first:last]
            deep_first, deep_last = rows.min() // scale, rows.max() // scale + 1
            strip = self.decoder(jt.array(deep[:, :, deep_first:deep_last]), ir_sh.rows(first, last),
                                 vi_sh.rows(first, last), rows - scale * deep_first)
            strips.append(strip.numpy()[:, :, top - first:bottom - first])
        return jt.array(np.concatenate(strips, axis=2))


def _deep_features(encoder, image, fits):
    """The encoder's deep features (1, 128, H//8, W//8) of an image (H, W).

    Up to each pooling in turn, since all of it at once would reach much further, and compute that much twice.
    """
    beginning, blocks = copy.copy(encoder), list(encoder.fea_encoder1.dense_blocks)
    beginning.fea_encoder1 = copy.copy(encoder.fea_encoder1)
    beginning.fea_encoder1.dense_blocks = nn.Sequential(*blocks[:2])
    image = image[np.newaxis, np.newaxis]
    deep = _shrunk(lambda strip: beginning(strip)[1], reach(beginning.fea_encoder1), image, fits)
    for first in range(2, len(blocks), 2):
        block = nn.Sequential(*blocks[first:first + 2])
        deep = _shrunk(block, reach(block), deep, fits // PIXELS_PER_DEEP)
    return jt.array(deep)


def _shrunk(compute, reach, x, fits):
    """`compute` of an array (1, C, H, W), whose result has fewer rows and the given
    `network.layers.reach`, as an array."""
    rows, scale = reach
    halo, scale = math.ceil(rows / scale), int(scale)
    height, width = x.shape[2:]
    out_height = height // scale
    strips = []
    for top, bottom in _strips(scale * out_height, width, fits, scale):
        first, last = top // scale, bottom // scale
        above, below = max(first - halo, 0), last + halo
        end = scale * below if below < out_height else height  # to the last row, though it may fill none of the result
        strip = compute(jt.array(np.ascontiguousarray(x[:, :, scale * above:end], np.float32))).numpy()
        strips.append(strip[:, :, first - above:last - above])
    return np.concatenate(strips, axis=2)


def _strips(height, width, fits, multiple):
    """(top, bottom) of the strips of an image of that size: alike, of at most about `fits` pixels and a
    multiple of `multiple` rows."""
    number = math.ceil(height * width / fits)
    rows = math.ceil(height / number / multiple) * multiple
    return [(top, min(top + rows, height)) for top in range(0, height, rows)]


def _as_batch(image):
    """(H, W) → a float32 Var (1, 1, H, W)."""
    return jt.array(np.ascontiguousarray(image, np.float32)[np.newaxis, np.newaxis])
