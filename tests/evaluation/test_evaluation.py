"""Evaluation: the tables, colour and 16 bits, and what it finds by itself."""
import math

import numpy as np
import pandas as pd
import pytest
from metric_functions import m
from scipy.stats import wilcoxon
from scored_folders import OUT, SET, SOURCES, output_folder, picture, table, triple

from evaluate_fusion_results import main
from tools.base.errors import UserError
from tools.data.images import read_gray, read_image, write_image
from tools.data.pairing import pair_folders
from tools.evaluation.figures import box_plot, means_chart
from tools.evaluation.metrics import METRICS, MORE_METRICS
from tools.evaluation.metrics.fmi import FEATURES
from tools.evaluation.protocols import definitions, how_it_differs
from tools.evaluation.ranking import ranking
from tools.evaluation.report import holm, paired_tests
from tools.evaluation.scoring import Scores, score_methods, select_metrics


def test_scores_of_one_method(data, capsys):
    assert main([*SOURCES, '--fused', 'a']) == 0
    rows = table('out/scores.csv')
    assert [row['image'] for row in rows] == [f'IR{i}.png' for i in range(1, 7)]
    assert list(rows[0]) == ['method', 'image', 'protocol', 'scored on', 'EN', 'SD', 'MI']
    for i, row in enumerate(rows, 1):
        fused, ir, vi = triple(i)
        assert [row['method'], row['protocol'], row['scored on']] == ['a', 'default', 'luma']
        assert float(row['EN']) == pytest.approx(m.en(fused), rel=1e-7)
        assert float(row['SD']) == pytest.approx(m.sd(fused), rel=1e-7)
        assert float(row['MI']) == pytest.approx(m.mi(fused, ir, vi), rel=1e-7)
    summary, = table()
    deviations = [m.sd(triple(i)[0]) for i in range(1, 7)]
    assert float(summary['SD mean']) == pytest.approx(np.mean(deviations), rel=1e-7)
    assert float(summary['SD std']) == pytest.approx(np.std(deviations, ddof=1), rel=1e-7)
    assert summary['SD images'] == '6'
    printed = capsys.readouterr().out
    assert f'{np.mean(deviations):.3f} ± {np.std(deviations, ddof=1):.3f}' in printed
    assert 'EN ↑' in printed and 'over 6 images; protocol: default; scored on: luma' in printed
    assert sorted(path.name for path in (data / 'out').iterdir()) == [
        'scores.csv', 'summary.csv', 'summary.md', 'summary.tex']


def test_excel_knows_the_encoding(data):
    main([*SOURCES, '--fused', 'a', '--names', 'Füsion 融合'])
    assert (data / 'out/scores.csv').read_bytes().startswith(b'\xef\xbb\xbfmethod,')
    assert table()[0]['method'] == 'Füsion 融合'


def test_all_metrics(data):
    assert main([*SOURCES, '--fused', 'a', '--metrics', 'en', 'fmi_PIXEL', 'Ssim']) == 0
    assert list(table('out/scores.csv')[0])[4:] == ['EN', 'SSIM', 'FMI_pixel']
    assert main([*SOURCES, '--fused', 'a', '--metrics', 'all']) == 1  # MS-SSIM cannot be had of 56×48 pixels
    row = table('out/scores.csv')[2]
    assert list(row)[4:] == [metric.name for metric in METRICS]
    for name, function in [('SF', m.sf), ('AG', m.ag)]:
        assert float(row[name]) == pytest.approx(function(triple(3)[0]), rel=1e-7)
    for name, function in [('CC', m.cc), ('SCD', m.scd), ('VIF', m.vif), ('Qabf', m.qabf), ('Nabf', m.nabf),
                           ('MSE', m.mse), ('PSNR', m.psnr), ('SSIM', m.ssim)]:
        assert float(row[name]) == pytest.approx(function(*triple(3)), rel=1e-7)
    features = {'FMI_pixel': 'pixel', 'FMI_dct': 'dct', 'FMI_w': 'wavelet', 'FMI_gradient': 'gradient'}
    for name, feature in features.items():
        assert float(row[name]) == pytest.approx(m.fmi(*triple(3), feature=feature), rel=1e-7)


