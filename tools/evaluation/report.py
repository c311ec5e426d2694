"""Tables of scores: on the terminal, as CSV, Markdown and LaTeX; and the paired test between methods."""
import unicodedata
from pathlib import Path
from typing import List, NamedTuple

import numpy as np
import pandas as pd

from tools.base.files import write_text
from tools.base.tables import markdown_table, markdown_text, terminal_table, write_csv
from tools.data.value_range import range_text
from tools.evaluation.noise import noise_note, within_noise

MISSING = '–'
METRICS_PER_TABULAR = 6  # so many columns `mean ± std` fit the width of a printed page

# How a mean and its standard deviation are written, by the rank of the method: any, best, second
TERMINAL = {0: '{} ± {} ', 1: '{} ± {}*', 2: '{} ± {}+'}
MARKDOWN = {0: '{} ± {}', 1: '**{}** ± {}', 2: '<u>{}</u> ± {}'}
LATEX = {rank: mean + r' {{\scriptsize $\pm$ {}}}'
         for rank, mean in enumerate(['{}', r'\textbf{{{}}}', r'\underline{{{}}}'])}
WITHIN_NOISE = '≈'  # after a mean


# Characters that LaTeX takes for something else, or does not know
LATEX_TEXT = {
    '\\': r'\textbackslash{}', '~': r'\textasciitilde{}', '^': r'\textasciicircum{}', '<': r'\textless{}',
    '>': r'\textgreater{}',
    # A row that began with the last two would be an option of \\
    '|': r'\textbar{}', '"': r"{''}", '[': '{[}', '*': '{*}',
    **{character: '\\' + character for character in '&%$#_{}'},
    '±': r'$\pm$', '↑': r'$\uparrow$', '↓': r'$\downarrow$', '→': r'$\to$', '†': r'\dag{}', '‡': r'\ddag{}',
    '≥': r'$\geq$', '≤': r'$\leq$', '≠': r'$\neq$', '≈': r'$\approx$', '×': r'$\times$', '·': r'$\cdot$', '−': '$-$',
    '∞': r'$\infty$', '°': r'$^\circ$', 'µ': r'$\mu$', '…': r'\ldots{}', '²': '$^2$', '³': '$^3$', '₁': '$_1$',
    '₂': '$_2$', '₃': '$_3$'}
# That LaTeX has
GREEK_CAPITALS = 'gamma', 'delta', 'theta', 'lambda', 'xi', 'pi', 'sigma', 'upsilon', 'phi', 'psi', 'omega'
# That look as these Greek ones, where it is not the first letter of the name
LATIN_CAPITALS = {'eta': 'H', 'rho': 'P', 'chi': 'X'}
LAST_LATIN = 'ſ'


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
    ir_range = scores.reading.ir_range
    stretched = f', infrared with the range {range_text(ir_range)}' if ir_range else ''
    moved = ', infrared moved as in fusing (align)' if scores.reading.align else ''
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
        decimals = decimals_of(means)
        show = lambda number: MISSING if np.isnan(number) else f'{number:.{decimals}f}'
        ranks = places(means, metric)
        close = within_noise(means, (scores.noise or {}).get(label))
        mark = f' {LATEX_TEXT[WITHIN_NOISE] if written is LATEX else WITHIN_NOISE}'
        texts[f'{label} {metric.arrow}'] = [written.get(rank, written[0]).format(show(mean), show(std))
                                            + mark * is_close
                                            for mean, std, rank, is_close in zip(means, stds, ranks, close)]
    return texts


def decimals_of(means):
    """With how many the means of a metric are printed."""
    return 3 if (means[np.isfinite(means)].abs() >= 10).any() else 4


def places(means, metric):
    """The rank of each method by a metric, 1 for the best; 0 for a single one.

    By what is printed: two methods that show the same number are equally good.
    """
    if len(means) == 1:
        return [0]
    graded = metric.graded(means.round(decimals_of(means)))
    return graded.rank(method='dense', ascending=metric.lower_is_better).tolist()


