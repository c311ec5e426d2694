"""The one way of writing tables and figures: alignment, escapes, the same bytes each
time, characters without a font."""
import os
import subprocess
import sys
import warnings

import matplotlib.font_manager
import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.figure import Figure

from tools.base import figures
from tools.base.errors import UserError
from tools.base.figures import figure_style, save_figure, warn_of_missing_glyphs
from tools.base.tables import markdown_table, shown_width, terminal_table, wrapped, write_csv
from tools.data.images import read_image, write_image
from tools.fusing.pictures import CELL_WIDTH, LABEL_HEIGHT, Row, write_contact_sheets

NO_FONT_HAS = '\U000f1234'  # for private use


# Tables

def test_markdown_table():
    assert markdown_table(['a', 'b'], [['x', 1]]) == '| a | b |\n| --- | --: |\n| x | 1 |\n'
    assert markdown_table(['a', 'b', 'c'], [['x|y', '', 1.5]], texts=2) == (
        '| a | b | c |\n| --- | --- | --: |\n| x\\|y |  | 1.5 |\n')


def test_csv(tmp_path):
    table = pd.DataFrame({'name': ['a,b', '融合'], 'count': [1, 2 ** 40], 'value': [1 / 3, np.nan], 'other': [np.inf, 7.0]})
    write_csv(tmp_path / 'new' / 'x.csv', table)
    assert (tmp_path / 'new' / 'x.csv').read_bytes().decode('utf-8-sig') == (
        'name,count,value,other\r\n"a,b",1,0.33333333,inf\r\n融合,1099511627776,,7\r\n')
    assert (tmp_path / 'new' / 'x.csv').read_bytes().startswith(b'\xef\xbb\xbf')


def test_terminal_table_aligns_wide_characters(monkeypatch):
    monkeypatch.setenv('COLUMNS', '100')
    names = pd.Index(['CrossFuse', '融合方法一', 'かな', '융합'], name='method')
    table = pd.DataFrame({'EN ↑': ['6.82 ± 0.33*'] * 4, '損失': [1.0, 22.5, 1 / 3, 1e6]}, index=names)
    head, *rows = terminal_table(table).splitlines()
    assert head.split() == ['method', 'EN', '↑', '損失'] and len(rows) == 4
    assert {shown_width(line) for line in rows} == {shown_width(head)}
    assert len({shown_width(row[:row.index('6.82')]) for row in rows}) == 1
    assert '0.333333' in rows[2]


def test_terminal_table_keeps_to_the_width_of_the_terminal(monkeypatch):
    monkeypatch.setenv('COLUMNS', '60')
    table = pd.DataFrame([range(1000, 1030)] * 2, pd.Index(['融合', 'CNN'], name='method'), [f'metric {i}' for i in range(30)])
    text = terminal_table(table)
    assert max(map(shown_width, text.splitlines())) <= 60
    assert text.count('融合') == text.count('method') > 5 and all(str(number) in text for number in range(1000, 1030))


def test_one_row_that_is_too_wide_stands_upright(monkeypatch):
    monkeypatch.setenv('COLUMNS', '80')
    name = 'standard_epoch2_fuse_20261122_101500_bounded_xy'
    table = pd.DataFrame([['6.8229 ± 0.3257'] * 3], pd.Index([name], name='method'), ['EN ↑', 'SD ↑', 'MI ↑'])
    head, *rows = terminal_table(table).splitlines()
    assert head.split() == ['method', name] and [row.split()[0] for row in rows] == ['EN', 'SD', 'MI']


@pytest.mark.parametrize('name', ['standard_epoch2_fuse_20261122_101500_bounded_xy', '方法' * 20])
def test_long_names_do_not_break_a_table(name, monkeypatch):
    monkeypatch.setenv('COLUMNS', '80')
    table = pd.DataFrame([['6.8229 ± 0.3257'] * 3] * 2, pd.Index([name, 'LRRNet'], name='method'), ['EN ↑', 'SD ↑', 'MI ↑'])
    lines = terminal_table(table).splitlines()
    assert lines[0].split() == ['method', 'EN', '↑', 'SD', '↑', 'MI', '↑'] and max(map(shown_width, lines)) <= 80
    assert ''.join(line.split()[0] for line in lines[1:-1]) == name and lines[-1].split()[0] == 'LRRNet'
    assert [line.count('±') for line in lines] == [0, 3] + [0] * (len(lines) - 3) + [3]


