"""The comparison with PyTorch, as far as neither PyTorch nor the original is needed."""
import ast
import contextlib
import csv
import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY
from test_readme import check_command

from comparison import curves, forward, inputs, results, scaling, sides, speed, start, training
from comparison.__main__ import Args, check_resume, stages_of
from comparison.report import conditions, percent, write_part
from comparison.sides import FLOOR, JITTOR, PYTORCH, Answer, Setup, SideError, check_original, open_sides
from tools.base.errors import UserError
from tools.data.loader import Batches
from tools.data.pairing import Pair, pair_folders
from tools.evaluation.scoring import Fidelity
from tools.training.run_folder import save_settings
from tools.weights.checkpoint import load_weights, save_weights

# Curves

def test_equal_curves_agree():
    curve = np.linspace(900, 100, 50)
    found = curves.agreement(curve, [curve], [curve])
    assert found.steps == 50 and found.within == found.within_alone == 1
    assert found.end == pytest.approx(curve[-5:].mean())
    assert found[2:8] == (0, 0, 0, 0, 0, 0)


def test_a_biased_curve_is_out_of_bound_where_pytorch_agrees_with_itself():
    curve = np.linspace(900, 100, 50)
    found = curves.agreement(curve, [1.01 * curve], [curve])
    assert found.within == 0
    assert found.end_jittor == pytest.approx(0.01) and found.median_jittor == pytest.approx(0.01)
    assert curves.agreement(curve, [1.0009 * curve], [curve]).within == 1, 'a tenth of a percent is always allowed'
    assert curves.agreement(curve, [1.01 * curve], [0.996 * curve]).within == 1, 'and three times the floor'
    assert curves.agreement(curve, [1.01 * curve], [0.997 * curve]).within == 0


def test_the_floor_is_the_largest_difference_of_any_two_pytorch_runs():
    assert curves.spread([200.0, 202.0, 199.0]) == pytest.approx(0.015)
    curve = np.linspace(900, 100, 50)
    found = curves.agreement(curve, [1.02 * curve], [1.004 * curve, 0.996 * curve])
    assert found.median_floor == pytest.approx(0.008) and found.end_floor == pytest.approx(0.008)
    assert found.within == 1 and curves.agreement(curve, [1.02 * curve], [1.004 * curve]).within == 0


def test_each_pytorch_run_is_measured_as_jittor_is():
    curve = np.full(100, 500.0)
    far = np.where(np.arange(100) < 30, 1.02, 1.004) * curve
    found = curves.agreement(curve, [curve], [1.004 * curve, 0.999 * curve, far])
    assert found.within == 1
    assert found.within_floor == pytest.approx(0.7), '2 % is more than three times 0.5 %, which the others differ by'
    assert curves.agreement(curve, [curve], [far]).within_floor is None


def test_of_several_jittor_runs_the_one_furthest_off_is_judged():
    curve = np.full(100, 500.0)
    far = np.where(np.arange(100) < 30, 1.02, 1.004) * curve
    found = curves.agreement(curve, [1.001 * curve, far, curve], [1.004 * curve])
    assert found.within == found.within_alone == pytest.approx(0.7)
    assert (found.end_jittor, found.median_jittor, found.largest_jittor) == pytest.approx((0.001,) * 3), 'the first run'


def test_the_floor_is_taken_around_a_step():
    rounding = np.zeros(60)
    rounding[30] = 0.02
    allowed = curves.bound(rounding)
    assert list(np.flatnonzero(allowed > curves.ALLOWED_DIFFERENCE)) == list(range(20, 41))
    assert allowed[25] == pytest.approx(0.06)
    curve = np.full(60, 500.0)
    found = curves.agreement(curve, [np.where(np.arange(60) == 28, 1.05, 1) * curve], [(1 + rounding) * curve])
    assert found.within == 1 and found.within_alone == pytest.approx(59 / 60)


# Forward, results, speed

