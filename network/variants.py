"""What there is to choose from: the fusion networks that can be trained, by name.

A new one: its class anywhere in `network`, and an entry here.

No Jittor here, since settings list the names before it is imported.
"""
from typing import Dict, NamedTuple

DEEP_SHARES = ('signed', 'bounded')  # how the deep features are weighed, see network.net_conv_trans.Weight


class Variant(NamedTuple):
    """network: its class, with the module. loss_weights: arguments of network.loss.fusion_losses that its
    training fixes. weight: how the name of a weight begins that tells it from the others, for files that do not
    say their variant (the original's)."""
    network: str
    loss_weights: Dict[str, float] = {}
    weight: str = ''


VARIANTS = {
    'standard': Variant('network.net_conv_trans.Trans_FuseNet',
                        weight='cross_atten_block.cross_atten_block.cross_atten1.'),
    'cnn': Variant('network.net_conv_trans.Trans_FuseNet_CNN', weight='cross_atten_block.cross_atten_block.conv1.'),
    'no_gradient_loss': Variant('network.net_conv_trans.Trans_FuseNet', loss_weights={'gradient_loss_weight': 0.0}),
}
