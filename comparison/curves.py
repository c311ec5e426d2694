"""Part 2's numbers and figures, from the CSV files that the training wrote."""
from typing import NamedTuple, Optional

import numpy as np
from matplotlib.figure import Figure

from comparison.report import percent, write_part
from comparison.sides import FLOOR, FLOORS, JITTORS, NAMES, PYTORCH, sides_with
from comparison.training import STAGES, csv_path
from tools.base.figures import figure_style, label_log_axis, save_figure
from tools.base.tables import markdown_table
from tools.curves.figures import Style, loss_figure, loss_panels
from tools.curves.reading import LABELS, TOTAL, read_runs

# A step is within the bound if its difference is below the larger of the two.
ALLOWED_TIMES_FLOOR, ALLOWED_DIFFERENCE = 3, 1e-3
FLOOR_REACH = 10  # steps before and after
LAST_SHARE = 10  # the end of a curve is its last tenth


class Agreement(NamedTuple):
    """How curves of Jittor's compare with PyTorch's, and PyTorch's with one another. Differences are relative.

    Of several runs of Jittor, the first; for `within` and `within_alone`, that for which they are lowest.
    """
    steps: int
    end: float             # mean loss over the last tenth, PyTorch
    end_jittor: float      # difference there, with its sign
    end_floor: float       # without
    median_jittor: float   # median over the steps of the size of the difference
    median_floor: float
    largest_jittor: float
    largest_floor: float
    within: float          # share of the steps within the bound
    within_alone: float    # the same, with the floor taken at the step alone
    within_floor: Optional[float]  # as `within`, of the floor for which it is lowest, the others being its floors