def test_every_metric_and_flat_images(data, capsys):
    for folder in (f'images/{SET}/ir', f'images/{SET}/vis'):
        path, = (data / folder).glob('*2.png')
        write_image(path, np.full((48, 56), 90, np.uint8))
    assert main([*SOURCES, '--fused', 'a', '--metrics', 'every']) == 1
    rows = table('out/scores.csv')
    assert list(rows[0])[4:] == [metric.name for metric in (*METRICS, *MORE_METRICS)]
    assert [name for name, value in rows[0].items() if not value] == ['MS-SSIM']
    not_of_flat = ['MS-SSIM', 'Q_TE', 'Q_M', 'Q_SF', 'Q_P', 'Q_C', 'Q_Y', 'Q_CV']
    assert [name for name, value in rows[1].items() if not value] == not_of_flat
    lines = [line for line in capsys.readouterr().err.splitlines() if 'IR2' in line]
    assert [line.split(': no ')[1].split(':')[0] for line in lines] == not_of_flat
    assert main([*SOURCES, '--fused', 'a', '--protocol', 'tang', '--metrics', 'ce', 'EI', 'qabf']) == 0
    assert list(table('out/scores.csv')[0])[4:] == ['Qabf (tang)', 'CE (tang)', 'EI (tang)']


def test_undefined_metric_is_named(data, capsys):
    assert main([*SOURCES, '--fused', 'a', '--metrics', 'EN', 'MS-SSIM']) == 1
    assert [row['MS-SSIM'] for row in table('out/scores.csv')] == [''] * 6
    assert table()[0]['MS-SSIM mean'] == '' and table()[0]['MS-SSIM images'] == '0' and table()[0]['EN images'] == '6'
    errors = capsys.readouterr().err
    assert 'left out (6)' in errors
    assert 'no MS-SSIM: fused is 56×48 pixels; this metric needs at least 161×161' in errors
    assert '| – ± – |' in (data / 'out/summary.md').read_text(encoding='utf-8')


@pytest.mark.parametrize('protocol, metrics', [('hli', 'SD'), ('tang', 'PSNR'), ('cddfuse', 'MI'), ('vifb', 'EI'),
                                               ('tang_2022_01', 'SF'), ('liu', 'Q_MI')])
def test_protocol_is_named(data, capsys, protocol, metrics):
    assert main([*SOURCES, '--fused', 'a', '--protocol', protocol, '--metrics', metrics]) == 0
    name = f'{metrics} ({protocol})'
    fused, ir, vi = triple(1)
    expected = {'hli': m.sd(fused) * math.sqrt(fused.size) / 255, 'tang': m.psnr(fused, ir, vi) + 20 * math.log10(255),
                'cddfuse': m.mi(fused, ir, vi) * math.log(2), 'tang_2022_01': m.sf(fused) / 255,
                'liu': m.q_mi(fused, ir, vi)}.get(protocol)
    row = table('out/scores.csv')[0]
    assert row['protocol'] == protocol
    assert expected is None or float(row[name]) == pytest.approx(expected, rel=1e-7)
    assert f'{name} mean' in table()[0]
    assert f'{name} ↑' in (data / 'out/summary.md').read_text(encoding='utf-8')
    escaped = name.replace('_', r'\_')
    assert rf'{escaped} $\uparrow$' in (data / 'out/summary.tex').read_text(encoding='utf-8')
    assert f'{name} ↑' in capsys.readouterr().out