def test_largest_differences():
    pytorch = {'out': np.array([1.0, -4.0]), 'gradient a': np.array([10.0, 2.0]), 'gradient b': np.array([100.0]),
               'gradient zero': np.array([1e-9]), 'gradient unknown': np.array([3.0])}
    jittor = {'out': np.array([1.0, -4.5]), 'gradient a': np.array([10.0, 2.2]), 'gradient b': np.array([101.0]),
              'gradient zero': np.array([-1e-9]), 'gradient unknown': np.array([4.0])}
    floor = {**pytorch, 'gradient unknown': np.array([2.5])}
    rows = forward.rows_of('Stage', pytorch, jittor, floor)
    assert rows[0] == ('Stage', 'out', 4.0, 0.5, 0.0)
    worst, = forward.summed_up('gradients', rows[1:])
    assert worst.quantity == 'gradients of 4 (a)', 'two are rounding, b is closer'
    text = forward.describe(rows, 'A note.')
    assert '| Stage | out | 4 | 0.5 | 1.2e-01 | 0 | 0.0e+00 |' in text and text.endswith('A note.\n')


def test_arrays_that_one_side_lacks_are_refused():
    with pytest.raises(ValueError, match='gradient a'):
        forward.rows_of('Stage', {'gradient a': np.ones(1)}, {}, {'gradient a': np.ones(1)})


def test_results_rows_and_fidelity():
    index = pd.MultiIndex.from_product([['PyTorch', 'Jittor', 'Jittor 2', 'floor'], list('abc')], names=['method', 'image'])
    table = pd.DataFrame({'EN': [7.0, 5.0, np.nan, 7.07, 5.05, np.nan, 6.7, 5.0, np.nan, 7.0, 5.0, np.nan],
                          'SD': [50.0, 30.0, np.nan, 50.0, 30.0, np.nan, 46.0, 30.0, np.nan, 49.0, 30.0, np.nan]}, index)
    en, sd = results.rows_of(table, ['Jittor', 'Jittor 2', 'Jittor 3'])
    assert en == pytest.approx(('EN', 6, 0.01, 0, -0.0075, 6, 6, 5.85, 6.06))
    assert sd == pytest.approx(('SD', 40, 0, 0.0125, 39 / 39.75 - 1, 39.5, 40, 38, 40))
    images = pd.DataFrame([Fidelity('a', 40.0, 0.99, 3.0, 0.5), Fidelity('b', 30.0, 0.98, 7.0, 0.7)])
    text = results.describe([en, sd], {'Jittor': images}, '')
    assert '| EN | 6 | +1 % | 0 % | -0.75 % | 6 … 6 | 5.85 … 6.06 |' in text
    assert '| Jittor | 2 | 35.00 dB | 30.00 dB | 7 gray levels | 60 % |' in text


def test_ratio_is_that_of_the_rounds():
    row = speed.summary('step', {PYTORCH: [1.0, 2.0, 4.0], JITTOR: [1.5, 1.0, 4.0]}, {PYTORCH: 900.0, JITTOR: 1000.0},
                        operations=120e9, peak=160e9)
    assert row == ('step', 2.0, 1.5, 1.0, 0.5, 1.5, 900.0, 1000.0, 120.0, 0.5)
    assert '| step | 2.000 s | 1.500 s | 1.00 | 0.50 … 1.50 | 900 MiB | 1000 MiB | 120 | 50% of the peak |' in speed.describe([row], 3, '')


def test_what_only_jittor_does_has_no_ratio():
    row = speed.summary('metrics', {JITTOR: [3.0, 1.0, 2.0]}, {JITTOR: 500.0}, operations=np.nan, peak=160e9)
    assert '| metrics | — | 2.000 s | — | — | — | 500 MiB | — | — |' in speed.describe([row], 3, '')


def test_numbers_as_text():
    assert percent(0.01234) == '1.23 %'
    assert percent(-0.5, signed=True) == '-50 %' and percent(0.0, signed=True) == '+0 %'


def test_sides_that_compute_alike_are_named_once(tmp_path):
    class Versions:
        def __init__(self, framework, threads):
            self.versions = dict(framework=framework, device='CPU', threads=threads, Python='3.11', numpy='1.26')

        def ask(self, method):
            return Answer(getattr(self, method), 0.0)

    runs = [Versions('PyTorch 2', 2), Versions('Jittor 1', 2), Versions('Jittor 1', 2), Versions('PyTorch 2', 1)]
    text = conditions(dict(enumerate(runs)), tmp_path)
    assert text.startswith('Compared: PyTorch 2 (CPU, threads: 2); Jittor 1 (CPU, threads: 2); PyTorch 2 (CPU, threads: 1). ')
    assert text.endswith('Python 3.11, numpy 1.26. The original: a copy without its history.')


