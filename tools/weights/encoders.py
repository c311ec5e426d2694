"""The two trained encoders that the fusion network works on: finding their files, loading them, keeping copies."""
import re
from pathlib import Path
from typing import NamedTuple

from tools.base.errors import UserError
from tools.runtime import nn
from tools.weights.checkpoint import Weights, fingerprint, load_weights, save_weights
from tools.weights.names import AUTO_ENCODER, ENCODER, numbered
from tools.weights.networks import restore

MODALITIES = ('ir', 'vi')


class Encoder(NamedTuple):
    """A loaded auto-encoder, where it came from, and what identifies its weights."""
    model: nn.Module
    path: Path
    fingerprint: str
    weights: Weights


def load_encoder(path, modality, train_flag=True, training=False):
    """The auto-encoder in the weights file `path`. UserError if it is none, or was trained on the other modality.

    training: whether it is to be trained on, so that weights of its decoder may not be missing.
    """
    weights = load_weights(path, 'auto_encoder')
    model = restore(weights, path, 'auto_encoder', training=training, train_flag=train_flag)
    # The original's files do not say their modality, but their names do: auto_encoder_epoch_4_ir.model.
    named = [one for one in MODALITIES if one in re.split('[^a-z]+', Path(path).stem.lower())]
    trained_on = weights.metadata.get('modality', named[0] if len(named) == 1 else modality)
    if trained_on != modality:
        how = 'was trained on modality' if 'modality' in weights.metadata else 'is by its name of modality'
        raise UserError(f'{path} {how} {trained_on}; the one of {modality} is needed: are the two swapped?')
    return Encoder(model, Path(path), fingerprint(weights.arrays), weights)


def find_encoders(ir, vi, runs_folder, run_folder=None):
    """The weights files of the infrared and of the visible auto-encoder, to train the fusion network with.

    ir, vi: each a weights file, a run folder of stage 1 (its last epoch is taken) or of stage 2
    (its copy), or None (the newest run of stage 1 under runs_folder). run_folder: of a fusion run that
    goes on; its own copies are taken then.
    UserError if one cannot be found.
    """
    if run_folder is not None:
        return [_copy(run_folder, modality) for modality in MODALITIES]
    return [find_encoder(given, modality, runs_folder) for given, modality in zip((ir, vi), MODALITIES)]


def load_encoders(paths):
    """[infrared, visible] Encoder from what `find_encoders` found, in eval mode, which in Jittor keeps their
    weights from being trained."""
    encoders = [load_encoder(path, modality) for path, modality in zip(paths, MODALITIES)]
    for encoder in encoders:
        encoder.model.eval()
    return encoders


def save_encoders(encoders, run_folder):
    """Put copies of the encoders into a fusion run's folder, so that it holds all that fusing needs."""
    for encoder, modality in zip(encoders, MODALITIES):
        if encoder.path != _copy(run_folder, modality):
            arrays, metadata = encoder.weights
            save_weights(_copy(run_folder, modality), arrays,
                         {'kind': 'auto_encoder', 'modality': modality, **metadata})


def find_encoder(given, modality, runs_folder):
    """The weights file that `given` (file, run folder or None) means. UserError if there is none."""
    if given is not None and Path(given).is_file():
        return Path(given)
    if given is not None and not Path(given).is_dir():
        raise UserError(f'the auto-encoder {given} does not exist: give a weights file or a run folder of '
                        'train_autoencoder.py')
    folders = [Path(given)] if given is not None else sorted(Path(runs_folder).glob(f'{modality}_*'), reverse=True)
    for folder in folders:
        files = numbered(folder, AUTO_ENCODER.replace('{modality}', modality))
        if files:
            return files[max(files)]
        if given is not None and _copy(folder, modality).is_file():  # of a fusion run, or the weights that ship
            return _copy(folder, modality)
    raise UserError(f'no weights of an auto-encoder for {modality} in {given or runs_folder}: '
                    f'train one with python train_autoencoder.py --type_flag {modality}')


def _copy(run_folder, modality):
    return Path(run_folder) / ENCODER.format(modality=modality)