def test_all_protocols_side_by_side(data, capsys):
    assert main([*SOURCES, '--fused', 'a', 'b', '--protocol', 'all', '--metrics', 'EN', 'SD', 'MI', 'CE']) == 0
    rows = {(row['metric'], row['method']): row for row in table('out/protocols.csv')}
    assert list(rows) == [(metric, method) for metric in ('EN', 'SD', 'MI', 'CE') for method in 'ab']
    means = lambda metric: np.mean([metric(*triple(i)) for i in range(1, 7)])
    for metric, protocol, expected in [
            ('SD', 'default', means(lambda f, *_: m.sd(f))), ('SD', 'vifb', means(lambda f, *_: m.sd(f))),
            ('SD', 'hli', means(lambda f, *_: m.sd(f) * f.size ** 0.5 / 255)), ('MI', 'default', means(m.mi)),
            ('MI', 'hli', means(lambda f, *_: 2 * m.en(f))), ('MI', 'cddfuse', means(m.mi) * np.log(2)),
            ('MI', 'vifb', means(m.mi) * np.log(2))]:
        assert float(rows[metric, 'a'][protocol]) == pytest.approx(expected, rel=1e-7), (metric, protocol)
    assert rows['CE', 'a']['default'] == rows['CE', 'a']['vifb'] and float(rows['CE', 'a']['vifb']) > 0
    assert rows['EN', 'a']['note'] == 'The same in every protocol that has it.'
    assert rows['MI', 'b']['note'] == (
        'hli: What is called MI there: its joint entropies come out as 0 and what remains is EN(F) for each source. '
        'tang, tang_2022_01: MI whose joint histograms count the gray levels 254 and 255 as one, those of a single image as two. '
        'cddfuse, vifb: In nats instead of bits: 0.693 of it.')
    assert list(table('out/scores.csv')[0])[4:] == ['EN', 'SD', 'SD (hli)', 'SD (tang_2022_01)', 'MI', 'MI (hli)',
                                                    'MI (tang, tang_2022_01)', 'MI (cddfuse, vifb)', 'CE']
    markdown, printed = (data / 'out/protocols.md').read_text(encoding='utf-8'), capsys.readouterr().out
    for text in (markdown, printed):
        assert rows['MI', 'b']['note'] in text and 'protocol: all' in text.lower()
    sd = markdown.split('## SD')[1].split('##')[0]
    assert '| method | default | hli | tang | tang_2022_01 | cddfuse | vifb |' in sd and f'{means(lambda f, *_: m.sd(f)):#.5g}' in sd


def test_every_definition_that_is_not_ours_says_how_it_differs():
    for metric, protocols in definitions().items():
        assert 'default' in protocols or how_it_differs(metric).endswith('.'), metric


def test_several_methods(data, capsys):
    assert main([*SOURCES, '--fused', 'a', 'b', 'c', '--names', 'maximum', 'mean_1', 'visible',
                 '--metrics', 'SD', 'MSE', 'CC']) == 0
    scores = {name: [row for row in table('out/scores.csv') if row['method'] == name]
              for name in ('maximum', 'mean_1', 'visible')}
    for test in table('out/tests.csv'):
        ours, first = ([float(row[test['metric']]) for row in scores[test[key]]] for key in ('method', 'against'))
        assert test['against'] == 'maximum' and test['images'] == '6'
        assert float(test['p_value']) == pytest.approx(wilcoxon(ours, first).pvalue, rel=1e-6)
        assert float(test['median_difference']) == pytest.approx(np.median(np.subtract(ours, first)), rel=1e-4)
    assert len(table('out/tests.csv')) == 6

    # The visible image alone: highest SD. The mean: lowest MSE, which is the best.
    means = {row['method']: row for row in table()}
    order = {name: sorted(means, key=lambda method: float(means[method][f'{name} mean'])) for name in ('SD', 'MSE')}
    assert order['SD'][-1] == 'visible' and order['MSE'][0] == 'mean_1'
    markdown = {line.split(' | ')[0].strip('| '): line for line in
                (data / 'out/summary.md').read_text(encoding='utf-8').splitlines() if line.startswith('|')}
    latex = {line.split(' & ')[0]: line for line in (data / 'out/summary.tex').read_text(encoding='utf-8').splitlines()}
    best, second = (order['SD'][-1], order['SD'][-2])
    show = lambda method, name: format(float(means[method][f'{name} mean']), '.3f' if name == 'SD' else '.4f')
    assert f'**{show(best, "SD")}** ±' in markdown[best] and f'<u>{show(second, "SD")}</u> ±' in markdown[second]
    assert f'**{show("mean_1", "MSE")}** ±' in markdown['mean_1']
    assert rf'\textbf{{{show(best, "SD")}}}' in latex[best]
    assert rf'\underline{{{show(second, "SD")}}}' in latex[second]
    assert rf'\textbf{{{show("mean_1", "MSE")}}}' in latex[r'mean\_1']
    assert 'MSE ↓' in markdown['method'] and r'MSE $\downarrow$' in latex['Method']
    assert f'{show(best, "SD")} ± ' in capsys.readouterr().out

    for name in ('box_SD', 'box_MSE', 'box_CC', 'means'):
        image = read_image(data / f'out/{name}.png')
        assert min(image.shape[:2]) > 100 and image.std() > 10


