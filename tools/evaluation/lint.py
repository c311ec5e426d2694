"""What in a printed table of metrics (CSV, Markdown, LaTeX) cannot be, or needs another
definition, each finding with its reason.

No finding says "wrong" where a definition that is in use explains the number: then it names the protocol.
"""
import csv
import re
from pathlib import Path
from typing import List, NamedTuple, Optional

import numpy as np

from tools.base.errors import UserError
from tools.data.images import read_gray
from tools.evaluation.metrics import HIGHER, LOWER
from tools.evaluation.metrics.information import mi
from tools.evaluation.protocols import base_name, definitions

ALIASES = {'entropy': 'EN', 'std': 'SD', 'variance': 'SD', 'qab/f': 'Qabf', 'nab/f': 'Nabf', 'fmi': 'FMI'}
LOWER_THERE = {'niqe', 'niq', 'bri', 'brisque', 'lpips', 'fid'}  # no metrics of ours; arrows say it of others
MOST = {'SSIM': 1, 'MS-SSIM': 1, 'CC': 1, 'Qabf': 1, 'Nabf': 1, 'FMI': 1, 'FMI_pixel': 1, 'FMI_dct': 1, 'FMI_w': 1,
        'FMI_gradient': 1,
        'SCD': 2, 'EN': 8, 'Q_MI': 2, 'Q_G': 1, 'Q_S': 1, 'Q_Y': 1, 'Q_CB': 1}
ABOVE = {'SSIM': 'a sum over both sources gives that: protocols cddfuse and vifb',
         'EN': '256 gray levels have at most 8 bits'}
UNKNOWN = 'no definition that we know gives that'
SUM_OF_BOTH = 'MS-SSIM', 'CC', 'FMI', 'FMI_pixel', 'FMI_dct', 'FMI_w', 'FMI_gradient'
# Of all distributions with a given entropy, the Gaussian one has the smallest deviation
GAUSS = (2 * np.pi * np.e) ** 0.5
SATURATED = 16           # what SD stays below where uint8 cuts squares at 255
TOO_HIGH = 20 * np.log10(255)  # dB by which a peak of 255 is too high for images on 0…1
UNIT_SF = 0.2            # spatial frequency below which the images had values on 0…1
AG_OF_SF = 0.75          # average gradients stay below the 0.71th part of spatial frequency, but for the image's edges
# dB by which a mean of PSNRs may exceed the PSNR of the mean error: images that differ, and MSE as a sum
SPREAD = 6


class Cell(NamedTuple):
    value: float
    half: float  # half a unit in its last digit
    bold: bool


class Row(NamedTuple):
    name: str
    group: str   # a data set, within which methods are compared
    cells: list  # of Cell or None, one for each column


class Table(NamedTuple):
    columns: List[str]  # as printed
    rows: List[Row]


class Finding(NamedTuple):
    kind: str  # range, MI, PSNR, SD, scale, direction, bold, equal
    text: str


def lint_file(path, shared: Optional[float] = None) -> List[Finding]:
    """All findings in the tables of a file. shared: I(A;B) of the source images in bits, their mean, if they are known.

    Raises UserError for a file without a table of numbers, or that cannot be read.
    """
    tables = read_tables(path)
    found = []
    for number, table in enumerate(tables, 1):
        place = f'table {number}, ' if len(tables) > 1 else ''
        found += [finding._replace(text=place + finding.text) for finding in lint_table(table, shared)]
    return found


def shared_information(pairing, reading):
    """Mean mutual information of the infrared and the visible image over the pairs, in bits."""
    values = []
    for pair in pairing.pairs:
        visible = read_gray(pair.vi)
        infrared = reading.moved(reading.infrared(pair.ir), visible, pair.ir)
        values.append(mi(visible, infrared, infrared) / 2)
    return float(np.mean(values))


# The findings

def lint_table(table, shared=None):
    metrics = [metric_of(column) for column in table.columns]
    found = [finding for row in table.rows for finding in _row_findings(row, metrics, shared)]
    for index, column in enumerate(table.columns):
        found += _column_findings(table, index, column, metrics[index])
    return found + list(_equal_rows(table))


