"""Tables in Markdown, in CSV files and on a terminal."""
import re
import shutil

import pandas as pd

from tools.base.errors import ESCAPED
from tools.base.files import whole_file


def markdown_table(head, rows, texts=1):
    """Rows of anything as a Markdown table. texts: how many of the first columns are set to the left."""
    lines = [head, ['---'] * texts + ['--:'] * (len(head) - texts), *rows]
    return ''.join('| ' + ' | '.join(str(cell).replace('|', r'\|') for cell in line) + ' |\n' for line in lines)


def markdown_text(text):
    """Text that is shown as it is in Markdown, where it would be markup: `<b>`, `*a*`, `[a](b)`."""
    return re.sub(r'([\\`*<\[]|(?<!\w)_|_(?!\w))', r'\\\1', text)


def terminal_table(table):
    """A DataFrame as aligned text, in as many blocks as the width of the terminal asks for; floats with 6 digits.

    Chinese, Japanese and Korean characters count as two columns, which is how wide a terminal shows them.
    """
    table = table.rename_axis(None).rename_axis(table.index.name, axis=1)  # the index is named in the head, not below it
    with pd.option_context('display.unicode.east_asian_width', True):
        return table.to_string(float_format='{:.6g}'.format, line_width=shutil.get_terminal_size().columns)


def write_csv(path, table):
    """Write a DataFrame, without its index, as a CSV file that Excel opens as UTF-8; floats with 8 digits, NaN empty."""
    with whole_file(path) as temporary:
        table.to_csv(temporary, index=False, float_format='%.8g', encoding='utf-8-sig', errors=ESCAPED, lineterminator='\r\n')
