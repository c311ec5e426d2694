"""The page of an evaluation: what is in it, that nothing outside is needed, its size; and in a browser where there is one."""
import base64
import html
import json
import re
import shutil
import subprocess

import cv2
import numpy as np
import pandas as pd
import pytest
from scored_folders import SET, SOURCES, picture, table

from evaluate_fusion_results import main
from tools.data.images import read_gray, write_image
from tools.data.pairing import Pair, Pairing
from tools.evaluation import page as page_module
from tools.evaluation.report import paired_tests
from tools.evaluation.scoring import Scores, select_metrics

BROWSERS = [browser for browser in ('chromium', 'google-chrome') if shutil.which(browser)]
NAMES = ['--names', 'A & <b>', '方法']


def page():
    with open('out/page.html', encoding='utf-8') as file:
        return file.read()


def scenes():
    return json.loads(re.search(r'SCENES = (.*);  // SCENES', page()).group(1))


def decoded(url):
    start = 'data:image/webp;base64,'
    assert url.startswith(start)
    return cv2.imdecode(np.frombuffer(base64.b64decode(url[len(start):]), np.uint8), cv2.IMREAD_UNCHANGED)


def test_all_is_in_the_page(data):
    assert main([*SOURCES, '--fused', 'a', 'b', *NAMES, '--html', '--metrics', 'SD', 'MSE']) == 0
    text = page()
    assert not re.search(r'(src|href)="(?!data:)|https?:|url\(|@import', text)
    assert '<b>' not in text.replace('A &amp; &lt;b&gt;', '') and '方法' in text
    for row in table():
        assert f'data-value="{html.escape(row["method"])}"' in text
        name = re.escape(html.escape(row['method']))
        shown = re.search(rf'{name}</td><td class="\w*" title="[^"]*" data-value="([^"]+)">', text).group(1)
        assert float(shown) == pytest.approx(float(row['SD mean']), rel=1e-7)
    assert 'Mean rank over SD, MSE' in text and [scene['name'] for scene in scenes()] == [f'IR{i}.png' for i in range(1, 7)]
    for i, scene in enumerate(scenes(), 1):
        files = f'images/{SET}/ir/IR{i}.png', f'images/{SET}/vis/VIS{i}.png', f'a/results_transfuse_IR{i}.png', f'b/IR{i}.png'
        for url, name in zip(scene['images'], files):
            assert np.abs(decoded(url)[:, :, 0].astype(float) - read_gray(name)).mean() < 3


def test_one_method_colour_and_sixteen_bits(data):
    for i in range(1, 7):
        write_image(data / f'd/IR{i}.png', picture(200 + i, channels=3, dtype=np.uint16))
    assert main([*SOURCES, '--fused', 'd', '--html', '--metrics', 'EN']) == 0
    assert 'Ranking' not in page()
    assert np.abs(decoded(scenes()[0]['images'][2])[:, :, ::-1].astype(float) - picture(201, channels=3)).mean() < 6


def test_missing_images_are_left_out_and_said(data):
    (data / 'b/IR2.png').unlink()
    (data / 'a/results_transfuse_IR3.png').write_bytes(b'no image')
    assert main([*SOURCES, '--fused', 'a', 'b', '--html']) == 1
    found = {scene['name']: scene['images'] for scene in scenes()}
    assert found['IR2.png'][3] is None and found['IR3.png'][2] is None and None not in found['IR1.png']
    assert 'Left out: b: no fused image of IR2.png; a/results_transfuse_IR3.png is not an image' in page()


def test_the_images_are_compressed_until_they_fit(data, monkeypatch):
    main([*SOURCES, '--fused', 'a', 'b', '--html'])
    size = len(page())
    assert 'quality 95' in page()
    monkeypatch.setattr(page_module, 'MAX_BYTES', sum(len(url) for scene in scenes() for url in scene['images']) - 1)
    main([*SOURCES, '--fused', 'a', 'b', '--html'])
    assert len(page()) < size and 'quality 90' in page()
    monkeypatch.setattr(page_module, 'MAX_BYTES', 10)
    with pytest.warns(UserWarning, match='page.html has 0 MB: choose fewer images'):
        main([*SOURCES, '--fused', 'a', 'b', '--html'])


