"""Names that other people's programs import: they stay where they were, whatever room holds what they mean."""
import pytest


@pytest.mark.parametrize('old, new, names', [
    ('tools.optimizer', 'tools.training.optimizer', ['Adam']),
    ('tools.fusion_metrics', 'tools.evaluation.metrics.information', ['en', 'mi', 'fmi']),
    ('tools.fusion_metrics', 'tools.evaluation.metrics.similarity', ['ssim', 'ms_ssim']),
])
def test_names_stay(old, new, names):
    for name in names:
        assert getattr(__import__(old, fromlist=[name]), name) is getattr(__import__(new, fromlist=[name]), name)