def agreement(pytorch, jittors, floors):
    """Compare curves, arrays of a loss per step, jittors and floors lists of such -> Agreement."""
    sizes, rounding = [difference(jittor, pytorch) for jittor in jittors], spread([pytorch, *floors])
    size = sizes[0]
    alone = np.maximum(ALLOWED_TIMES_FLOOR * rounding, ALLOWED_DIFFERENCE)
    last = slice(-max(1, len(pytorch) // LAST_SHARE), None)
    end, end_jittor, *end_floors = (curve[last].mean() for curve in (pytorch, jittors[0], *floors))
    return Agreement(
        steps=len(pytorch), end=end, end_jittor=end_jittor / end - 1, end_floor=spread([end, *end_floors]),
        median_jittor=np.median(size), median_floor=np.median(rounding), largest_jittor=size.max(),
        largest_floor=rounding.max(), within=np.mean(sizes <= bound(rounding), axis=1).min(),
        within_alone=np.mean(sizes <= alone, axis=1).min(), within_floor=_within_of_floors(pytorch, floors))


def difference(curve, pytorch):
    """The size of the relative difference from PyTorch's curve at each step."""
    return np.abs(curve / pytorch - 1)


def spread(runs):
    """The floor: the largest difference of any two runs of PyTorch, relative to the first. runs: numbers or arrays."""
    return np.ptp(runs, axis=0) / np.abs(runs[0])


def bound(rounding):
    """The difference allowed at each step, given the sizes of those of the floor.

    By chance, two runs of PyTorch come close to each other at one step and not at the next. So the floor at a step is
    the largest of the differences FLOOR_REACH steps around it.
    """
    padded = np.pad(rounding, FLOOR_REACH, mode='edge')
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * FLOOR_REACH + 1).max(axis=1)
    return np.maximum(ALLOWED_TIMES_FLOOR * around, ALLOWED_DIFFERENCE)


def _within_of_floors(pytorch, floors):
    if len(floors) == 1:
        return None
    others = [[pytorch, *floors[:index], *floors[index + 1:]] for index in range(len(floors))]
    return min(np.mean(difference(floor, pytorch) <= bound(spread(rest))) for floor, rest in zip(floors, others))


def write_curves(out, folder, note):
    """Write the tables and figures of what training wrote into `folder`, be it interrupted. note: how it came about."""
    runs = {key: read_stage(folder, key) for key in STAGES if csv_path(folder, key, FLOOR).is_file()}
    runs = {key: of_stage for key, of_stage in runs.items() if of_stage}
    rows = []
    for key, of_stage in runs.items():
        title = STAGES[key].title
        rows += [{'stage': title, 'loss': LABELS.get(loss, loss), **agreement(*curves_of(of_stage, loss))._asdict()}
                 for loss in of_stage[PYTORCH].loss_names]
        save_figure(loss_figure(title, loss_panels(list(of_stage.values())), Style()), out / f'curves_{key}')
    if rows:
        save_figure(differences_figure(runs), out / 'differences')
        write_part(out, 'training', rows, training_text(rows, runs, note))


def read_stage(folder, key):
    """{side: tools.curves.reading.Run} of a stage, cut to the steps that all sides have
    done; empty if there are none."""
    paths = {side: csv_path(folder, key, side) for side in sides_with(len(FLOORS), len(JITTORS))}
    paths = {side: path for side, path in paths.items() if path.is_file()}
    steps = min(len(path.read_text(encoding='utf-8').splitlines()) - 1 for path in paths.values())
    if steps < 1:
        return {}
    runs = {side: read_runs(path)[0] for side, path in paths.items()}
    return {side: run._replace(name=NAMES[side], losses=run.losses.iloc[:steps]) for side, run in runs.items()}


def curves_of(of_stage, loss):
    """A loss of what `read_stage` returns: (PyTorch's curve, list of Jittor's, list of the floors')."""
    losses = {side: run.losses[loss].to_numpy() for side, run in of_stage.items()}
    jittors, floors = ([losses[side] for side in sides if side in losses] for sides in (JITTORS, FLOORS))
    return losses[PYTORCH], jittors, floors


def training_text(rows, runs, note):
    """The rows as Markdown, with the figures."""
    cells = [[stage, loss, steps, f'{end:.6g}', percent(jittor, True),
              *('' if one is None else percent(one) for one in ratios)]
             for stage, loss, steps, end, jittor, *ratios in map(dict.values, rows)]
    table = markdown_table(
        ['stage', 'loss', 'steps', 'PyTorch, last tenth', 'Jittor there', 'floor there', 'Jittor, median step', 'floor',
         'Jittor, largest', 'floor', 'steps within the bound', '… with the floor of that step alone',
         '… of a floor in Jittor\'s place'], cells, texts=2)
    figures = [f'![{STAGES[key].title}](curves_{key}.png)\n' for key in runs]
    return (
        f'## Training: the losses step by step\n\n{table}\n'
        'Differences are relative to the first PyTorch run; the floor is the largest of any two of the PyTorch runs. '
        f'The bound at a step: {ALLOWED_TIMES_FLOOR} times the largest floor within {FLOOR_REACH} steps, or '
        f'{percent(ALLOWED_DIFFERENCE)} where that is more. Last column: of a PyTorch run, the others being its floor; '
        'the lowest share. Of several runs of Jittor, the first; for the shares, the one with the lowest. '
        f'The losses of each step: `training/`. {note}\n\n'
        '![How far the runs are from each other at each step](differences.png)\n\n' + '\n'.join(figures))


def differences_figure(runs):
    """The difference in total loss at each step, with the floor and the bound, of what `write_curves` has read."""
    with figure_style('paper'):
        figure = Figure(figsize=(8.5, 2.8), layout='constrained')
        panels = figure.subplots(1, len(runs), squeeze=False)[0]
        for axes, (key, of_stage) in zip(panels, runs.items()):
            steps = of_stage[PYTORCH].losses.index
            pytorch, jittors, floors = curves_of(of_stage, TOTAL)
            rounding = spread([pytorch, *floors])
            axes.plot(steps, 100 * bound(rounding), color='0.5', linestyle='--', linewidth=1, label='bound')
            axes.plot(steps, 100 * rounding, linewidth=0.9, label='PyTorch from itself')
            axes.plot(steps, 100 * difference(jittors[0], pytorch), color='C1', linewidth=0.9,
                      label='Jittor from PyTorch')
            axes.set(title=STAGES[key].title, xlabel='step', yscale='log')
            label_log_axis(axes)
        panels[0].set_ylabel('total loss: difference (%)')
        figure.legend(*panels[0].get_legend_handles_labels(), loc='outside lower center', ncols=3, frameon=False)
    return figure
