"""Figures of loss curves: a panel per loss, runs overlaid, and below it how far they are from the first run."""
from typing import List, NamedTuple, Optional

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from tools.base.figures import figure_style, label_log_axis
from tools.curves.reading import LABELS, Run, epoch_means, relative_difference, smoothed

WIDTH = 8.5  # inches; at README width (850 pixels) a point of text is then 1.4 pixels
PANELS_PER_ROW = 3
CURVES_ONLY, CURVES_AND_DIFFERENCES = [2.6], [2.4, 1.3]  # heights in inches
LEGEND_CHARACTERS = 110  # that fit on a line
MARKED = 20  # points of a curve, up to which each is marked
POINTS = 1500  # of a drawn curve: as many as can be told apart, so that an SVG of a long run stays small
SMOOTHING_SHARE = 50  # by default a curve's points are means over this fraction of the run
LINES = ['-', (0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2))]  # curves that coincide show through each other


class Panel(NamedTuple):
    """One loss of several runs; the first is the one that others are compared with."""
    title: str
    loss: str
    runs: List[Run]


class Style(NamedTuple):
    """per: 'step' or 'epoch'. scale: 'log' or 'linear'. window: steps per smoothed point; None: a share of the run."""
    per: str = 'step'
    scale: str = 'log'
    window: Optional[int] = None


def loss_panels(runs: List[Run]) -> List[Panel]:
    """A panel for each loss that any of the runs has."""
    losses = dict.fromkeys(loss for run in runs for loss in run.loss_names)
    return [Panel(LABELS.get(loss, loss), loss, [run for run in runs if loss in run.losses]) for loss in losses]


def loss_figure(title: str, panels: List[Panel], style: Style) -> Figure:
    """Panels as one figure, with a legend of the runs below them."""
    import seaborn  # here, since it takes a second to load, which --help need not wait for

    names = list(dict.fromkeys(run.name for panel in panels for run in panel.runs))
    colours = dict(zip(names, seaborn.color_palette('colorblind' if len(names) <= 10 else 'husl', len(names))))
    columns = min(len(panels), PANELS_PER_ROW)
    heights = CURVES_AND_DIFFERENCES if any(len(panel.runs) > 1 for panel in panels) else CURVES_ONLY
    blocks = -(-len(panels) // columns)
    legend_columns = max(1, min(4, LEGEND_CHARACTERS // (max(map(len, names)) + 8)))
    legend_rows = -(-len(names) // legend_columns)
    with figure_style('paper', [title, *(panel.title for panel in panels), *names]):
        figure = Figure(figsize=(WIDTH, blocks * sum(heights) + 0.6 + 0.18 * legend_rows), layout='constrained')
        grid = figure.subplots(blocks * len(heights), columns, squeeze=False,
                               gridspec_kw={'height_ratios': heights * blocks})
        # As panels × (curves, differences)
        cells = grid.reshape(blocks, len(heights), columns).transpose(0, 2, 1).reshape(-1, len(heights))
        for panel, own_cells in zip(panels, cells):
            _draw_curves(panel, style, colours, own_cells)
        for cell in cells[len(panels):].ravel():
            cell.remove()
        figure.suptitle(title, fontweight='bold')
        handles = {line.get_label(): line for cell in cells[::-1, 0] for line in cell.get_lines()}
        legend = figure.legend([handles[name] for name in names], [''] * len(names), loc='outside lower center',
                               ncols=legend_columns, frameon=False, handlelength=3)
        for text, name in zip(legend.get_texts(), names):  # labels that begin with _ are left out by matplotlib
            text.set_text(name)
    return figure


def _draw_curves(panel: Panel, style: Style, colours, cells) -> None:
    """cells: the axes for the curves and, in a figure that compares runs, those for their differences."""
    above, lowest = cells[0], cells[-1]
    if lowest is not above:
        lowest.sharex(above)
        above.tick_params(labelbottom=False)
    curves = [_curve(run, panel.loss, style) for run in panel.runs]
    for index, (run, curve) in enumerate(zip(panel.runs, curves)):
        if style.per == 'step':
            above.plot(_thinned(run.losses[panel.loss]), color=colours[run.name], alpha=0.22, linewidth=0.6,
                       rasterized=True)
        above.plot(_thinned(curve), label=run.name, color=colours[run.name], linestyle=LINES[index % len(LINES)],
                   linewidth=2.2 if index == 0 else 1.5, marker='o' if len(curve) <= MARKED else None, markersize=3)
    above.set_title(panel.title)
    above.set_yscale(style.scale)
    if style.scale == 'log':
        label_log_axis(above)
    lowest.set_xlabel(style.per)
    lowest.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    lowest.xaxis.set_major_formatter(EngFormatter(sep=''))
    if lowest is not above:
        lowest.axhline(0, color='0.4', linewidth=0.8)
        for run, curve in zip(panel.runs[1:], curves[1:]):
            lowest.plot(_thinned(relative_difference(curve, curves[0])), color=colours[run.name], linewidth=1,
                        marker='o' if len(curve) <= MARKED else None, markersize=3)
        lowest.yaxis.set_major_locator(MaxNLocator(4))
        if lowest.get_subplotspec().is_first_col():
            lowest.set_ylabel('difference\nto the first (%)')


def _curve(run: Run, loss: str, style: Style) -> pd.Series:
    if style.per == 'epoch':
        return epoch_means(run)[loss]
    return smoothed(run, loss, style.window or max(1, int(run.losses.index[-1]) // SMOOTHING_SHARE))


def _thinned(curve: pd.Series) -> pd.Series:
    return curve if len(curve) <= POINTS else curve.iloc[np.linspace(0, len(curve) - 1, POINTS).astype(int)]
