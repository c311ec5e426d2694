"""The evaluation script: its tables, what it finds by itself, bad input, and the comparison of two fused folders."""
import contextlib
import csv
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY, SHARED_DATA
from metric_functions import m
from scipy.stats import wilcoxon

from evaluate_fusion_results import main
from tools.base.errors import UserError
from tools.base.tables import markdown_text
from tools.data.images import read_gray, read_image, write_image
from tools.data.pairing import pair_folders
from tools.evaluation.figures import box_plot, means_chart
from tools.evaluation.metrics import METRICS, MORE_METRICS
from tools.evaluation.metrics.fmi import FEATURES
from tools.evaluation.protocols import definitions, how_it_differs
from tools.evaluation.ranking import ranking
from tools.evaluation.report import holm, latex_table, paired_tests
from tools.evaluation.scoring import Scores, score_methods, select_metrics

SET = '21_pairs_tno'


def picture(seed, height=48, width=56, channels=None, dtype=np.uint8):
    shape = (height, width, channels) if channels else (height, width)
    image = cv2.GaussianBlur(np.random.default_rng(seed).uniform(0, 255, shape), (0, 0), 2)
    image = 255 * (image - image.min()) / np.ptp(image)
    return np.rint(image * (257 if dtype == np.uint16 else 1)).astype(dtype)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A working folder with six pairs as a test set, and three methods' results in a, b and c."""
    monkeypatch.chdir(tmp_path)
    for i in range(1, 7):
        ir, vis = picture(i), picture(100 + i)
        write_image(tmp_path / f'images/{SET}/ir/IR{i}.png', ir)
        write_image(tmp_path / f'images/{SET}/vis/VIS{i}.png', vis)
        write_image(tmp_path / f'a/results_transfuse_IR{i}.png', np.maximum(ir, vis))
        write_image(tmp_path / f'b/IR{i}.png', (ir // 2 + vis // 2))
        write_image(tmp_path / f'c/IR{i}.bmp', vis - vis // 10)
    return tmp_path


OUT = ['--out', 'out', '--workers', '1']
SOURCES = ['--ir', f'images/{SET}/ir', '--vis', f'images/{SET}/vis', *OUT]


def table(name='out/summary.csv'):
    """A CSV file as a list of dicts."""
    with open(name, encoding='utf-8-sig', newline='') as file:
        return list(csv.DictReader(file))


def triple(i, method='a/results_transfuse_IR{}.png'):
    paths = method.format(i), f'images/{SET}/ir/IR{i}.png', f'images/{SET}/vis/VIS{i}.png'
    return tuple(map(read_gray, paths))


# Tables

def test_scores_of_one_method(data, capsys):
    assert main([*SOURCES, '--fused', 'a']) == 0
    rows = table('out/scores.csv')
    assert [row['image'] for row in rows] == [f'IR{i}.png' for i in range(1, 7)]
    assert list(rows[0]) == ['method', 'image', 'protocol', 'scored on', 'EN', 'SD', 'MI']
    for i, row in enumerate(rows, 1):
        fused, ir, vis = triple(i)
        assert [row['method'], row['protocol'], row['scored on']] == ['a', 'default', 'luma']
        assert float(row['EN']) == pytest.approx(m.en(fused), rel=1e-7)
        assert float(row['SD']) == pytest.approx(m.sd(fused), rel=1e-7)
        assert float(row['MI']) == pytest.approx(m.mi(fused, ir, vis), rel=1e-7)
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
    fused, ir, vis = triple(1)
    expected = {'hli': m.sd(fused) * math.sqrt(fused.size) / 255, 'tang': m.psnr(fused, ir, vis) + 20 * math.log10(255),
                'cddfuse': m.mi(fused, ir, vis) * math.log(2), 'tang_2022_01': m.sf(fused) / 255,
                'liu': m.q_mi(fused, ir, vis)}.get(protocol)
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


# Colour and 16 bits

def test_luma_or_channels(data):
    for i in range(1, 7):
        write_image(data / f'images/{SET}/vis/VIS{i}.png', picture(100 + i, channels=3))
        write_image(data / f'd/IR{i}.png', picture(200 + i, channels=3))
    paths = 'd/IR1.png', f'images/{SET}/ir/IR1.png', f'images/{SET}/vis/VIS1.png'
    fused, ir, vis = map(read_image, paths)
    main([*SOURCES, '--fused', 'd', '--metrics', 'EN', 'MI'])
    row = table('out/scores.csv')[0]
    assert row['scored on'] == 'luma'
    assert float(row['MI']) == pytest.approx(m.mi(*map(read_gray, paths)), rel=1e-6)
    main([*SOURCES, '--fused', 'd', '--metrics', 'EN', 'MI', '--channels'])
    row = table('out/scores.csv')[0]
    assert row['scored on'] == 'colour channels, averaged'
    assert 'scored on: colour channels, averaged' in (data / 'out/summary.md').read_text(encoding='utf-8')
    planes = [(fused[:, :, k], ir, vis[:, :, k]) for k in range(3)]
    assert float(row['EN']) == pytest.approx(np.mean([m.en(plane[0]) for plane in planes]), rel=1e-6)
    assert float(row['MI']) == pytest.approx(np.mean([m.mi(*plane) for plane in planes]), rel=1e-6)


@pytest.mark.parametrize('channels', [[], ['--channels']])
def test_sixteen_bits(data, channels):
    write_image(data / 'd/IR1.png', picture(7, dtype=np.uint16))
    main([*SOURCES, '--fused', 'd', '--metrics', 'SD', *channels])
    assert float(table('out/scores.csv')[0]['SD']) == pytest.approx(picture(7).std(), rel=1e-3)


# What it finds by itself

def output_folder(data, name, age, method='a', sources=None):
    folder = data / 'output/crossfuse_test' / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    (data / method).rename(folder)
    if sources:
        (folder / 'sources.json').write_text(json.dumps(sources), encoding='utf-8')
    os.utime(folder, (1e9 - age, 1e9 - age))


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
    assert '6 pairs by the rule: IR1 ↔ VIS1' in capsys.readouterr().out


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
    vis = f'images/{SET}/vis'
    output_folder(data, f'{SET}_transfuse_epoch4_x', 20, 'a', {'ir': f'./images/{SET}/ir', 'vis': vis})
    output_folder(data, f'{SET}_cnn_epoch4_x', 10, 'b', {'ir': str(data / f'images/{SET}/ir'), 'vis': vis})
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


# Bad files

def test_bad_files_are_named_and_left_out(data, capsys):
    write_image(data / 'a/results_transfuse_IR1.png', picture(1)[:-1])            # another size
    (data / 'a/results_transfuse_IR2.png').write_bytes(b'no image')
    (data / 'a/results_transfuse_IR3.png').unlink()
    (data / f'images/{SET}/vis/VIS4.png').unlink()                                 # a source without a partner
    damaged = data / f'images/{SET}/ir/IR5.png'
    damaged.write_bytes(damaged.read_bytes()[:200])
    assert main([*SOURCES, '--fused', 'a']) == 1
    output = capsys.readouterr()
    for text in ('left out (6)', 'the images differ in size: a/results_transfuse_IR1.png 56×47, ',
                 'a/results_transfuse_IR2.png is not an image', 'a: no fused image of IR3.png',
                 'ir/IR4.png: no partner', 'a/results_transfuse_IR4.png: no source images for it',
                 'ir/IR5.png is cut off'):
        assert text in output.err
    rows = {row['image']: row for row in table('out/scores.csv')}
    assert [name for name, row in rows.items() if row['EN']] == ['IR6.png']
    assert float(rows['IR6.png']['EN']) == pytest.approx(m.en(triple(6)[0]), rel=1e-7)
    assert table()[0]['EN images'] == '1' and table()[0]['EN std'] == ''
    assert 'over 1 image;' in output.out
    assert (data / 'out/summary.md').read_text(encoding='utf-8').count('Left out: ') == 6


def test_nothing_to_score(data):
    for i in range(1, 7):
        (data / f'a/results_transfuse_IR{i}.png').write_bytes(b'no image')
    with pytest.raises(UserError, match='nothing could be scored:\n.*results_transfuse_IR1.png is not an image'):
        main([*SOURCES, '--fused', 'a'])
    assert not (data / 'out').exists()


def test_missing_in_one_method_only(data, capsys):
    (data / 'b/IR2.png').unlink()
    assert main([*SOURCES, '--fused', 'a', 'b']) == 1
    assert [row['EN images'] for row in table()] == ['6', '5']
    assert {row['images'] for row in table('out/tests.csv')} == {'5'}
    assert 'b: no fused image of IR2.png' in capsys.readouterr().err


def test_a_method_that_cannot_be_matched_is_left_out(data, capsys):
    for i in range(1, 7):
        (data / f'b/IR{i}.png').rename(data / f'b/{"ABCDEF"[i - 1]}.png')
        (data / f'c/IR{i}.bmp').rename(data / f'c/{i}_SwinFusion.bmp')
    assert main([*SOURCES, '--fused', 'a', 'b', 'c', 'nowhere']) == 1
    assert [row['method'] for row in table()] == ['a', 'c'] and {row['EN images'] for row in table()} == {'6'}
    told = capsys.readouterr()
    assert 'method b left out: no image in b (A.png, B.png' in told.err
    assert 'method nowhere left out: cannot read the folder nowhere' in told.err
    assert 'c: fused files were matched by names as NAME_swinfusion' in told.out
    with pytest.raises(UserError, match='method b left out.*\nmethod nowhere left out'):
        main([*SOURCES, '--fused', 'b', 'nowhere'])
    assert main([*SOURCES, '--fused', 'b', 'c', '--names', 'x', 'y']) == 1
    assert [row['method'] for row in table()] == ['y']


def write_small_infrared(data):
    for i in range(1, 7):
        write_image(data / f'images/{SET}/ir/IR{i}.png', picture(i, 24, 28))


def test_results_of_resizing_are_scored_as_they_were_made(data):
    write_small_infrared(data)
    with pytest.raises(UserError, match='the images differ in size'):
        main([*SOURCES, '--fused', 'a'])
    assert main([*SOURCES, '--fused', 'a', '--resize']) == 0
    fused, ir, vis = triple(1)
    expected = m.mi(fused, cv2.resize(ir, vis.shape[::-1], interpolation=cv2.INTER_LINEAR), vis)
    assert float(table('out/scores.csv')[0]['MI']) == pytest.approx(expected, rel=1e-7)

    noted = {'ir': f'images/{SET}/ir', 'vi': f'images/{SET}/vis', 'resize': True}
    (data / 'a/sources.json').write_text(json.dumps(noted))
    assert main([*SOURCES, '--fused', 'a']) == 0
    output_folder(data, f'{SET}_x', 10, sources=noted)
    assert main([*OUT]) == 0
    assert float(table('out/scores.csv')[0]['MI']) == pytest.approx(expected, rel=1e-7)


def test_infrared_of_16_bits_is_scored_as_it_was_fused(data, capsys):
    for i in range(1, 7):
        write_image(data / f'images/{SET}/ir/IR{i}.png', (7000 + 5 * picture(i).astype(int)).astype(np.uint16))
    fused, _, vis = triple(1)
    path = data / f'images/{SET}/ir/IR1.png'
    plain, stretched = (m.mi(fused, read_gray(path, ir_range), vis) for ir_range in (None, 'auto'))
    assert abs(stretched - plain) > 0.1

    assert main([*SOURCES, '--fused', 'a', '--metrics', 'MI']) == 0
    assert float(table('out/scores.csv')[0]['MI']) == pytest.approx(plain, rel=1e-7)
    assert capsys.readouterr().out.count('small part of 16 bits') == 1
    assert main([*SOURCES, '--fused', 'a', 'b', '--metrics', 'MI', '--ir_range', 'auto', '--html']) == 0
    assert float(table('out/scores.csv')[0]['MI']) == pytest.approx(stretched, rel=1e-7)
    told = capsys.readouterr().out
    assert 'infrared with the range auto' in told and 'doubtful' not in told
    assert 'infrared with the range auto' in (data / 'out/summary.md').read_text()
    (data / 'one').mkdir()
    shutil.copy(data / 'a/results_transfuse_IR1.png', data / 'one')
    main([*SOURCES, '--fused', 'one', '--explain', f'MI={stretched:.5f}', '--ir_range', 'auto'])
    assert 'none gives' not in capsys.readouterr().out
    assert main([*SOURCES, '--fused', 'a', '--metrics', 'MI', '--channels', '--ir_range', '7000', '8275']) == 0
    expected = m.mi(fused, read_gray(path, (7000.0, 8275.0)), vis)
    assert float(table('out/scores.csv')[0]['MI']) == pytest.approx(expected, rel=1e-7)

    noted = {'ir': f'images/{SET}/ir', 'vi': f'images/{SET}/vis', 'ir_range': 'auto'}
    output_folder(data, f'{SET}_x', 10, sources=noted)
    output_folder(data, f'{SET}_y', 10, 'b', sources={**noted, 'ir_range': '7000.0 8275.0'})
    for sources in (['--fused', f'output/crossfuse_test/{SET}_x', *OUT], [*SOURCES, '--fused', f'output/crossfuse_test/{SET}_x', 'c']):
        main([*sources, '--metrics', 'MI'])
        assert float(table('out/scores.csv')[0]['MI']) == pytest.approx(stretched, rel=1e-7)
    with pytest.raises(UserError, match='fused with different ir_range: give one'):
        main(['--test_set', SET, *OUT])
    assert main(['--test_set', SET, '--metrics', 'MI', '--ir_range', 'auto', *OUT]) == 0


def test_names_as_asked_for_and_as_noted(data):
    for i in range(1, 7):
        (data / f'images/{SET}/ir/IR{i}.png').rename(data / f'images/{SET}/ir/cam1 {i}.png')
        (data / f'images/{SET}/vis/VIS{i}.png').rename(data / f'images/{SET}/vis/cam2 {i}.png')
        (data / f'a/results_transfuse_IR{i}.png').rename(data / f'a/results_transfuse_cam1 {i}.png')
    names = '--ir_name', 'cam1 {}', '--vis_name', 'cam2 {}'
    assert main([*SOURCES, '--fused', 'a', *names]) == 0
    assert [row['image'] for row in table('out/scores.csv')] == [f'cam1 {i}.png' for i in range(1, 7)]
    output_folder(data, 'x', 10, sources={'ir': f'images/{SET}/ir', 'vi': f'images/{SET}/vis', 'ir_name': 'cam1 {}', 'vi_name': 'cam2 {}'})
    assert main([*OUT]) == 0
    assert table()[0]['EN images'] == '6'


@pytest.mark.parametrize('spelling', [f'{SET}/', f'images/{SET}', f'./images/{SET}/', f'{SET}//.'])
def test_a_test_set_as_a_shell_completes_it(data, spelling):
    output_folder(data, f'{SET}_run', 1)
    assert main(['--test_set', spelling, *OUT]) == 0


ODD_NAMES = ['[ours]', '*best', '**', 'α-β Δ', 'Σ ≥ 0 ≤ 1', '<b>', 'a|b', 'ä_ß ł', '100 % & #1 {x} $y$', '~^\\', 'a--b', '-dash', '"q"',
             "`it's`", 'ω ς Χ Η Ρ ο', 'x² · 3×3 … µ °', 'two\nlines\tand \x07', '—']


def test_latex_compiles_and_keeps_every_name(tmp_path):
    text = latex_table(pd.DataFrame({f'SD {name} ↑': '1.0' for name in ODD_NAMES[:7]}, ODD_NAMES), ' '.join(ODD_NAMES))
    rows = [line.split(' & ')[0] for line in text.splitlines() if ' & 1.0' in line]
    assert rows[:5] == ['{[}ours]', '{*}best', '{*}{*}', r'$\alpha$-$\beta$ $\Delta$', r'$\Sigma$ $\geq$ 0 $\leq$ 1']
    assert len(set(rows)) == len(ODD_NAMES) and 'XeLaTeX' not in text
    assert r'$\omega$ $\varsigma$ X H P $o$' in rows and 'two lines and ' in rows
    if shutil.which('pdflatex') is None:
        pytest.skip('pdflatex is not installed')
    (tmp_path / 'table.tex').write_text(text, encoding='utf-8')
    (tmp_path / 'all.tex').write_text(r'\documentclass{article}\usepackage{booktabs}\begin{document}\input{table}\end{document}')
    done = subprocess.run(['pdflatex', '-interaction=nonstopmode', '-halt-on-error', 'all.tex'], cwd=tmp_path, capture_output=True)
    log = done.stdout.decode('utf-8', 'replace')
    assert done.returncode == 0 and 'Missing character' not in log, log[-2000:]


def test_latex_says_which_characters_need_another_one():
    text = latex_table(pd.DataFrame({'SD': ['1.0']}, ['红外 x']), 'caption')
    assert text.startswith('% needs XeLaTeX or LuaLaTeX, and a font that has 红外\n')


def test_names_are_no_markup_in_markdown():
    found = [markdown_text(name) for name in ('<b>x</b>', '*a*', '[a](b)', '`c`', 'mean_1', '_x_', 'plain-1.0')]
    assert found == [r'\<b>x\</b>', r'\*a\*', r'\[a](b)', r'\`c\`', 'mean_1', r'\_x\_', 'plain-1.0']


def test_methods_of_odd_names(data):
    assert main([*SOURCES, '--fused', 'a', 'b', 'c', '--names', '-dash', '<i>', '*x|']) == 0
    for name in ('summary.md', 'ranking.md'):
        text = (data / 'out' / name).read_text(encoding='utf-8')
        assert '| -dash' in text and r'\<i>' in text and r'\*x\|' in text
    assert [row['method'] for row in table()] == ['-dash', '<i>', '*x|']
    assert r'\textless{}i\textgreater{} & ' in (data / 'out/summary.tex').read_text(encoding='utf-8')


def test_a_test_set_in_a_folder_of_a_set(data):
    (data / f'images/{SET}').rename(data / 'images/test')
    (data / 'images/MSRS').mkdir()
    (data / 'images/test').rename(data / 'images/MSRS/test')
    output_folder(data, 'MSRS_test_standard_epoch1', 10)
    assert main(['--test_set', 'MSRS/test', *OUT]) == 0
    assert table()[0]['EN images'] == '6'


# Two fused folders

def test_check_against_itself(data, capsys, monkeypatch):
    monkeypatch.setenv('COLUMNS', '120')
    assert main(['--fused', 'a', '--check_against', 'b', *OUT]) == 0  # names agree but for the prefix
    assert main(['--fused', 'a', '--check_against', 'a', *OUT]) == 0
    for row in table('out/fidelity.csv'):
        assert [row['psnr'], row['ssim'], row['largest'], row['identical']] == ['inf', '1', '0', '1']
    _, head, *_, worst = capsys.readouterr().out.split('a against a')[1].split('\n\n')[0].splitlines()
    assert 'same pixels (%)' in head and worst.split() == ['worst', 'inf', '1', '0', '100']


@pytest.mark.parametrize('channels', [None, 3])
def test_check_against_another(data, channels):
    ours = picture(1, channels=channels) // 2 + 10
    theirs = ours.copy()
    theirs[:12] += 1  # a quarter of the rows
    theirs[0, 0] += 4
    write_image(data / 'd/results_crossfuse_X.png', ours)
    write_image(data / 'e/x.png', theirs)
    assert main(['--fused', 'd', '--check_against', 'e', *OUT]) == 0
    row, = table('out/fidelity.csv')
    error = np.mean((ours.astype(float) - theirs) ** 2)
    assert row['name'] == 'results_crossfuse_X.png'
    assert float(row['psnr']) == pytest.approx(10 * math.log10(255 ** 2 / error), rel=1e-6)
    planes = [(ours, theirs)] if channels is None else [(ours[:, :, k], theirs[:, :, k]) for k in range(3)]
    assert float(row['ssim']) == pytest.approx(np.mean([m.ssim(x, y, y) for x, y in planes]), rel=1e-6)
    assert [float(row['largest']), float(row['identical'])] == [5, 0.75]


def test_check_against_other_sizes_and_missing(data, capsys):
    write_image(data / 'b/IR1.png', picture(1)[:-1])
    (data / 'b/IR2.png').unlink()
    (data / 'a/results_transfuse_IR3.png').unlink()
    assert main(['--fused', 'a', '--check_against', 'b', *OUT]) == 1
    errors = capsys.readouterr().err
    for text in ('left out (3)', 'differ in size: a/results_transfuse_IR1.png 56×48, b/IR1.png 56×47',
                 'a/results_transfuse_IR2.png: no counterpart in b', 'b/IR3.png: no counterpart in a'):
        assert text in errors
    assert len(table('out/fidelity.csv')) == 3


def test_check_against_strangers(data):
    for i in range(1, 7):
        (data / f'b/IR{i}.png').rename(data / f'b/other{i}.png')
    with pytest.raises(UserError, match='no image in a has the name of one in b'):
        main(['--fused', 'a', '--check_against', 'b'])
    write_image(data / 'b/results_x_other1.bmp', picture(1))
    with pytest.raises(UserError, match='have the same name, but for prefix and extension'):
        main(['--fused', 'b', '--check_against', 'a'])


# As a program

class Deadly(type(Path())):
    """A path that ends the process that it is sent to."""

    def __reduce__(self):
        return os._exit, (1,)


def test_a_worker_that_dies_is_reported(data):
    pairing = pair_folders(f'images/{SET}/ir', f'images/{SET}/vis')
    pairing = pairing._replace(pairs=[pair._replace(vis=Deadly(pair.vis)) for pair in pairing.pairs])
    with pytest.raises(UserError, match='memory did not suffice.*--workers 1'):
        score_methods({'a': 'a'}, pairing, 'default', select_metrics('default', ['EN']), workers=2)


def test_a_new_metric_is_a_function_and_a_line_of_the_table(data):
    shutil.copy(REPOSITORY / 'evaluate_fusion_results.py', data)
    shutil.copytree(REPOSITORY / 'tools', data / 'tools', ignore=shutil.ignore_patterns('__pycache__'))
    path = data / 'tools/evaluation/metrics/__init__.py'
    code = path.read_text(encoding='utf-8')
    function = ('def darkest(fused, ir, vis):\n    fused, ir, vis = images(fused=fused, ir=ir, vis=vis)\n'
                '    return float(fused.pixels.min()) + float(ir.pixels.min())\n\n\n')
    code = code.replace('class Metric(', 'from tools.evaluation.metrics.image import images\n\n\nclass Metric(')
    code = code.replace('class Metric(', f'{function}class Metric(')
    code = code.replace('METRICS = (\n', "METRICS = (\n    Metric('dark_A/B', darkest, LOWER),\n")
    path.write_text(code, encoding='utf-8')
    subprocess.run([sys.executable, 'evaluate_fusion_results.py', *SOURCES, '--fused', 'a', 'b', '--metrics', 'EN', 'dark-A/B'],
                   check=True)
    fused, ir, _ = triple(1)
    assert float(table('out/scores.csv')[0]['dark_A/B']) == fused.min() + ir.min()
    assert 'dark_A/B ↓' in (data / 'out/summary.md').read_text(encoding='utf-8')
    assert r'dark\_A/B $\downarrow$' in (data / 'out/summary.tex').read_text(encoding='utf-8')
    assert (data / 'out/box_dark_A_B.png').is_file() and {test['metric'] for test in table('out/tests.csv')} == {'dark_A/B', 'EN'}


def test_imports_no_network_and_draws_only_when_asked(data):
    code = ('import sys; from evaluate_fusion_results import main; code = main(sys.argv[1:]); '
            'assert not {"jittor", "seaborn", "skimage"} & set(sys.modules), "imported"; sys.exit(code)')
    environment = {**os.environ, 'PYTHONPATH': str(REPOSITORY)}
    subprocess.run([sys.executable, '-W', 'error', '-c', code, *SOURCES, '--fused', 'a'], check=True, env=environment)


def test_needs_only_its_own_requirements(data):
    names = lambda file: set(re.findall(r'^([\w-]+)[=>]', (REPOSITORY / file).read_text(encoding='utf-8'), re.MULTILINE))
    others = names('requirements.txt') - names('requirements-evaluate.txt')
    assert {'jittor', 'safetensors'} <= others and names('requirements-evaluate.txt') <= names('requirements.txt')
    code = (f'import sys; sys.modules.update(dict.fromkeys({sorted(others - {"pytest", "pyparsing"})})); '  # None: cannot be imported
            'from evaluate_fusion_results import main; from plot_loss_curves import main as plot; '
            'main(sys.argv[1:]); sys.argv = ["", "--runs", "losses.csv", "--output", "curves"]; plot()')
    Path('losses.csv').write_text('step,epoch,lr,recon_loss,ssim_loss,total_loss,images_per_second\n1,1,0.1,2,3,5,9\n')
    subprocess.run([sys.executable, '-c', code, *SOURCES, '--fused', 'a', 'b', '--metrics', 'all'], check=True,
                   env={**os.environ, 'PYTHONPATH': str(REPOSITORY)})
    assert (data / 'out/means.png').is_file() and (data / 'curves/loss_curves.png').is_file()
    assert (data / 'out/box_FMI_w.png').is_file() and not (data / 'out/box_MS-SSIM.png').is_file()  # which 56×48 pixels do not have


def test_error_is_one_line(data):
    command = [sys.executable, str(REPOSITORY / 'evaluate_fusion_results.py'), '--protocl', 'hli']
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1 and result.stdout == ''
    assert result.stderr.startswith('error: ') and len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize('shared', [SHARED_DATA] if SHARED_DATA else [])
def test_published_images(shared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sources = shared / 'images' / SET
    assert main(['--ir', str(sources / 'ir'), '--vis', str(sources / 'vis'), *OUT[:2], '--workers', '2', '--fused',
                 str(shared / 'results_of_others/crossfuse_pytorch'), str(shared / 'results_of_others/lrrnet')]) == 0
    summary = table()[0]
    assert [float(summary[f'{name} mean']) for name in ('EN', 'SD', 'MI')] == pytest.approx(
        [6.82292, 39.42035, 3.12490], rel=1e-5)


ENDLESS = '''
import multiprocessing, threading, time
from tools.base.script import run_script
from tools.evaluation.scoring import run_in_parallel
def name_workers():
    while len(multiprocessing.active_children()) < 2:
        time.sleep(0.01)
    print(*[worker.pid for worker in multiprocessing.active_children()], flush=True)
def main():
    threading.Thread(target=name_workers, daemon=True).start()
    run_in_parallel(time.sleep, [1e6] * 4, 2)
run_script(main)
'''


@pytest.mark.parametrize('send', [os.kill, os.killpg])  # a signal to the script, and Ctrl-C in a terminal, to its processes too
def test_ctrl_c_ends_scoring_at_once(send):
    process = subprocess.Popen([sys.executable, '-c', ENDLESS], cwd=REPOSITORY, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, start_new_session=True)
    try:
        workers = list(map(int, process.stdout.readline().split()))
        send(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert (process.returncode, errors) == (130, 'stopped\n')
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)
