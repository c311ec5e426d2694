"""Ranking of methods over all metrics, on the images that all of them have."""
from pathlib import Path

import numpy as np
import pandas as pd

from tools.base.files import write_text
from tools.base.tables import markdown_table, markdown_text, terminal_table, write_csv
from tools.evaluation.report import MISSING, latex_table, scored_on

INCOMPLETE = '†'  # marks a method that lacks images which others have
SIGNIFICANT = 0.05


def ranking(scores, tests):
    """A row per method, the one of the best mean rank first.

    Each image ranks the methods by each metric; equal scores share the mean of their places. Only images count of which
    every method has a score. Columns:
    mean rank: the mean of what stands in the columns named after the metrics (means over the images),
    metrics of one kin counting as one.
    best, second: how often it has the first and the second place (shared ones too), over images and metrics.
    images, missing: of how many images there are scores of all methods, and how many it lacks that another has.
    better, worse: in how many metrics it differs from the first method given, by a paired test corrected after Holm.
    """
    methods = scores.table.index.unique('method')
    scored = scores.table.notna().any(axis=1).unstack('method')[methods]
    table = pd.DataFrame({'mean rank': np.nan, 'best': 0, 'second': 0, 'images': scored.all(axis=1).sum(),
                          'missing': scored.any(axis=1).sum() - scored.sum(), 'better': 0, 'worse': 0}, methods)
    for metric in scores.metrics:
        values = metric.graded(scores.table[metric.name].unstack('method')[methods].dropna())
        places = values.rank(axis=1, ascending=metric.lower_is_better, method='min')
        table['best'] += (places == 1).sum()
        table['second'] += (places == 2).sum()
        table[metric.name] = values.rank(axis=1, ascending=metric.lower_is_better).mean()
        for test in tests:
            if test.metric == metric.name and verdict(test, metric):
                table.loc[test.method, verdict(test, metric)] += 1
    kins = [metric.kin or metric.name for metric in scores.metrics]
    table['mean rank'] = table[[metric.name for metric in scores.metrics]].T.groupby(kins).mean().mean()
    return table.sort_values('mean rank', kind='stable')


def verdict(test, metric):
    """What a PairedTest says of its method against the first: 'better', 'worse', or '' if it is not
    significant after Holm's correction."""
    if not test.p_holm < SIGNIFICANT or test.median_difference == 0:
        return ''
    return 'better' if (test.median_difference < 0) == metric.lower_is_better else 'worse'


def write_ranking(scores, tests, folder):
    """Write ranking.csv, ranking.md and ranking.tex of several methods. tests: from
    tools.evaluation.report.paired_tests."""
    table = ranking(scores, tests)
    texts, note = ranking_texts(table, scores, tests), describe_ranking(table, scores, tests)
    write_csv(Path(folder, 'ranking.csv'), table.reset_index())
    write_text(Path(folder, 'ranking.md'), markdown_table(
        ["method", *map(markdown_text, texts)], texts.rename(index=markdown_text).reset_index().values)
        + f'\n{markdown_text(note)}\n')
    write_text(Path(folder, 'ranking.tex'), latex_table(texts, note))


def terminal_ranking(scores, tests):
    """The ranking without the columns of single metrics, as aligned text."""
    table = ranking(scores, tests)
    texts = ranking_texts(table, scores, tests).iloc[:, :4]
    return f'{terminal_table(texts)}\n\n{describe_ranking(table, scores, tests)}'


def ranking_texts(table, scores, tests):
    """A ranking as texts, a method that lacks images marked."""
    first = tests[0].against
    texts = pd.DataFrame(index=table.index.where(table['missing'] == 0, table.index + f' {INCOMPLETE}'))
    texts['mean rank'] = _two_decimals(table['mean rank'])
    texts['best'], texts['second'] = table['best'].values, table['second'].values
    texts[f'better : worse than {first}'] = [MISSING if method == first else f'{better} : {worse}'
                                             for method, better, worse
                                             in zip(table.index, table['better'], table['worse'])]
    for metric in scores.metrics:
        texts[metric.name] = _two_decimals(table[metric.name])
    return texts.astype(str)


def describe_ranking(table, scores, tests):
    """What the columns of a ranking are, for below it."""
    note = (f'Mean rank over {", ".join(metric.name for metric in scores.metrics)}{_counting_as_one(scores.metrics)} '
            f'and the {table["images"].iloc[0]} images that all methods have (1 is best); first and second places, in '
            f'each metric by itself; number of metrics in which a method is better and worse than {tests[0].against} '
            f'by Wilcoxon signed-rank tests (5 %, corrected after Holm for {sum(test.images > 0 for test in tests)} '
            f'comparisons); mean rank by metric. Protocol: {scores.protocol}; scored on: {scored_on(scores)}.')
    missing = ', '.join(f'{method} {number}' for method, number in table['missing'].items() if number)
    return f'{note} {INCOMPLETE} Lacks images: {missing}.' if missing else note


def _counting_as_one(metrics):
    """Which metrics do, as text."""
    groups = {}
    for metric in metrics:
        groups.setdefault(metric.kin or metric.name, []).append(metric.name)
    shared = [' with '.join(names) for names in groups.values() if len(names) > 1]
    return f' ({"; ".join(shared)} counting as one)' if shared else ''


def _two_decimals(ranks):
    return [MISSING if np.isnan(rank) else f'{rank:.2f}' for rank in ranks]
