"""--lint: what printed tables show by themselves, in three formats; silent on clean ones."""
import re

import pytest
from conftest import REPOSITORY
from scored_folders import OUT, SET, SOURCES, table, triple

from evaluate_fusion_results import main
from tools.base.errors import UserError
from tools.evaluation.lint import lint_file, metric_of
from tools.evaluation.metrics.information import en, mi

PUBLISHED = REPOSITORY / 'tests/evaluation/published_tables.md'


def published():
    """[(name, the kinds of oddities that it has, its text)]"""
    parts = PUBLISHED.read_text(encoding='utf-8').split('\n## ')[1:]
    return [(part.split('\n')[0], set(re.search('oddities:(.*)', part).group(1).replace(',', ' ').split()), part) for part in parts]


@pytest.fixture
def lint(tmp_path):
    def findings(text, name='table.md', shared=None):
        (tmp_path / name).write_text(text, encoding='utf-8')
        return [(finding.kind, finding.text) for finding in lint_file(tmp_path / name, shared)]
    return findings


def test_published_tables_and_what_the_repository_says_of_them(lint):
    right = false = missed = 0
    for name, expected, text in published():
        found = {kind for kind, _ in lint(text)}
        right, false, missed = right + len(found & expected), false + len(found - expected), missed + len(expected - found)
        assert found == expected, name
    odd = sum(bool(kinds) for _, kinds, _ in published())
    page = (REPOSITORY / 'results/lint/README.md').read_text(encoding='utf-8')
    precision, recall = right / (right + false), right / (right + missed)
    assert f'| {odd} | {len(published()) - odd} | {right + missed} | {precision:.2f} | {recall:.2f} |' in page
    assert odd >= 15 and len(published()) - odd >= 15


@pytest.mark.parametrize('head, row, kind, words', [
    ('EN', '8.20', 'range', 'EN 8.2 is above 8; 256 gray levels'),
    ('SSIM', '1.42', 'range', 'protocols cddfuse and vifb'),
    ('Qabf', '1.3', 'range', 'no definition that we know'),
    ('EN | MI', '6.84 | 13.68', 'MI', 'exactly twice EN 6.84, as in protocol hli'),
    ('EN | MI', '4.9863 | 10.4958', 'MI', 'more than two sources can share'),
    ('SD', '152.3', 'SD', 'protocol hli'),
    ('EN | SD', '6.82 | 8.61', 'SD', 'protocol tang_2022_01'),
    ('EN | SD', '6.82 | 0.16', 'SD', 'values on 0…1'),
    ('SF', '0.045', 'scale', 'protocol tang_2022_01'),
    ('SF | AG', '10.0 | 35.5', 'scale', 'a mean Sobel strength'),
    ('MSE | PSNR', '0.0173 | 65.75', 'PSNR', 'as in protocol tang'),
    ('MSE | PSNR', '0.04 | 12.9', 'PSNR', 'a mean over images is not below'),
    ('PSNR', '62.5', 'PSNR', 'protocols tang .* and vifb'),
    ('Nabf ↑', '0.1', 'direction', 'as if higher were better, but lower is'),
    ('SD ↓', '40', 'direction', 'but higher is'),
])
def test_each_finding_has_one_line_with_its_reason(lint, head, row, kind, words):
    columns = head.count('|') + 2
    (found, text), = lint(f'| method | {head} |\n{"| - " * columns}|\n| ours | {row} |\n')
    assert found == kind and re.search(words, text) and '\n' not in text


@pytest.mark.parametrize('head, row', [('EN | MI', '6.84 | 11.59'), ('EN | SD', '6.82 | 39.4'), ('MSE | PSNR', '0.0406 | 14.40'),
                                       ('SF | AG', '10.0 | 3.72'), ('MSE | PSNR', '2642 | 14.4'), ('Q_SF ↓', '-0.1'), ('SSIM', '1.00'),
                                       ('EN | MI', '6.84 | 13.2')])
