"""Evaluation: bad files, two folders compared, and what holds of the program."""
import contextlib
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
from scored_folders import OUT, SET, SOURCES, output_folder, picture, table, triple

from evaluate_fusion_results import main
from tools.base.errors import UserError
from tools.base.tables import markdown_text
from tools.data.images import read_gray, write_image
from tools.data.pairing import pair_folders
from tools.evaluation.report import latex_table
from tools.evaluation.scoring import score_methods, select_metrics


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
    fused, ir, vi = triple(1)
    expected = m.mi(fused, cv2.resize(ir, vi.shape[::-1], interpolation=cv2.INTER_LINEAR), vi)
    assert float(table('out/scores.csv')[0]['MI']) == pytest.approx(expected, rel=1e-7)

    noted = {'ir': f'images/{SET}/ir', 'vi': f'images/{SET}/vis', 'resize': True}
    (data / 'a/sources.json').write_text(json.dumps(noted))
    assert main([*SOURCES, '--fused', 'a']) == main([*SOURCES, '--fused', 'a', '--explain', 'EN=7']) == 0
    output_folder(data, f'{SET}_x', 10, sources=noted)
    assert main([*OUT]) == 0
    assert float(table('out/scores.csv')[0]['MI']) == pytest.approx(expected, rel=1e-7)


def test_infrared_of_16_bits_is_scored_as_it_was_fused(data, capsys):
    for i in range(1, 7):
        write_image(data / f'images/{SET}/ir/IR{i}.png', (7000 + 5 * picture(i).astype(int)).astype(np.uint16))
    fused, _, vi = triple(1)
    path = data / f'images/{SET}/ir/IR1.png'
    plain, stretched = (m.mi(fused, read_gray(path, ir_range), vi) for ir_range in (None, 'auto'))
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
    expected = m.mi(fused, read_gray(path, (7000.0, 8275.0)), vi)
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


class Deadly(type(Path())):
    """A path that ends the process that it is sent to."""

    def __reduce__(self):
        return os._exit, (1,)


def test_a_worker_that_dies_is_reported(data):
    pairing = pair_folders(f'images/{SET}/ir', f'images/{SET}/vis')
    pairing = pairing._replace(pairs=[pair._replace(vi=Deadly(pair.vi)) for pair in pairing.pairs])
    with pytest.raises(UserError, match='there was not enough memory.*--workers 1'):
        score_methods({'a': 'a'}, pairing, 'default', select_metrics('default', ['EN']), workers=2)


def test_a_new_metric_is_a_function_and_a_line_of_the_table(data):
    shutil.copy(REPOSITORY / 'evaluate_fusion_results.py', data)
    shutil.copytree(REPOSITORY / 'tools', data / 'tools', ignore=shutil.ignore_patterns('__pycache__'))
    path = data / 'tools/evaluation/metrics/__init__.py'
    code = path.read_text(encoding='utf-8')
    function = ('def darkest(fused, ir, vi):\n    fused, ir, vi = images(fused=fused, ir=ir, vi=vi)\n'
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
    # None: cannot be imported
    code = (f'import sys; sys.modules.update(dict.fromkeys({sorted(others - {"pytest", "pyparsing"})})); '
            'from evaluate_fusion_results import main; from plot_loss_curves import main as plot; '
            'main(sys.argv[1:]); sys.argv = ["", "--runs", "losses.csv", "--output", "curves"]; plot()')
    Path('losses.csv').write_text('step,epoch,lr,recon_loss,ssim_loss,total_loss,images_per_second\n1,1,0.1,2,3,5,9\n')
    subprocess.run([sys.executable, '-c', code, *SOURCES, '--fused', 'a', 'b', '--metrics', 'all'], check=True,
                   env={**os.environ, 'PYTHONPATH': str(REPOSITORY)})
    assert (data / 'out/means.png').is_file() and (data / 'curves/loss_curves.png').is_file()
    # Which 56×48 pixels do not have
    assert (data / 'out/box_FMI_w.png').is_file() and not (data / 'out/box_MS-SSIM.png').is_file()


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


# A signal to the script, and Ctrl-C in a terminal, to its processes too
@pytest.mark.parametrize('send', [os.kill, os.killpg])
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