def _row_findings(row, metrics, shared):
    cells = {metric: cell for metric, cell in zip(metrics, row.cells) if metric and cell}
    say = lambda kind, text: Finding(kind, f'{row.name}: {text}')
    for metric, cell in cells.items():
        most = MOST.get(metric)
        if most and cell.value - cell.half > most:
            reason = ABOVE.get(metric) or ('a sum over both sources gives that' if metric in SUM_OF_BOTH else UNKNOWN)
            yield say('range', f'{metric} {cell.value:g} is above {most}; {reason}')
    en, sd, mutual, sf, ag, mse, psnr = (cells.get(name) for name in ('EN', 'SD', 'MI', 'SF', 'AG', 'MSE', 'PSNR'))
    if en and mutual:
        yield from (say('MI', text) for text in _mutual_information(en, mutual, shared))
    if sd and sd.value - sd.half > 127.5:
        yield say('SD', f'SD {sd.value:g} is above 127.5; not dividing by the number of pixels gives that: '
                        'protocol hli')
    elif sd and en and sd.value + sd.half < 2 ** (en.value - en.half) / GAUSS - 0.3:  # 0.3: levels are whole numbers
        how = ('values on 0…1 give that' if sd.value < 0.6 else 'squares cut at 255 give that: protocol tang_2022_01'
               if sd.value < SATURATED else UNKNOWN)
        yield say('SD', f'SD {sd.value:g} is too small for EN {en.value:g}, which needs at least '
                        f'{2 ** en.value / GAUSS - 0.3:.3g}; {how}')
    if sf and sf.value < UNIT_SF and sf.value > 0:
        yield say('scale', f'SF {sf.value:g} is that of values on 0…1: protocol tang_2022_01')
    elif sf and ag and ag.value - ag.half > AG_OF_SF * (sf.value + sf.half):
        yield say('scale', f'AG {ag.value:g} is too large for SF {sf.value:g}; a mean Sobel strength gives that, as '
                           f'EI of protocol vifb')
    if psnr:
        yield from (say('PSNR', text) for text in _noise(psnr, mse))


def _mutual_information(en, mutual, shared):
    rounding = mutual.half + 2 * en.half
    if abs(mutual.value - 2 * en.value) <= rounding:
        yield f'MI {mutual.value:g} is exactly twice EN {en.value:g}, as in protocol hli, and no mutual information'
    elif mutual.value - 2 * en.value > rounding:
        yield f'MI {mutual.value:g} is above twice EN {en.value:g}, more than two sources can share with F; {UNKNOWN}'
    elif shared is not None and mutual.value > en.value + shared + rounding:
        yield (f'MI {mutual.value:g} is above EN {en.value:g} + {shared:.3g} bits that the sources share; '
               f'{UNKNOWN} on these images')


def _noise(psnr, mse):
    if mse and mse.value > 0:
        expected = 10 * np.log10((1 if mse.value < 1 else 255 ** 2) / mse.value)
        rounding = psnr.half + 10 * np.log10(1 + mse.half / mse.value) + 0.01
        above = psnr.value - expected
        if abs(above - TOO_HIGH) < SPREAD:
            yield f'PSNR {psnr.value:g} is {above:.1f} dB above that of MSE {mse.value:g}, as in protocol tang'
        elif above < -rounding or above > SPREAD:
            yield (f'PSNR {psnr.value:g} does not go with MSE {mse.value:g}, whose PSNR is {expected:.2f}: a mean over '
                   'images is not below that, and little above')
    elif psnr.value > TOO_HIGH:
        yield (f'PSNR {psnr.value:g} means errors below one gray level from both sources; protocols tang (48.13 dB too '
               'high) and vifb give that')


def _column_findings(table, index, column, metric):
    marked, known = _marked_direction(column), _known_direction(metric)
    if marked and known and marked != known:
        yield Finding('direction', f'{column}: marked as if {marked} were better, but {known} is')
    better = known or marked or (LOWER if plain(column) in LOWER_THERE else None)
    if better is None:
        return
    for group in dict.fromkeys(row.group for row in table.rows):
        rows = [row for row in table.rows if row.group == group and row.cells[index]]
        # A row that is bold from end to end names the authors' method, and says nothing of the numbers.
        bold = [row.cells[index].value for row in rows if row.cells[index].bold and not _bold_throughout(row)]
        if not bold:
            continue
        best = (min if better == LOWER else max)(rows, key=lambda row: row.cells[index].value)
        value = best.cells[index].value
        if value not in bold and not best.cells[index].bold:
            yield Finding('bold', f'{column}: {(min if better == LOWER else max)(bold):g} is bold, but {best.name} '
                                  f'has {value:g}'
                                  + (f' ({group})' if group else ''))


def _bold_throughout(row):
    numbers = [cell for cell in row.cells if cell]
    return len(numbers) > 1 and all(cell.bold for cell in numbers)


def _equal_rows(table):
    seen = {}
    for row in table.rows:
        values = tuple(cell and cell.value for cell in row.cells)
        if sum(cell is not None for cell in row.cells) < 3:
            continue
        if values in seen and seen[values].name != row.name:
            yield Finding('equal', f'{row.name} has the same numbers as {seen[values].name} throughout')
        seen.setdefault(values, row)


# What a table says

def plain(name):
    """A metric's name without what is printed around it."""
    name = re.sub(r'\\(uparrow|downarrow|textbf|mathrm|text|rm)|[↑↓→$^{}*\\]|\((?:\+|-|−)\)|→0', '', name).casefold()
    return re.sub(r'[\s_\-]|mean$', '', name)


NAMES = {**{plain(base_name(metric)): base_name(metric) for metric in definitions()}, **ALIASES}
LOWER_ONES = {base_name(metric) for metric in definitions() if metric.better == LOWER}
EITHER = {base_name(metric) for metric in definitions() if metric.better not in (LOWER, HIGHER)}


