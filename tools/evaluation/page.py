"""One self-contained HTML page of an evaluation: its tables, sortable, and all images to flip through with a magnifier."""
import base64
import html
import json
import warnings
from pathlib import Path
from string import Template

import cv2
import numpy as np
import pandas as pd

from tools.alignment import align_for, aligned
from tools.errors import UserError
from tools.evaluation.ranking import describe_ranking, ranking
from tools.evaluation.report import describe, summary
from tools.files import write_text
from tools.images import SIXTEEN_TO_EIGHT_BIT, fitted, read_gray, read_image

TEMPLATE = Path(__file__).with_suffix('.html')
MAX_BYTES = 20_000_000  # of all images in the page; larger ones are slow to open and do not pass as an attachment
QUALITIES = 95, 90, 80, 65, 50, 30  # of WebP; the best is taken with which the images fit


def write_page(path, scores, tests, methods, pairing, tasks):
    """Write the page. Images that cannot be read are left out of it, as they are of the scores.

    scores, tests: from tools.evaluation. methods: their names. tasks: from tools.evaluation.scoring.match_methods.
    """
    names = ['infrared', 'visible', *methods]
    paths = [[pair.ir, pair.vis, *((tasks.get((method, pair.name)) or [None])[0] for method in methods)] for pair in pairing.pairs]
    for quality in QUALITIES:
        scenes = [{'name': pair.name, 'images': [_data_url(pair.ir, quality, scores, pair.vis),
                                                 *(_data_url(path, quality) for path in row[1:])]}
                  for pair, row in zip(pairing.pairs, paths)]
        size = sum(len(url) for scene in scenes for url in scene['images'] if url)
        if size <= MAX_BYTES:
            break
    else:
        warnings.warn(f'{path} has {size / 1e6:.0f} MB: choose fewer images', stacklevel=2)
    tables = _table('Means', summary(scores).filter(regex=' mean$'), describe(scores, numbers='mean'))
    if tests:
        tables += _table('Ranking', ranking(scores, tests), describe_ranking(ranking(scores, tests), scores, tests))
    tables += _table('Scores of each image', scores.table.reset_index().set_index('method'), '', folded=True)
    left_out = f'Left out: {"; ".join(scores.problems)}' if scores.problems else ''
    text = Template(TEMPLATE.read_text(encoding='utf-8')).substitute(
        title=html.escape(f'Fused images: {", ".join(methods)}'), note=html.escape(left_out), tables=tables,
        names=_script(names), scenes=_script(scenes),
        compression=f'The images are compressed for this page (WebP, quality {quality}); the numbers are of the files.')
    write_text(path, text)


def _table(title, table, note, folded=False):
    """A DataFrame with text in its index, and perhaps in columns, as a sortable HTML table."""
    table = table.reset_index()
    kind = ['text' if table[column].map(lambda value: isinstance(value, str)).any() else 'number' for column in table]
    head = ''.join(f'<th class="{one}">{html.escape(column)}</th>' for one, column in zip(kind, table))
    rows = ''.join('<tr>' + ''.join(_cell(one, value) for one, value in zip(kind, row)) + '</tr>\n'
                   for row in table.itertuples(index=False))
    content = f'<table><thead><tr>{head}</tr></thead><tbody>\n{rows}</tbody></table>\n<p class="note">{html.escape(note)}</p>\n'
    title = html.escape(title)
    return f'<details><summary>{title}</summary>{content}</details>' if folded else f'<h2>{title}</h2>\n{content}'


def _cell(kind, value):
    """A cell with what it is sorted by."""
    if kind == 'text':
        return f'<td class="text" data-value="{html.escape(value)}">{html.escape(value)}</td>'
    if pd.isna(value):
        return '<td data-value="">–</td>'
    shown = f'{value:d}' if isinstance(value, (int, np.integer)) else f'{value:#.5g}'
    return f'<td data-value="{"Infinity" if value == np.inf else repr(float(value))}">{shown}</td>'


def _script(data):
    """As JSON that may stand within <script>."""
    return json.dumps(data, ensure_ascii=False).replace('<', r'\u003c')


def _data_url(path, quality, scores=None, visible=None):
    """An image file as a data URL, or None if there is none or it cannot be read. scores, visible: of an infrared one."""
    try:
        if path is None:
            return None
        image = read_gray(path, scores.ir_range) if scores and scores.ir_range else read_image(path)
        if scores and scores.align:
            visible = read_image(visible)
            image = aligned(fitted(image, visible.shape), visible, align_for(scores.align, path))
    except UserError:  # it is named among those left out
        return None
    if image.dtype == np.uint16:
        image = np.rint(image / SIXTEEN_TO_EIGHT_BIT).astype(np.uint8)
    image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR if image.ndim == 2 else cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode('.webp', image, [cv2.IMWRITE_WEBP_QUALITY, quality])
    return 'data:image/webp;base64,' + base64.b64encode(data).decode()
