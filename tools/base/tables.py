"""Tables in Markdown, in CSV files and on a terminal."""
import re
import shutil
import unicodedata

import pandas as pd

from tools.base.errors import ESCAPED
from tools.base.files import whole_file

NAMES_SHARE = 3  # names take a third of a terminal that is too narrow for a table


def markdown_table(head, rows, texts=1):
    """Rows of anything as a Markdown table. texts: how many of the first columns are set to the left."""
    lines = [head, ['---'] * texts + ['--:'] * (len(head) - texts), *rows]
    return ''.join('| ' + ' | '.join(str(cell).replace('|', r'\|') for cell in line) + ' |\n' for line in lines)


def markdown_text(text):
    """Text that is shown as it is in Markdown, where it would be markup: `<b>`, `*a*`, `[a](b)`."""
    return re.sub(r'([\\`*<\[]|(?<!\w)_|_(?!\w))', r'\\\1', text)


def terminal_table(table):
    """A DataFrame as aligned text; floats with 6 digits.

    Where the terminal is too narrow, the columns of a single row stand below one another, and the names of several rows
    are wrapped; what is still too wide goes on in blocks below. Chinese, Japanese and Korean characters count as two
    columns, which is how wide a terminal shows them.
    """
    width = shutil.get_terminal_size().columns
    text = _aligned(table, None)
    if max(map(shown_width, text.splitlines())) <= width:
        return text
    if len(table) == 1:
        return _aligned(table.T.rename_axis(table.index.name), width)
    names = [wrapped(str(name), width // NAMES_SHARE) for name in table.index]
    blocks = _aligned(table.set_axis([first for first, *_ in names], axis=0).rename_axis(table.index.name),
                      width).split('\n\n')
    return '\n\n'.join('\n'.join(_with_rest(block.splitlines(), names)) for block in blocks)


def _with_rest(lines, names):
    """The lines of a block, a head and one for each row, each followed by what is left of its name."""
    head, *rows = lines
    return [head, *(line for row, (_, *rest) in zip(rows, names) for line in (row, *rest))]


def _aligned(table, width):
    # The index is named in the head, not below it
    table = table.rename_axis(None).rename_axis(table.index.name, axis=1)
    with pd.option_context('display.unicode.east_asian_width', True):
        return table.to_string(float_format='{:.6g}'.format, line_width=width)


def wrapped(name, width):
    """A name in pieces of at most `width` columns of a terminal, cut behind a hyphen, an underscore, a slash
    or a space if there is one."""
    pieces = ['']
    for part in re.findall(r'[^-_/ ]*[-_/ ]?', name):
        for character in part if shown_width(part) > width else [part]:
            if shown_width(pieces[-1] + character) > width:
                pieces.append('')
            pieces[-1] += character
    return pieces


def shown_width(text):
    """How many columns of a terminal a text takes."""
    return sum(2 if unicodedata.east_asian_width(character) in 'WF' else 1 for character in text)


def write_csv(path, table):
    """Write a DataFrame, without its index, as a CSV file that Excel opens as UTF-8;
    floats with 8 digits, NaN empty."""
    with whole_file(path) as temporary:
        table.to_csv(temporary, index=False, float_format='%.8g', encoding='utf-8-sig', errors=ESCAPED,
                     lineterminator='\r\n')