def metric_of(column):
    """The name that we have for the metric of a column, or None. `MSRS SSIM` is SSIM, too."""
    words = column.replace(' mean', '').split()
    return NAMES.get(plain(column)) or (NAMES.get(plain(''.join(words[1:]))) if len(words) > 1 else None)


def _known_direction(metric):
    return None if metric is None or metric in EITHER else LOWER if metric in LOWER_ONES else HIGHER


def _marked_direction(column):
    if '↓' in column or r'\downarrow' in column:
        return LOWER
    return HIGHER if '↑' in column or r'\uparrow' in column else None


def read_tables(path) -> List[Table]:
    """The tables of numbers in a file, by its extension: .csv, .md or .tex. UserError if there is
    none, or it cannot be read."""
    path = Path(path)
    readers = {'.csv': _csv_grids, '.md': _markdown_grids, '.tex': _latex_grids}
    if path.suffix.lower() not in readers:
        raise UserError(f'{path}: a table to check is a .csv, .md or .tex file')
    try:
        text = path.read_text(encoding='utf-8-sig')
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f'cannot read {path}: {error}') from error
    tables = [table for table in map(_table, readers[path.suffix.lower()](text)) if table]
    if not tables:
        raise UserError(f'{path}: no table with the name of a metric and numbers')
    return tables


def _csv_grids(text):
    return [[row for row in csv.reader(text.splitlines()) if row]]


def _markdown_grids(text):
    grids, grid = [], []
    for line in [*text.splitlines(), '']:
        cells = [cell.strip() for cell in re.split(r'(?<!\\)\|', line.strip())]
        cells = cells[line.strip().startswith('|'):len(cells) - line.strip().endswith('|')]
        if len(cells) > 1:
            if not all(re.fullmatch(r':?-+:?', cell) for cell in cells if cell):
                grid.append(cells)
        elif grid:
            grids.append(grid)
            grid = []
    return grids


def _latex_grids(text):
    found = []
    for body in re.findall(r'\\begin\{tabular[*x]?\}(.*?)\\end\{tabular', re.sub(r'(?<!\\)%.*', '', text), re.DOTALL):
        body = re.sub(r'^(\{[^{}]*(\{[^{}]*\}[^{}]*)*\})+', '', body.strip())
        lines = [re.sub(r'\\(top|mid|bottom|h|c)(rule|line)(\[[^]]*\]|\{[^}]*\})?', '', line).strip()
                 for line in body.split(r'\\')]
        found.append([[cell.strip() for cell in re.split(r'(?<!\\)&', line)] for line in lines if '&' in line])
    return found


def _table(grid):
    """A Table of lists of texts, turned if the metrics stand below each other; None if no
    column has the name of a metric."""
    width = max(map(len, grid), default=0)
    grid = [row + [''] * (width - len(row)) for row in grid]
    if not grid:
        return None
    across, down = (sum(metric_of(_bare(name)) is not None for name in names)
                    for names in (grid[0][1:], [row[0] for row in grid[1:]]))
    if down > across:
        grid = [list(row) for row in zip(*grid)]
    head, *lines = grid
    known = [index for index, name in enumerate(head) if metric_of(_bare(name))]
    if not known or not lines:
        return None
    texts = min(known)  # columns before the first metric name the rows
    numeric = [index for index in range(texts, width) if ' std' not in head[index] and ' images' not in head[index]]
    rows, group = [], ''
    for line in lines:
        names = [_bare(name) for name in line[:texts]]
        words = [name for name in names if name and not _number(name)]
        if texts > 1 and any(names):
            group = names[0] or group
        cells = [_cell(line[index]) for index in numeric]
        if any(cells):
            rows.append(Row(' '.join(words) or f'row {len(rows) + 1}', group, cells))
    groups = {row.group for row in rows}
    if len(groups) == len(rows):  # the first column names the rows, each of them
        rows = [row._replace(group='') for row in rows]
    return Table([_bare(head[index]) for index in numeric], rows) if rows else None


def _bare(text):
    text = re.sub(r'\[([^]]*)\]\([^)]*\)', r'\1', text)
    text = re.sub(r'\\(textbf|underline|textit|mathbf|text)\s*\{([^{}]*)\}', r'\2', text)
    return re.sub(r'\*\*|</?(b|u|strong|em)>|\\%', '', text).strip()


def _number(text):
    return re.fullmatch(r'[-−+]?\d*[.,]?\d+(e[-+]?\d+)?', text) is not None


def _cell(text):
    """The number of a cell, without its deviation; None if there is none."""
    match = re.search(r'[-−+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?',
                      re.sub(r'\[\d+\]', '', re.split(r'±|\\pm|\{\\scriptsize', _bare(text))[0]))
    if not match:
        return None
    number = match.group().replace('−', '-')
    decimals = len(number.lower().partition('e')[0].partition('.')[2])
    return Cell(float(number), 0.5 * 10 ** -decimals, bool(re.search(r'\*\*|<b>|<strong>|\\textbf|\\mathbf', text)))
