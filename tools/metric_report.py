"""Tables of scores: on the terminal, as CSV, Markdown and LaTeX; and the paired test between methods."""
import csv
import shutil
from pathlib import Path
from typing import List, NamedTuple

import numpy as np

from tools.files import whole_file
from tools.metric_protocols import DEFAULT_PROTOCOL

BEST, SECOND = 1, 2
MISSING = '–'
METRICS_PER_TABULAR = 6  # so many columns `mean ± std` fit the width of a printed page


class Cell(NamedTuple):
    """The mean of a metric over a method's images, as printed, its standard deviation, and the rank of the method."""
    value: float
    mean: str
    std: str
    rank: int  # BEST, SECOND or 0


class PairedTest(NamedTuple):
    """Wilcoxon signed-rank test of a method against the first one, on the images that both have."""
    metric: str
    method: str
    against: str
    images: int
    median_difference: float  # method − first method
    p_value: float            # two-sided; 1 if no image differs, NaN if there is none


def label(scores, metric):
    """A metric's name in a table; it tells the protocol unless that is the default."""
    return metric.name if scores.protocol == DEFAULT_PROTOCOL else f'{metric.name} ({scores.protocol})'


def scored_on(scores):
    return 'colour channels, averaged' if scores.channels else 'luma'


def describe(scores):
    """One line on how the numbers came about, for under a table."""
    counts = (~np.isnan(scores.values)).any(axis=2).sum(axis=1)
    images = f'{max(counts)} image' + ('' if max(counts) == 1 else 's')
    if min(counts) < max(counts):
        images = f'{min(counts)} to {images}'
    return f'mean ± standard deviation over {images}; protocol: {scores.protocol}; scored on: {scored_on(scores)}'


def mean_and_std(values):
    """Mean and sample standard deviation of the values that are there; NaN where these are not defined."""
    values = values[~np.isnan(values)]
    mean = values.mean() if len(values) else np.nan
    defined = len(values) > 1 and np.isfinite(mean)  # the PSNR of equal images is infinite
    return mean, values.std(ddof=1) if defined else np.nan


def paired_tests(scores) -> List[PairedTest]:
    """Test every method against the first, metric by metric. Images without a score in one of the two are left out."""
    from scipy.stats import wilcoxon  # imported when needed: a third of a second
    tests = []
    for column, metric in enumerate(scores.metrics):
        for row in range(1, len(scores.methods)):
            ours, first = scores.values[row, :, column], scores.values[0, :, column]
            both = np.isfinite(ours) & np.isfinite(first)
            differences = ours[both] - first[both]
            median, p_value = np.nan, np.nan
            if len(differences):
                moved = differences[differences != 0]
                median, p_value = np.median(differences), wilcoxon(moved).pvalue if len(moved) else 1.0
            tests.append(PairedTest(label(scores, metric), scores.methods[row], scores.methods[0],
                                    len(differences), float(median), float(p_value)))
    return tests


def table_cells(scores):
    """The summary as rows of Cell, one row for each method; ranks only where there are several methods."""
    show = lambda number: MISSING if np.isnan(number) else f'{number:.{decimals}f}'
    columns = []
    for column, metric in enumerate(scores.metrics):
        summary = [mean_and_std(values) for values in scores.values[:, :, column]]
        largest = max((abs(mean) for mean, _ in summary if np.isfinite(mean)), default=0)
        decimals = 4 if largest < 10 else 3
        # Ranked by what is printed: two methods that show the same number are equally good.
        printed = [round(mean, decimals) for mean, _ in summary]
        ordered = sorted({mean for mean in printed if not np.isnan(mean)}, reverse=not metric.lower_is_better)
        rank = {mean: place for place, mean in enumerate(ordered[:SECOND], BEST)} if len(scores.methods) > 1 else {}
        columns.append([Cell(mean, show(mean), show(std), rank.get(mean, 0))
                        for mean, (_, std) in zip(printed, summary)])
    return list(zip(*columns))