def test_means_are_marked_as_in_the_tables(data):
    assert main([*SOURCES, '--fused', 'a', 'b', 'c', '--html', '--metrics', 'SD', 'MSE', 'Q_SF']) == 0
    means = page().split('<tbody>')[1].split('</tbody>')[0]
    assert re.findall(r'<th class="number">(.*?)</th>', page())[:3] == ['SD ↑', 'MSE ↓', 'Q_SF →0']
    cells = [re.findall(r'<td class="(.*?)".*? data-value="(.*?)">(.*?)</td>', line) for line in means.splitlines()]
    rows = {row[0][2]: row[1:] for row in cells if row}
    for index, metric in enumerate(('SD', 'MSE')):
        values = {row['method']: float(row[f'{metric} mean']) for row in table()}
        order = sorted(values, key=values.get, reverse=metric == 'SD')
        assert [rows[method][index][0] for method in order] == ['best', 'second', '']
    for row in table():
        assert f'± {float(row["SD std"]):.3f}' in rows[row['method']][0][2]
    assert 'title="no significant difference: p = ' in means and 'against a, after Holm"' in means and 'Bold: best' in page()


def test_the_size_is_said_and_estimated_from_some_scenes(data, monkeypatch, capsys):
    main([*SOURCES, '--fused', 'a', 'b', '--html', '--metrics', 'EN'])
    exact = sum(len(url) for scene in scenes() for url in scene['images'])
    assert f'page.html: 6 scenes of 4 images, about {exact / 1e6:.1f} MB (WebP, quality 95)' in capsys.readouterr().out
    calls = []
    encode = page_module._data_url
    monkeypatch.setattr(page_module, '_data_url', lambda *arguments: calls.append(arguments) or encode(*arguments))
    monkeypatch.setattr(page_module, 'SAMPLE', 2)
    main([*SOURCES, '--fused', 'a', 'b', '--html', '--metrics', 'EN'])
    assert len(calls) == 4 * (2 + 6) and len(scenes()) == 6