def test_ranking(data):
    """The places by SD and MSE counted by hand: c has the highest SD of all images, b the lowest MSE."""
    assert main([*SOURCES, '--fused', 'a', 'b', 'c', '--names', 'one', 'two', 'three_3', '--metrics', 'SD', 'MSE']) == 0
    rows = {row['method']: row for row in table('out/ranking.csv')}
    scores = {(row['image'], row['method']): (-float(row['SD']), float(row['MSE'])) for row in table('out/scores.csv')}
    images = [f'IR{i}.png' for i in range(1, 7)]
    place = {(image, method, k): 1 + sum(scores[image, other][k] < scores[image, method][k] for other in rows)
             for image in images for method in rows for k in range(2)}
    for method, row in rows.items():
        places = [place[image, method, k] for k in range(2) for image in images]
        assert float(row['mean rank']) == pytest.approx(np.mean(places))
        assert [float(row['SD']), float(row['MSE'])] == pytest.approx([np.mean(places[:6]), np.mean(places[6:])])
        assert [row['best'], row['second']] == [str(places.count(1)), str(places.count(2))]
        assert [row['images'], row['missing']] == ['6', '0']
    assert list(rows) == sorted(rows, key=lambda method: float(rows[method]['mean rank']))
    for name, method in (('md', 'three_3'), ('tex', r'three\_3')):
        text = (data / 'out' / f'ranking.{name}').read_text(encoding='utf-8')
        assert method in text and 'the 6 images that all methods have' in text and '†' not in text and 'dag' not in text


def test_kin_metrics_count_as_one_in_the_mean_rank(data):
    assert main([*SOURCES, '--fused', 'a', 'b', 'c', '--metrics', 'SD', 'MSE', 'PSNR', 'Q_SF']) == 0
    for row in table('out/ranking.csv'):
        sd, mse, psnr, q_sf = (float(row[name]) for name in ('SD', 'MSE', 'PSNR', 'Q_SF'))
        assert mse == psnr and float(row['mean rank']) == pytest.approx((sd + mse + q_sf) / 3)
    assert '(MSE with PSNR counting as one)' in (data / 'out/ranking.md').read_text(encoding='utf-8')
    distances = {method: [abs(float(row['Q_SF'])) for row in table('out/scores.csv') if row['method'] == method] for method in 'abc'}
    places = [1 + sum(distances[other][i] < distances['c'][i] for other in 'ab') for i in range(6)]
    assert float({row['method']: row for row in table('out/ranking.csv')}['c']['Q_SF']) == pytest.approx(np.mean(places))
    for test in table('out/tests.csv'):
        if test['metric'] == 'Q_SF':
            expected = np.median(np.subtract(distances[test['method']], distances['a']))
            assert float(test['median_difference']) == pytest.approx(expected, rel=1e-6)


def test_sources_are_looked_at_once_for_all_methods(data, monkeypatch):
    calls = []
    monkeypatch.setitem(FEATURES, 'pixel', lambda pixels: calls.append(pixels) or pixels)
    assert main([*SOURCES, '--fused', 'a', 'b', 'c', '--metrics', 'FMI_pixel']) == 0
    assert len(calls) == 6 * (2 + 3)


