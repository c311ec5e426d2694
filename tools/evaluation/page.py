"""One self-contained HTML page of an evaluation: its tables, sortable, and all images to
flip through with a magnifier."""
import base64
import html
import json
import warnings
from pathlib import Path
from string import Template

import cv2
import numpy as np
import pandas as pd

from tools.base.errors import UserError
from tools.base.files import write_text
from tools.data.images import SIXTEEN_TO_EIGHT_BIT, read_image
from tools.evaluation.ranking import describe_ranking, ranking, verdict
from tools.evaluation.report import MISSING, decimals_of, describe, places, summary

TEMPLATE = Path(__file__).with_suffix('.html')
MAX_BYTES = 20_000_000  # of all images in the page; larger ones are slow to open and do not pass as an attachment
QUALITIES = 95, 90, 80, 65, 50, 30  # of WebP; the best is taken with which the images fit
SAMPLE = 12  # scenes by which the size is estimated
SIGNS = {'better': ' ▲', 'worse': ' ▼', '': ''}


def write_page(path, scores, tests, methods, pairing, tasks):
    """Write the page, and say before how large it will be. Images that cannot be read are left out of
    it, as they are of the scores.

    scores, tests: from tools.evaluation. methods: their names. tasks: from tools.evaluation.scoring.match_methods.
    """
    names = ['infrared', 'visible', *methods]
    paths = [[pair.ir, pair.vi, *((tasks.get((method, pair.name)) or [None])[0] for method in methods)]
             for pair in pairing.pairs]
    encoded = lambda row, quality: [_data_url(row[0], quality, scores, row[1]),
                                    *(_data_url(one, quality) for one in row[1:])]
    quality, size = _fitting(paths, encoded)
    print(f'{path}: {len(paths)} scenes of {len(names)} images, about {size / 1e6:.1f} MB (WebP, quality {quality})')
    if size > MAX_BYTES:
        warnings.warn(f'{path} has {size / 1e6:.0f} MB: choose fewer images', stacklevel=2)
    scenes = [{'name': pair.name, 'images': encoded(row, quality)} for pair, row in zip(pairing.pairs, paths)]
    tables = _means(scores, tests)
    if tests:
        tables += _table('Ranking', ranking(scores, tests), describe_ranking(ranking(scores, tests), scores, tests))
    by_image = scores.table.set_axis([f'{metric.name} {metric.arrow}' for metric in scores.metrics], axis=1)
    tables += _table('Scores of each image', by_image.reset_index().set_index('method'), '', folded=True)
    left_out = f'Left out: {"; ".join(scores.problems)}' if scores.problems else ''
    text = Template(TEMPLATE.read_text(encoding='utf-8')).substitute(
        title=html.escape(f'Fused images: {", ".join(methods)}'), note=html.escape(left_out), tables=tables,
        names=_script(names), scenes=_script(scenes),
        compression=f'The images are compressed for this page (WebP, quality {quality}); the numbers are of the files.')
    write_text(path, text)


def _fitting(paths, encoded):
    """The best quality with which all images fit, or the lowest, and how many bytes they will take,
    estimated from some of the scenes."""
    some = paths[::max(1, len(paths) // SAMPLE)]
    for quality in QUALITIES:
        size = sum(len(url) for row in some for url in encoded(row, quality) if url) * len(paths) / len(some)
        if size <= MAX_BYTES:
            break
    return quality, size


def _means(scores, tests):
    """The table of means ± deviations, the best two marked, and what the test says."""
    numbers, first = summary(scores), tests[0].against if tests else None
    found = {(test.method, test.metric): test for test in tests}
    columns = []
    for metric in scores.metrics:
        means = numbers[f'{metric.name} mean']
        decimals, cells = decimals_of(means), []
        for method, mean, deviation, place in zip(means.index, means, numbers[f'{metric.name} std'],
                                                  places(means, metric)):
            test = found.get((method, metric.name))
            said = verdict(test, metric) if test else ''
            what = said or 'no significant difference'
            title = f'{what}: p = {test.p_holm:.2g} against {first}, after Holm' if test else ''
            shown = f'<span>{mean:.{decimals}f}</span> <small>± {deviation:.{decimals}f}</small>{SIGNS[said]}'
            kind = {1: 'best', 2: 'second'}.get(place, '')
            shown = shown.replace('nan', MISSING)
            cells.append(f'<td class="{kind}" title="{html.escape(title)}" '
                         f'data-value="{_sorted_by(mean)}">{shown}</td>')
        columns.append(cells)
    heads = ''.join(f'<th class="number">{html.escape(metric.name)} {metric.arrow}</th>' for metric in scores.metrics)
    rows = ''.join('<tr>' + _cell('text', method) + ''.join(cells) + '</tr>\n'
                   for method, *cells in zip(numbers.index, *columns))
    note = f'{describe(scores)}.'
    if tests:
        note += (f' Bold: best; underlined: second. {SIGNS["better"]}, {SIGNS["worse"]}: significantly better, worse '
                 f'than {first} (Wilcoxon signed-rank test, 5 % after Holm\'s correction; the pointer shows p).')
    return _framed('Means', f'<th class="text">method</th>{heads}', rows, note)


def _table(title, table, note, folded=False):
    """A DataFrame with text in its index, and perhaps in columns, as a sortable HTML table."""
    table = table.reset_index()
    kind = ['text' if table[column].map(lambda value: isinstance(value, str)).any() else 'number' for column in table]
    head = ''.join(f'<th class="{one}">{html.escape(column)}</th>' for one, column in zip(kind, table))
    rows = ''.join('<tr>' + ''.join(_cell(one, value) for one, value in zip(kind, row)) + '</tr>\n'
                   for row in table.itertuples(index=False))
    return _framed(title, head, rows, note, folded)


def _framed(title, head, rows, note, folded=False):
    content = (f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{rows}</tbody></table></div>\n'
               f'<p class="note">{html.escape(note)}</p>\n')
    title = html.escape(title)
    return f'<details><summary>{title}</summary>{content}</details>' if folded else f'<h2>{title}</h2>\n{content}'


def _cell(kind, value):
    """A cell with what it is sorted by."""
    if kind == 'text':
        return f'<td class="text" data-value="{html.escape(value)}">{html.escape(value)}</td>'
    if pd.isna(value):
        return f'<td data-value="">{MISSING}</td>'
    shown = f'{value:d}' if isinstance(value, (int, np.integer)) else f'{value:#.5g}'
    return f'<td data-value="{_sorted_by(value)}">{shown}</td>'


def _sorted_by(value):
    """A number as JavaScript reads it, empty for NaN."""
    return '' if np.isnan(value) else 'Infinity' if value == np.inf else repr(float(value))


def _script(data):
    """As JSON that may stand within <script>."""
    return json.dumps(data, ensure_ascii=False).replace('<', r'\u003c')


def _data_url(path, quality, scores=None, visible=None):
    """An image file as a data URL, or None if there is none or it cannot be read. scores,
    visible: of an infrared one."""
    try:
        if path is None:
            return None
        image = scores.reading.shown(path, visible) if scores else read_image(path)
    except UserError:  # it is named among those left out
        return None
    if image.dtype == np.uint16:
        image = np.rint(image / SIXTEEN_TO_EIGHT_BIT).astype(np.uint8)
    image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR if image.ndim == 2 else cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode('.webp', image, [cv2.IMWRITE_WEBP_QUALITY, quality])
    return 'data:image/webp;base64,' + base64.b64encode(data).decode()
