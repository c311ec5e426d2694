"""Both stages on one pair of images of any size, strip by strip, so that memory stays bounded.

A strip is computed with as many rows around it as its result depends on. So the fused image is, up to rounding, what
`Trans_FuseNet.execute` gives on the features of the whole images. Between the steps, features wait as numpy arrays.
"""
from typing import Dict, NamedTuple

import numpy as np

from tools.runtime import jt
from network.layers import pad_to_indices, take
from network.net_autoencoder import MAX_VALUE, Auto_Encoder_single
from network.net_conv_trans import Trans_FuseNet, from_windows, normalize_tensor, to_windows

SCALE = 8  # pixels of the image per deep feature
STRIP = 256  # image rows in a strip, a multiple of SCALE
ENCODER_HALO = 4  # deep rows: the encoder's convolutions reach 1 + 4·2 + 4·4 = 25 pixels beyond a deep feature's own 8
DECODER_HALO = 2  # deep rows: the decoder's convolutions reach 1 + 1/2 + 1/4 + 1/8
SHALLOW_HALO = 2  # image rows: the encoder's first convolution, and the 3×3 mean in the fusion weights
WINDOWS = 8  # that go through CAM at once


class Networks(NamedTuple):
    """What a pair of images goes through: both encoders and the fusion network, all in eval mode."""
    ir: Auto_Encoder_single
    vi: Auto_Encoder_single
    fusion: Trans_FuseNet


def fuse_in_strips(networks: Networks, ir, vi) -> Dict[str, np.ndarray]:
    """Fuse two images, arrays (H, W) with values 0…255, H and W at least 8.

    Returns the fused image 'out' (H, W) in 0…255, and CAM's maps 'cross', 'ir_self' and 'vi_self' (128, H//8, W//8).
    """
    with jt.no_grad():
        ir_deep, vi_deep = deep_features(networks.ir, ir), deep_features(networks.vi, vi)
        maps = attend(networks.fusion, ir_deep, vi_deep)
        deep = networks.fusion.decoder_fusion.merge_deep(*map(jt.array, (ir_deep, vi_deep, maps['cross']))).numpy()
        out = decode(networks, ir, vi, deep)
        fused = normalize_tensor(jt.array(out)) * MAX_VALUE
        return {'out': fused.numpy()[0, 0], **{name: one[0] for name, one in maps.items()}}


def deep_features(encoder, image):
    """The encoder's deep features (1, 128, H//8, W//8) of an image (H, W)."""
    height = image.shape[0]
    deep_height = height // SCALE
    strips = []
    for first in range(0, deep_height, STRIP // SCALE):
        last = min(first + STRIP // SCALE, deep_height)
        above, below = max(first - ENCODER_HALO, 0), last + ENCODER_HALO
        bottom = SCALE * below if below < deep_height else height  # to the last row, though it may fill no deep one
        deep = encoder(as_batch(image[SCALE * above:bottom]))[1].numpy()
        strips.append(deep[:, :, first - above:last - above])
    return np.concatenate(strips, axis=2)


def attend(fusion, ir_deep, vi_deep):
    """CAM's maps {'cross', 'ir_self', 'vi_self'} of the deep features of both modalities, each of their shape."""
    ir, vi = (to_windows(jt.array(deep), fusion.img_size).numpy() for deep in (ir_deep, vi_deep))
    chunks = []
    for first in range(0, len(ir), WINDOWS):
        chunk = slice(first, first + WINDOWS)
        maps = fusion.cross_atten_block(jt.array(ir[chunk]), jt.array(vi[chunk]), shift_flag=True)
        chunks.append(jt.fetch_sync(list(maps[:3])))
    windows = dict(zip(('cross', 'ir_self', 'vi_self'), map(np.concatenate, zip(*chunks))))
    return {name: from_windows(jt.array(one), ir_deep.shape).numpy() for name, one in windows.items()}


def decode(networks, ir, vi, deep):
    """The decoder's output (1, 1, H, W), not yet normalised, from the images (H, W) and the merged deep features."""
    decoder = networks.fusion.decoder_fusion
    height, width = ir.shape
    rows, columns = (pad_to_indices(SCALE * length, target) for length, target in zip(deep.shape[2:], (height, width)))
    strips = []
    for top in range(0, height, STRIP):
        wanted = rows[top:top + STRIP]  # of the upsampled deep features
        first = max(wanted.min() // SCALE - DECODER_HALO, 0)
        last = wanted.max() // SCALE + 1 + DECODER_HALO
        upsampled = take(decoder.upsample(jt.array(deep[:, :, first:last])), wanted - SCALE * first, columns)
        detail = shallow_detail(networks, ir, vi, top, min(top + STRIP, height))
        strips.append(decoder.conv_last(upsampled + detail).numpy())
    return np.concatenate(strips, axis=2)


def shallow_detail(networks, ir, vi, top, bottom):
    """The merged shallow features of the image rows from top to bottom: (1, 32, bottom - top, W)."""
    above = max(top - SHALLOW_HALO, 0)
    ir_sh, vi_sh = (encoder.shallow(as_batch(image[above:bottom + SHALLOW_HALO]))
                    for encoder, image in ((networks.ir, ir), (networks.vi, vi)))
    return networks.fusion.decoder_fusion.merge_shallow(ir_sh, vi_sh)[:, :, top - above:bottom - above]


def as_batch(image):
    """(H, W) → a float32 Var (1, 1, H, W)."""
    return jt.array(np.ascontiguousarray(image, np.float32)[np.newaxis, np.newaxis])
