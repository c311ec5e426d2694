"""The margins of the part seeds, fixed before its runs: half the gap between two published methods in each metric.

    python -m comparison.margins     writes results/comparison_seeds/margins.csv from results/metrics
"""
from pathlib import Path

import pandas as pd

from comparison.sides import REPOSITORY
from tools.base.errors import UserError
from tools.base.script import run_script
from tools.base.tables import write_csv

SUMMARY = REPOSITORY / 'results/metrics/21_pairs_tno/summary.csv'
MARGINS = REPOSITORY / 'results/comparison_seeds/margins.csv'
METHODS = 'CrossFuse', 'LRRNet'
MEAN = ' mean'  # how the columns of means end


def margins_of(summary):
    """{metric: margin} from a table as summary.csv of an evaluation, with a row for each of METHODS."""
    means = summary.set_index('method').loc[list(METHODS)].filter(regex=f'{MEAN}$')
    first, second = means.to_numpy()
    return {name[:-len(MEAN)]: abs(margin) / 2 for name, margin in zip(means, first - second)}


def write_margins(summary=SUMMARY, path=MARGINS):
    """Write the margins, a row per metric, from a summary.csv."""
    write_csv(path, pd.DataFrame(margins_of(pd.read_csv(summary)).items(), columns=['metric', 'margin']))


def read_margins(path=MARGINS):
    """{metric: margin} of a file that `write_margins` wrote. UserError if there is none."""
    if not Path(path).is_file():
        raise UserError(f'there are no margins in {path}: they are fixed before the runs, by python -m '
                        'comparison.margins')
    return pd.read_csv(path).set_index('metric')['margin'].to_dict()


if __name__ == '__main__':
    run_script(write_margins)
