"""The page of an evaluation: what is in it, that nothing outside is needed, its size; and in a browser where there is one."""
import base64
import html
import json
import re
import shutil
import subprocess

import cv2
import numpy as np
import pytest
from test_evaluation import SET, SOURCES, data, picture, table  # noqa: F401, the fixture

from evaluate_fusion_results import main
from tools.evaluation import page as page_module
from tools.images import read_gray, write_image

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


def test_all_is_in_the_page(data):  # noqa: F811
    assert main([*SOURCES, '--fused', 'a', 'b', *NAMES, '--html', '--metrics', 'SD', 'MSE']) == 0
    text = page()
    assert not re.search(r'(src|href)="(?!data:)|https?:|url\(|@import', text)
    assert '<b>' not in text.replace('A &amp; &lt;b&gt;', '') and '方法' in text
    for row in table():
        assert f'data-value="{html.escape(row["method"])}"' in text
        shown = re.search(rf'{re.escape(html.escape(row["method"]))}</td><td data-value="([^"]+)">', text).group(1)
        assert float(shown) == pytest.approx(float(row['SD mean']), rel=1e-7)
    assert 'Mean rank over SD, MSE' in text and [scene['name'] for scene in scenes()] == [f'IR{i}.png' for i in range(1, 7)]
    for i, scene in enumerate(scenes(), 1):
        files = f'images/{SET}/ir/IR{i}.png', f'images/{SET}/vis/VIS{i}.png', f'a/results_transfuse_IR{i}.png', f'b/IR{i}.png'
        for url, name in zip(scene['images'], files):
            assert np.abs(decoded(url)[:, :, 0].astype(float) - read_gray(name)).mean() < 3


def test_one_method_colour_and_sixteen_bits(data):  # noqa: F811
    for i in range(1, 7):
        write_image(data / f'd/IR{i}.png', picture(200 + i, channels=3, dtype=np.uint16))
    assert main([*SOURCES, '--fused', 'd', '--html', '--metrics', 'EN']) == 0
    assert 'Ranking' not in page()
    assert np.abs(decoded(scenes()[0]['images'][2])[:, :, ::-1].astype(float) - picture(201, channels=3)).mean() < 6


def test_missing_images_are_left_out_and_said(data):  # noqa: F811
    (data / 'b/IR2.png').unlink()
    (data / 'a/results_transfuse_IR3.png').write_bytes(b'no image')
    assert main([*SOURCES, '--fused', 'a', 'b', '--html']) == 1
    found = {scene['name']: scene['images'] for scene in scenes()}
    assert found['IR2.png'][3] is None and found['IR3.png'][2] is None and None not in found['IR1.png']
    assert 'Left out: b: no fused image of IR2.png; a/results_transfuse_IR3.png is not an image' in page()


def test_the_images_are_compressed_until_they_fit(data, monkeypatch):  # noqa: F811
    main([*SOURCES, '--fused', 'a', 'b', '--html'])
    size = len(page())
    assert 'quality 95' in page()
    monkeypatch.setattr(page_module, 'MAX_BYTES', sum(len(url) for scene in scenes() for url in scene['images']) - 1)
    main([*SOURCES, '--fused', 'a', 'b', '--html'])
    assert len(page()) < size and 'quality 90' in page()
    monkeypatch.setattr(page_module, 'MAX_BYTES', 10)
    with pytest.warns(UserWarning, match='page.html has 0 MB: choose fewer images'):
        main([*SOURCES, '--fused', 'a', 'b', '--html'])


@pytest.mark.parametrize('browser', BROWSERS)
def test_in_a_browser(data, browser):  # noqa: F811
    """Its script sorts a table, and the keys change image and scene."""
    assert main([*SOURCES, '--fused', 'a', 'b', *NAMES, '--html', '--metrics', 'SD']) == 0
    steps = """<script>
    onerror = message => { document.title = 'error ' + message; };
    for (const key of ['4', 'ArrowRight', 'ArrowLeft', 'ArrowLeft', 'ArrowUp']) document.dispatchEvent(new KeyboardEvent('keydown', {key}));
    document.querySelectorAll('th')[1].click();
    </script></html>"""
    (data / 'out/steps.html').write_text(page().replace('</html>', steps), encoding='utf-8')
    command = [browser, '--headless', '--no-sandbox', '--disable-gpu', f'--user-data-dir={data}/browser', '--dump-dom',
               (data / 'out/steps.html').as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    assert '<title>Fused images: A &amp; &lt;b&gt;, 方法</title>' in dom
    assert re.findall(r'<button class="on">(.*?)</button>', dom) == ['3 A &amp; &lt;b&gt;']
    assert dom.count('<canvas') == 4 and re.search(r'<img id="image" alt="" src="data:image/webp', dom)
    last = scenes()[-1]['images'][2]
    assert f'src="{last}"' in dom
    first_table = dom[dom.index('<tbody>'):dom.index('</tbody>')]
    values = [float(value) for value in re.findall(r'<td data-value="([\d.]+)"', first_table)]
    assert len(values) == 2 and values == sorted(values) and values[0] == pytest.approx(float(table()[1]['SD mean']))
