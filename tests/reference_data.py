"""The reference numbers of the PyTorch original, and the weights they were computed with
(see the README beside them)."""
import zlib

import numpy as np
from conftest import REFERENCE


def load(name):
    """The arrays of one reference file, {name: array}."""
    with np.load(REFERENCE / f'{name}.npz') as file:
        return {key: file[key] for key in file.files}


def state_dict_table(model):
    """{name: (shape, kind)} of 'ae' or 'fuse'."""
    rows = [line.split('\t') for line in (REFERENCE / 'state_dict.tsv').read_text().splitlines()]
    return {name: (tuple(int(n) for n in shape.strip('()').replace(' ', '').split(',') if n), kind)
            for which, name, shape, kind in rows if which == model}


def crc_random(text):
    return np.random.RandomState(zlib.crc32(text.encode()) & 0xFFFFFFFF)


DEEP_MEAN = 0.5  # of the deep features of the tags ae_deep and ae2_deep, whose sums then do not cancel
DEEP_BIAS = 'fea_encoder1.dense_blocks.2.adjust_conv.conv2d.0.bias'


def filled_weights(tag, model):
    """Weights for `model` that any framework can make from their names: {name: array}. Fixed
    ones and counters are left out."""
    arrays = {}
    for name, value in model.state_dict().items():
        if name.startswith('conv_gra') or '.conv_sh.' in name or '.conv_de.' in name or name.endswith('num_batches_tracked'):
            continue
        u = crc_random(f'{tag}:{name}').uniform(-1, 1, tuple(value.shape))
        if name.endswith('running_mean'):
            u = 0.1 * u
        elif name.endswith('running_var'):
            u = 1 + 0.5 * u
        elif name.endswith('weight') and ('.norm' in name or name.endswith('conv2d.1.weight')):
            u = 1 + 0.2 * u
        elif name.endswith('bias'):
            u = 0.05 * u
        else:
            u = u / np.sqrt(np.prod(value.shape[1:]))
        if tag.endswith('_deep') and name == DEEP_BIAS:
            u = u + DEEP_MEAN
        arrays[name] = u.astype(np.float32)
    return arrays


def filled(tag, model):
    """`model` with the reference's weights."""
    model.load_state_dict(filled_weights(tag, model))
    return model


def digest(name, array):
    """[l2 norm, sum, 16 samples] of an array, as the reference files hold them."""
    flat = np.asarray(array, np.float64).ravel()
    samples = np.random.RandomState(zlib.crc32(name.encode())).randint(0, flat.size, 16)
    return np.concatenate([[np.sqrt((flat ** 2).sum()), flat.sum()], flat[samples]])


def assert_digests(arrays, reference, prefix, norm_bound, sample_bound):
    """Each array's norm and samples agree with `reference[prefix + name]`, relative to its
    norm and its largest sample."""
    for name, array in arrays.items():
        expected, got = reference[prefix + name], digest(name, array)
        norm_error = abs(got[0] - expected[0]) / expected[0]
        sample_error = np.abs(got[2:] - expected[2:]).max() / np.abs(expected[2:]).max()
        assert norm_error < norm_bound and sample_error < sample_bound, f'{name}: norm {norm_error:.1e}, samples {sample_error:.1e}'