def test_a_method_that_lacks_images_is_ranked_on_the_common_ones(data, capsys):
    (data / 'b/IR2.png').unlink()
    write_image(data / 'c/IR4.bmp', picture(1)[:-1])
    assert main([*SOURCES, '--fused', 'a', 'b', 'c', '--metrics', 'SD']) == 1
    rows = {row['method']: row for row in table('out/ranking.csv')}
    assert {row['images'] for row in rows.values()} == {'4'} and sum(int(row['best']) for row in rows.values()) == 4
    values = {(row['method'], row['image']): float(row['SD']) for row in table('out/scores.csv') if row['SD']}
    of_c = [1 + sum(values[other, f'IR{i}.png'] > values['c', f'IR{i}.png'] for other in 'ab') for i in (1, 3, 5, 6)]
    assert float(rows['c']['mean rank']) == np.mean(of_c)
    assert {method: row['missing'] for method, row in rows.items()} == {'a': '0', 'b': '1', 'c': '1'}
    markdown, printed = (data / 'out/ranking.md').read_text(encoding='utf-8'), capsys.readouterr().out
    for text in (markdown, printed):
        assert 'b †' in text and 'a †' not in text and 'the 4 images' in text and '† Lacks images: ' in text
    assert r'b \dag{}' in (data / 'out/ranking.tex').read_text(encoding='utf-8')


def test_equal_scores_share_a_place(data):
    assert main([*SOURCES, '--fused', 'a', 'a', 'b', '--names', 'x', 'y', 'z', '--metrics', 'SD']) == 0
    rows = {row['method']: row for row in table('out/ranking.csv')}
    assert (rows['x']['mean rank'], rows['x']['best'], rows['x']['second']) == ('1.5', '6', '0') and rows['z']['second'] == '0'
    assert rows['y']['better'] == rows['y']['worse'] == '0'


def test_holm():
    assert holm([0.01, 0.04, np.nan, 0.03, 0.005]) == pytest.approx([0.03, 0.06, np.nan, 0.06, 0.02], nan_ok=True)
    assert holm([0.6, 0.9]) == [1, 1] and holm([]) == [] and holm([0.2]) == [0.2]


def test_significant_differences_are_counted(data):
    """Enough images for the test: b is below a in SD and, being lower, better in MSE, in each of them."""
    names = [f'I{i}' for i in range(12)]
    index = pd.MultiIndex.from_product([['a', 'b'], names], names=['method', 'image'])
    values = np.arange(1.0, 13.0)
    columns = {'SD': np.r_[values + 20, values * 1.01], 'MSE': np.r_[2 * values, values], 'CC': np.r_[values, values]}
    scores = Scores(pd.DataFrame(columns, index), select_metrics('default', columns), 'default', False, [])
    scores = scores._replace(table=scores.table[[metric.name for metric in scores.metrics]])
    tests = paired_tests(scores)
    assert [test.p_holm for test in tests if test.metric != 'CC'] == pytest.approx([3 / 2048] * 2)
    assert ranking(scores, tests).loc['b', ['better', 'worse']].tolist() == [1, 1]


def test_a_difference_by_chance_is_not_counted(data):
    """b is above a in 9 of 12 images, by as much as it is below in the others: p is 0.05 to 0.5."""
    index = pd.MultiIndex.from_product([['a', 'b'], range(12)], names=['method', 'image'])
    moved = np.arange(1.0, 13.0) * np.where(np.arange(12) % 4 < 3, 1, -1)
    table = pd.DataFrame({'SD': np.r_[np.full(12, 50), 50 + moved]}, index)
    scores = Scores(table, select_metrics('default', ['SD']), 'default', False, [])
    test, = tests = paired_tests(scores)
    assert 0.05 < test.p_holm < 0.5
    assert ranking(scores, tests).loc['b', ['better', 'worse']].tolist() == [0, 0]