def terminal_table(scores):
    """The summary as aligned text, in as many blocks as the width of the terminal asks for; best *, second +."""
    mark = {0: ' ', BEST: '*', SECOND: '+'}
    rows = [[f'{cell.mean} ± {cell.std}{mark[cell.rank]}' for cell in row] for row in table_cells(scores)]
    head = [f'{label(scores, metric)} {_arrow(metric)} ' for metric in scores.metrics]
    widths = [max(len(row[column]) for row in [head] + rows) for column in range(len(head))]
    names = ['method'] + scores.methods
    longest = max(map(len, names))
    per_block = max(1, (shutil.get_terminal_size().columns - longest) // (2 + max(widths)))
    lines = []
    for start in range(0, len(head), per_block):
        block = slice(start, start + per_block)
        for name, row in zip(names, [head] + rows):
            cells = [text.rjust(width) for text, width in zip(row[block], widths[block])]
            lines.append('  '.join([name.ljust(longest)] + cells))
        lines.append('')
    note = '; * best, + second' if len(scores.methods) > 1 else ''
    return '\n'.join(lines + [describe(scores) + note])


def markdown(scores, tests):
    """The summary, and the tests if there are any, as Markdown."""
    show = {0: '{}', BEST: '**{}**', SECOND: '<u>{}</u>'}
    lines = _markdown_table(
        ['method'] + [f'{label(scores, metric)} {_arrow(metric)}' for metric in scores.metrics],
        [[method] + [f'{show[cell.rank].format(cell.mean)} ± {cell.std}' for cell in row]
         for method, row in zip(scores.methods, table_cells(scores))])
    note = ' Best in bold, second underlined.' if len(scores.methods) > 1 else ''
    lines += ['', f'{describe(scores).capitalize()}.{note}']
    if tests:
        lines += ['', f'Wilcoxon signed-rank test against {tests[0].against}: p-value (median difference)', '']
        lines += _markdown_table(['metric'] + scores.methods[1:], [
            [metric] + [f'{test.p_value:.2g} ({test.median_difference:+.4g})' if test.images else MISSING
                        for test in tests if test.metric == metric]
            for metric in dict.fromkeys(test.metric for test in tests)])
    lines += [''] + [f'Left out: {problem}  ' for problem in scores.problems]
    return '\n'.join(lines).rstrip() + '\n'


def latex(scores):
    """The summary as a LaTeX table (package booktabs), a few metrics side by side and the next ones below."""
    show = {0: '{}', BEST: r'\textbf{{{}}}', SECOND: r'\underline{{{}}}'}
    rows = table_cells(scores)
    lines = [r'% needs \usepackage{booktabs}', r'\begin{table}', r'\centering']
    for start in range(0, len(scores.metrics), METRICS_PER_TABULAR):
        metrics = scores.metrics[start:start + METRICS_PER_TABULAR]
        head = [_escaped(f'{label(scores, metric)} {_arrow(metric)}') for metric in metrics]
        lines += [rf'\begin{{tabular}}{{l{"c" * len(metrics)}}}', r'\toprule',
                  ' & '.join(['Method'] + head) + r' \\', r'\midrule']
        for method, row in zip(scores.methods, rows):
            cells = (f'{show[cell.rank].format(cell.mean)} {{\\scriptsize $\\pm$ {cell.std}}}'
                     for cell in row[start:start + METRICS_PER_TABULAR])
            lines.append(' & '.join([_escaped(method), *cells]) + r' \\')
        lines += [r'\bottomrule', r'\end{tabular}', '']
    lines[-1] = rf'\caption{{{_escaped(describe(scores).capitalize())}.}}'
    return '\n'.join(lines + [r'\end{table}', ''])


def write_tables(scores, tests, folder):
    """Write scores.csv (per image), summary.csv, .md and .tex, and tests.csv if there are tests."""
    folder = Path(folder)
    labels = [label(scores, metric) for metric in scores.metrics]
    how = [scores.protocol, scored_on(scores)]
    single, summary = [], []
    for method, of_method in zip(scores.methods, scores.values):
        single += [[method, image, *how, *values] for image, values in zip(scores.images, of_method)]
        summary.append([method, *how])
        for values in of_method.T:
            summary[-1] += [*mean_and_std(values), np.count_nonzero(~np.isnan(values))]
    head = [f'{name} {what}' for name in labels for what in ('mean', 'std', 'images')]
    write_csv(folder / 'scores.csv', ['method', 'image', 'protocol', 'scored on'] + labels, single)
    write_csv(folder / 'summary.csv', ['method', 'protocol', 'scored on'] + head, summary)
    if tests:
        write_csv(folder / 'tests.csv', PairedTest._fields, tests)
    write_text(folder / 'summary.md', markdown(scores, tests))
    write_text(folder / 'summary.tex', latex(scores))


def fidelity_table(results):
    """A list of tools.evaluation.Fidelity as aligned text, the worst of each column below."""
    worst = results[0]._replace(name='worst', psnr=min(result.psnr for result in results),
                                ssim=min(result.ssim for result in results),
                                largest=max(result.largest for result in results),
                                identical=min(result.identical for result in results))
    width = max(len(result.name) for result in results + [worst])
    return '\n'.join([f'{"image":{width}}  PSNR (dB)      SSIM  largest difference  identical pixels'] + [
        f'{name:{width}}  {psnr:9.3f}  {ssim:8.6f}  {largest:18.4g}  {identical:16.2%}'
        for name, psnr, ssim, largest, identical in results + [worst]])


def write_fidelity(results, folder):
    """Write fidelity.csv."""
    write_csv(Path(folder, 'fidelity.csv'), results[0]._fields, results)


def write_csv(path, head, rows):
    """Write a CSV file that Excel opens as UTF-8; numbers with 8 significant digits, NaN as an empty field."""
    show = lambda value: '' if value != value else f'{value:.8g}' if isinstance(value, float) else value
    with whole_file(path) as temporary, open(temporary, 'w', newline='', encoding='utf-8-sig') as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows([show(value) for value in row] for row in rows)


def write_text(path, text):
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding='utf-8')


def _arrow(metric):
    return '↓' if metric.lower_is_better else '↑'


def _markdown_table(head, rows):
    escape = lambda text: text.replace('|', r'\|')
    return ['| ' + ' | '.join(map(escape, row)) + ' |' for row in [head, ['---'] * len(head), *rows]]


def _escaped(text):
    """For LaTeX."""
    special = {'\\': r'\textbackslash{}', '~': r'\textasciitilde{}', '^': r'\textasciicircum{}',
               '±': r'$\pm$', '↑': r'$\uparrow$', '↓': r'$\downarrow$'}
    special.update({character: '\\' + character for character in '&%$#_{}'})
    return ''.join(special.get(character, character) for character in text)