@pytest.mark.parametrize('browser', BROWSERS)
def test_in_a_browser(data, browser):
    """Sorting, keys and the pointer do what they should, and nothing is reported to the console."""
    assert main([*SOURCES, '--fused', 'a', 'b', *NAMES, '--html', '--metrics', 'SD', 'MSE']) == 0
    steps = """<script>
    const said = [], note = (name, value) => said.push(name + '=' + value);
    onerror = message => note('error', message);
    console.error = console.warn = message => note('console', message);
    const key = name => document.dispatchEvent(new KeyboardEvent('keydown', {key: name}));
    const later = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));
    const pixels = canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data];
    const values = column => [...document.querySelector('tbody').rows].map(row => row.cells[column].dataset.value).join();
    onload = async () => {
      await later(300);
      for (const name of ['4', 'ArrowRight', 'ArrowLeft', 'ArrowLeft', 'ArrowUp']) key(name);
      await later(300);
      note('on', document.querySelector('#buttons .on').textContent);
      note('scene', get('scene').selectedOptions[0].text);
      note('width', get('image').offsetWidth / get('image').naturalWidth);
      key('+'); key('+');
      note('zoomed', get('image').offsetWidth / get('image').naturalWidth);
      const before = pixels(document.querySelector('#parts canvas')).join();
      const box = get('image').getBoundingClientRect();
      const move = (x, y) =>
        get('image').dispatchEvent(new MouseEvent('mousemove', {bubbles: true, clientX: box.left + x, clientY: box.top + y}));
      const largest = canvas => Math.max(...pixels(canvas).filter((_, i) => i % 4 < 3));
      move(5, 5);
      const moved = pixels(document.querySelector('#parts canvas')).join();
      note('moved', before !== moved);
      get('image').click(); move(60, 60);
      note('held', pixels(document.querySelector('#parts canvas')).join() === moved);
      key('d');
      note('difference', [get('image').hidden, get('canvas').hidden, get('canvas').width, largest(get('canvas')) > 20]);
      get('second').value = get('first').value; get('second').onchange();
      note('none', largest(get('canvas')));
      get('second').value = 3; key('b');
      const first = document.querySelector('#buttons .on').textContent;
      await later(900);
      note('blinked', first !== document.querySelector('#buttons .on').textContent);
      key('1');
      note('picked', [document.querySelector('#buttons .on').textContent, mode]);
      const heads = document.querySelectorAll('th');
      heads[1].click(); note('up', values(1)); heads[1].click(); note('down', values(1));
      document.title = JSON.stringify(said);
    };
    </script></html>"""
    (data / 'out/steps.html').write_text(page().replace('</html>', steps), encoding='utf-8')
    command = [browser, '--headless', '--no-sandbox', '--disable-gpu', '--window-size=1000,900', f'--user-data-dir={data}/browser',
               '--virtual-time-budget=20000', '--enable-logging=stderr', '--dump-dom', (data / 'out/steps.html').as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    said = dict(one.split('=', 1) for one in json.loads(html.unescape(re.search('<title>(.*?)</title>', result.stdout).group(1))))
    means = [float(row['SD mean']) for row in table()]
    assert [float(value) for value in said.pop('up').split(',')] == pytest.approx(sorted(means))
    assert [float(value) for value in said.pop('down').split(',')] == pytest.approx(sorted(means, reverse=True))
    assert said == {'on': '3 A & <b>', 'scene': 'IR6.png', 'width': '16', 'zoomed': '2', 'moved': 'true', 'held': 'true',
                    'difference': 'true,false,56,true', 'none': '0', 'blinked': 'true', 'picked': '1 infrared,'}
    own = 'willReadFrequently'  # a hint to these steps, which read the canvases of the page
    assert [line for line in result.stderr.splitlines() if 'CONSOLE' in line and own not in line] == []


@pytest.mark.parametrize('browser', BROWSERS)
def test_three_hundred_scenes_of_ten_methods(tmp_path, browser):
    """The page opens, the last scene is there at once, and few images are decoded at a time."""
    names = [f'M{number}' for number in range(10)]
    index = pd.MultiIndex.from_product([names, [f'S{number}.png' for number in range(300)]], names=['method', 'image'])
    scores = Scores(pd.DataFrame({'EN': np.linspace(5, 7, 3000)}, index), select_metrics('default', ['EN']), 'default', False, [])
    write_image(tmp_path / 'image.png', picture(1, 24, 32))
    pairs = [Pair(f'S{number}.png', tmp_path / 'image.png', tmp_path / 'image.png') for number in range(300)]
    tasks = {(name, pair.name): (pair.ir, pair.ir, pair.vi) for name in names for pair in pairs}
    page_module.write_page(tmp_path / 'page.html', scores, paired_tests(scores), names, Pairing('', pairs, []), tasks)
    steps = """<script>onload = () => { document.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowLeft'}));
    const canvases = document.querySelectorAll('#parts canvas').length;
    document.title = [get('scene').selectedOptions[0].text, document.images.length, canvases]; };</script>"""
    text = (tmp_path / 'page.html').read_text(encoding='utf-8')
    (tmp_path / 'page.html').write_text(text.replace('</html>', steps + '</html>'), encoding='utf-8')
    command = [browser, '--headless', '--no-sandbox', '--disable-gpu', f'--user-data-dir={tmp_path}/browser', '--virtual-time-budget=5000',
               '--dump-dom', (tmp_path / 'page.html').as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=300).stdout
    assert '<title>S299.png,1,12</title>' in dom
