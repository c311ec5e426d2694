"""Our means beside printed numbers."""
import pandas as pd
import pytest

from tools.base.errors import UserError
from tools.evaluation.printed import compare_with_printed, main

HEAD = 'folder,metric,method,printed,source\n'


@pytest.fixture
def results(tmp_path):
    (tmp_path / 'TNO').mkdir()
    # A metric that the toolbox defines as we do has its plain name.
    (tmp_path / 'TNO/summary.csv').write_text('method,protocol,EN (cddfuse) mean,EN (cddfuse) std,SF mean\n'
                                              'other,cddfuse,9,1,1\nours,cddfuse,7.0,1,12\n')
    (tmp_path / 'printed.csv').write_text(HEAD + 'TNO,EN,CDDFuse,5.6,its README\nTNO,SF,CDDFuse,12,its README\n')
    return tmp_path


def test_difference_is_ours_from_the_printed(results, monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', ['printed', str(results)])
    main()
    row, plain = pd.read_csv(results / 'delta.csv').to_dict('records')
    assert (plain['metric'], plain['ours'], plain['difference %']) == ('SF', 12, 0)
    assert row == {'set': 'TNO', 'protocol': 'cddfuse', 'metric': 'EN', 'ours': 7.0, 'printed': 5.6, 'method': 'CDDFuse',
                   'source': 'its README', 'difference %': pytest.approx(25)}
    assert '| TNO | cddfuse | EN | 7 | 5.6 | CDDFuse | its README | +25.0 |' in capsys.readouterr().out


@pytest.mark.parametrize('printed, said', [
    (HEAD + 'Road,EN,CDDFuse,5.6,README\n', r'cannot read .*Road/summary.csv'),
    (HEAD + 'TNO,VIF,CDDFuse,5.6,README\n', r'has no VIF, .*--metrics all'),
    ('folder,metric,printed\nTNO,EN,5.6\n', r'has no column method, source'),
])
def test_what_does_not_fit_is_said(results, printed, said):
    (results / 'printed.csv').write_text(printed)
    with pytest.raises(UserError, match=said):
        compare_with_printed(results)


def test_a_summary_without_ours_is_refused(results):
    (results / 'TNO/summary.csv').write_text('method,protocol,EN mean\nother,cddfuse,9\n')
    with pytest.raises(UserError, match='no row ours'):
        compare_with_printed(results)