def test_silent_where_nothing_is_proven(lint, head, row):
    assert lint(f'| method | {head} |\n{"| - " * (head.count("|") + 2)}|\n| ours | {row} |\n') == []


def test_bold_and_equal_rows_in_each_format(lint):
    csv = lint('method,EN mean,EN std,EN images,SD mean,MI mean\na,7,0.1,21,40,3\nb,7,0.1,21,40,3\n', 't.csv')
    assert csv == [('equal', 'b has the same numbers as a throughout')]
    latex = (r'\begin{table}\begin{tabular}{lcc}\toprule Method & EN $\uparrow$ & Nabf $\downarrow$ \\ \midrule' '\n'
             r'a\_1 & \textbf{6.80} {\scriptsize $\pm$ 0.3} & 0.050 \\' '\n'
             r'b & 6.90 {\scriptsize $\pm$ 0.2} & \textbf{0.040} \\ \bottomrule' '\n' r'\end{tabular}\end{table}')
    (kind, text), = lint(latex, 't.tex')
    assert kind == 'bold' and '6.8 is bold, but b has 6.9' in text
    assert lint('| method | EN | SD |\n|-|-|-|\n| a | 7 | 30 |\n| **b** | **6** | **29** |\n') == []  # whose method it is
    grouped = '| set | method | EN |\n|-|-|-|\n| A | a | **7** |\n| A | b | 6 |\n| B | a | 5 |\n| B | b | **5.5** |\n'
    assert lint(grouped) == [] and [kind for kind, _ in lint(grouped.replace('**5.5**', '**4.5**'))] == ['bold']
    turned = '| metric | a | b |\n|-|-|-|\n| EN ↑ | **6.5** | 7.0 |\n| SSIM | 0.7 | 1.2 |\n'
    assert {kind for kind, _ in lint(turned)} == {'range', 'bold'}


def test_names_of_metrics():
    names = {'MS_SSIM': 'MS-SSIM', '$Q^{AB/F}$↑': 'Qabf', 'Entropy': 'EN', 'Qcb': 'Q_CB', 'method': None,
             'TNO SSIM': 'SSIM'}
    assert {name: metric_of(name) for name in names} == names


def test_the_script(data, capsys):
    entropies, shared = [], []
    for i in range(1, 7):
        fused, ir, vi = triple(i)
        entropies.append(en(fused))
        shared.append(mi(vi, ir, ir) / 2)
    most = sum(entropies) / 6 + sum(shared) / 6
    (data / 'a.md').write_text(f'| m | EN | MI |\n|-|-|-|\n| x | {sum(entropies) / 6:.4f} | {most + 0.01:.4f} |\n')
    (data / 'b.md').write_text('no table')
    assert main(['--lint', 'a.md']) == 0
    assert 'a.md: nothing found' in capsys.readouterr().out
    assert main(['--lint', 'b.md', 'a.md', 'c.tex', '--ir', f'images/{SET}/ir', '--vi', f'images/{SET}/vis']) == 1
    told = capsys.readouterr()
    assert 'a.md: x: MI' in told.out and 'that the sources share' in told.out
    assert 'b.md: no table with the name of a metric' in told.err and 'cannot read c.tex' in told.err
    with pytest.raises(UserError, match='a .csv, .md or .tex file'):
        lint_file('a.xlsx')


def test_our_own_tables_are_clean(data):
    assert main([*SOURCES, '--fused', 'a', 'b', '--metrics', 'EN', 'SD', 'MI', 'SF', 'AG', 'MSE', 'PSNR', 'SSIM', 'Nabf', 'Q_SF']) == 0
    for name in ('summary.csv', 'summary.md', 'summary.tex'):
        assert lint_file(data / 'out' / name) == [], name


def test_flags_of_the_earlier_port(data):
    sources = '--ir_dir', f'images/{SET}/ir', '--vi_dir', f'images/{SET}/vis'
    assert main([*sources, '--fused_dir', 'a', '--output_csv', 'scores/all.csv', *OUT]) == 0
    assert table('scores/all.csv') == table('out/scores.csv')