def test_differences_within_the_noise_are_marked(data, capsys):
    """b is closer to a than the spread in EN alone; of MI no spread is known."""
    def means():
        return {row['method']: row for row in table()}

    arguments = [*SOURCES, '--fused', 'a', 'b', 'c', '--names', 'A', 'B', 'C', '--metrics', 'EN', 'SD', 'MI']
    main(arguments)
    apart = {metric: [abs(float(means()[name][f'{metric} mean']) - float(means()['A'][f'{metric} mean'])) for name in 'BC']
             for metric in ('EN', 'SD')}
    spreads = {'EN': 1.01 * apart['EN'][0], 'SD': 0.99 * min(apart['SD'])}
    (data / 'noise.csv').write_text('metric,spread\n' + ''.join(f'{metric},{spread}\n' for metric, spread in spreads.items()))
    capsys.readouterr()
    assert main([*arguments, '--noise', 'noise.csv']) == 0
    marked = 1 + (apart['EN'][1] < spreads['EN'])
    lines = [line for line in capsys.readouterr().out.splitlines() if '±' in line][:3]  # of A, B and C, not the note
    assert [line.count('≈') for line in lines] == [0, 1, marked - 1]
    text = (data / 'out/summary.md').read_text(encoding='utf-8')
    head, note = text.split('\nMean ± standard deviation')
    assert head.count('≈') == marked and 'as close to A as two runs of the same training are' in note and '(not known of MI)' in note
    assert (data / 'out/summary.tex').read_text(encoding='utf-8').count(r'$\approx$') == marked + 1


@pytest.mark.parametrize('content, message', [
    (None, 'no CSV file'), ('metric,value\nEN,1\n', 'metric and spread'), ('metric,spread\nEN,-1\n', 'from 0 on'),
    ('metric,spread\nEN,much\n', 'no CSV file'), ('metric,spread\nEN,1\nEN,2\n', 'one spread')])
def test_files_that_are_no_noise_are_refused(data, content, message):
    if content:
        (data / 'noise.csv').write_text(content)
    with pytest.raises(UserError, match=message):
        main([*SOURCES, '--fused', 'a', '--noise', 'noise.csv'])


def test_figures_show_the_scores(data):
    names = ['_last', '$a$', '1']
    metrics = select_metrics('default', ['SD', 'MSE'])
    scores = score_methods(dict(zip(names, 'abc')), pair_folders(f'images/{SET}/ir', f'images/{SET}/vis'), 'default', metrics,
                           workers=1)
    axes, = box_plot(scores.table['MSE'], metrics[1]).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == names
    assert axes.get_xlabel() == 'MSE, lower is better' and len(axes.patches) == 3
    for points, name in zip(axes.collections, names):
        assert sorted(points.get_offsets()[:, 0]) == sorted(scores.table.loc[name, 'MSE'])
    sd, mse = means_chart(scores.table, metrics).axes
    assert sd.get_xlabel() == 'SD, higher is better' and [text.get_text() for text in sd.get_yticklabels()] == names
    means = [scores.table.loc[name, 'MSE'].mean() for name in names]
    assert [bar.get_width() for bar in mse.patches] == pytest.approx(means)
    assert [float(text.get_text()) for text in mse.texts] == pytest.approx(means, rel=1e-3)


def test_the_same_scores_give_the_same_figures(data):
    for out in ('one', 'two'):
        main([*SOURCES[:4], '--workers', '1', '--fused', 'a', 'b', '--metrics', 'EN', '--out', out])
    for name in ('box_EN.png', 'means.png'):
        assert (data / 'one' / name).read_bytes() == (data / 'two' / name).read_bytes()


def test_characters_that_cannot_be_drawn_are_one_warning(data):
    with pytest.warns(UserWarning) as given:
        assert main([*SOURCES, '--fused', 'a', 'b', '--names', 'A', '\U000f1234', '--metrics', 'EN', 'SD']) == 0
    message, = [str(one.message) for one in given if one.category is UserWarning]  # not seaborn's use of an old name in matplotlib
    assert 'no font has the characters \U000f1234' in message


