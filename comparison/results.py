"""Part 3: what each side's trained weights make of a test folder, scored and compared image by image."""
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from comparison.curves import spread
from comparison.inputs import weights_folder
from comparison.report import percent, write_part
from comparison.sides import JITTORS, NAMES, PYTORCH, SideError, open_sides
from tools.base.errors import UserError
from tools.base.tables import markdown_table
from tools.data.images import write_image
from tools.evaluation.protocols import DEFAULT_PROTOCOL
from tools.evaluation.scoring import compare_folders, score_methods, select_metrics

PREFIX = 'results_crossfuse_'  # by which tools.data.pairing knows fused images


class Row(NamedTuple):
    """A metric's means over the images, for the weights of each run. Differences are relative."""
    metric: str
    pytorch: float
    jittor: float           # difference of the first Jittor run from the first PyTorch run
    floor: float            # the largest of any two of the PyTorch runs
    all_jittor: float       # difference of the mean of all Jittor runs from that of all PyTorch runs
    pytorch_lowest: float   # of the PyTorch runs
    pytorch_highest: float
    jittor_lowest: float
    jittor_highest: float


def compare(setup, names, pairing, pairs, metrics, out, note):
    """Fuse test pairs with each side's trained weights and write the tables.

    names: of the sides, PyTorch's first. pairing: of the source images. pairs: their PairFiles.
    metrics: names as the evaluation takes them. note: on what is compared.
    """
    missing = [path for side in names for path in weights_folder(setup, side).values() if not path.is_file()]
    if missing:
        raise UserError(f'there are no trained weights yet ({missing[0]}): run the part training first')
    folders = {side: setup.work / 'fused' / side for side in names}
    left_out = _fuse(setup, pairs, folders)
    scores = score_methods({NAMES[side]: folders[side] for side in names}, pairing, DEFAULT_PROTOCOL,
                           select_metrics(DEFAULT_PROTOCOL, metrics))
    rows = rows_of(scores.table, [NAMES[side] for side in JITTORS])
    fidelities = {NAMES[side]: compare_folders(folders[side], folders[PYTORCH])[0] for side in names if side != PYTORCH}
    note = ' '.join([*(f'Left out: {text}.' for text in left_out), note])
    write_part(out, 'results', rows, describe(rows, fidelities, note))


def rows_of(table, jittors):
    """A Row for each metric of a table as in tools.evaluation.scoring.Scores, PyTorch's first run on top. jittors: names."""
    means = table.groupby('method', sort=False).mean()
    is_jittor = means.index.isin(jittors)
    pytorch, jittor = means[~is_jittor].to_numpy(), means[is_jittor].to_numpy()  # runs × metrics
    return [Row(*row) for row in zip(means, pytorch[0], jittor[0] / pytorch[0] - 1, spread(pytorch),
                                     jittor.mean(axis=0) / pytorch.mean(axis=0) - 1, pytorch.min(axis=0),
                                     pytorch.max(axis=0), jittor.min(axis=0), jittor.max(axis=0))]


def describe(rows, fidelities, note):
    """The rows as Markdown. fidelities: {name of a side: what tools.evaluation.scoring.compare_folders found for it}."""
    metrics = markdown_table(
        ['metric', 'PyTorch', 'Jittor differs by', 'floor', 'mean of the Jittor runs', 'PyTorch runs', 'Jittor runs'],
        [[row.metric, f'{row.pytorch:.5g}', percent(row.jittor, True), percent(row.floor), percent(row.all_jittor, True),
          f'{row.pytorch_lowest:.5g} … {row.pytorch_highest:.5g}', f'{row.jittor_lowest:.5g} … {row.jittor_highest:.5g}']
         for row in rows])
    images = markdown_table(
        ['beside PyTorch\'s fused images', 'images', 'mean PSNR', 'worst PSNR', 'largest difference', 'same pixels'],
        [[side, len(images), f'{images["psnr"].mean():.2f} dB', f'{images["psnr"].min():.2f} dB',
          f'{images["largest"].max():.0f} gray levels', percent(images['identical'].mean())]
         for side, images in fidelities.items()])
    return (f'## Results: test images fused with the weights that each side has trained\n\n{metrics}\n'
            'Floor: the largest difference of any two of the PyTorch runs. Mean of the Jittor runs: from that of the '
            f'PyTorch runs.\n\n{images}\n{note}\n')


def _fuse(setup, pairs, folders):
    """Fuse all pairs on all sides into `folders` -> what was left out and why."""
    left_out = []
    for folder in folders.values():
        for old in folder.glob(f'{PREFIX}*'):
            old.unlink()
    with open_sides(folders, setup) as sides:
        for name, side in sides.items():
            side.ask('start_fusing', **weights_folder(setup, name))
        for pair in tqdm(pairs, 'fusing', unit='pair'):
            try:
                fused = {name: _fused(setup, side, pair) for name, side in sides.items()}
            except SideError as error:
                left_out.append(f'{pair.name}: {error}')
                continue
            for name, image in fused.items():
                # Truncated, as by the original.
                write_image(folders[name] / f'{PREFIX}{pair.name}', image.astype(np.uint8))
    return left_out


def _fused(setup, side, pair):
    path = setup.work / 'fused.npy'
    side.ask('fuse', pair=pair.path, out=path)
    return np.load(path)
