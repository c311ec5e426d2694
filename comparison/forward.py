"""Part 1: features, fused images, losses and gradients from the same weights and images, and how far they are apart."""
from typing import NamedTuple

import numpy as np

from comparison.report import write_part
from comparison.sides import SIDES, open_sides
from comparison.training import STAGES, start_stage
from tools.base.tables import markdown_table

# Some gradients are zero but for rounding: of biases before a batch norm, of those of keys, of the last scale and
# shift, since the output is normalised. They are smaller than this share of the largest gradient …
NEGLIGIBLE = 1e-6
UNKNOWN = 0.01  # … or PyTorch differs from itself by this share of them
SUMMED_UP = {'gradient': 'gradients', 'statistic': 'batch statistics'}  # how quantities begin, and their common name


class Difference(NamedTuple):
    """One array of a stage: its largest value in PyTorch, and the largest differences of the two others from it."""
    stage: str
    quantity: str
    largest_value: float
    jittor: float
    floor: float


def compare_forward(setup, initial, batches, pairs, out, note):
    """Ask all sides for what they compute on the first batch of each stage and on test pairs, and write the tables.

    initial: {network: file}. batches: {network: BatchFile}. pairs: PairFiles to fuse. note: on what is compared.
    """
    rows = []
    with open_sides(SIDES, setup) as sides:
        for stage in STAGES.values():
            print(f'comparing: {stage.title}')
            for side in sides.values():
                start_stage(side, stage, initial)
            rows += differences(stage.title, *(
                _computed(setup.work / 'computed.npz', side, 'compute', batches=batches[stage.network].path, index=0)
                for side in sides.values()))
        for side in sides.values():
            side.ask('start_fusing', **initial)
        for pair in pairs:
            print(f'comparing: fused {pair.name}')
            rows += differences('Fusing', *(
                {f'fused {pair.name}': _computed(setup.work / 'fused.npy', side, 'fuse', pair=pair.path)}
                for side in sides.values()))
    write_part(out, 'forward', rows, forward_text(rows, note))


def _computed(path, side, method, **arguments):
    """What a side computes, and hands over in a file: an array, or {quantity: array}."""
    side.ask(method, out=path, **arguments)
    found = np.load(path)
    return found if path.suffix == '.npy' else dict(found)


def differences(stage, pytorch, jittor, floor):
    """A Difference for each array; the arguments are {quantity: array}. ValueError if
    Jittor has others than PyTorch."""
    if set(jittor) != set(pytorch):
        raise ValueError(f'{stage}: only one side has {", ".join(sorted(set(jittor) ^ set(pytorch)))}')
    largest = lambda array: float(np.abs(array).max())
    return [Difference(stage, name, largest(array), largest(jittor[name] - array), largest(floor[name] - array))
            for name, array in pytorch.items()]


def forward_text(rows, note):
    """The rows as Markdown, the gradients of a stage and its batch statistics summed up in a line each."""
    groups = {}
    for row in rows:
        kind = row.quantity.split()[0]
        groups.setdefault((row.stage, kind if kind in SUMMED_UP else row.quantity), []).append(row)
    shown = [summed_up(SUMMED_UP[kind], group) if kind in SUMMED_UP else group[0]
             for (_, kind), group in groups.items()]
    cells = [[stage, quantity, f'{most:.6g}',
              *(text for size in sizes for text in (f'{size:.2g}', f'{size / most:.1e}'))]
             for stage, quantity, most, *sizes in shown]
    head = ['stage', 'quantity', 'largest value', 'Jittor differs by at most', '… of the largest', 'floor',
            '… of the largest']
    return ('## Forward: features, losses, gradients and fused images with the initial weights\n\n'
            f'{markdown_table(head, cells, texts=2)}\nThe line of the gradients is the weight where Jittor differs '
            'most, relative to the largest value in its gradient; weights whose gradient is zero but for rounding are '
            'left out of '
            f'it. Every array: `forward.csv`. {note}\n')


def summed_up(title, group):
    """One Difference for many: the largest relative to its array, whose name is added to the title."""
    bound = NEGLIGIBLE * max(row.largest_value for row in group)
    known = [row for row in group if row.largest_value > bound and row.floor < UNKNOWN * row.largest_value]
    worst = max(known or group, key=lambda row: row.jittor / row.largest_value)
    return worst._replace(quantity=f'{title} of {len(group)} ({worst.quantity.split()[1]})')
