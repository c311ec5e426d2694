"""How far two runs of the same training are apart in each metric, and which differences in a
table are smaller than that."""
import numpy as np
import pandas as pd

from tools.base.errors import UserError

COLUMNS = ['metric', 'spread']


def read_noise(path):
    """{metric: spread} of a CSV file with these columns, as the part seeds of `python -m comparison` writes.
    UserError if it is another."""
    try:
        table = pd.read_csv(path)[COLUMNS]
        spreads = table.set_index('metric')['spread'].astype(float)
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f'--noise {path}: no CSV file with the columns {" and ".join(COLUMNS)} ({error})') from error
    if not (np.isfinite(spreads).all() and (spreads >= 0).all() and spreads.index.is_unique):
        raise UserError(f'--noise {path}: each metric must have one spread, a number from 0 on')
    return spreads.to_dict()


def within_noise(means, spread):
    """Of the means of a metric, the first method's on top: whether each but the first differs from it by
    less than the spread (or None)."""
    return [bool(number > 0 and spread is not None and abs(mean - means.iloc[0]) < spread)
            for number, mean in enumerate(means)]


def noise_note(noise, table, before=' '):
    """What the mark means, to be added below a table after `before`; says which metrics
    have no spread. '' without noise.

    table: as in tools.evaluation.scoring.Scores.
    """
    if noise is None:
        return ''
    unknown = [metric for metric in table if metric not in noise]
    known = f' (not known of {", ".join(unknown)})' if unknown else ''
    return f'{before}≈: as close to {table.index[0][0]} as two runs of the same training are to each other{known}'