@pytest.mark.parametrize('name, width, pieces', [
    ('a_long-name', 6, ['a_', 'long-', 'name']), ('abcdefgh', 3, ['abc', 'def', 'gh']), ('short', 9, ['short']), ('', 9, ['']),
    ('融合方法', 5, ['融合', '方法'])])
def test_wrapped_names(name, width, pieces):
    assert wrapped(name, width) == pieces


# Figures

def drawing(text='x'):
    with figure_style('paper', [text]):
        figure = Figure(figsize=(2, 1))
        figure.subplots().plot([1, 2], label=text)
        figure.suptitle(text)
    return figure


USERS_STYLE = {'text.usetex': True, 'savefig.transparent': True, 'savefig.bbox': 'tight', 'figure.dpi': 50, 'lines.linewidth': 9,
               'axes.facecolor': 'black', 'axes.unicode_minus': False, 'font.size': 30, 'xtick.direction': 'in', 'path.sketch': (1, 100, 2),
               'axes.formatter.use_mathtext': True, 'image.cmap': 'jet', 'legend.loc': 'center', 'savefig.facecolor': 'red',
               'svg.fonttype': 'none'}


@pytest.mark.parametrize('formats', [['png', 'svg']])
def test_figures_are_the_same_whatever_style_the_user_has(tmp_path, formats):
    expected = [path.read_bytes() for path in save_figure(drawing(), tmp_path / 'x', formats)]
    with matplotlib.rc_context(USERS_STYLE):
        assert [path.read_bytes() for path in save_figure(drawing(), tmp_path / 'x', formats)] == expected
        with figure_style('paper'):
            inside = [path.read_bytes() for path in save_figure(drawing(), tmp_path / 'x', formats)]
        assert matplotlib.rcParams['text.usetex'] and matplotlib.rcParams['savefig.facecolor'] == 'red'
    with figure_style('paper'):
        assert [path.read_bytes() for path in save_figure(drawing(), tmp_path / 'x', formats)] == inside


def test_box_plots_are_drawn_whatever_backend_a_notebook_has_set(tmp_path):
    code = ('import sys, pandas\nfrom tools.evaluation.figures import box_plot\nfrom tools.base.figures import figure_style, save_figure\n'
            'from tools.fusion_metrics import METRICS\n'
            'index = pandas.MultiIndex.from_product([["a", "b"], ["1", "2"]], names=["method", "image"])\n'
            'with figure_style("paper"):\n'
            '    save_figure(box_plot(pandas.Series([1., 2, 3, 4], index, name="EN"), METRICS[0]), sys.argv[1], ["png"])')
    subprocess.run([sys.executable, '-c', code, str(tmp_path / 'x')], cwd=REPOSITORY, check=True,
                   env={**os.environ, 'MPLBACKEND': 'module://not_installed.backend_inline'})
    assert (tmp_path / 'x.png').is_file()


def test_the_same_figure_is_the_same_file(tmp_path, monkeypatch):
    starts = {'png': b'\x89PNG', 'svg': b'<?xml', 'pdf': b'%PDF'}
    written = []
    for folder, time in (('a', '1000000000'), ('b', '1700000000')):
        monkeypatch.setenv('SOURCE_DATE_EPOCH', time)  # the clock, for matplotlib
        written.append([path.read_bytes() for path in save_figure(drawing(), tmp_path / folder / 'v1.0', starts)])
        assert sorted(path.name for path in (tmp_path / folder).iterdir()) == ['v1.0.pdf', 'v1.0.png', 'v1.0.svg']
    assert written[0] == written[1]
    assert all(content.startswith(start) for content, start in zip(written[0], starts.values()))


def test_a_figure_is_written_whole_or_not_at_all(tmp_path):
    (tmp_path / 'taken').write_text('a file')
    with pytest.raises(UserError, match='cannot write .*taken/x.png'):
        save_figure(drawing(), tmp_path / 'taken' / 'x')
    assert [path.name for path in tmp_path.iterdir()] == ['taken']


