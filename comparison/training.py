"""Part 2: both stages trained on all sides in step, each loss written down as it comes."""
import csv
import shutil
from pathlib import Path
from typing import NamedTuple, Tuple

from tqdm import tqdm

from comparison.inputs import MODALITIES, weights_folder
from comparison.sides import FLOOR, JITTOR, NAMES, PYTORCH, SIDES, open_sides
from comparison.worker import AUTOENCODER_LOSSES, FUSION_LOSSES

ENCODERS = {
    'shared': 'stage 2 on the encoders that PyTorch has trained in stage 1',
    'own': 'stage 2 on the encoders that each side has trained itself',
}


class Stage(NamedTuple):
    """network: which of the three it trains. lr: the paper's learning rate."""
    title: str
    network: str
    lr: float
    losses: Tuple[str, ...]


STAGES = {
    'stage_1_ir': Stage('Infrared auto-encoder', 'ir', 1e-4, AUTOENCODER_LOSSES),
    'stage_1_vi': Stage('Visible auto-encoder', 'vi', 1e-4, AUTOENCODER_LOSSES),
    'stage_2': Stage('Fusion network', 'fusion', 1e-3, FUSION_LOSSES),
}


def start_stage(side, stage, weights):
    """Have a side begin a stage. weights: {network: file}, of its network and, in stage 2, of the encoders."""
    if stage.network == 'fusion':
        side.ask('start_fusion', lr=stage.lr, **weights)
    else:
        side.ask('start_autoencoder', lr=stage.lr, weights=weights[stage.network],
                 modality=MODALITIES.index(stage.network))


def train(setup, initial, batches, encoders, folder):
    """Train the three networks on each side.

    initial: {network: file}. batches: {network: BatchFile}.
    encoders: those that stage 2 goes on with, one of ENCODERS; if shared, its losses show that stage alone.
    Writes STAGE_SIDE.csv into `folder`, a line after each step, and the trained weights to the `weights_folder`s.
    """
    for old in folder.glob('*.csv'):  # an interrupted run must not be mixed with the one before
        old.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    with open_sides(SIDES, setup) as sides:
        for key, stage in STAGES.items():
            if stage.network == 'fusion' and encoders == 'shared':
                _share_encoders(setup)
            for name, side in sides.items():
                start_stage(side, stage, {**weights_folder(setup, name), stage.network: initial[stage.network]})
            _train_stage(sides, key, stage, batches[stage.network], folder)
            for name, side in sides.items():
                side.ask('save', path=weights_folder(setup, name)[stage.network])


def csv_path(folder, key, side):
    """Where the losses of a stage (a key of STAGES) and a side are."""
    return Path(folder, f'{key}_{side}.csv')


def _share_encoders(setup):
    for side in (JITTOR, FLOOR):
        for modality in MODALITIES:
            shutil.copy(weights_folder(setup, PYTORCH)[modality], weights_folder(setup, side)[modality])


def _train_stage(sides, key, stage, batches, folder):
    files = {name: open(csv_path(folder, key, name), 'w', newline='', encoding='utf-8') for name in sides}
    try:
        writers = {name: csv.writer(file, lineterminator='\n') for name, file in files.items()}
        for writer in writers.values():
            writer.writerow(['step', 'epoch', 'lr', *stage.losses, 'seconds'])
        progress = tqdm(batches.epochs, stage.title, unit='step')
        for step, epoch in enumerate(progress):
            totals = {}
            for name, side in sides.items():
                result, seconds = side.ask('step', batches=batches.path, index=step, epoch=epoch - 1)
                losses = [f'{result[loss]:.9g}' for loss in stage.losses]
                writers[name].writerow([step + 1, epoch, f'{result["lr"]:g}', *losses, f'{seconds:.4f}'])
                files[name].flush()
                totals[NAMES[name]] = f'{result["total_loss"]:.6g}'
            progress.set_postfix(totals)
    finally:
        for file in files.values():
            file.close()
