"""Tables of scores: on the terminal, as CSV, Markdown and LaTeX; and the paired test between methods."""
from pathlib import Path
from typing import List, NamedTuple

import numpy as np
import pandas as pd

from tools.files import write_text
from tools.tables import markdown_table, terminal_table, write_csv
from tools.value_range import range_text

MISSING = '–'
METRICS_PER_TABULAR = 6  # so many columns `mean ± std` fit the width of a printed page

# How a mean and its standard deviation are written, by the rank of the method: any, best, second
TERMINAL = {0: '{} ± {} ', 1: '{} ± {}*', 2: '{} ± {}+'}
MARKDOWN = {0: '{} ± {}', 1: '**{}** ± {}', 2: '<u>{}</u> ± {}'}
LATEX = {rank: mean + r' {{\scriptsize $\pm$ {}}}'
         for rank, mean in enumerate(['{}', r'\textbf{{{}}}', r'\underline{{{}}}'])}


class PairedTest(NamedTuple):
    """Wilcoxon signed-rank test of a method against the first one, on the images that both have."""
    metric: str
    method: str
    against: str
    images: int
    median_difference: float  # method − first method
    p_value: float            # two-sided; 1 if no image differs, NaN if there is none
    p_holm: float             # corrected for the number of tests in the table


def scored_on(scores):
    """What of the images was scored, as text."""
    stretched = f', infrared with the range {range_text(scores.ir_range)}' if scores.ir_range else ''
    moved = ', infrared moved as in fusing (align)' if scores.align else ''
    return ('colour channels, averaged' if scores.channels else 'luma') + stretched + moved


def describe(scores, numbers='mean ± standard deviation'):
    """One line on how the numbers came about, for under a table."""
    counts = scores.table.notna().any(axis=1).groupby('method').sum()
    images = f'{counts.max()} image' + ('' if counts.max() == 1 else 's')
    if counts.min() < counts.max():
        images = f'{counts.min()} to {images}'
    return f'{numbers} over {images}; protocol: {scores.protocol}; scored on: {scored_on(scores)}'


def summary(scores):
    """A row per method; for each metric its mean, sample standard deviation and number of images, as columns."""
    numbers = scores.table.groupby('method', sort=False).agg(['mean', 'std', 'count'])
    numbers.columns = [f'{label} {"images" if what == "count" else what}' for label, what in numbers.columns]
    return numbers


def summary_texts(scores, written):
    """The summary as texts: a row per method, a column per metric, whose name says which direction is better.

    written: one of TERMINAL, MARKDOWN and LATEX. Methods are ranked if there are several.
    """
    numbers = summary(scores)
    texts = pd.DataFrame(index=numbers.index)
    for label, metric in zip(scores.table, scores.metrics):
        means, stds = numbers[f'{label} mean'], numbers[f'{label} std']
        decimals = 3 if (means[np.isfinite(means)].abs() >= 10).any() else 4
        show = lambda number: MISSING if np.isnan(number) else f'{number:.{decimals}f}'
        # By what is printed: two methods that show the same number are equally good.
        ranks = means.round(decimals).rank(method='dense', ascending=metric.lower_is_better) if len(means) > 1 else [0]
        texts[f'{label} {"↓" if metric.lower_is_better else "↑"}'] = [
            written.get(rank, written[0]).format(show(mean), show(std)) for mean, std, rank in zip(means, stds, ranks)]
    return texts


def paired_tests(scores) -> List[PairedTest]:
    """Test every method against the first, metric by metric. Images without a score in one of the two are left out."""
    from scipy.stats import wilcoxon  # here, so that worker processes do without
    first, *others = scores.table.index.unique('method')
    tests = []
    for label, values in scores.table.items():
        for method in others:
            difference = values[method] - values[first]
            difference = difference[np.isfinite(difference)]
            moved = difference[difference != 0]
            p_value = wilcoxon(moved).pvalue if len(moved) else 1.0 if len(difference) else np.nan
            tests.append(PairedTest(label, method, first, len(difference), difference.median(), p_value, np.nan))
    return [test._replace(p_holm=p_value) for test, p_value in zip(tests, holm([test.p_value for test in tests]))]


