"""Convert weights between CrossFuse-Jittor (.safetensors) and PyTorch (.model, .pth), both ways and without PyTorch.

    python convert_checkpoint.py auto_encoder_epoch_4_ir.model auto_encoder_ir.safetensors
    python convert_checkpoint.py fusion_epoch_16.safetensors fusetrans_epoch_16.model

What PyTorch gets is a state dict, as the original's `model.load_state_dict(torch.load(FILE))` takes it. Its file has no
place for our settings and epoch; the variant of the network is recognised by the names of the weights. A file that holds only
what fusing reads, as those that come with the repository, is filled up with new values, which fusing does not read.
"""
from pathlib import Path

import numpy as np

from args_tools import ConvertArgs
from tools.errors import UserError, run_script
from tools.settings import parse_settings
from tools.weights.checkpoint import load_weights, recognise, save_weights
from tools.weights.torch_file import write_torch

OURS = ('.safetensors',)
PYTORCH = ('.model', '.pth')


def main(argv=None):
    settings = parse_settings(ConvertArgs, __doc__, argv)
    convert(Path(settings.source), Path(settings.target), settings.overwrite)


def convert(source: Path, target: Path, overwrite=False):
    """Read the weights in `source`, write them to `target` in the format of its extension, and print what was done.

    Raises UserError if `source` is no weights file of CrossFuse, or `target` has another extension, exists or cannot be
    written.
    """
    if target.suffix not in OURS + PYTORCH:
        raise UserError(f'cannot tell the format of {target}: its name must end in {", ".join(OURS + PYTORCH)}')
    if target.exists() and not overwrite:
        raise UserError(f'{target} exists: choose another name, or give --overwrite')
    weights = load_weights(source)
    kind, variant = recognise(weights, source)
    arrays = weights.arrays
    if target.suffix in PYTORCH:
        if weights.metadata.get('only_for_fusing'):
            arrays = filled_up(weights, kind, source)
        write_torch(target, {name: as_in_pytorch(name, array) for name, array in arrays.items()})
    else:
        origin = weights.metadata or {'converted_from': source.name}
        save_weights(target, arrays, {**origin, 'kind': kind, 'variant': variant})
    values = sum(array.size for array in arrays.values())
    print(f'{target}: {kind}, {variant}, {len(arrays)} arrays, {values:,} values')


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