def test_equal_methods(data):
    assert main([*SOURCES, '--fused', 'a', 'a', '--names', 'one', 'other']) == 0
    assert {test['p_value'] for test in table('out/tests.csv')} == {'1'}
    assert (data / 'out/summary.md').read_text(encoding='utf-8').count('**') == 2 * 2 * 3  # both are best everywhere


def test_infinite_psnr(data):
    for i in range(1, 7):
        for path in (f'images/{SET}/vis/VIS{i}.png', f'b/IR{i}.png'):
            write_image(data / path, read_gray(f'images/{SET}/ir/IR{i}.png'))
    assert main([*SOURCES, '--fused', 'a', 'b', '--metrics', 'PSNR']) == 0
    assert [row['PSNR mean'] for row in table()][1] == 'inf'
    assert '**inf** ± –' in (data / 'out/summary.md').read_text(encoding='utf-8')


def test_luma_or_channels(data):
    for i in range(1, 7):
        write_image(data / f'images/{SET}/vis/VIS{i}.png', picture(100 + i, channels=3))
        write_image(data / f'd/IR{i}.png', picture(200 + i, channels=3))
    paths = 'd/IR1.png', f'images/{SET}/ir/IR1.png', f'images/{SET}/vis/VIS1.png'
    fused, ir, vi = map(read_image, paths)
    main([*SOURCES, '--fused', 'd', '--metrics', 'EN', 'MI'])
    row = table('out/scores.csv')[0]
    assert row['scored on'] == 'luma'
    assert float(row['MI']) == pytest.approx(m.mi(*map(read_gray, paths)), rel=1e-6)
    main([*SOURCES, '--fused', 'd', '--metrics', 'EN', 'MI', '--channels'])
    row = table('out/scores.csv')[0]
    assert row['scored on'] == 'colour channels, averaged'
    assert 'scored on: colour channels, averaged' in (data / 'out/summary.md').read_text(encoding='utf-8')
    planes = [(fused[:, :, k], ir, vi[:, :, k]) for k in range(3)]
    assert float(row['EN']) == pytest.approx(np.mean([m.en(plane[0]) for plane in planes]), rel=1e-6)
    assert float(row['MI']) == pytest.approx(np.mean([m.mi(*plane) for plane in planes]), rel=1e-6)


@pytest.mark.parametrize('channels', [[], ['--channels']])
def test_sixteen_bits(data, channels):
    write_image(data / 'd/IR1.png', picture(7, dtype=np.uint16))
    main([*SOURCES, '--fused', 'd', '--metrics', 'SD', *channels])
    assert float(table('out/scores.csv')[0]['SD']) == pytest.approx(picture(7).std(), rel=1e-3)


def results(data):
    folder, = (data / 'output/metrics').iterdir()
    return folder


def test_newest_output(data, capsys):
    output_folder(data, f'{SET}_transfuse_epoch4_old', 20, 'b')
    output_folder(data, f'{SET}_transfuse_epoch16_new', 10, 'a')
    (data / 'output/metrics/3_methods').mkdir(parents=True)
    write_image(data / f'output/metrics/{SET}/box_EN.png', picture(0))  # no fused image
    assert main([*OUT]) == 0
    assert {row['method'] for row in table()} == {f'{SET}_transfuse_epoch16_new'}
    assert '6 pairs found by the rule: IR1 ↔ VIS1' in capsys.readouterr().out


def test_results_have_a_folder_of_their_own(data, capsys):
    output_folder(data, f'{SET}_transfuse_epoch16_new', 10)
    assert main(['--workers', '1']) == 0
    assert results(data).name.startswith(f'{SET}_transfuse_epoch16_new_20')
    assert str(results(data).relative_to(data)) in capsys.readouterr().out
    assert len(table(results(data) / 'scores.csv')) == 6


