"""Whether runs of two sides give the same but for chance: two one-sided tests with a margin, and Welch's test."""
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from tools.evaluation.report import holm

LEVEL = 0.05
SAME, DIFFERENT, BOTH, OPEN = 'same within the margin', 'different', 'different, within the margin', 'open'


class Measure(NamedTuple):
    """A measure of the runs of a side beside those of the original: means and sample standard deviations over runs."""
    test: str            # the test set, or 'training' for a loss
    shares: str          # how deep features were weighed in fusing
    metric: str
    side: str
    pytorch: float
    pytorch_sd: float
    other: float         # of the side
    other_sd: float
    difference: float    # other − pytorch
    margin: float        # NaN if there is none
    p_same: float        # of the two one-sided tests, the larger: below LEVEL, the difference is within the margin
    p_different: float   # Welch's t-test, two-sided
    p_holm: float        # corrected for the number of measures of the side


def tost(values, reference, margin):
    """The p-value of two one-sided Welch t-tests of the hypothesis that means are at least
    `margin` apart; NaN without."""
    if np.isnan(margin):
        return np.nan
    above = stats.ttest_ind(np.add(values, margin), reference, equal_var=False, alternative='greater')
    below = stats.ttest_ind(np.subtract(values, margin), reference, equal_var=False, alternative='less')
    return max(above.pvalue, below.pvalue)


def compare_sides(scores, reference, margins):
    """A Measure for each side but the reference.

    scores: columns test, shares, metric, side, seed and value, a row for each run's. margins: {metric: margin}.
    """
    rows = []
    for side in scores['side'].unique():
        of_side = []
        for (test, shares, metric), part in scores.groupby(['test', 'shares', 'metric'], sort=False):
            other, pytorch = (part.loc[part['side'] == name, 'value'] for name in (side, reference))
            margin = margins.get(metric, np.nan)
            welch = stats.ttest_ind(other, pytorch, equal_var=False)
            of_side.append(Measure(test, shares, metric, side, pytorch.mean(), pytorch.std(), other.mean(), other.std(),
                                   other.mean() - pytorch.mean(), margin, tost(other, pytorch, margin), welch.pvalue,
                                   np.nan))
        if side != reference:
            rows += [row._replace(p_holm=p) for row, p in zip(of_side, holm([row.p_different for row in of_side]))]
    return rows


def verdict(row):
    """What the tests of a Measure say, at LEVEL."""
    same, different = row.p_same < LEVEL, row.p_holm < LEVEL
    return BOTH if same and different else SAME if same else DIFFERENT if different else OPEN


def spreads(scores):
    """How far two runs of the same training are apart in each metric, 19 times out of 20: {shares: {metric: spread}}.

    From the standard deviation within the sides (pooled), and of several test sets the largest. scores: as of
    `compare_sides`, of sides that train alike.
    """
    measure = ['shares', 'metric', 'test']
    of_sides = scores.dropna(subset='value').groupby([*measure, 'side'], sort=False)['value'].agg(['var', 'count'])
    freedom = of_sides['count'] - 1
    squares, freedom = (part.groupby(measure, sort=False).sum() for part in (of_sides['var'] * freedom, freedom))
    spread = stats.t.ppf(1 - LEVEL / 2, freedom) * np.sqrt(2 * squares / freedom)
    largest = spread.groupby(measure[:2], sort=False).max()
    return {shares: part.droplevel('shares').to_dict() for shares, part in largest.groupby('shares', sort=False)}


def spread_table(spread):
    """{metric: spread} as the table that `evaluate_fusion_results.py --noise` takes."""
    return pd.DataFrame(spread.items(), columns=['metric', 'spread'])
