"""Convert weights between CrossFuse-Jittor (.safetensors) and PyTorch (.model, .pth), both ways and without PyTorch.

    python -m tools.weights.convert auto_encoder_epoch_4_ir.model auto_encoder_ir.safetensors
    python -m tools.weights.convert fusetrans_epoch_16.model fusion_epoch_16.safetensors --deep_shares signed
    python -m tools.weights.convert fusion_epoch_16.safetensors fusetrans_epoch_16.model

What PyTorch gets is a state dict, as the original's `model.load_state_dict(torch.load(FILE))` takes it. Its file
has no place for our settings and epoch, nor for options of the network that the original does not have: those
are named, and have to be given on the way back. The variant of the network is recognised by the names of the
weights. A file that holds only what fusing reads, as those that come with the repository, is filled up with new
values, which fusing does not read.
"""
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np

from network.variants import DEEP_SHARES
from tools.base.errors import UserError
from tools.base.script import run_script
from tools.base.settings import parse_settings, setting
from tools.weights.checkpoint import load_weights, recognise, save_weights
from tools.weights.torch_file import write_torch

OURS = ('.safetensors',)
PYTORCH = ('.model', '.pth')


@dataclass
class Args:
    source: str = setting('', 'the weights file to read, in any of the formats', positional=True)
    target: str = setting('', 'the file to write; its extension tells its format: .safetensors, .model, .pth',
                          positional=True)
    deep_shares: Optional[str] = setting(None, 'how the network weighs deep features, for files of other formats, '
                                               'which cannot say it: '
                                               'signed if it is the original\'s', choices=DEEP_SHARES)
    overwrite: bool = setting(False, 'replace the target if it exists')


def main(argv=None):
    settings = parse_settings(Args, __doc__, argv)
    convert(Path(settings.source), Path(settings.target), settings.deep_shares, settings.overwrite)


def convert(source: Path, target: Path, deep_shares=None, overwrite=False):
    """Read the weights in `source`, write them to `target` in the format of its extension, and print
    what was done, and what was lost.

    deep_shares: one of network.variants.DEEP_SHARES, for a fusion network whose file is none of ours and cannot say it.
    Raises UserError if `source` is no weights file of CrossFuse, `target` has another extension, exists or cannot be
    written, or deep_shares is not given where it has to be, or given elsewhere.
    """
    if target.suffix not in OURS + PYTORCH:
        raise UserError(f'cannot tell the format of {target}: its name must end in {", ".join(OURS + PYTORCH)}')
    if target.exists() and not overwrite:
        raise UserError(f'{target} exists: choose another name, or give --overwrite')
    weights = load_weights(source)
    kind, variant = recognise(weights, source)
    if deep_shares and (kind != 'fusion' or weights.is_ours):
        raise UserError(f'deep_shares is for fusion networks in files of other formats; leave it out for {source}')
    arrays, lost = weights.arrays, ''
    if target.suffix in PYTORCH:
        if weights.metadata.get('only_for_fusing'):
            arrays = filled_up(weights, kind, source)
        write_torch(target, {name: as_in_pytorch(name, array) for name, array in arrays.items()})
        lost = what_is_lost(weights, kind, variant)
    else:
        origin = weights.metadata or {'converted_from': source.name}
        if kind == 'fusion' and not weights.is_ours:
            if not deep_shares:
                raise UserError(f'{source} cannot say how its network weighs deep features: give --deep_shares signed '
                                'if it is the '
                                'original\'s, else what was said when it was converted')
            origin['options'] = {'deep_shares': deep_shares}
        save_weights(target, arrays, {**origin, 'kind': kind, 'variant': variant})
    values = sum(array.size for array in arrays.values())
    print(f'{target}: {kind}, {variant}, {len(arrays)} arrays, {values:,} values{lost}')


def what_is_lost(weights, kind, variant):
    """What is to be said of options that PyTorch's format has no place for; '' if all are the original's."""
    if not weights.is_ours:
        return ''
    from tools.weights.networks import unusual_options  # here, since it takes seconds, for Jittor
    options = unusual_options(weights, kind, variant)
    named = ', '.join(f'{name} = {value}' for name, value in options.items())
    again = ' '.join(f'--{name} {value}' for name, value in options.items())
    lost = f'its format cannot hold {named}, which the original does not compute: give {again} wherever it is used here'
    return f'\n{lost}' if options else ''


def filled_up(weights, kind, source):
    """All weights of the network: the given ones, and new values for what it can do without when fusing."""
    from tools.weights.networks import restore, weights_of  # here, since they take seconds, for Jittor
    return weights_of(restore(weights, source, kind))


def as_in_pytorch(name, array):
    """A weight in PyTorch's form: a batch norm's counter is an int64 scalar there, in Jittor an int32 of shape (1,)."""
    is_counter = name.endswith('.num_batches_tracked') and array.size == 1
    return array.astype(np.int64).reshape(()) if is_counter else array


if __name__ == '__main__':
    run_script(main)