def test_the_report_holds_the_parts_that_were_done(tmp_path):
    write_part(tmp_path, 'speed', [{'a': 1}], 'the speed\n')
    write_part(tmp_path, 'forward', [{'a': 1}], 'the forward pass\n')
    write_part(tmp_path, 'speed', [{'a': 2}], 'the speed again\n')
    report = (tmp_path / 'README.md').read_text(encoding='utf-8')
    assert report.index('the forward pass') < report.index('the speed again') and report.count('the speed') == 1
    assert (tmp_path / 'speed.csv').read_text(encoding='utf-8-sig').split() == ['a', '2']


def test_memory_is_shown_by_quarters_and_time_by_side(tmp_path):
    rows = [scaling.Row(scaling.IMAGE, side, size, seconds) for size in (0.1, 3) for side, seconds in (('PyTorch', 11.5), ('Jittor', 7))]
    rows += [scaling.Row(what, 'Jittor', number, 100 + number) for what in (scaling.STEP, scaling.ONE_MORE) for number in range(1, 9)]
    text = scaling.describe(rows, 'A note.')
    assert '| fused image | 0.1 | 11.500 s | 7.000 s |' in text and '| fused image | 3 |' in text
    assert '| 8 training steps | 102 MiB | 104 MiB | 106 MiB | 108 MiB |' in text and text.endswith('A note.\n')
    drawn = scaling.draw(rows)
    assert [len(axes.lines) for axes in drawn.axes] == [2, 0, 1, 1]
    assert list(drawn.axes[2].lines[0].get_ydata()) == [100 + number for number in range(1, 9)]


def test_starts_are_counted_in_a_home_of_their_own(tmp_path, monkeypatch):
    """Of a script that compiles an operator for each size of image, each of them once."""
    compiles = ('import sys; from pathlib import Path; folder = Path.home() / ".cache/jittor/jt1/default/jit"; '
                'folder.mkdir(parents=True, exist_ok=True); [(folder / f"{name}.so").touch() for name in sys.argv[1:]]')
    monkeypatch.setattr(start, 'JITTOR_ITSELF', ('-c', compiles, 'itself'))
    monkeypatch.setattr(start, 'scripts', lambda work, cuda: [start.Script('one', ('-c', compiles, 'itself', 'a', 'b', 'c'), ('d', 'e')),
                                                              start.Script('other', ('-c', compiles, 'a'))])
    setup = Setup(tmp_path, tmp_path / 'work', cuda=False, threads=2)
    start.compare(setup, tmp_path, 'A note.')
    table = pd.read_csv(tmp_path / 'start.csv')
    assert table.iloc[:, 3:].fillna(-1).to_numpy().tolist() == [[1, 0, -1], [3, 0, 2], [1, 0, -1]]
    assert (table[['cold', 'warm']] > 0).all(axis=None) and not list(Path.home().glob('.cache/jittor/jt1'))
    monkeypatch.setattr(start, 'scripts', lambda work, cuda: [start.Script('broken', ('-c', 'raise SystemExit("no such thing")'))])
    with pytest.raises(UserError, match='broken: no such thing'):
        start.compare(setup, tmp_path, 'A note.')


def test_scripts_that_are_started_exist_with_their_settings(tmp_path):
    for script in start.scripts(tmp_path, cuda=False):
        check_command(['python', *map(str, script.command)])


# Inputs

def test_other_rounding_of_weights_changes_last_bits_only(tmp_path):
    random = np.random.RandomState(0)
    arrays = {'weight': random.randn(40, 50).astype(np.float32), 'bias': np.zeros(8, np.float32),
              'filter': np.full((1, 4, 3, 3), 1 / 9, np.float32), 'running_var': np.ones(1, np.float32),
              'num_batches_tracked': np.array([3], np.int32)}
    save_weights(tmp_path / 'first.safetensors', arrays, {})
    for seed in (1, 2):
        inputs.write_rounded_otherwise(tmp_path / f'{seed}.safetensors', tmp_path / 'first.safetensors', seed)
    one, two = (load_weights(tmp_path / f'{seed}.safetensors').arrays for seed in (1, 2))
    changed = one['weight'] != arrays['weight']
    assert 0.4 < changed.mean() < 0.6
    np.testing.assert_allclose(one['weight'], arrays['weight'], rtol=np.finfo(np.float32).eps)
    assert np.mean(one['weight'] != two['weight']) > 0.4
    for name in set(arrays) - {'weight'}:
        assert np.array_equal(one[name], arrays[name]) and np.array_equal(two[name], arrays[name])


