"""The tables of all parts as CSV and Markdown, and the words around them."""
import os
import platform
import shutil
import subprocess
from pathlib import Path

import pandas as pd

from tools.base.files import write_text
from tools.base.machine import processor
from tools.base.tables import write_csv

PARTS = ('forward', 'training', 'results', 'speed', 'start', 'scaling', 'seeds')
TITLE = """# CrossFuse in Jittor beside the PyTorch original

Written by `python -m comparison`: both frameworks in processes of their own, from the same initial weights, on the
same images in the same order. *Other rounding* is a second run of the PyTorch original that differs from the first in
rounding only (one thread and no oneDNN on the CPU, no cuDNN on a GPU); further ones, and further runs of Jittor,
begin with weights that differ in the last bit. How far the PyTorch runs are from each other is the **floor**: no
program can be expected to be closer to PyTorch than PyTorch is to itself.
"""


def percent(ratio, signed=False):
    """0.01234 -> '1.23 %'."""
    return f'{100 * ratio:{"+" if signed else ""}.3g} %'


def conditions(sides, original):
    """A paragraph on what is compared and where. sides: {name: comparison.sides.Side}. original: its checkout."""
    versions = [side.ask('versions').result for side in sides.values()]
    one = versions[0]
    described = [f'{side["framework"]} ({side["device"]}, threads: {side["threads"]})' for side in versions]
    compared = '; '.join(dict.fromkeys(described))  # runs that compute alike once
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2 ** 30
    return (f'Compared: {compared}. Machine: {processor()}, {os.cpu_count()} cores, {memory:.0f} GiB of memory, '
            f'{platform.system()}. Python {one["Python"]}, numpy {one["numpy"]}. The original: {_commit(original)}.')


def write_part(out, part, rows, text):
    """Write PART.csv and PART.md (text) into `out`, and README.md there, of all parts written so far.

    rows: NamedTuples or dicts, whose fields are the columns.
    """
    write_csv(Path(out, f'{part}.csv'), pd.DataFrame(rows))
    write_text(Path(out, f'{part}.md'), text)
    texts = [path.read_text(encoding='utf-8') for path in (Path(out, f'{name}.md') for name in PARTS) if path.is_file()]
    write_text(Path(out, 'README.md'), '\n'.join([TITLE, *texts]))


def _commit(original):
    """The commit that is checked out, as far as it can be told."""
    # Without a .git of its own, git would answer for a folder above it.
    if not Path(original, '.git').exists() or shutil.which('git') is None:
        return 'a copy without its history'
    result = subprocess.run(['git', '-C', original, 'rev-parse', '--short', 'HEAD'], capture_output=True, text=True)
    return f'commit {result.stdout.strip() or "unknown"}'
