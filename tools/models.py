"""Building the networks, with new weights or given ones."""
import numpy as np

from network.net_autoencoder import Auto_Encoder_single
from network.net_conv_trans import Trans_FuseNet, Trans_FuseNet_CNN
from tools.checkpoint import check_fits

VARIANTS = ('standard', 'cnn', 'no_gradient_loss')  # of the fusion network; the last differs in its training only


def build_auto_encoder(arrays=None, path='', **options):
    """An auto-encoder with PyTorch's default initialisation, or with weights: `arrays` (name → array), read from `path`.

    options: as Auto_Encoder_single takes them. Raises UserError if the weights do not fit. Those that fusing does not need (the
    network's `dispensable`) may be missing.
    """
    return _with_weights(Auto_Encoder_single(**options), arrays, path)


def build_fusion(variant='standard', arrays=None, path='', **options):
    """The fusion network of one of VARIANTS, with new weights or `arrays`, as build_auto_encoder. options: as Trans_FuseNet's."""
    if variant == 'no_gradient_loss':
        options['gradient_loss_weight'] = 0.0
    network = Trans_FuseNet_CNN if variant == 'cnn' else Trans_FuseNet
    return _with_weights(network(**options), arrays, path)


def weights_of(model):
    """The weights and buffers of a network, name → numpy array."""
    return {name: value.numpy() for name, value in model.state_dict().items()}


def _with_weights(model, arrays, path):
    if arrays is not None:
        expected = {name: tuple(value.shape) for name, value in model.state_dict().items()
                    if name in arrays or not model.dispensable.match(name)}
        check_fits(arrays, expected, path)
        # PyTorch's counters are scalars, which Jittor does not have.
        model.load_state_dict({name: np.reshape(array, expected[name]) for name, array in arrays.items()})
    return model
