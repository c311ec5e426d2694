"""Part 2: both stages trained on all sides in step, each loss written down as it comes."""
import contextlib
import shutil
from pathlib import Path
from typing import NamedTuple, Tuple

from tqdm import tqdm

from comparison.inputs import MODALITIES, weights_folder, write_rounded_otherwise
from comparison.sides import FLOORS, JITTORS, PYTORCH, sides_with
from comparison.worker import AUTOENCODER_LOSSES, FUSION_LOSSES
from tools.base.files import whole_file

ENCODERS = {
    'shared': 'stage 2 on the encoders that PyTorch has trained in stage 1',
    'own': 'stage 2 on the encoders that each side has trained itself',
}


class Stage(NamedTuple):
    """network: which of the three it trains. lr, weight_decay: the paper's."""
    title: str
    network: str
    losses: Tuple[str, ...]
    lr: float
    weight_decay: float = 0.9


STAGES = {
    'stage_1_ir': Stage('Infrared auto-encoder', 'ir', AUTOENCODER_LOSSES, 1e-4),
    'stage_1_vi': Stage('Visible auto-encoder', 'vi', AUTOENCODER_LOSSES, 1e-4),
    'stage_2': Stage('Fusion network', 'fusion', FUSION_LOSSES, 1e-3),
}


def start_stage(side, stage, weights):
    """Have a side begin a stage. weights: {network: file}, of its network and, in stage 2, of the encoders."""
    optimizer = {'lr': stage.lr, 'weight_decay': stage.weight_decay}
    if stage.network == 'fusion':
        side.ask('start_fusion', **weights, **optimizer)
    else:
        side.ask('start_autoencoder', weights=weights[stage.network], modality=MODALITIES.index(stage.network),
                 **optimizer)


def remove_earlier(setup, folder):
    """Remove what an earlier training wrote, which an interrupted one must not be mixed with."""
    for name in sides_with(len(FLOORS), len(JITTORS)):
        for key, stage in STAGES.items():
            for path in (csv_path(folder, key, name), weights_folder(setup, name)[stage.network]):
                if path.is_file():
                    path.unlink()


def train(setup, sides, stages, initial, batches, encoders, folder):
    """Train the three networks on all sides, but for what a side has trained already.

    sides: {name: comparison.sides.Side}. stages: as STAGES. initial: {network: file}. batches: {network: BatchFile}.
    encoders: those that stage 2 goes on with, one of ENCODERS; if shared, its losses show that stage alone.
    Writes STAGE_SIDE.csv into `folder`, a line after each step, and the trained weights to the `weights_folder`s.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for key, stage in stages.items():
        weights = {name: weights_folder(setup, name) for name in sides}
        untrained = {name: side for name, side in sides.items() if not weights[name][stage.network].is_file()}
        if not untrained:
            print(f'{stage.title}: trained already')
            continue
        if stage.network == 'fusion' and encoders == 'shared':
            _share_encoders(weights)
        for name, side in untrained.items():
            start_stage(side, stage, {**weights[name], stage.network: _initial(setup, name, initial[stage.network])})
        _train_stage(untrained, key, stage, batches[stage.network], folder)
        for name, side in untrained.items():
            with whole_file(weights[name][stage.network]) as temporary:
                side.ask('save', path=temporary)


def csv_path(folder, key, side):
    """Where the losses of a stage (a key of STAGES) and a side are."""
    return Path(folder, f'{key}_{side}.csv')


def _share_encoders(weights):
    for name in weights:
        if name != PYTORCH:
            for modality in MODALITIES:
                shutil.copy(weights[PYTORCH][modality], weights[name][modality])


def _initial(setup, side, weights):
    """The file of weights that a side begins with. All but the first of the sides that compute alike have others."""
    number = next((runs.index(side) for runs in (FLOORS, JITTORS) if side in runs), 0)
    if number == 0:
        return weights
    path = setup.work / f'initial_{side}.safetensors'
    write_rounded_otherwise(path, weights, seed=number)
    return path


def _train_stage(sides, key, stage, batches, folder):
    with contextlib.ExitStack() as stack:
        # By the line
        files = {name: stack.enter_context(open(csv_path(folder, key, name), 'w', buffering=1)) for name in sides}
        for file in files.values():
            file.write(','.join(['step', 'epoch', 'lr', *stage.losses]) + '\n')
        progress = tqdm(batches.epochs, stage.title, unit='step')
        for step, epoch in enumerate(progress):
            totals = {}
            for side in sides.values():  # all at once: what counts here is what they compute, not how fast
                side.tell('step', batches=batches.path, index=step, epoch=epoch - 1)
            for name, side in sides.items():
                result = side.answer('step').result
                losses = ','.join(f'{result[loss]:.9g}' for loss in stage.losses)
                files[name].write(f'{step + 1},{epoch},{result["lr"]:g},{losses}\n')
                totals[name] = f'{result["total_loss"]:.6g}'
            progress.set_postfix(totals)
