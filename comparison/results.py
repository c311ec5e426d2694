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


class MetricMeans(NamedTuple):
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


def compare_results(setup, names, pairing, pairs, metrics, out, note):
    """Fuse test pairs with each side's trained weights and write the tables.

    names: of the sides, PyTorch's first. pairing: of the source images. pairs: their PairFiles.
    metrics: names as the evaluation takes them. note: on what is compared.
    """
    missing = [path for side in names for path in weights_folder(setup, side).values() if not path.is_file()]
    if missing:
        raise UserError(f'there are no trained weights yet ({missing[0]}): run the part training first')
    folders = {NAMES[side]: setup.work / 'fused' / side for side in names}
    left_out = _fuse(setup, names, pairs)
    metrics = select_metrics(DEFAULT_PROTOCOL, metrics)
    means = means_of(score_methods(folders, pairing, DEFAULT_PROTOCOL, metrics).table,
                     [NAMES[side] for side in JITTORS])
    beside = folders.pop(NAMES[PYTORCH])
    fidelities = {name: compare_folders(folder, beside)[0] for name, folder in folders.items()}
    note = ' '.join([*(f'Left out: {text}.' for text in left_out), note])
    write_part(out, 'results', means, results_text(means, fidelities, note))


def means_of(table, jittors):
    """The MetricMeans of a table as in tools.evaluation.scoring.Scores, PyTorch's first run on top. jittors: names."""
    means = table.groupby('method', sort=False).mean()
    is_jittor = means.index.isin(jittors)
    pytorch, jittor = means[~is_jittor].to_numpy(), means[is_jittor].to_numpy()  # runs × metrics
    return [MetricMeans(*row) for row in zip(
        means, pytorch[0], jittor[0] / pytorch[0] - 1, spread(pytorch), jittor.mean(axis=0) / pytorch.mean(axis=0) - 1,
        pytorch.min(axis=0), pytorch.max(axis=0), jittor.min(axis=0), jittor.max(axis=0))]


def results_text(means, fidelities, note):
    """The means as Markdown. fidelities: {name of a side: what
    tools.evaluation.scoring.compare_folders found for it}."""
    metrics = markdown_table(
        ['metric', 'PyTorch', 'Jittor differs by', 'floor', 'mean of the Jittor runs', 'PyTorch runs', 'Jittor runs'],
        [[metric, f'{pytorch:.5g}', percent(jittor, True), percent(floor), percent(all_jittor, True),
          *(f'{low:.5g} … {high:.5g}' for low, high in zip(ends[::2], ends[1::2]))]
         for metric, pytorch, jittor, floor, all_jittor, *ends in means])
    images = markdown_table(
        ['beside PyTorch\'s fused images', 'images', 'mean PSNR', 'worst PSNR', 'largest difference', 'same pixels'],
        [[side, len(images), f'{images["psnr"].mean():.2f} dB', f'{images["psnr"].min():.2f} dB',
          f'{images["largest"].max():.0f} gray levels', percent(images['identical'].mean())]
         for side, images in fidelities.items()])
    return (f'## Results: test images fused with the weights that each side has trained\n\n{metrics}\n'
            'Floor: the largest difference of any two of the PyTorch runs. Mean of the Jittor runs: from that of the '
            f'PyTorch runs.\n\n{images}\n{note}\n')


def _fuse(setup, names, pairs):
    """Fuse all pairs by all sides into their folders of `work` -> what was left out and why."""
    left_out, fused = [], setup.work / 'fused.npy'
    for name in names:
        for old in (setup.work / 'fused' / name).glob(f'{PREFIX}*'):
            old.unlink()
    with open_sides(names, setup) as sides:
        for name, side in sides.items():
            side.ask('start_fusing', **weights_folder(setup, name))
        for pair in tqdm(pairs, 'fusing', unit='pair'):
            images = {}
            try:
                for name, side in sides.items():
                    side.ask('fuse', pair=pair.path, out=fused)
                    images[name] = np.load(fused).astype(np.uint8)  # truncated, as by the original
            except SideError as error:
                left_out.append(f'{pair.name}: {error}')
                continue
            for name, image in images.items():
                write_image(setup.work / 'fused' / name / f'{PREFIX}{pair.name}', image)
    return left_out
