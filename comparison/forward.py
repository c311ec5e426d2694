"""Part 1: features, fused images, losses and gradients from the same weights and images, and how far they are apart."""
from typing import NamedTuple

import numpy as np

from comparison.report import write_part
from comparison.sides import SIDES, open_sides
from comparison.training import STAGES, start_stage
from tools.base.tables import markdown_table

# Some gradients are zero but for rounding: of biases before a batch norm, of those of keys, of the last scale and shift,
# since the output is normalised. They are smaller than this share of the largest gradient …
NEGLIGIBLE = 1e-6
UNKNOWN = 0.01  # … or PyTorch differs from itself by this share of them


class Row(NamedTuple):
    """One array of a stage: its largest value in PyTorch, and the largest differences of the two others from it."""
    stage: str
    quantity: str
    largest_value: float
    jittor: float
    floor: float


def compare(setup, initial, batches, pairs, out, note):
    """Ask all sides for what they compute on the first batch of each stage and on test pairs, and write the tables.

    initial: {network: file}. batches: {network: BatchFile}. pairs: PairFiles to fuse. note: on what is compared.
    """
    rows = []
    with open_sides(SIDES, setup) as sides:
        for stage in STAGES.values():
            print(f'comparing: {stage.title}')
            path = batches[stage.network].path
            arrays = {name: _computed(setup, side, stage, initial, path) for name, side in sides.items()}
            rows += rows_of(stage.title, *(arrays[name] for name in SIDES))
        for side in sides.values():
            side.ask('start_fusing', **initial)
        for pair in pairs:
            print(f'comparing: fused {pair.name}')
            arrays = {}
            for name, side in sides.items():
                path = setup.work / f'fused_{name}.npy'
                side.ask('fuse', pair=pair.path, out=path)
                arrays[name] = {f'fused {pair.name}': np.load(path)}
            rows += rows_of('Fusing', *(arrays[name] for name in SIDES))
    write_part(out, 'forward', rows, describe(rows, note))


def rows_of(stage, pytorch, jittor, floor):
    """A Row for each array of PyTorch's; the arguments are {quantity: array}. ValueError if Jittor has others."""
    if set(jittor) != set(pytorch):
        raise ValueError(f'{stage}: only one side has {", ".join(sorted(set(jittor) ^ set(pytorch)))}')
    return [Row(stage, name, float(np.abs(array).max()), float(np.abs(jittor[name] - array).max()),
                float(np.abs(floor[name] - array).max())) for name, array in pytorch.items()]


def describe(rows, note):
    """The rows as Markdown, the gradients of a stage and its batch statistics summed up in a line each."""
    shown = []
    for stage in dict.fromkeys(row.stage for row in rows):
        of_stage = [row for row in rows if row.stage == stage]
        shown += [row for row in of_stage if not row.quantity.startswith(('gradient ', 'statistic '))]
        for kind, title in (('gradient ', 'gradients'), ('statistic ', 'batch statistics')):
            group = [row for row in of_stage if row.quantity.startswith(kind)]
            if group:
                shown += summed_up(title, group)
    cells = []
    for row in shown:
        jittor, floor = ((f'{size:.2g}', f'{size / row.largest_value:.1e}') for size in (row.jittor, row.floor))
        cells.append([row.stage, row.quantity, f'{row.largest_value:.6g}', *jittor, *floor])
    head = ['stage', 'quantity', 'largest value', 'Jittor differs by at most', '… of the largest', 'floor',
            '… of the largest']
    return (
        '## Forward: features, losses, gradients and fused images with the initial weights\n\n'
        f'{markdown_table(head, cells, texts=2)}\n'
        'The line of the gradients is the weight where Jittor differs most, relative to the largest value in its '
        'gradient; weights whose gradient is zero but for rounding are left out of it. Every array: `forward.csv`. '
        f'{note}\n')


def summed_up(title, group):
    """One Row for many: the one with the largest relative difference, its name added to the title."""
    bound = NEGLIGIBLE * max(row.largest_value for row in group)
    known = [row for row in group if row.largest_value > bound and row.floor < UNKNOWN * row.largest_value]
    worst = max(known or group, key=lambda row: row.jittor / row.largest_value)
    return [worst._replace(quantity=f'{title} of {len(group)} ({worst.quantity.split()[1]})')]


def _computed(setup, side, stage, initial, batches):
    """What a side computes in a stage's first step, {quantity: array}."""
    start_stage(side, stage, initial)
    path = setup.work / 'computed.npz'
    side.ask('compute', batches=batches, index=0, out=path)
    with np.load(path) as file:
        return {name: file[name] for name in file.files}