def test_dollars_are_no_formula(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        save_figure(drawing(r'$\frac$'), tmp_path / 'x')
    assert r'<!-- $\frac$ -->' in (tmp_path / 'x.svg').read_text()


def test_characters_without_a_font_are_told_once(tmp_path):
    with pytest.warns(UserWarning) as given:
        warn_of_missing_glyphs(['name', f'a{NO_FONT_HAS}', f'{NO_FONT_HAS}b'])
        save_figure(drawing(NO_FONT_HAS), tmp_path / 'x')
    assert [str(one.message) for one in given] == [
        f'no font has the characters {NO_FONT_HAS}, figures show boxes for them: install one that has, such as Noto Sans CJK']
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        warn_of_missing_glyphs(['Füsion_1', '±'])


@pytest.fixture
def new_font(tmp_path, monkeypatch):
    """The file of a font that has the character, and ASCII, as squares; not in matplotlib's list."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for point in ((0, 700), (500, 700), (500, 0)):
        pen.lineTo(point)
    pen.closePath()
    builder = FontBuilder(1000)
    builder.setupGlyphOrder(['.notdef', 'square'])
    builder.setupCharacterMap(dict.fromkeys([*range(32, 127), ord(NO_FONT_HAS)], 'square'))
    builder.setupGlyf({'.notdef': TTGlyphPen(None).glyph(), 'square': pen.glyph()})
    builder.setupHorizontalMetrics({'.notdef': (500, 0), 'square': (500, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({'familyName': 'Font of the test', 'styleName': 'Regular'})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / 'font.ttf')
    manager = matplotlib.font_manager.fontManager
    monkeypatch.setattr(manager, 'ttflist', list(manager.ttflist))
    figures._fonts.cache_clear()
    yield tmp_path / 'font.ttf'
    figures._fonts.cache_clear()


@pytest.fixture
def fallback_font(new_font):
    """The font as installed on the machine."""
    matplotlib.font_manager.fontManager.addfont(new_font)
    return new_font


def test_a_font_that_is_newer_than_the_list_of_fonts_is_found(new_font, tmp_path, monkeypatch):
    (tmp_path / 'damaged.ttf').write_bytes(new_font.read_bytes()[:100])
    monkeypatch.setattr(matplotlib.font_manager, 'findSystemFonts', lambda: [str(tmp_path / 'damaged.ttf'), str(new_font)])
    figures._list_new_fonts.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        warn_of_missing_glyphs([NO_FONT_HAS])


def test_a_contact_sheet_is_labelled_in_a_font_that_has_the_name(fallback_font, tmp_path):
    paths = [tmp_path / name for name in (f'{NO_FONT_HAS * 20}.png', 'b.png', 'fused.png')]
    for path in paths:
        write_image(path, np.zeros((CELL_WIDTH, CELL_WIDTH), np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        sheet, = write_contact_sheets(tmp_path / 'sheets', [Row(*paths)])
    dark = read_image(sheet)[:LABEL_HEIGHT, :, 0] < 128
    squares, letters = (dark[:, start:start + CELL_WIDTH].sum(axis=1).max() for start in (0, CELL_WIDTH))
    # In a row of pixels: full squares stand side by side, letters and outlined boxes have gaps
    assert squares > 90 > letters > 0


def test_a_contact_sheet_whose_names_no_font_has_is_one_line(tmp_path):
    paths = [tmp_path / name for name in (f'{NO_FONT_HAS}.png', f'{NO_FONT_HAS}b.png', 'fused.png')]
    for path in paths:
        write_image(path, np.zeros((20, 24), np.uint8))
    with pytest.warns(UserWarning) as given:
        write_contact_sheets(tmp_path / 'sheets', [Row(*paths)])
    assert len(given) == 1 and f'no font has the characters {NO_FONT_HAS}' in str(given[0].message)


def test_installed_fonts_are_fallen_back_to(fallback_font):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        warn_of_missing_glyphs([NO_FONT_HAS])
        drawing(f'a{NO_FONT_HAS}').draw_without_rendering()