def test_test_set_by_name(data):
    output_folder(data, f'{SET}_transfuse_epoch4_x', 20, 'a')
    output_folder(data, f'{SET}_cnn_epoch4_x', 10, 'b')
    output_folder(data, 'M3FD_Fusion_transfuse_epoch4_x', 5, 'c')
    (data / 'images/M3FD_Fusion').mkdir()
    assert main(['--test_set', SET, *OUT]) == 0
    assert [row['method'] for row in table()] == [f'{SET}_cnn_epoch4_x', f'{SET}_transfuse_epoch4_x']


def test_sources_file_is_preferred(data):
    (data / f'images/{SET}').rename(data / 'elsewhere')
    output_folder(data, 'mine_transfuse_epoch4_x', 10, sources={'ir': 'elsewhere/ir', 'vis': 'elsewhere/vis'})
    assert main([*OUT]) == 0
    assert table()[0]['EN images'] == '6'


def test_sources_that_differ(data):
    vi = f'images/{SET}/vis'
    output_folder(data, f'{SET}_transfuse_epoch4_x', 20, 'a', {'ir': f'./images/{SET}/ir', 'vis': vi})
    output_folder(data, f'{SET}_cnn_epoch4_x', 10, 'b', {'ir': str(data / f'images/{SET}/ir'), 'vis': vi})
    assert main(['--test_set', SET, *OUT]) == 0
    output_folder(data, f'{SET}_other_epoch4_x', 5, 'c', {'ir': 'elsewhere/ir', 'vis': 'elsewhere/vis'})
    with pytest.raises(UserError, match='from different images.*other_epoch4_x from elsewhere/ir and elsewhere/vis; '):
        main(['--test_set', SET, *OUT])


@pytest.mark.parametrize('content', ['{"ir": "a"}', 'not json', '[]', '{"ir": 1, "vis": 2}', '{"ir": [], "vi": []}'])
def test_damaged_sources_file(data, content):
    output_folder(data, f'{SET}_transfuse_epoch4_x', 10)
    (data / f'output/crossfuse_test/{SET}_transfuse_epoch4_x/sources.json').write_text(content)
    with pytest.raises(UserError, match='sources.json should hold'):
        main(['--workers', '1'])


@pytest.mark.parametrize('arguments, message', [
    ([], 'no fused images under output: fuse some'),
    (['--test_set', 'nothing'], 'no fused images of the test set nothing'),
    (['--fused', 'a'], 'give their folders as --ir and --vi$'),
    (['--fused', 'a', '--ir', 'b'], 'give both --ir and --vi,'),
    ([*SOURCES, '--fused', 'a', 'a'], 'the methods need different names: a a'),
    ([*SOURCES, '--fused', 'a', 'b', '--names', 'x'], '1 names for 2 fused folders'),
    ([*SOURCES, '--fused', 'missing'], 'cannot read the folder missing'),
    (['--ir', 'missing', '--vis', 'b', '--fused', 'a'], 'missing: no such file or folder'),
    ([*SOURCES, '--fused', 'a', '--metrics', 'EN', 'XY'], 'XY chosen; protocol default has: EN SD MI'),
    ([*SOURCES, '--fused', 'a', '--metrics'], 'none chosen'),
    ([*SOURCES, '--fused', 'a', '--protocol', 'cddfuse', '--metrics', 'FMI_w'], 'FMI_w chosen; protocol cddfuse has'),
    ([*SOURCES, '--fused', 'a', '--protocol', 'matlab'], 'must be one of default, hli, tang, tang_2022_01, cddfuse, vifb, liu, all'),
    ([*SOURCES, '--fused', 'a', '--protocol', 'all', '--metrics', 'XY'], 'protocol all has: EN SD MI SF .* CE EI Q_MI .* RMSE'),
    ([*SOURCES, '--fused', 'a', '--protocol', 'all', '--html'], '--html shows one protocol'),
    (['--fused', 'a', 'b', '--check_against', 'c'], 'compares one folder'),
])
def test_bad_settings(data, arguments, message):
    with pytest.raises(UserError, match=message):
        main(arguments)
    assert not (data / 'out').exists()
