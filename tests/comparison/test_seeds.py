"""The part seeds of the comparison, as far as neither PyTorch nor the original is needed."""
import pandas as pd
import pytest

from comparison.margins import margins_of, read_margins, write_margins
from tools.base.errors import UserError

# Margins

def test_margins_are_half_the_gap_between_two_methods():
    summary = pd.DataFrame({'method': ['ours', 'LRRNet', 'CrossFuse'], 'EN mean': [1, 6, 7], 'EN std': [1, 2, 3],
                            'MSE mean': [1, 0.5, 0.1], 'MSE images': [21, 21, 21]})
    assert margins_of(summary) == pytest.approx({'EN': 0.5, 'MSE': 0.2})


def test_committed_margins_are_those_of_the_committed_scores(tmp_path):
    write_margins(path=tmp_path / 'margins.csv')
    committed = read_margins()
    assert len(committed) == 18 and committed == pytest.approx(read_margins(tmp_path / 'margins.csv'), rel=1e-6)


def test_runs_without_margins_are_refused(tmp_path):
    with pytest.raises(UserError, match='fixed before the runs'):
        read_margins(tmp_path / 'margins.csv')