def test_other_rounding_depends_on_the_seed_alone(tmp_path):
    random = np.random.RandomState(0)
    arrays = {f'weight {number}': random.randn(9, 9).astype(np.float32) for number in range(20)}
    save_weights(tmp_path / 'first.safetensors', arrays, {})
    written = []
    for _ in range(2):
        inputs.write_rounded_otherwise(tmp_path / 'other.safetensors', tmp_path / 'first.safetensors', seed=1)
        written.append(load_weights(tmp_path / 'other.safetensors').arrays)
    assert all(np.array_equal(written[0][name], written[1][name]) for name in arrays)


def write_gray(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)
    return path


def test_batches_are_those_of_training(tmp_path):
    random = np.random.RandomState(0)
    items = [tuple(write_gray(tmp_path / modality / f'{number}.png', random.randint(0, 256, (40, 50), np.uint8))
                   for modality in inputs.MODALITIES) for number in range(5)]
    found = inputs.write_batches(tmp_path / 'batches.npy', items, batch=2, steps=5, seed=3)
    assert found.epochs == [1, 1, 2, 2, 3] and found.batch == 2
    written = np.load(found.path)
    assert written.shape == (5, 2, 2, 1, 256, 256) and written.dtype == np.uint8
    loader = Batches(items, 2, inputs.SIZE, 3)
    expected = [batch.arrays for epoch in range(3) for batch in loader.epoch(epoch)][:5]
    assert np.array_equal(written, np.array(expected))


def test_test_pairs_that_cannot_be_used_are_named(tmp_path):
    image = np.arange(600, dtype=np.uint8).reshape(20, 30)
    good = Pair('good.png', write_gray(tmp_path / 'good.png', image), write_gray(tmp_path / 'vis.png', 255 - image))
    sizes = Pair('sizes.png', good.ir, write_gray(tmp_path / 'small.png', image[:10]))
    text = tmp_path / 'text.png'
    text.write_text('no image')
    pairs, left_out = inputs.write_pairs(tmp_path / 'pairs', [good, sizes, Pair('text.png', text, good.vi)])
    assert [pair.name for pair in pairs] == ['good.png']
    assert np.array_equal(np.load(pairs[0].path), [image, 255 - image])
    assert len(left_out) == 2 and 'differ in size' in left_out[0] and 'text.png' in left_out[1]
    resized = inputs.write_resized(tmp_path / 'resized.npy', pairs[0], (40, 90))
    assert resized.name == '90×40' and np.load(resized.path).shape == (2, 40, 90)


def test_original_is_checked(tmp_path, monkeypatch):
    with pytest.raises(UserError, match='--original is missing'):
        check_original(None)
    with pytest.raises(UserError, match='not a checkout.*lacks network/net_autoencoder.py'):
        check_original(tmp_path)
    for name in sides.NEEDED_FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('')
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(UserError, match='requirements-compare.txt'):
        check_original(tmp_path)
    monkeypatch.setattr('importlib.util.find_spec', lambda name: name)
    check_original(tmp_path)


@pytest.mark.parametrize('arguments, message', [
    ([], '--original is missing'),
    (['--original', 'nowhere'], 'nowhere is not a checkout'),
    (['--parts', 'speed', 'beauty'], 'beauty'),
    (['--encoders', 'none'], 'encoders'),
    (['--steps', '0'], 'steps'),
])
def test_script_refuses_bad_settings_in_a_line(arguments, message):
    result = subprocess.run([sys.executable, '-m', 'comparison', *arguments], cwd=REPOSITORY, text=True,
                            capture_output=True)
    lines = result.stderr.splitlines()
    assert result.returncode == 1 and len(lines) == 1 and lines[0].startswith('error: ') and message in lines[0]


