"""Taking off what CAM adds to every image alike.

The tokens that CAM puts out have a part that is the same in all of them, whatever the image. Within a token it differs
from place to place of the 2×2 patch, for nothing in training makes these four alike: a grid of 16 pixels, faint, in
flat parts of a fused image. The layer norm that ends CAM adds a bias to each value of a token, so the pattern can be
taken from there: the network stays as it is.
"""
from typing import Dict

import numpy as np

from network.strips import Networks, fuse_pair
from network.transformer_cam import cross_atten_module
from tools.base.errors import UserError


def patch_pattern(networks: Networks, pairs) -> Dict[str, np.ndarray]:
    """What is to be taken from weights of the fusion network: {name: array}.

    pairs: of images (H, W) with values 0…255, as `network.strips.fuse_pair` takes them; some dozens from the training
    will do. Raises UserError for a variant without cross-attention, whose CAM ends otherwise.
    """
    fusion = networks.fusion
    ends = {f'{name}.norm.bias': module.norm for name, module in fusion.named_modules()
            if isinstance(module, cross_atten_module)}
    if not ends:
        raise UserError(f'the variant {fusion.variant} has no cross-attention, whose pattern could be taken off')
    means = {name: [] for name in ends}
    for name, norm in ends.items():
        def keep_mean(norm, given, tokens, name=name):
            means[name].append(tokens.mean(1).mean(0).numpy())
        norm.register_forward_hook(keep_mean)
    for ir, vi in pairs:
        fuse_pair(networks, ir, vi)
    for norm in ends.values():
        norm.remove_forward_hook()
    places = fusion.cross_atten_block.patch_size ** 2
    by_place = {name: np.mean(of_pairs, axis=0).reshape(-1, places) for name, of_pairs in means.items()}  # (C, places)
    return {name: (mean - mean.mean(1, keepdims=True)).ravel() for name, mean in by_place.items()}