def paired_tests(scores) -> List[PairedTest]:
    """Test every method against the first, metric by metric. Images without a score in one of the two are left out.

    Of a metric that is best at 0, distances from 0 are compared.
    """
    from scipy.stats import wilcoxon  # here, so that worker processes do without
    first, *others = scores.table.index.unique('method')
    tests = []
    for metric, (label, values) in zip(scores.metrics, scores.table.items()):
        values = metric.graded(values)
        for method in others:
            difference = values[method] - values[first]
            difference = difference[np.isfinite(difference)]
            moved = difference[difference != 0]
            p_value = wilcoxon(moved).pvalue if len(moved) else 1.0 if len(difference) else np.nan
            tests.append(PairedTest(label, method, first, len(difference), difference.median(), p_value, np.nan))
    return [test._replace(p_holm=p_value) for test, p_value in zip(tests, holm([test.p_value for test in tests]))]


def holm(p_values):
    """p-values corrected for their number, so that one below 5 % is there by chance in 5 % of
    tables at most; NaN stays NaN.

    The smallest is multiplied by the number of tests, the next by one less, and so on; none
    becomes less than one before it.
    Source: S. Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6, 1979.
    """
    ordered = pd.Series(p_values, dtype=float).dropna().sort_values()
    corrected = (ordered * np.arange(len(ordered), 0, -1)).cummax().clip(upper=1)
    return corrected.reindex(range(len(p_values))).tolist()


def terminal_summary(scores):
    """The summary as aligned text; best *, second +."""
    table = summary_texts(scores, TERMINAL)
    note = ('; * best, + second' if len(table) > 1 else '') + noise_note(scores.noise, scores.table, '; ')
    return f'{terminal_table(table)}\n\n{describe(scores)}{note}'


def markdown(scores, tests):
    """The summary, and the tests if there are any, as Markdown."""
    table = summary_texts(scores, MARKDOWN).rename(index=markdown_text).reset_index()
    note = ' Best in bold, second underlined.' if len(table) > 1 else ''
    note += markdown_text(noise_note(scores.noise, scores.table))
    text = f'{markdown_table(table.columns, table.values)}\n{describe(scores).capitalize()}.{note}\n'
    if tests:
        rows = [[label] + [f'{test.p_value:.2g} ({test.median_difference:+.4g})' if test.images else MISSING
                           for test in tests if test.metric == label] for label in scores.table]
        text += (f'\nWilcoxon signed-rank test against {markdown_text(tests[0].against)}: p-value (median '
                 f'difference)\n\n'
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
    text = '\n'.join(lines + [r'\end{table}', ''])
    unknown = _needs_other_latex(text)
    return f'% needs XeLaTeX or LuaLaTeX, and a font that has {unknown}\n{text}' if unknown else text


def write_tables(scores, tests, folder):
    """Write scores.csv (per image), summary.csv, .md and .tex, and tests.csv if there are
    tests (from `paired_tests`)."""
    folder = Path(folder)
    write_with_origin(folder / 'scores.csv', scores.table, scores)
    write_with_origin(folder / 'summary.csv', summary(scores), scores)
    if tests:
        write_csv(folder / 'tests.csv', pd.DataFrame(tests))
    write_text(folder / 'summary.md', markdown(scores, tests))
    write_text(folder / 'summary.tex', latex_table(
        summary_texts(scores, LATEX), f'{describe(scores).capitalize()}.{noise_note(scores.noise, scores.table)}'))


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
    """For LaTeX, with pdfLaTeX too: but for letters of other scripts than Latin and Greek, see `_needs_other_latex`."""
    text = ''.join(LATEX_TEXT.get(character) or _greek(character)
                   or ('' if unicodedata.category(character) == 'Cc' else character)
                   for character in ' '.join(text.split()))
    return text.replace('--', '-{}-')  # which would be a longer dash


def _greek(character):
    """A Greek letter in LaTeX; '' for other characters. Capitals that look as Latin ones do not have a command."""
    kind, _, name = unicodedata.name(character, '').partition(' LETTER ')
    if kind not in ('GREEK SMALL', 'GREEK CAPITAL') or ' WITH ' in name:
        return ''
    name = {'LAMDA': 'lambda', 'FINAL SIGMA': 'varsigma'}.get(name, name.lower())
    if kind == 'GREEK SMALL':
        return rf'${"o" if name == "omicron" else chr(92) + name}$'
    return rf'$\{name.capitalize()}$' if name in GREEK_CAPITALS else LATIN_CAPITALS.get(name, name[0].upper())


def _needs_other_latex(text):
    """The characters of a text in LaTeX that pdfLaTeX does not know, each once, as text: those beyond the
    Latin alphabets and dashes."""
    return ''.join(dict.fromkeys(character for character in text if character > LAST_LATIN
                                 and character not in '–—‘’“”'))