def test_pytorch_process_imports_nothing_of_ours():
    """There `tools` and `network` are the original's, and Jittor must stay out."""
    for name in ('pytorch_side.py', 'worker.py'):
        tree = ast.parse((REPOSITORY / 'comparison' / name).read_text(encoding='utf-8'))
        at_top = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
        modules = {alias.name for node in at_top if isinstance(node, ast.Import) for alias in node.names}
        modules |= {node.module for node in at_top if isinstance(node, ast.ImportFrom)}
        assert not {module.split('.')[0] for module in modules} & {'tools', 'network', 'jittor'}
        assert {module for module in modules if module.startswith('comparison')} <= {'comparison.worker'}


# Processes

@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A Setup whose sides are all tests/fake_side.py."""
    monkeypatch.setattr(sides, 'MODULES', dict.fromkeys(sides.MODULES, 'tests.fake_side'))
    return Setup(tmp_path / 'original', tmp_path / 'work', cuda=False, threads=2)


def is_running(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return Path(f'/proc/{pid}/stat').read_text().split()[2] != 'Z'
    return False


def test_sides_are_processes_with_their_threads(fake):
    with open_sides(sides.SIDES, fake) as opened:
        found = {name: side.ask('process').result for name, side in opened.items()}
    assert len({one['pid'] for one in found.values()} | {os.getpid()}) == 4
    assert [found[name]['threads'] for name in (PYTORCH, JITTOR, FLOOR)] == [2, 2, 1]
    assert [found[name]['environment'] for name in (PYTORCH, JITTOR, FLOOR)] == ['2', '2', '1']
    assert [found[name]['other'] for name in (PYTORCH, FLOOR)] == [False, True]
    assert not any(is_running(one['pid']) for one in found.values())


def test_a_failed_method_is_told_and_the_side_goes_on(fake):
    with open_sides([JITTOR], fake) as opened:
        with pytest.raises(SideError, match='Jittor, fail: ValueError: as it was asked to'):
            opened[JITTOR].ask('fail')
        assert opened[JITTOR].ask('process').seconds >= 0
        assert 'Traceback' in opened[JITTOR].log.read_text()


def test_a_process_that_ends_is_told_with_its_last_words(fake):
    with open_sides([PYTORCH, JITTOR], fake) as opened:
        for _ in range(2):
            with pytest.raises(UserError, match='process of PyTorch ended: the last words'):
                opened[PYTORCH].ask('die')
        other = opened[JITTOR].ask('process').result['pid']
    assert not is_running(other)


def test_sides_end_when_the_script_is_interrupted_or_killed(fake, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with open_sides([JITTOR], fake) as opened:
            pid = opened[JITTOR].ask('process').result['pid']
            raise KeyboardInterrupt
    assert not is_running(pid)

    script = ('import os, sys, time; from pathlib import Path; from comparison import sides\n'
              'sides.MODULES[sides.JITTOR] = "tests.fake_side"\n'
              f'side = sides.Side(sides.JITTOR, sides.Setup(Path("."), Path({str(tmp_path)!r}), False, 1))\n'
              'print(side.ask("process").result["pid"], flush=True); time.sleep(60)')
    with subprocess.Popen([sys.executable, '-c', script], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        parent.kill()
    while is_running(pid):  # if it does not end, neither does the test: how long it takes depends on the machine
        time.sleep(0.05)


# Training

def initial_weights(fake):
    paths = inputs.weights_folder(fake, 'initial')
    for network, path in paths.items():
        path.write_text(f'initial {network}')
    return paths


def batch_files(steps, epochs, name='batches'):
    epoch_of_step = [1 + step * epochs // steps for step in range(steps)]
    return dict.fromkeys(inputs.NETWORKS, inputs.BatchFile(Path(name), 2, epoch_of_step))


def train(fake, batches, out, encoders='shared', floors=1, jittors=1):
    with open_sides(sides.sides_with(floors, jittors), fake) as opened:
        training.train(fake, opened, training.STAGES, initial_weights(fake), batches, encoders, out / 'training')


@pytest.mark.parametrize('encoders', list(training.ENCODERS))
def test_training_hands_on_weights_and_writes_each_step(fake, tmp_path, encoders):
    out = tmp_path / 'out'
    (out / 'training').mkdir(parents=True)
    (out / 'training' / 'stage_2_jittor.csv').write_text('of an earlier run')
    training.remove_earlier(fake, out / 'training')
    train(fake, batch_files(6, epochs=3), out, encoders)

    weights = {side: inputs.weights_folder(fake, side) for side in sides.SIDES}
    encoder = 'encoder 0 of first from (initial ir)'
    assert weights[JITTOR]['ir'].read_text() == encoder
    own = 'floor' if encoders == 'own' else 'first'
    assert weights[FLOOR]['fusion'].read_text() == (
        f'fusion of floor from (encoder 0 of {own} from (initial ir) + encoder 1 of {own} from (initial vi) + '
        'initial fusion)')

    with open(training.csv_path(out / 'training', 'stage_2', JITTOR), encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    assert [row['step'] for row in rows] == list('123456') and [row['epoch'] for row in rows] == list('112233')
    assert [row['lr'] for row in rows] == ['1', '1', '0.5', '0.5', '0.333333', '0.333333']
    assert [float(row['pix_loss']) for row in rows] == [100, 99, 98, 97, 96, 95]

    curves.write_curves(out, out / 'training', 'A note.')
    report = (out / 'training.md').read_text(encoding='utf-8')
    assert '| Fusion network | pixel loss | 6 | 95 | +0 % | 0.0105 % |' in report and 'A note.' in report
    for name in ('differences', 'curves_stage_1_ir', 'curves_stage_1_vi', 'curves_stage_2'):
        assert all((out / f'{name}{suffix}').stat().st_size > 1000 for suffix in ('.png', '.svg'))


def test_an_interrupted_training_is_not_lost_and_goes_on(fake, tmp_path):
    out = tmp_path / 'out'
    with pytest.raises(UserError, match='ended: the last words'):
        train(fake, batch_files(6, epochs=1, name='stops'), out)
    curves.write_curves(out, out / 'training', '')
    report = (out / 'training.md').read_text(encoding='utf-8')
    assert '| Visible auto-encoder | total loss | 6 |' in report and '| Fusion network | total loss | 3 |' in report

    train(fake, batch_files(5, epochs=1), out)
    curves.write_curves(out, out / 'training', '')
    report = (out / 'training.md').read_text(encoding='utf-8')
    assert '| Visible auto-encoder | total loss | 6 |' in report, 'what was trained to the end is kept'
    assert '| Fusion network | total loss | 5 |' in report, 'what was not is trained anew'


def test_runs_can_be_added_to_a_training(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(training, 'write_rounded_otherwise', lambda path, source, seed: path.write_text(
        f'{source.read_text()} rounded {seed}'))
    out = tmp_path / 'out'
    train(fake, batch_files(6, epochs=1), out)
    written = {path: path.stat().st_mtime_ns for path in (out / 'training').iterdir()}
    train(fake, batch_files(6, epochs=1), out, floors=3, jittors=2)
    assert {path: path.stat().st_mtime_ns for path in written} == written, 'what was trained is not trained again'
    assert len(list((out / 'training').iterdir())) == len(training.STAGES) * 6

    begun_with = [inputs.weights_folder(fake, name)['fusion'].read_text().split(' + ')[-1]
                  for name in (*sides.FLOORS, *sides.JITTORS[:2])]
    assert begun_with == ['initial fusion)', 'initial fusion rounded 1)', 'initial fusion rounded 2)',
                          'initial fusion)', 'initial fusion rounded 1)']
    curves.write_curves(out, out / 'training', '')
    assert '| Fusion network | pixel loss | 6 |' in (out / 'training.md').read_text(encoding='utf-8')


def test_a_new_training_keeps_nothing_of_the_one_before(fake, tmp_path):
    out = tmp_path / 'out'
    train(fake, batch_files(6, epochs=1), out)
    training.remove_earlier(fake, out / 'training')
    assert not list((out / 'training').iterdir())
    train(fake, batch_files(5, epochs=1), out)
    assert all(len(path.read_text().splitlines()) == 1 + 5 for path in (out / 'training').iterdir())


def test_all_sides_train_at_once(fake, tmp_path):
    folder = tmp_path / 'steps'
    folder.mkdir()
    train(fake, batch_files(2, epochs=1, name=folder / 'together'), tmp_path / 'out')
    assert len(list(folder.iterdir())) == len(sides.SIDES) * len(training.STAGES) * 2


def test_stage_2_is_trained_with_the_settings_given():
    stages = stages_of(Args(lr_2=0.02, weight_decay_2=1000.0))
    asked = []

    class Recording:
        @staticmethod
        def ask(method, **arguments):
            asked.append((method, arguments['lr'], arguments['weight_decay']))

    for stage in stages.values():
        training.start_stage(Recording, stage, dict.fromkeys(inputs.NETWORKS, 'weights'))
    assert asked == [('start_autoencoder', 1e-4, 0.9)] * 2 + [('start_fusion', 0.02, 1000)]
    assert stages_of(Args()) == training.STAGES


def test_training_goes_on_only_with_the_same_settings(tmp_path):
    settings = Args(original='a', work=str(tmp_path), parts=['training'])
    with pytest.raises(UserError, match='cannot read'):
        check_resume(settings)
    save_settings(settings, tmp_path)
    check_resume(dataclasses.replace(settings, parts=['training', 'speed'], resume=True))
    with pytest.raises(UserError, match='other values of batch_2, seed'):
        check_resume(dataclasses.replace(settings, batch_2=1, seed=7))


def test_curves_of_nothing_write_nothing(tmp_path):
    curves.write_curves(tmp_path, tmp_path / 'training', '')
    assert not list(tmp_path.iterdir())


def test_names_that_are_not_utf_8_are_scored(fake, tmp_path):
    folders = tmp_path / 'ir', tmp_path / 'vi'
    for folder in folders:
        for name in ('a.png', os.fsdecode(b'caf\xe9.png')):
            write_gray(folder / 'image.png', np.random.RandomState(len(name)).randint(0, 256, (40, 50), np.uint8)).rename(folder / name)
    pairing = pair_folders(*folders)
    pairs, left_out = inputs.write_pairs(fake.work / 'pairs', pairing.pairs)
    assert len(pairs) == 2 and not left_out
    for name in sides.SIDES:
        for path in inputs.weights_folder(fake, name).values():
            path.touch()
    results.compare(fake, sides.SIDES, pairing, pairs, ['EN'], tmp_path / 'out', 'A note.')
    report = (tmp_path / 'out' / 'results.md').read_text(encoding='utf-8')
    assert '| EN |' in report and '| Jittor | 2 | inf dB |' in report and 'Left out' not in report


# The Jittor side

@pytest.fixture(scope='module')
def jittor_side():
    from comparison.jittor_side import JittorSide
    return JittorSide(cuda=False, threads=2, ssim_val_range=None)


@pytest.fixture(scope='module')
def jittor_weights(jittor_side, tmp_path_factory):
    folder = tmp_path_factory.mktemp('weights')
    paths = {network: str(folder / f'{network}.safetensors') for network in inputs.NETWORKS}
    jittor_side.write_initial_weights(**paths, seed=1, deep_start=1.0)
    return paths


def test_a_deep_path_started_at_0_changes_one_weight(jittor_side, jittor_weights, tmp_path):
    paths = {network: str(tmp_path / f'{network}.safetensors') for network in inputs.NETWORKS}
    jittor_side.write_initial_weights(**paths, seed=1, deep_start=0.0)
    for network in inputs.NETWORKS:
        ours, theirs = load_weights(paths[network]).arrays, load_weights(jittor_weights[network]).arrays
        changed = [name for name in ours if not np.array_equal(ours[name], theirs[name])]
        assert changed == (['decoder_fusion.conv_block.4.conv2d.1.weight'] if network == 'fusion' else [])


@pytest.fixture(scope='module')
def batches(tmp_path_factory):
    path = tmp_path_factory.mktemp('batches') / 'batches.npy'
    small = np.random.RandomState(1).randint(0, 256, (2, 2, 2, 1, 32, 32)).astype(np.uint8)
    np.save(path, np.kron(small, np.ones((8, 8), np.uint8)))
    return str(path)


@pytest.mark.parametrize('stage, arrays, operations', [('stage_1_vi', 26 + 3 + 3, 124e9), ('stage_2', 104 + 10 + 4, 155e9)])
def test_jittor_side_computes_and_trains(jittor_side, jittor_weights, batches, tmp_path, stage, arrays, operations):
    stage = training.STAGES[stage]

    class Direct:
        @staticmethod
        def ask(method, **arguments):
            getattr(jittor_side, method)(**arguments)

    training.start_stage(Direct, stage, jittor_weights)
    assert jittor_side.step_operations(batches, 0, epoch=0) == pytest.approx(operations, rel=0.01)
    out = str(tmp_path / 'computed.npz')
    jittor_side.compute(batches, 0, out)
    with np.load(out) as computed:
        assert len(computed.files) == arrays and all(np.isfinite(computed[name]).all() for name in computed.files)
        before = {loss: computed[loss].item() for loss in stage.losses}
    first = jittor_side.step(batches, 0, epoch=0)
    assert first.pop('lr') == stage.lr
    assert first == pytest.approx(before, rel=1e-5)
    again = jittor_side.step(batches, 0, epoch=2)
    assert again['lr'] == pytest.approx(stage.lr / 10) and again['total_loss'] != first['total_loss']

    if stage.network == 'fusion':
        jittor_side.save(str(tmp_path / 'before.safetensors'))
        without = jittor_side.step(batches, 0, epoch=0)
        training.start_stage(Direct, stage, {**jittor_weights, 'fusion': str(tmp_path / 'before.safetensors')})
        all_of_it = jittor_side.step_operations(batches, 0, epoch=0)
        jittor_side.cache_features(batches, 0)
        assert jittor_side.step_operations(batches, 0, epoch=0) < 0.6 * all_of_it
        assert jittor_side.step(batches, 0, epoch=0) == pytest.approx(without, rel=1e-5)

    saved = tmp_path / 'saved.safetensors'
    jittor_side.save(str(saved))
    third = jittor_side.step(batches, 0, epoch=0)
    training.start_stage(Direct, stage, {**jittor_weights, stage.network: str(saved)})
    assert jittor_side.step(batches, 0, epoch=0) == pytest.approx(third, rel=1e-5), 'it goes on where it was saved'


def test_jittor_side_fuses(jittor_side, jittor_weights, batches, tmp_path):
    training_images = np.load(batches)[0, :, 0, 0]
    np.save(tmp_path / 'pair.npy', training_images)
    jittor_side.start_fusing(**jittor_weights)
    assert jittor_side.fuse_operations(str(tmp_path / 'pair.npy')) == pytest.approx(52e9, rel=0.01)  # results/cost
    assert jittor_side.peak() > 0
    jittor_side.fuse(str(tmp_path / 'pair.npy'), str(tmp_path / 'fused.npy'))
    fused = np.load(tmp_path / 'fused.npy')
    assert fused.shape == (256, 256) and fused.dtype == np.float32
    assert fused.min() == 0 and fused.max() == pytest.approx(255, abs=0.01)


def test_jittor_side_works_on_files(jittor_side, jittor_weights, tmp_path):
    random = np.random.RandomState(2)
    pairs = [[str(write_gray(tmp_path / modality / f'{number}.png', random.randint(0, 256, (48, 40), np.uint8)))
              for modality in inputs.MODALITIES] for number in range(2)]
    jittor_side.start_fusing(**jittor_weights)
    jittor_side.fuse_files(pairs, str(tmp_path / 'fused'))
    assert sorted(path.name for path in (tmp_path / 'fused').iterdir()) == ['0.png', '1.png']
    np.save(tmp_path / 'pair.npy', [cv2.imread(path, cv2.IMREAD_GRAYSCALE) for path in pairs[0]])
    jittor_side.fuse(str(tmp_path / 'pair.npy'), str(tmp_path / 'fused.npy'))
    written = cv2.imread(str(tmp_path / 'fused' / '0.png'), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(written, np.load(tmp_path / 'fused.npy').astype(np.uint8))
    one = jittor_side.fuse_operations(str(tmp_path / 'pair.npy'))
    assert jittor_side.fuse_files_operations(pairs, '') == 2 * one
    jittor_side.score(pairs, str(tmp_path / 'fused'))
    jittor_side.load(pairs, 2, [64, 64])
    assert 0 < jittor_side.memory() <= jittor_side.peak_memory()
