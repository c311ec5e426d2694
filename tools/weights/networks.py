"""Building the networks, with new weights or given ones."""
from pydoc import locate

import numpy as np

from network.layers import dispensable, reach
from network.net_autoencoder import Auto_Encoder_single
from network.variants import VARIANTS
from tools.base.errors import UserError
from tools.weights.checkpoint import Weights, check_fits, recognise


def build_auto_encoder(arrays=None, path='', **options):
    """An auto-encoder with PyTorch's default initialisation, or with weights: `arrays`
    (name → array), read from `path`.

    options: as Auto_Encoder_single takes them; `model.options` is what the weights have to be saved with. Raises
    UserError if the weights do not fit, or large images could not be computed. Weights that fusing does not need
    (`network.layers.dispensable`) may be missing.
    """
    return _build(Auto_Encoder_single, arrays, path, options)


def build_fusion(variant='standard', arrays=None, path='', **options):
    """The fusion network of one of VARIANTS, with new weights or `arrays`, as build_auto_encoder.
    options: as Trans_FuseNet's."""
    return _build(locate(VARIANTS[variant].network), arrays, path, options)


def restore(weights: Weights, path, kind, variant=None, training=False, **options):
    """The network that weights of a file were saved from, built with the options that they were
    saved with; it has a `variant`.

    kind: which one is expected, 'auto_encoder' or 'fusion'. variant, options: in place of the saved ones. training:
    whether it is to be trained on, so that nothing may be missing or guessed. UserError if it is of the other kind, or
    no such network can be built or takes these weights.
    """
    found, saved_variant = recognise(weights, path)
    variant = variant or saved_variant
    if found != kind:
        names = {'auto_encoder': 'an auto-encoder', 'fusion': 'a fusion network'}
        raise UserError(f'{path} holds {names[found]}; {names[kind]} is needed')
    if training and 'deep_start' in options:
        raise UserError(f'deep_start is where new weights start, and those of {path} are given: leave it out')
    if training and kind == 'fusion' and not weights.is_ours and 'deep_shares' not in options:
        raise UserError(f'{path} does not say how its network weighs deep features, since it is no file of ours: give '
                        '--deep_shares '
                        "signed if it is the original's, else what it was trained with")
    saved = _saved_options(weights)
    network = _network(kind, variant)
    defaults = network.defaults()
    if not isinstance(saved, dict) or any(name in defaults and type(value) not in (type(defaults[name]), int, float)
                                          for name, value in saved.items()):
        raise UserError(f'{path} is damaged: the options of its network have other types than they should')
    try:
        model = _build(network, weights.arrays, path, {**saved, **options}, training)
    except (TypeError, ValueError, ZeroDivisionError) as error:  # an option unknown to this version, or out of range
        raise UserError(f'{path}: a network cannot be built with the options that it was saved with or given: '
                        f'{error}') from error
    model.variant = variant
    return model


def saved_options(weights: Weights, kind, variant):
    """{name: value} of the options that weights were saved with; those that their file does
    not say are the original's."""
    return {**_network(kind, variant).defaults(), **_saved_options(weights)}


def unusual_options(weights: Weights, kind, variant):
    """{name: value} of the options saved with weights that are not the original's, which files
    of other formats cannot hold."""
    defaults = _network(kind, variant).defaults()
    return {name: value for name, value in saved_options(weights, kind, variant).items() if value != defaults.get(name)}


def weights_of(model):
    """The weights and buffers of a network, name → numpy array."""
    return {name: value.numpy() for name, value in model.state_dict().items()}


def _saved_options(weights):
    # Files of others have no options, and fit the defaults; the first of ours had none but this.
    return weights.metadata.get('options',
                                {name: value for name, value in weights.metadata.items() if name == 'deep_shares'})


def _network(kind, variant):
    return locate(VARIANTS[variant].network) if kind == 'fusion' else Auto_Encoder_single


def _build(network, arrays, path, options, training=False):
    model = network(**options)
    # So that a layer which does not say it is refused now, not at the first large image
    reach(getattr(model, network.in_strips))
    if arrays is not None:
        missing_allowed = dispensable(model, training)
        missing = sorted(dispensable(model) - missing_allowed - arrays.keys())
        if missing:
            raise UserError(f'{path} has what fusing needs, but to train on it lacks {", ".join(missing)}: take a file '
                            'that training wrote, or give --new_decoder to begin with new ones')
        expected = {name: tuple(value.shape) for name, value in model.state_dict().items()
                    if name in arrays or name not in missing_allowed}
        check_fits(arrays, expected, path)
        # PyTorch's counters are scalars, which Jittor does not have.
        model.load_state_dict({name: np.reshape(array, expected[name]) for name, array in arrays.items()})
    return model
