"""Figures of scores: a box plot for each metric, and a chart of the means."""
from pathlib import Path

import numpy as np
import seaborn
from matplotlib.figure import Figure

from tools.files import whole_file
from tools.metric_report import label, table_cells

PANELS_PER_ROW = 3
DOTS_PER_INCH = 150


def draw_figures(scores, folder):
    """Write box_<metric>.png for each metric, and means.png. The methods stand below each other, in their order."""
    seaborn.set_theme(style='whitegrid')
    colours = seaborn.color_palette('husl', len(scores.methods))
    height = 0.9 + 0.32 * len(scores.methods)  # inches: legible for two methods and for twelve

    for column, metric in enumerate(scores.metrics):
        figure = Figure(figsize=(7, height), layout='constrained')
        axes, samples = figure.subplots(), _samples(scores, column)
        seaborn.boxplot(samples, ax=axes, orient='h', palette=colours, width=0.6, showfliers=False)
        seaborn.stripplot(samples, ax=axes, orient='h', color='0.25', size=3, alpha=0.6)
        _label_axes(axes, scores, metric)
        _save(figure, Path(folder, f'box_{metric.name}.png'))

    columns = min(len(scores.metrics), PANELS_PER_ROW)
    rows = -(-len(scores.metrics) // columns)
    figure = Figure(figsize=(1.5 + 3.2 * columns, rows * height), layout='constrained')
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for column, (axes, metric) in enumerate(zip(panels, scores.metrics)):
        cells = [row[column] for row in table_cells(scores)]
        lengths = [cell.value if np.isfinite(cell.value) else 0 for cell in cells]
        bars = axes.barh(range(len(cells)), lengths, color=colours)
        axes.bar_label(bars, [cell.mean for cell in cells], padding=3, fontsize='small')
        axes.margins(x=0.3)  # room for the numbers beside the bars
        axes.grid(axis='y', visible=False)
        _label_axes(axes, scores, metric)
    panels[0].invert_yaxis()  # which they share: the first method on top
    for axes in panels[len(scores.metrics):]:
        axes.remove()
    _save(figure, Path(folder, 'means.png'))


def _samples(scores, column):
    return [values[np.isfinite(values)] for values in scores.values[:, :, column]]


def _label_axes(axes, scores, metric):
    axes.set(xlabel=f'{label(scores, metric)}, {"lower" if metric.lower_is_better else "higher"} is better',
             yticks=range(len(scores.methods)), yticklabels=scores.methods)


def _save(figure, path):
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=DOTS_PER_INCH)