def holm(p_values):
    """p-values corrected for their number, so that one below 5 % is there by chance in 5 % of tables at most; NaN stays NaN.

    The smallest is multiplied by the number of tests, the next by one less, and so on; none becomes less than one before it.
    Source: S. Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6, 1979.
    """
    ordered = pd.Series(p_values, dtype=float).dropna().sort_values()
    corrected = (ordered * np.arange(len(ordered), 0, -1)).cummax().clip(upper=1)
    return corrected.reindex(range(len(p_values))).tolist()


def terminal_summary(scores):
    """The summary as aligned text; best *, second +."""
    table = summary_texts(scores, TERMINAL)
    note = '; * best, + second' if len(table) > 1 else ''
    return f'{terminal_table(table)}\n\n{describe(scores)}{note}'


def markdown(scores, tests):
    """The summary, and the tests if there are any, as Markdown."""
    table = summary_texts(scores, MARKDOWN).reset_index()
    note = ' Best in bold, second underlined.' if len(table) > 1 else ''
    text = f'{markdown_table(table.columns, table.values)}\n{describe(scores).capitalize()}.{note}\n'
    if tests:
        rows = [[label] + [f'{test.p_value:.2g} ({test.median_difference:+.4g})' if test.images else MISSING
                           for test in tests if test.metric == label] for label in scores.table]
        text += (f'\nWilcoxon signed-rank test against {tests[0].against}: p-value (median difference)\n\n'
                 + markdown_table(['metric', *table['method'][1:]], rows))
    return text + left_out(scores)


def latex_table(table, caption):
    """A DataFrame of texts as a LaTeX table (package booktabs), a few columns side by side and the next ones below.

    The head, the names of the rows and the caption are escaped, the cells are not.
    """
    lines = [r'% needs \usepackage{booktabs}', r'\begin{table}', r'\centering']
    for start in range(0, table.shape[1], METRICS_PER_TABULAR):
        part = table.iloc[:, start:start + METRICS_PER_TABULAR]
        lines += [rf'\begin{{tabular}}{{l{"c" * part.shape[1]}}}', r'\toprule',
                  ' & '.join(['Method', *map(_escaped, part)]) + r' \\', r'\midrule',
                  *(' & '.join([_escaped(method), *row]) + r' \\' for method, row in zip(part.index, part.values)),
                  r'\bottomrule', r'\end{tabular}', '']
    lines[-1] = rf'\caption{{{_escaped(caption)}}}'
    return '\n'.join(lines + [r'\end{table}', ''])


def write_tables(scores, tests, folder):
    """Write scores.csv (per image), summary.csv, .md and .tex, and tests.csv if there are tests (from `paired_tests`)."""
    folder = Path(folder)
    write_with_origin(folder / 'scores.csv', scores.table, scores)
    write_with_origin(folder / 'summary.csv', summary(scores), scores)
    if tests:
        write_csv(folder / 'tests.csv', pd.DataFrame(tests))
    write_text(folder / 'summary.md', markdown(scores, tests))
    write_text(folder / 'summary.tex', latex_table(summary_texts(scores, LATEX), f'{describe(scores).capitalize()}.'))


def fidelity_table(results):
    """What tools.evaluation.scoring.compare_folders finds as aligned text, the worst of each column below."""
    table = results.set_index('name').rename_axis('image')
    table.loc['worst'] = table.agg({'psnr': 'min', 'ssim': 'min', 'largest': 'max', 'identical': 'min'})
    table['identical'] *= 100
    return terminal_table(table.set_axis(['PSNR (dB)', 'SSIM', 'max. difference', 'same pixels (%)'], axis=1))


def write_with_origin(path, table, scores):
    """Write a CSV file whose rows say how the scores came about."""
    how = pd.DataFrame({'protocol': scores.protocol, 'scored on': scored_on(scores)}, table.index)
    write_csv(path, how.join(table).reset_index())


def left_out(scores):
    """What could not be scored, as Markdown, for below the tables."""
    return '\n' + '  \n'.join(f'Left out: {problem}' for problem in scores.problems) + '\n' if scores.problems else ''


def _escaped(text):
    """For LaTeX."""
    special = {'\\': r'\textbackslash{}', '~': r'\textasciitilde{}', '^': r'\textasciicircum{}',
               '±': r'$\pm$', '↑': r'$\uparrow$', '↓': r'$\downarrow$', '†': r'\dag{}'}
    special.update({character: '\\' + character for character in '&%$#_{}'})
    return ''.join(special.get(character, character) for character in text)
