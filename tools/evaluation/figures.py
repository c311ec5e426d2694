"""Figures of scores: a box plot for each metric, and a chart of the means."""
from pathlib import Path

import numpy as np
import seaborn
from matplotlib.figure import Figure

from tools.base.figures import figure_style, save_figure, warn_of_missing_glyphs
from tools.evaluation.protocols import base_name

PALETTE = 'husl'
PANELS_PER_ROW = 3


def draw_figures(scores, folder):
    """Write box_<metric>.png for each metric that any image has, and means.png, of tools.evaluation.scoring.Scores."""
    warn_of_missing_glyphs(scores.table.index.unique('method'))
    with figure_style('notebook', scores.table.index.unique('method')):
        for metric, label in zip(scores.metrics, scores.table):
            if np.isfinite(scores.table[label]).any():
                name = base_name(metric).replace('/', '_')
                save_figure(box_plot(scores.table[label], metric), Path(folder, f'box_{name}'), ['png'])
        save_figure(means_chart(scores.table, scores.metrics), Path(folder, 'means'), ['png'])


def box_plot(values, metric):
    """A figure with a box and the single values for each method, without those that are infinite.

    values: Series, a column of the table in Scores. The methods stand below each other, in their order.
    """
    methods = values.index.unique('method')
    samples = values.where(np.isfinite(values)).unstack('method')[methods]
    figure = Figure(figsize=(7, _panel_height(methods)), layout='constrained')
    axes = figure.subplots()
    seaborn.boxplot(samples, ax=axes, orient='h', palette=PALETTE, width=0.6, showfliers=False)
    # Jitter would be random, and the file another one each time.
    seaborn.stripplot(samples, ax=axes, orient='h', color='0.25', size=3, alpha=0.6, jitter=False)
    axes.set(xlabel=_axis_label(values.name, metric), ylabel='')
    return figure


def means_chart(table, metrics):
    """A figure with a panel of bars for each metric; an infinite mean has a number, but no bar.

    table, metrics: those of Scores.
    """
    means = table.groupby('method', sort=False).mean()
    columns = min(len(metrics), PANELS_PER_ROW)
    rows = -(-len(metrics) // columns)
    figure = Figure(figsize=(1.5 + 3.2 * columns, rows * _panel_height(means)), layout='constrained')
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes, metric, label in zip(panels, metrics, means):
        lengths = means[label].where(np.isfinite(means[label]), 0)
        bars = axes.barh(means.index, lengths, color=seaborn.color_palette(PALETTE, len(means)))
        axes.bar_label(bars, [f'{mean:#.4g}' for mean in means[label]], padding=3, fontsize='small')
        axes.margins(x=0.3)  # room for the numbers beside the bars
        axes.grid(axis='y', visible=False)
        axes.set_xlabel(_axis_label(label, metric))
    panels[0].invert_yaxis()  # which they share: the first method on top
    for axes in panels[len(metrics):]:
        axes.remove()
    return figure


def _panel_height(methods):
    return 0.9 + 0.32 * len(methods)  # inches: legible for two methods and for twelve


def _axis_label(label, metric):
    return f'{label}, {metric.better} is better'
