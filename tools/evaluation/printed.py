"""Our means beside the numbers that others print for the same images, in one table: delta.csv.

    python -m tools.evaluation.printed results/metrics

Printed numbers stand in printed.csv of that folder: the folder of scores beside it that has the same images and
protocol, the metric, whose fused images it is of, the number, and where it is printed.
"""
import sys
from pathlib import Path

import pandas as pd

from tools.base.errors import UserError
from tools.base.script import run_script
from tools.base.tables import markdown_table, write_csv

PRINTED, DELTA = 'printed.csv', 'delta.csv'
OURS = 'ours'  # the row of our weights in each summary.csv
COLUMNS = ['folder', 'metric', 'method', 'printed', 'source']


def compare_with_printed(folder):
    """A row for each printed number: set, protocol, metric, ours, printed, method, source, difference in percent.

    folder: with printed.csv and a folder of scores for each set. UserError if one of them is missing or does not fit.
    """
    printed = read_table(Path(folder, PRINTED))
    missing = set(COLUMNS) - set(printed)
    if missing:
        raise UserError(f'{Path(folder, PRINTED)} has no column {", ".join(sorted(missing))}: it needs '
                        f'{", ".join(COLUMNS)}')
    rows = []
    for name, numbers in printed.groupby('folder', sort=False):
        path = Path(folder, name, 'summary.csv')
        summary = read_table(path)
        if OURS not in set(summary.get('method', ())):
            raise UserError(f'{path} has no row {OURS}: score our images with --names {OURS}')
        ours = summary.set_index('method').loc[OURS]
        for one in numbers.itertuples():
            # A toolbox's own definition is named after it.
            means = [ours[column] for column in (f'{one.metric} ({ours["protocol"]}) mean', f'{one.metric} mean')
                     if column in ours]
            if not means:
                raise UserError(f'{path} has no {one.metric}, which {Path(folder, PRINTED)} compares: score with '
                                '--metrics all')
            mean = float(means[0])
            rows.append([name, ours['protocol'], one.metric, mean, one.printed, one.method, one.source,
                         100 * (mean / one.printed - 1)])
    return pd.DataFrame(rows, columns=['set', 'protocol', 'metric', 'ours', 'printed', 'method', 'source',
                                       'difference %'])


def read_table(path):
    """A CSV file as a DataFrame. UserError if it cannot be read."""
    try:
        return pd.read_csv(path, encoding='utf-8-sig')
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise UserError(f'cannot read {path}: {error}') from error


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith('-'):
        raise UserError('give the folder with printed.csv: python -m tools.evaluation.printed results/metrics')
    table = compare_with_printed(sys.argv[1])
    write_csv(Path(sys.argv[1], DELTA), table)
    shown = table.assign(ours=table['ours'].map('{:.4g}'.format),
                         **{'difference %': table['difference %'].map('{:+.1f}'.format)})
    print(markdown_table(shown.columns, shown.values, texts=3))


if __name__ == '__main__':
    run_script(main)
