"""Training runs: settings, stopping and going on, numbers that go bad, what is written, mixed precision."""
import contextlib
import dataclasses
import errno
import io
import os
import pty
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY, assert_end, full_disk, threads

import args_auto
import args_trans
import tools.data.test_images
import tools.training.state
import train_autoencoder
import train_conv_trans
from network import layers, operators
from tools.base.errors import UserError
from tools.base.script import run_script
from tools.curves.reading import read_runs
from tools.data.frames import check_frames, note_frames
from tools.data.images import read_gray, read_image, write_image
from tools.data.kaist import list_pairs
from tools.data.loader import Batches
from tools.data.training_list import entry_of, read_list, sha256_of
from tools.runtime import jt, nn, set_seed
from tools.scenes.folders import write_database
from tools.training.optimizer import Adam
from tools.training.run import TrainingRun, learning_rate
from tools.training.run_folder import find_run, new_run_folder, read_settings, save_settings
from tools.weights.checkpoint import load_state, load_weights, save_weights
from tools.weights.networks import build_auto_encoder, build_fusion, weights_of

STEPS = 3  # per epoch of the tiny runs
SMALL = ('--Height', '32', '--Width', '32', '--step', '1')
WAIT = 300  # seconds for a script to say something; the first time Jittor compiles


# ---- a tiny network in a real run

class Tiny(nn.Module):
    """One convolution, with the losses of an auto-encoder."""

    def __init__(self):
        self.conv = nn.Conv2d(1, 1, 3, padding=1)

    def train_module(self, images):
        """The output and the losses."""
        out = self.conv(images / 255) * 255
        recon_loss, ssim_loss = (out - images).sqr().mean(), (out - images).abs().mean()
        return out, {'recon_loss': recon_loss, 'ssim_loss': ssim_loss, 'total_loss': recon_loss + ssim_loss}


@pytest.fixture
def items(tmp_path):
    """Seven images, three batches of two and one left over."""
    paths = [tmp_path / 'images' / f'{index}.png' for index in range(7)]
    for index, path in enumerate(paths):
        write_image(path, np.random.RandomState(index).randint(0, 256, (20, 24)).astype(np.uint8))
    return [(path,) for path in paths]


def tiny_run(folder, items, hook=None, options=None, **changes):
    """Train Tiny as the scripts do; `hook(run, outputs)` is called after each step. Returns the settings."""
    settings = args_auto.Args(**{'epochs': 2, 'step': 1, 'save_minutes': 1e6, 'lr': 1e-2, **changes})
    set_seed(settings.seed)
    model = Tiny()
    optimizer = Adam(model.parameters(), settings.lr, weight_decay=0.1)
    batches = Batches(items, settings.batch, (16, 16), settings.seed, augment=settings.augment)
    weights_file = 'tiny_epoch_{epoch}.safetensors'
    with TrainingRun(folder, model, optimizer, batches, settings, weights_file, {'kind': 'tiny', 'options': options}) as run:
        for epoch in range(run.epoch, settings.epochs):
            optimizer.lr = learning_rate(settings.lr, epoch)
            for batch in run.batches_of(epoch):
                images = jt.array(batch.arrays[0])
                out, losses = model.train_module(images)
                optimizer.step(losses['total_loss'])
                if hook:
                    hook(run, losses)
                run.after_step(losses, batch)
            run.after_epoch(samples=(images, out))
        run.finish()
    return settings


def ctrl_c_in(*steps, number=signal.SIGINT):
    """A hook: Ctrl-C, or another signal, during these steps, counted from 0 over the whole run."""
    def hook(run, outputs):
        if run.epoch * STEPS + run.step in steps:
            os.kill(os.getpid(), number)
    return hook


def interrupted(*arguments, **keywords):
    with pytest.raises(SystemExit) as stop:
        tiny_run(*arguments, **keywords)
    assert stop.value.code == 130


def rows(folder):
    """The lines of losses.csv without the speed, which is different each time."""
    return [line.rsplit(',', 1)[0] for line in (folder / 'losses.csv').read_text().splitlines()]


def log(folder):
    """The lines of train.log without the time."""
    return [line[line.index('Epoch'):] for line in (folder / 'train.log').read_text().splitlines()]


def assert_same_run(folder, expected):
    """The same losses, text for text, and the same weights after each epoch, bit for bit."""
    assert rows(folder) == rows(expected) and log(folder) == log(expected)
    names = sorted(path.name for path in expected.glob('*_epoch_*.safetensors'))
    assert sorted(path.name for path in folder.glob('*_epoch_*.safetensors')) == names
    for name in names:
        got, want = load_weights(folder / name).arrays, load_weights(expected / name).arrays
        assert got.keys() == want.keys() and all(np.array_equal(got[key], want[key]) for key in want), name


@pytest.fixture
def whole(tmp_path, items):
    """The folder of a run of two epochs that nothing interrupted."""
    tiny_run(tmp_path / 'whole', items)
    return tmp_path / 'whole'


# ---- stopping and going on

@pytest.mark.parametrize('step', range(2 * STEPS - 1))
@pytest.mark.parametrize('augment', [False, True])
def test_interrupted_anywhere_it_goes_on_as_if_it_had_not_been(tmp_path, items, step, augment):
    tiny_run(tmp_path / 'whole', items, augment=augment)
    folder = tmp_path / 'parts'
    interrupted(folder, items, ctrl_c_in(step), augment=augment)
    assert len(rows(folder)) == 1 + step + 1  # the step in progress was ended
    tiny_run(folder, items, augment=augment)
    assert_same_run(folder, tmp_path / 'whole')


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_queue_or_a_closed_terminal_interrupts_it_too(tmp_path, items, whole, number):
    before = signal.signal(number, signal.SIG_DFL)
    try:
        interrupted(tmp_path / 'run', items, ctrl_c_in(1, number=number))
        assert signal.getsignal(number) == signal.SIG_DFL
        tiny_run(tmp_path / 'run', items)
        assert_same_run(tmp_path / 'run', whole)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
        tiny_run(tmp_path / 'other', items, ctrl_c_in(1, number=signal.SIGHUP))
        assert_same_run(tmp_path / 'other', whole)
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        signal.signal(number, before)


def test_a_network_with_other_options_does_not_go_on(tmp_path, items):
    interrupted(tmp_path / 'run', items, ctrl_c_in(1), options={'n_heads': 8})
    with pytest.raises(UserError, match='built with other options or encoders'):
        tiny_run(tmp_path / 'run', items, options={'n_heads': 16})
    tiny_run(tmp_path / 'run', items, options={'n_heads': 8})


def test_interrupted_after_every_step(tmp_path, items, whole):
    folder = tmp_path / 'parts'
    for step in range(2 * STEPS - 1):
        interrupted(folder, items, ctrl_c_in(step))
    tiny_run(folder, items)
    assert_same_run(folder, whole)


def test_an_interrupted_run_leaves_no_thread_behind(tmp_path, items):
    before = threads()
    with pytest.raises(SystemExit) as kept:  # as long as it is, so are the frames of the loop
        tiny_run(tmp_path / 'run', items, ctrl_c_in(1))
    assert kept.value.code == 130
    assert_end(threads() - before)


def test_ctrl_c_in_the_last_step_lets_the_run_finish(tmp_path, items, whole):
    tiny_run(tmp_path / 'run', items, ctrl_c_in(2 * STEPS - 1))
    assert_same_run(tmp_path / 'run', whole)
    assert (tmp_path / 'run' / 'summary.txt').is_file()


def test_a_second_ctrl_c_ends_at_once_and_the_last_state_stays(tmp_path, items, whole, capfd):
    def twice(run, outputs):
        if run.epoch == 1 and run.step == 1:
            os.kill(os.getpid(), signal.SIGINT)
            assert 'Ctrl-C again' in capfd.readouterr().err
            os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        tiny_run(tmp_path / 'run', items, twice)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert len(rows(tmp_path / 'run')) == 1 + STEPS + 1  # the step after the last state will be done again
    tiny_run(tmp_path / 'run', items)
    assert_same_run(tmp_path / 'run', whole)


def test_ended_before_the_first_step_is_over_it_starts_again(tmp_path, items, whole):
    def end_at_once(run, outputs):
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        tiny_run(tmp_path / 'run', items, end_at_once)
    tiny_run(tmp_path / 'run', items)
    assert_same_run(tmp_path / 'run', whole)


def test_ctrl_c_that_also_ends_the_compiler_is_no_error(tmp_path, items, whole):
    def fail_to_compile(run, outputs):
        if run.step == 1:
            os.kill(os.getpid(), signal.SIGINT)
            raise RuntimeError('Run cmd failed: g++')  # as Jittor says it
    with pytest.raises(KeyboardInterrupt):
        tiny_run(tmp_path / 'run', items, fail_to_compile)
    tiny_run(tmp_path / 'run', items)
    assert_same_run(tmp_path / 'run', whole)


def test_the_state_is_saved_every_few_minutes(tmp_path, items, whole, monkeypatch):
    saved = []
    monkeypatch.setattr(tools.training.state, 'save_state', lambda folder, arrays, metadata: saved.append(
        (metadata['epoch'], metadata['step'])))
    clock = iter(range(0, 10 ** 6, 10))
    monkeypatch.setattr('time.monotonic', lambda: next(clock))
    tiny_run(tmp_path / 'often', items, save_minutes=0.1)
    assert saved == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0)]
    saved.clear()
    tiny_run(tmp_path / 'rarely', items, save_minutes=1e6)
    assert saved == [(0, 0), (1, 0), (2, 0)]


def test_a_damaged_state_is_passed_over(tmp_path, items, whole):
    folder = tmp_path / 'run'
    interrupted(folder, items, ctrl_c_in(4))
    newest = max(folder.glob('state_*.bin'), key=lambda path: int(path.stem[len('state_'):]))
    newest.write_bytes(newest.read_bytes()[:-1])
    with pytest.warns(UserWarning, match=f'{newest.name} is damaged'):
        tiny_run(folder, items)
    assert_same_run(folder, whole)


def test_more_epochs_go_on_from_a_finished_run(tmp_path, items, whole, capsys):
    tiny_run(tmp_path / 'long', items, epochs=4)
    capsys.readouterr()
    tiny_run(whole, items)
    out = capsys.readouterr().out
    assert 'is finished: 2 epochs are done' in out and '--epochs 3' in out and 'training on' not in out
    tiny_run(whole, items, epochs=4)
    assert rows(whole) == rows(tmp_path / 'long')
    assert [line.split()[1] for line in log(whole)] == ['1/2'] * 3 + ['2/2'] * 3 + ['3/4'] * 3 + ['4/4'] * 3


# ---- the same data, wherever it lies

def moved(items, folder):
    """The same images copied to another folder, under other names."""
    paths = [folder / f'{index:02}.PNG' for index in range(len(items))]
    folder.mkdir()
    for (source,), path in zip(items, paths):
        path.write_bytes(source.read_bytes())
    return [(path,) for path in paths]


def test_a_run_goes_on_after_the_data_moved(tmp_path, items, whole, monkeypatch):
    interrupted(tmp_path / 'run', items, ctrl_c_in(1))
    elsewhere = moved(items, tmp_path / 'elsewhere')
    interrupted(tmp_path / 'run', elsewhere, ctrl_c_in(3))
    for (path,) in elsewhere:
        path.unlink()
    monkeypatch.chdir(tmp_path)
    tiny_run(tmp_path / 'run', [(path.relative_to(tmp_path),) for (path,) in items])
    assert_same_run(tmp_path / 'run', whole)


@pytest.mark.parametrize('change, message', [
    (lambda items: items[0][0].unlink(), r'of 7 1 missing or changed \(.*0.png\), 1 new \(.*0.png\): put them back'),
    (lambda items: write_image(items[2][0], np.zeros((20, 24), np.uint8)), r'1 missing or changed \(.*2.png\), 1 new \(.*2.png\)'),
    (lambda items: items.pop(), r'of 7 1 missing or changed \(.*6.png\): put'),
    (lambda items: items.append(items[0]), r'of 7 1 new \(.*0.png\): put'),
    (lambda items: items.reverse(), 'but in another order: give their folders in that of the start')], ids=range(5))
def test_other_data_is_refused_and_what_differs_is_said(tmp_path, items, change, message):
    interrupted(tmp_path / 'run', items, ctrl_c_in(1))
    before = rows(tmp_path / 'run')
    change(items)
    with pytest.raises(UserError, match=f'run cannot go on: the training images found are not those.*{message}'):
        tiny_run(tmp_path / 'run', items)
    assert rows(tmp_path / 'run') == before


def test_images_of_one_size_are_told_apart(tmp_path):
    """Uncompressed: only what is in them differs."""
    paths = [tmp_path / f'{index}.bmp' for index in range(3)]
    for index, path in enumerate(paths):
        write_image(path, np.full((64, 64), index, np.uint8))
    note_frames([(path,) for path in paths], tmp_path)
    check_frames([(path,) for path in paths], tmp_path)
    write_image(paths[1], np.full((64, 64), 7, np.uint8))
    with pytest.raises(UserError, match=r'1 missing or changed \(.*1.bmp\), 1 new \(.*1.bmp\)'):
        check_frames([(path,) for path in paths], tmp_path)
    (tmp_path / 'frames.json').write_text('[')
    with pytest.raises(UserError, match='cannot read .*frames.json'):
        check_frames([(path,) for path in paths], tmp_path)


def test_a_broken_image_may_be_mended_before_going_on(tmp_path, items):
    broken = list(Batches(items, 2, (16, 16), args_auto.Args().seed).epoch(0))[0].paths[0][0]
    whole_image = broken.read_bytes()
    broken.write_bytes(whole_image[:60])
    interrupted(tmp_path / 'run', items, ctrl_c_in(1))
    broken.write_bytes(whole_image)
    tiny_run(tmp_path / 'run', items)
    assert len(rows(tmp_path / 'run')) == 1 + 2 * STEPS


def test_a_smaller_batch_goes_on_at_the_same_image(tmp_path, items, capsys):
    seen = []
    interrupted(tmp_path / 'run', items, ctrl_c_in(1), batch=3)  # two steps an epoch
    interrupted(tmp_path / 'run', items, lambda run, outputs: (seen.append(run.step), os.kill(os.getpid(), signal.SIGINT)), batch=2)
    assert seen == [0]  # the whole of the second epoch, of three steps
    assert 'with batch 2 instead of 3' in capsys.readouterr().out
    tiny_run(tmp_path / 'run', items, lambda run, outputs: seen.append(run.step), batch=1)
    assert seen == [0, 2, 3, 4, 5, 6]  # two images of the second epoch were done
    steps = [int(line.split(',')[0]) for line in rows(tmp_path / 'run')[1:]]
    assert steps == sorted(set(steps)) and steps[-1] == 2 * 7
    with pytest.raises(UserError, match='batch was 1, and can only become smaller'):
        tiny_run(tmp_path / 'run', items, batch=2)


def test_a_smaller_batch_within_a_batch_sees_some_images_again(tmp_path, items):
    order = np.random.RandomState([args_auto.Args().seed, 0]).permutation(len(items))
    interrupted(tmp_path / 'run', items, ctrl_c_in(0), batch=3, epochs=1)
    paths = []
    settings = {'batch': 2, 'epochs': 1}
    hook = lambda run, outputs: paths.extend(run.paths)  # of the step before
    tiny_run(tmp_path / 'run', items, hook, **settings)
    assert paths == [items[index] for index in order[2:4]]


@pytest.mark.parametrize('spoil', [lambda path: path.unlink(), lambda path: path.write_text('step')],
                         ids=['gone', 'short'])
@pytest.mark.parametrize('name', ['losses.csv', 'train.log'])
def test_losses_that_are_gone_are_noticed(tmp_path, items, name, spoil):
    interrupted(tmp_path / 'run', items, ctrl_c_in(1))
    spoil(tmp_path / 'run' / name)
    with pytest.raises(UserError, match=f'{name} lacks lines'):
        tiny_run(tmp_path / 'run', items)


def test_two_processes_cannot_train_in_one_folder(tmp_path, items):
    def start_another(run, outputs):
        if run.step == 1:
            with pytest.raises(UserError, match='in use: another process'):
                tiny_run(tmp_path / 'run', items)
    tiny_run(tmp_path / 'run', items, start_another)


def test_a_folder_without_locks_is_trained_in_with_one_warning(tmp_path, items, whole, no_locks):
    with pytest.warns(UserWarning, match='has no locks') as given:
        interrupted(tmp_path / 'run', items, ctrl_c_in(1))
        tiny_run(tmp_path / 'run', items)
    assert len([one for one in given if 'has no locks' in str(one.message)]) == 1
    assert_same_run(tmp_path / 'run', whole)


# ---- seeds, learning rate, optimiser

def test_the_same_seed_gives_the_same_run_and_another_another(tmp_path, items, whole):
    tiny_run(tmp_path / 'again', items)
    assert_same_run(tmp_path / 'again', whole)
    tiny_run(tmp_path / 'other', items, seed=1)
    assert rows(tmp_path / 'other')[1] != rows(whole)[1]


def test_learning_rate_falls_once_after_two_epochs():
    assert [learning_rate(1.0, epoch) for epoch in range(5)] == [1.0, 1.0, 0.1, 0.1, 0.1]
    assert [learning_rate(1.0, epoch, full_rate_epochs=1) for epoch in range(3)] == [1.0, 0.1, 0.1]


def test_the_optimiser_goes_on_from_its_state():
    def steps(optimizer, model, count):
        for _ in range(count):
            optimizer.step((model(jt.ones((1, 1, 4, 4))) - 3).sqr().sum())
        return model.weight.numpy()

    set_seed(0)
    model = nn.Conv2d(1, 2, 3)
    optimizer = Adam(model.parameters(), lr=0.1, weight_decay=0.5)
    steps(optimizer, model, 3)
    state, weights = optimizer.state(), weights_of(model)
    expected = steps(optimizer, model, 3)
    model.load_state_dict(weights)
    resumed = Adam(model.parameters(), lr=0.1, weight_decay=0.5)
    resumed.load_state(state)
    assert np.array_equal(steps(resumed, model, 3), expected)


def test_a_group_of_parameters_has_its_own_decay():
    def train(groups):
        weights = [jt.array(np.float32([[1, -2], [3, 4]])) for _ in range(2)]
        optimizer = Adam(groups(weights), lr=0.1, weight_decay=0.5)
        for _ in range(3):
            optimizer.step(sum((weight - 3).sqr().sum() for weight in weights))
        return [weight.numpy() for weight in weights]

    alike = train(list)
    without = train(lambda weights: [{'params': weights, 'weight_decay': 0}])
    apart = train(lambda weights: [{'params': weights[:1]}, {'params': weights[1:], 'weight_decay': 0}])
    assert np.array_equal(apart[0], alike[0]) and np.array_equal(apart[1], without[1])
    assert not np.array_equal(alike[1], without[1])


# ---- numbers that go bad

def spoil_loss(step, value):
    def hook(run, outputs):
        if run.epoch * STEPS + run.step == step:
            outputs['ssim_loss'] = outputs['ssim_loss'] * value
    return hook


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
@pytest.mark.parametrize('log_steps', [1, 2, 100])
def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, items, whole, value, log_steps):
    folder = tmp_path / 'run'
    with pytest.raises(UserError) as error:
        tiny_run(folder, items, spoil_loss(4, value), step=log_steps, save_minutes=1e-9)
    message = str(error.value)
    batch = list(Batches(items, 2, (16, 16), args_auto.Args().seed).epoch(1))[1]
    assert 'epoch 2, step 2: the loss is recon_loss' in message and f'ssim_loss {value}' in message
    assert '\n' not in message
    assert all(str(path) in message for paths in batch.paths for path in paths)
    assert f'Last good weights: {folder / "tiny_epoch_1.safetensors"}' in message
    assert rows(folder) == rows(whole)[:1 + 4]  # the good steps are written, nothing else
    assert not (folder / 'tiny_epoch_2.safetensors').exists()
    state = load_state(folder)
    assert (state.metadata['epoch'], state.metadata['step']) == (1, 1)
    assert all(np.isfinite(array).all() for array in state.arrays.values())


def test_before_the_first_epoch_is_over_there_are_no_good_weights(tmp_path, items):
    with pytest.raises(UserError, match='epoch 1, step 1: .*Last good weights: none, this was the first epoch'):
        tiny_run(tmp_path / 'run', items, spoil_loss(0, float('nan')))
    assert rows(tmp_path / 'run') == []


def spoil_weights(step):
    def hook(run, outputs):
        if run.epoch * STEPS + run.step == step:
            run.model.conv.bias.update(run.model.conv.bias * float('nan'))
    return hook


@pytest.mark.parametrize('step', [1, 2])
def test_weights_that_are_not_finite_are_not_saved(tmp_path, items, step):
    """The losses of a step are those before it changes the weights: they may be good when the weights no longer are."""
    folder = tmp_path / 'run'
    with pytest.raises(UserError, match=rf'epoch 1, step {step + 1}: 1 weights are not finite \(.*conv.bias'):
        tiny_run(folder, items, spoil_weights(step), save_minutes=1e-9)
    assert not list(folder.glob('*.safetensors'))
    state = load_state(folder)
    assert state.metadata['step'] == step and all(np.isfinite(array).all() for array in state.arrays.values())


# ---- a full disk

@pytest.mark.parametrize('size, file', [(1000, 'state_3.bin'), (100, 'losses.csv')])
def test_a_full_disk_is_an_error_and_the_state_before_stays(tmp_path, items, whole, size, file):
    """1000 bytes: enough for the losses, too few for a state."""
    folder = tmp_path / 'run'
    with contextlib.ExitStack() as until_the_run_ends:
        def fill(run, outputs):
            if (run.epoch, run.step) == (0, 1):
                until_the_run_ends.enter_context(full_disk(size))
                os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(UserError, match=f'cannot write .*{file}: {os.strerror(errno.EFBIG)}'):
            tiny_run(folder, items, fill, save_minutes=1e-9)
    assert load_state(folder).metadata['step'] == 1
    assert not list(folder.glob('.*partial*'))
    tiny_run(folder, items)
    assert_same_run(folder, whole)


def test_a_run_folder_that_cannot_be_made_is_an_error(tmp_path, items):
    (tmp_path / 'file').write_text('')
    with pytest.raises(UserError, match='cannot write .*file/run'):
        tiny_run(tmp_path / 'file' / 'run', items)


@pytest.mark.parametrize('error', [
    RuntimeError('[f executor.cc:687]\n*******************\nGPU memory is overflow, please reduce your batch_size or data size!'),
    MemoryError()])
def test_memory_that_runs_out_is_one_line_and_the_state_is_kept(tmp_path, items, whole, error):
    def fail(run, losses):
        if run.epoch * STEPS + run.step == 4:
            raise error
    with pytest.raises(UserError, match='^the memory did not suffice in epoch 2, step 2: [^\n]* --resume [^\n]*$'):
        tiny_run(tmp_path / 'run', items, fail)
    tiny_run(tmp_path / 'run', items)
    assert_same_run(tmp_path / 'run', whole)


# ---- what a run writes and shows

def test_broken_images_are_named_and_in_the_summary_also_after_going_on(tmp_path, items, capsys):
    broken = list(Batches(items, 2, (16, 16), args_auto.Args().seed).epoch(0))[1].paths[0][0]  # in the second step
    broken.write_bytes(broken.read_bytes()[:60])
    interrupted(tmp_path / 'run', items, ctrl_c_in(3))
    assert f'left out: {broken}' in capsys.readouterr().out
    tiny_run(tmp_path / 'run', items)
    out = capsys.readouterr().out
    assert 'left out: ' not in out  # said already
    summary = (tmp_path / 'run' / 'summary.txt').read_text()
    assert 'images left out since they could not be read: 1' in summary and str(broken) in summary and summary in out


def test_a_broken_image_whose_name_is_not_utf_8_is_in_the_summary(tmp_path, items, capsys):
    broken = list(Batches(items, 2, (16, 16), args_auto.Args().seed).epoch(0))[1].paths[0][0]
    place, name = items.index((broken,)), tmp_path / 'images' / os.fsdecode(b'\xe9.png')
    try:
        name.write_bytes(b'')
    except OSError:
        pytest.skip('this file system has names in UTF-8 only')
    items[place] = (name,)
    with pytest.raises(SystemExit) as end:
        run_script(lambda: tiny_run(tmp_path / 'run', items) and None)
    assert end.value.code is None and r'images/\udce9.png is empty' in capsys.readouterr().out
    assert r'images/\udce9.png is empty' in (tmp_path / 'run' / 'summary.txt').read_text(encoding='utf-8')


def test_list_of_the_images_is_written_beside_the_training(tmp_path, items, capsys, monkeypatch):
    known = [{'set': 'TNO', **entry_of(item, tmp_path, 'ir')} for item in items[:2]]
    known = [{**one, 'sha256 infrared': 'other', 'sha256 visible': 'other'} for one in known]
    monkeypatch.setattr(tools.data.test_images, 'known_test_images', lambda: known)
    tiny_run(tmp_path / 'run', items, path=[str(tmp_path)])
    listed = read_list(tmp_path / 'run' / 'training_list.tsv')
    assert [entry['infrared'] for entry in listed] == [f'images/{index}.png' for index in range(7)]
    assert listed[0]['sha256 infrared'] == sha256_of(items[0][0])
    warning = "warning: 2 of these images are TNO's test images: do not report TNO with these weights"
    assert capsys.readouterr().out.splitlines().count(warning) == 1
    (tmp_path / 'run' / 'training_list.tsv').unlink()
    before = threads()
    tiny_run(tmp_path / 'run', items, path=[str(tmp_path)], epochs=3)  # a run that was stopped before its list was whole
    assert read_list(tmp_path / 'run' / 'training_list.tsv') == listed
    assert_end(threads() - before)


def test_what_stands_in_the_folder(tmp_path, items, whole):
    names = {path.name for path in whole.iterdir()}
    assert names >= {'settings.json', 'losses.csv', 'train.log', 'samples', 'summary.txt', 'training_list.tsv'}
    header, *lines = (whole / 'losses.csv').read_text().splitlines()
    assert header == 'step,epoch,lr,recon_loss,ssim_loss,total_loss,images_per_second'
    steps = [[str(step), str(1 + (step - 1) // STEPS)] for step in range(1, 2 * STEPS + 1)]
    assert [line.split(',')[:2] for line in lines] == steps
    assert all(float(line.split(',')[-1]) > 0 for line in lines)
    metadata = load_weights(whole / 'tiny_epoch_2.safetensors').metadata
    assert (metadata['kind'], metadata['epoch'], metadata['run']) == ('tiny', 2, 'whole')
    assert metadata['settings']['lr'] == 0.01
    assert f'weights: {whole / "tiny_epoch_2.safetensors"}' in (whole / 'summary.txt').read_text()
    assert '2 epochs of 3 steps' in (whole / 'summary.txt').read_text()


def test_the_log_is_in_the_originals_format_and_means_over_its_steps(tmp_path, items, whole):
    tiny_run(tmp_path / 'run', items, step=3)
    lines = (tmp_path / 'run' / 'train.log').read_text().splitlines()
    number = r'\d+\.\d{6}'
    assert len(lines) == 2
    for epoch, line in enumerate(lines, 1):
        assert re.fullmatch(rf'\w{{3}} \w{{3}} .* \d{{4}} - Epoch {epoch}/2 - Batch 3/3 - lr:0.010000 - '
                            rf'recon loss: {number} - ssim loss: {number} - total loss: {number}', line)
    totals = [float(line.split(',')[5]) for line in rows(whole)[1:]]
    assert float(lines[1].split()[-1]) == pytest.approx(np.mean(totals[3:]), rel=1e-6)
    run, = read_runs(tmp_path / 'run' / 'train.log')
    assert list(run.losses['epoch']) == [1, 2]
    table, = read_runs(whole)
    assert list(table.losses['total loss']) == pytest.approx(totals)


def test_sample_pictures_show_sources_beside_results(tmp_path, items, whole):
    for epoch in (1, 2):
        picture = read_image(whole / 'samples' / f'epoch_{epoch}.png')
        assert picture.shape == (2 * 16, 2 * 16)  # two images of a batch, source and result
    batch = list(Batches(items, 2, (16, 16), args_auto.Args().seed).epoch(1))[-1]
    assert np.array_equal(picture[:, :16], np.concatenate(list(batch.arrays[0][:, 0])).astype(np.uint8))
    assert not np.array_equal(picture[:, :16], picture[:, 16:])


def test_plain_lines_where_there_is_no_terminal(tmp_path, items, capsys):
    tiny_run(tmp_path / 'run', items)
    output = capsys.readouterr()
    lines = [line for line in output.out.splitlines() if 'Epoch' in line]
    assert len(lines) == 6 and '\r' not in output.out + output.err
    for line, logged in zip(lines, (tmp_path / 'run' / 'train.log').read_text().splitlines()):
        assert re.fullmatch(re.escape(logged) + r' - \d+\.\d images/s - \d\d:\d\d left in this epoch', line)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_progress_bar_on_a_terminal(tmp_path, items, capsys, monkeypatch):
    monkeypatch.setattr(sys, 'stderr', Terminal())
    tiny_run(tmp_path / 'run', items)
    bar = sys.stderr.getvalue()
    assert re.search(r'epoch 2/2: 100%.*3/3 \[\d\d:\d\d<\d\d:\d\d, .*loss \d+\.\d{3}, lr 0\.01, \d+\.\d images/s', bar)
    assert 'Epoch' not in capsys.readouterr().out
    assert len((tmp_path / 'run' / 'train.log').read_text().splitlines()) == 6


class Writer:
    """Stands for tensorboardX.SummaryWriter, which is no requirement."""
    written = []

    def __init__(self, folder, purge_step):
        self.written.append((folder, purge_step))

    def add_scalar(self, name, value, step):
        self.written.append((name, value, step))

    def close(self):
        self.written.append('closed')


def test_tensorboard_when_asked_for(tmp_path, items, whole, monkeypatch):
    monkeypatch.setitem(sys.modules, 'tensorboardX', types.SimpleNamespace(SummaryWriter=Writer))
    folder = tmp_path / 'run'
    interrupted(folder, items, ctrl_c_in(3), tensorboard=True)
    tiny_run(folder, items, tensorboard=True)
    first, second = (Writer.written.index((str(folder), step)) for step in (1, 5))
    assert Writer.written[second - 1] == Writer.written[-1] == 'closed' and first == 0
    totals = [entry[1:] for entry in Writer.written if entry[0] == 'total_loss']
    expected = [row.split(',') for row in rows(whole)[1:]]
    assert [(f'{value:.9g}', step) for value, step in totals] == [(row[5], int(row[0])) for row in expected]


# ---- settings

SCRIPTS = {'stage 1': train_autoencoder, 'stage 2': train_conv_trans}


@pytest.mark.parametrize('stage, arguments, message', [
    ('stage 1', ['--path', 'nowhere'], 'setting path: there is no folder nowhere'),
    ('stage 1', ['--epochs', '0'], 'setting epochs must be at least 1'),
    ('stage 1', ['--type_flag', 'both'], "setting type_flag must be one of ir, vi, not 'both'"),
    ('stage 1', ['--Height', '100'], 'setting Height must be a multiple of 8, not 100'),
    ('stage 1', ['--Width', '250'], 'setting Width must be a multiple of 8, not 250'),
    ('stage 1', ['--Width', '8'], 'setting Width must be at least 16'),
    ('stage 1', ['--recon_loss_weight', '-1'], 'setting recon_loss_weight must be at least 0'),
    ('stage 1', ['--batch', '1.5'], 'setting batch must be a whole number'),
    ('stage 1', ['--lr', '0'], 'setting lr must be above 0'),
    ('stage 1', ['--seed', str(2 ** 32)], 'setting seed must be below 4294967296'),
    ('stage 1', ['--learning_rate', '1'], '--learning_rate'),
    ('stage 1', ['--resume', 'nowhere'], '--resume nowhere is not the folder of a training run'),
    ('stage 1', ['--resume', '--save_auto_model', 'nowhere'], '--resume: no run under nowhere has a saved state'),
    ('stage 2', ['--path', 'nowhere'], 'setting path: there is no folder nowhere'),
    ('stage 2', ['--ir', '.', '--vis', 'nowhere'], 'setting vi: there is no folder nowhere'),
    ('stage 1', ['--ir_name', '_nir'], "need one {} for what the names have in common"),
    ('stage 2', ['--pixel_loss_weight', '0'], 'setting pixel_loss_weight must be above 0'),
    ('stage 2', ['--variant', 'best'], 'setting variant must be one of standard'),
    ('stage 2', ['--save_auto_model', 'nowhere'], 'no weights of an auto-encoder for ir in nowhere'),
    ('stage 2', ['--resume_model_auto_ir', 'nowhere'], 'the auto-encoder nowhere does not exist'),
])
def test_bad_settings_are_refused_in_one_line_before_anything_is_loaded(tmp_path, monkeypatch, capsys, stage, arguments,
                                                                       message):
    def load(*_):
        raise AssertionError('something was loaded')
    for name in ('data.kaist.list_images_of', 'data.kaist.list_pairs', 'weights.encoders.load_encoders'):
        monkeypatch.setattr(f'tools.{name}', load)
    monkeypatch.chdir(tmp_path)
    path = [] if '--path' in arguments else ['--path', str(tmp_path)]
    monkeypatch.setattr(sys, 'argv', ['train.py', *path, *arguments])
    with pytest.raises(SystemExit) as stop:
        run_script(SCRIPTS[stage].main)
    output = capsys.readouterr()
    assert stop.value.code == 1 and output.err.startswith('error: ') and output.err.count('\n') == 1
    assert message in output.err
    assert not list(tmp_path.iterdir())


def test_tensorboard_without_its_package_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    monkeypatch.setattr(sys, 'argv', ['train.py', '--path', str(tmp_path), '--tensorboard'])
    with pytest.raises(UserError, match='pip install tensorboardX'):
        read_settings(args_auto.Args, '', 'save_auto_model')


def test_defaults_are_the_papers():
    auto, trans = args_auto.Args(), args_trans.Args()
    assert (auto.epochs, auto.batch, auto.lr, auto.train_num) == (4, 2, 1e-4, 40000)
    assert (auto.recon_loss_weight, auto.ssim_loss_weight) == (1.0, 10000.0)
    assert (trans.epochs, trans.batch, trans.lr, trans.train_num) == (16, 8, 1e-3, 20000)
    assert (trans.pixel_loss_weight, trans.gradient_loss_weight) == (1.0, 10.0)
    assert (auto.Height, auto.Width) == train_conv_trans.SIZE == (256, 256)
    for settings in (auto, trans):
        assert settings.weight_decay == 0.9 and settings.train_num_from == 'first'
        assert not (settings.augment or settings.cache or settings.tensorboard or settings.mixed_precision)


def given(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['train.py', *map(str, arguments)])
    return read_settings(args_auto.Args, '', 'save_auto_model')


@pytest.fixture
def stopped(tmp_path, items, monkeypatch):
    """The folder of a run that was interrupted, of the settings that the test's command line then starts from."""
    settings, folder = given(monkeypatch, '--path', tmp_path / 'images', '--lr', 0.01, '--epochs', 2, '--step', 1)
    assert folder is None
    interrupted(tmp_path / 'runs' / 'ir_1', items, ctrl_c_in(1), **vars(settings))
    return tmp_path / 'runs' / 'ir_1'


def test_resume_takes_the_settings_of_the_run(stopped, monkeypatch):
    for which in ([stopped], ['--save_auto_model', stopped.parent]):
        settings, folder = given(monkeypatch, '--resume', *which)
        assert folder == stopped
        assert (settings.lr, settings.epochs, settings.step) == (0.01, 2, 1)
        assert settings.path == [str(stopped.parent.parent / 'images')]


def test_harmless_settings_may_change_and_are_kept(stopped, items, monkeypatch):
    settings, _ = given(monkeypatch, '--resume', stopped, '--epochs', 3, '--step', 2, '--workers', 1, '--cuda', 'false',
                        '--save_minutes', 5, '--cache')
    changed = (settings.epochs, settings.step, settings.workers, settings.cuda, settings.save_minutes, settings.cache)
    assert changed == (3, 2, 1, False, 5.0, True)
    tiny_run(stopped, items, **vars(settings))
    assert given(monkeypatch, '--resume', stopped)[0].epochs == 3


@pytest.mark.parametrize('change', [
    ['--lr', 0.1], ['--seed', 1], ['--type_flag', 'vi'], ['--Height', 128], ['--ssim_loss_weight', 1],
    ['--train_num', 4], ['--augment'], ['--weight_decay', 0], ['--ssim_val_range', 'none'], ['--mixed_precision'],
    ['--resume_model_auto', 'file']], ids=str)
def test_what_would_make_it_another_run_is_refused(stopped, monkeypatch, change):
    with pytest.raises(UserError, match=rf'{change[0][2:]} cannot change within a run, only path, ir, vi, .*workers, cache, epochs, batch'):
        given(monkeypatch, '--resume', stopped, *change)


def test_relative_paths_are_found_from_another_folder(tmp_path, monkeypatch):
    for name in ('project/database', 'other', 'project/elsewhere'):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / 'project' / 'weights').write_text('')
    monkeypatch.chdir(tmp_path / 'project')
    settings, _ = given(monkeypatch, '--path', 'database', '--resume_model_auto', './weights')
    save_settings(settings, tmp_path / 'project' / 'run')
    assert given(monkeypatch, '--resume', 'run')[0] == dataclasses.replace(settings, resume='run')
    monkeypatch.chdir(tmp_path / 'other')
    run = tmp_path / 'project' / 'run'
    assert given(monkeypatch, '--resume', run)[0].path == [str(tmp_path / 'project' / 'database')]
    assert given(monkeypatch, '--resume', run, '--path', '../project/elsewhere')[0].path == ['../project/elsewhere']
    for same in (tmp_path / 'project' / 'weights', '../project/weights'):  # the settings of the start may be given again
        given(monkeypatch, '--resume', run, '--resume_model_auto', same)
    (tmp_path / 'project').rename(tmp_path / 'moved')  # run and data together
    monkeypatch.chdir(tmp_path / 'moved')
    assert given(monkeypatch, '--resume', 'run')[0].path == ['database']
    (tmp_path / 'moved' / 'database').rename(tmp_path / 'moved' / 'data')
    with pytest.raises(UserError, match='there is no folder database; if the images moved, give path beside resume'):
        given(monkeypatch, '--resume', 'run')
    assert given(monkeypatch, '--resume', 'run', '--path', 'data')[0].path == ['data']


def test_several_changes_are_all_named(stopped, monkeypatch):
    with pytest.raises(UserError, match='lr, seed cannot change'):
        given(monkeypatch, '--resume', stopped, '--seed', 1, '--lr', 4, '--epochs', 7)


def test_a_run_of_the_other_stage_is_refused(stopped, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['train.py', '--resume', str(stopped)])
    with pytest.raises(UserError, match='no setting type_flag'):
        read_settings(args_trans.Args, '', 'save_fusion_model')


@pytest.mark.parametrize('text', ['', '{"lr": ', '[1, 2]', '{"lr": "fast"}', '{"lr": null}'])
def test_damaged_settings_are_named(stopped, monkeypatch, text):
    (stopped / 'settings.json').write_text(text)
    with pytest.raises(UserError, match='settings.json|setting lr'):
        given(monkeypatch, '--resume', stopped)


def test_the_newest_run_is_the_one_that_saved_last(tmp_path):
    for age, name in ((3, 'ir_3'), (1, 'ir_1'), (2, 'vi_2')):
        save_settings(args_auto.Args(), tmp_path / name)
        for number in (7, 8):
            state = tmp_path / name / f'state_{number}.bin'
            state.write_bytes(b'')
            os.utime(state, (1000 - age, 1000 - age))
    save_settings(args_auto.Args(), tmp_path / 'ir_never_saved')
    assert find_run(tmp_path, 'newest') == tmp_path / 'ir_1'
    assert find_run(tmp_path, str(tmp_path / 'vi_2')) == tmp_path / 'vi_2'


def test_new_runs_get_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(time, 'strftime', lambda text: text.replace('%Y%m%d_%H%M%S', '20261122_101500'))
    with ThreadPoolExecutor(8) as pool:  # at the same moment
        folders = list(pool.map(lambda _: new_run_folder(tmp_path / 'my-models', 'ir'), range(8)))
    assert {folder.name for folder in folders} == {'ir_20261122_101500', *(f'ir_20261122_101500-{n}' for n in range(2, 9))}
    assert all(folder.is_dir() for folder in folders)
    (tmp_path / 'file').write_text('')
    with pytest.raises(UserError, match='cannot make .*file'):
        new_run_folder(tmp_path / 'file', 'ir')


# ---- the scripts, on small scenes

@pytest.fixture(scope='module')
def database(tmp_path_factory):
    folder = tmp_path_factory.mktemp('scenes')
    write_database(folder, 8, (40, 48), seed=0)
    return folder


def main(monkeypatch, script, *arguments):
    monkeypatch.setattr(sys, 'argv', [script.__name__ + '.py', '--cuda', 'false', *map(str, arguments)])
    script.main()


def the_run(runs):
    folder, = runs.iterdir()
    return folder


class Script:
    """A training script in a process of its own. `lines`: what it has said."""

    def __init__(self, script, *arguments):
        command = [sys.executable, script, '--cuda', 'false', *map(str, arguments)]
        self.process = subprocess.Popen(command, cwd=REPOSITORY, text=True, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, start_new_session=True)
        self.lines = []

    def wait_for(self, *texts):
        """Read what it says until a line holds one of `texts`."""
        for line in self.process.stdout:
            self.lines.append(line)
            if any(text in line for text in texts):
                return
        raise AssertionError(f'it ended without saying {" or ".join(texts)}: {"".join(self.lines)}{self.process.stderr.read()}')

    def ctrl_c(self):
        """As in a terminal: every process of the script gets the signal."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self):
        """Its exit code, output and errors."""
        out, errors = self.process.communicate(timeout=WAIT)
        return self.process.returncode, ''.join(self.lines) + out, errors

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # its children too, which would keep the pipes open
        self.process.communicate()


@pytest.fixture(scope='module')
def whole_stage_1(tmp_path_factory, database):
    """The folder of an uninterrupted run of stage 1: 2 epochs of 4 steps."""
    runs = tmp_path_factory.mktemp('whole')
    with Script('train_autoencoder.py', '--path', database, *SMALL, '--epochs', 2, '--save_auto_model', runs) as script:
        code, out, errors = script.end()
    assert code == 0, errors
    assert 'Traceback' not in errors and f'{the_run(runs)}: 2 epochs of 4 steps' in out
    return the_run(runs)


def test_stage_1_interrupted_and_resumed_in_other_processes(tmp_path, database, whole_stage_1, monkeypatch, capsys):
    arguments = ('--path', database, *SMALL, '--epochs', 2, '--save_auto_model', tmp_path)
    with Script('train_autoencoder.py', *arguments) as script:
        script.wait_for('Batch 2/4')
        script.ctrl_c()
        code, out, errors = script.end()
    folder = the_run(tmp_path)
    assert code == 130 and f'stopped; go on with: python train_autoencoder.py --resume {folder}' in out
    assert 'stopping after this step' in errors and 'Traceback' not in errors
    assert 1 + 2 <= len(rows(folder)) < len(rows(whole_stage_1))
    shutil.copytree(database, tmp_path / 'moved' / 'database')
    main(monkeypatch, train_autoencoder, '--resume', folder, '--path', tmp_path / 'moved')
    assert_same_run(folder, whole_stage_1)
    capsys.readouterr()
    main(monkeypatch, train_autoencoder, '--resume', folder)
    assert f'{folder} is finished: 2 epochs are done' in capsys.readouterr().out
    with pytest.raises(UserError, match='batch was 2, and can only become smaller'):
        main(monkeypatch, train_autoencoder, '--resume', folder, '--batch', 3)


def test_stage_1_killed_at_random_moments(tmp_path, database, whole_stage_1, monkeypatch):
    """It saves its state after every step, so that many kills meet it while saving."""
    moments = random.Random(0)
    start = ('--path', database, *SMALL, '--epochs', 2)
    for attempt in range(3):
        with Script('train_autoencoder.py', *(start if attempt == 0 else ('--resume',)), '--save_auto_model', tmp_path,
                    '--save_minutes', 1e-9) as script:
            script.wait_for('Batch', 'is finished')  # a fast machine may be done before the third kill
            time.sleep(moments.uniform(0, 0.4))
            script.process.send_signal(signal.SIGKILL)
            code, _, _ = script.end()
        assert code in (-signal.SIGKILL, 0)
    main(monkeypatch, train_autoencoder, '--resume', the_run(tmp_path))
    assert_same_run(the_run(tmp_path), whole_stage_1)


def test_stage_1_shows_a_bar_on_a_terminal(tmp_path, database):
    ours, theirs = pty.openpty()
    command = [sys.executable, 'train_autoencoder.py', '--cuda', 'false', '--path', database, *SMALL, '--epochs', '1',
               '--save_auto_model', str(tmp_path)]
    process = subprocess.Popen(list(map(str, command)), cwd=REPOSITORY, stdout=theirs, stderr=theirs, close_fds=True)
    os.close(theirs)
    shown = b''
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # the other side is closed
            break
    os.close(ours)
    shown = shown.decode()
    assert process.wait(WAIT) == 0, shown
    assert re.search(r'epoch 1/1: +\d+%', shown) and re.search(r'loss \d+\.\d{3}, lr 0.0001, \d+\.\d images/s', shown)
    assert 'Epoch 1/1' not in shown


def test_stage_1_with_a_learning_rate_that_diverges(tmp_path, database, monkeypatch):
    with pytest.raises(UserError, match='training has gone bad in epoch 1, step .*Images of that batch: .*lwir'):
        main(monkeypatch, train_autoencoder, '--path', database, *SMALL, '--lr', '1e30', '--save_auto_model', tmp_path)
    assert not list(the_run(tmp_path).glob('*.safetensors'))
    assert all(np.isfinite(array).all() for array in load_state(the_run(tmp_path)).arrays.values())


def test_stage_1_on_the_smallest_images(tmp_path, database, monkeypatch):
    main(monkeypatch, train_autoencoder, '--path', database, '--type_flag', 'vi', '--Height', 16, '--Width', 24,
         '--epochs', 1, '--save_auto_model', tmp_path)
    totals = [float(row.split(',')[5]) for row in rows(the_run(tmp_path))[1:]]
    assert len(totals) == 4 and totals[-1] < totals[0]
    metadata = load_weights(the_run(tmp_path) / 'auto_encoder_epoch_1_vi.safetensors').metadata
    assert (metadata['kind'], metadata['modality'], metadata['settings']['Width']) == ('auto_encoder', 'vi', 24)


@pytest.fixture(scope='module')
def encoders(tmp_path_factory):
    """Settings that name two auto-encoders, which were not trained."""
    folder = tmp_path_factory.mktemp('encoders')
    arguments = []
    for seed, modality in enumerate(('ir', 'vi')):
        set_seed(seed)
        path = folder / f'{modality}.safetensors'
        save_weights(path, weights_of(build_auto_encoder()), {'kind': 'auto_encoder', 'modality': modality})
        arguments += [f'--resume_model_auto_{modality}', str(path)]
    return arguments


def test_stage_2_interrupted_and_resumed_in_another_process(tmp_path, database, encoders, monkeypatch):
    arguments = ['--path', str(database), *encoders, '--batch', '1', '--train_num', '6', '--epochs', '1', '--step', '1']
    main(monkeypatch, train_conv_trans, *arguments, '--save_fusion_model', tmp_path / 'whole')
    whole = the_run(tmp_path / 'whole')
    with Script('train_conv_trans.py', *arguments, '--save_fusion_model', tmp_path / 'parts') as script:
        script.wait_for('Batch 1/6')
        script.ctrl_c()
        code, out, errors = script.end()
    folder = the_run(tmp_path / 'parts')
    assert code == 130 and f'--resume {folder}' in out and 'Traceback' not in errors
    assert 1 < len(rows(folder)) < 1 + 6
    main(monkeypatch, train_conv_trans, '--resume', folder)
    assert_same_run(folder, whole)
    assert read_image(folder / 'samples' / 'epoch_1.png').shape == (256, 3 * 256)
    metadata = load_weights(folder / 'fusetrans_epoch_1.safetensors').metadata
    assert (metadata['kind'], metadata['variant'], set(metadata['encoders'])) == ('fusion', 'standard', {'ir', 'vi'})
    copies = {path.name for path in folder.glob('auto_encoder*')}
    assert copies == {'auto_encoder_ir.safetensors', 'auto_encoder_vi.safetensors'}


def test_both_stages_begin_with_given_weights(tmp_path, database, encoders, monkeypatch):
    save_weights(tmp_path / 'run' / 'fusetrans_epoch_2.safetensors', weights_of(build_fusion()),
                 {'kind': 'fusion', 'variant': 'no_gradient_loss', 'options': {'deep_shares': 'bounded'}})
    still = '--path', database, '--batch', 1, '--train_num', 1, '--epochs', 1, '--lr', 1e-12
    for script, given, stage, name in (
            (train_autoencoder, ['--resume_model_auto', encoders[1]], 'save_auto_model', 'auto_encoder_epoch_1_ir'),
            (train_conv_trans, [*encoders, '--resume_model_trans', tmp_path / 'run'], 'save_fusion_model', 'fusetrans_epoch_1')):
        expected = load_weights(given[-1] if Path(given[-1]).is_file() else given[-1] / 'fusetrans_epoch_2.safetensors').arrays
        main(monkeypatch, script, *still, *given, f'--{stage}', tmp_path / stage)
        found = load_weights(the_run(tmp_path / stage) / f'{name}.safetensors').arrays
        trained = [key for key in expected if not re.search('running_|num_batches', key)]
        assert all(np.allclose(found[key], expected[key], rtol=0, atol=1e-9) for key in trained) and trained
    folder = the_run(tmp_path / 'save_fusion_model')
    metadata = load_weights(folder / 'fusetrans_epoch_1.safetensors').metadata  # the network is what its file says
    assert metadata['variant'] == metadata['settings']['variant'] == 'no_gradient_loss' and 'gra_loss' not in rows(folder)[0]
    assert metadata['options']['deep_shares'] == metadata['settings']['deep_shares'] == 'bounded'
    main(monkeypatch, train_conv_trans, '--resume', folder)
    with pytest.raises(UserError, match='holds an auto-encoder; a fusion network is needed'):
        main(monkeypatch, train_conv_trans, *still, *encoders, '--resume_model_trans', encoders[1])


def test_stage_1_from_an_encoder_without_a_decoder(tmp_path, database, encoders, monkeypatch):
    arrays = load_weights(encoders[1]).arrays
    kept = {name: array for name, array in arrays.items() if not name.startswith('recon_decoder1')}
    save_weights(tmp_path / 'small.safetensors', kept, {'kind': 'auto_encoder', 'modality': 'ir'})
    arguments = ['--path', database, *SMALL, '--train_num', 2, '--epochs', 1, '--lr', 1e-12, '--save_auto_model', tmp_path / 'runs']
    start = lambda file, *more: main(monkeypatch, train_autoencoder, *arguments, '--resume_model_auto', file, *more)
    with pytest.raises(UserError) as error:
        start(tmp_path / 'small.safetensors')
    assert all(name in str(error.value) for name in arrays.keys() - kept.keys()) and '--new_decoder' in str(error.value)
    with pytest.raises(UserError, match='small.safetensors was trained on modality ir; the one of vi is needed'):
        start(tmp_path / 'small.safetensors', '--new_decoder', '--type_flag', 'vi')
    save_weights(tmp_path / 'auto_encoder_epoch_4_vi.safetensors', arrays, {})
    with pytest.raises(UserError, match='_vi.safetensors is by its name of modality vi; the one of ir is needed'):
        start(tmp_path / 'auto_encoder_epoch_4_vi.safetensors')
    assert not (tmp_path / 'runs').exists()
    start(tmp_path / 'small.safetensors', '--new_decoder')
    found = load_weights(the_run(tmp_path / 'runs') / 'auto_encoder_epoch_1_ir.safetensors').arrays
    assert found.keys() == arrays.keys() and all(np.allclose(found[name], kept[name], rtol=0, atol=1e-9) for name in kept)
    arguments[-1] = tmp_path / 'again'
    start(the_run(tmp_path / 'runs'))  # a run folder: its last weights
    again = load_weights(the_run(tmp_path / 'again') / 'auto_encoder_epoch_1_ir.safetensors').arrays
    assert all(np.allclose(again[name], found[name], rtol=0, atol=1e-9) for name in found)


def test_both_stages_stretch_infrared_of_16_bits(tmp_path, database, encoders, monkeypatch, capsys):
    for number, (ir, vi) in enumerate(list_pairs(database, 2).items):
        write_image(tmp_path / 'data' / 'ir' / f'{number}.png', (7000 + 5 * read_gray(ir).astype(int)).astype(np.uint16))
        write_image(tmp_path / 'data' / 'vi' / f'{number}.png', read_gray(vi))
    arguments = '--path', tmp_path / 'data', '--batch', 1, '--train_num', 1, '--epochs', 1
    for script, stage, more in ((train_autoencoder, 'save_auto_model', SMALL), (train_conv_trans, 'save_fusion_model', encoders)):
        for ir_range in ([], ['--ir_range', 'auto']):
            folder = tmp_path / f'{stage}{len(ir_range)}'
            main(monkeypatch, script, *arguments, *more, f'--{stage}', folder, *ir_range)
            picture = read_image(the_run(folder) / 'samples' / 'epoch_1.png')
            infrared = picture[:, :picture.shape[0]]
            assert (infrared.max() > 200) == bool(ir_range) and np.ptp(infrared) > 150 * bool(ir_range)
            assert capsys.readouterr().out.count('doubtful: ') == (not ir_range)
    with pytest.raises(UserError, match='ir_range cannot change'):
        main(monkeypatch, train_conv_trans, '--resume', the_run(folder), '--ir_range', 'none')


def test_stage_2_with_features_that_are_kept_is_the_same_run(tmp_path, database, encoders, monkeypatch, capsys):
    arguments = ['--path', database, *encoders, '--batch', 1, '--train_num', 2, '--epochs', 2, '--deep_start', 0,
                 '--deep_shares', 'bounded']
    main(monkeypatch, train_conv_trans, *arguments, '--save_fusion_model', tmp_path / 'computed')
    main(monkeypatch, train_conv_trans, *arguments, '--save_fusion_model', tmp_path / 'kept', '--cache_features', tmp_path / 'features')
    assert capsys.readouterr().out.count('0 of 2 images') == 2  # both modalities
    assert_same_run(the_run(tmp_path / 'kept'), the_run(tmp_path / 'computed'))
    weights = load_weights(the_run(tmp_path / 'kept') / 'fusetrans_epoch_1.safetensors')
    scale = weights.arrays['decoder_fusion.conv_block.4.conv2d.1.weight']
    assert weights.metadata['options']['deep_shares'] == 'bounded'
    assert 0 < np.abs(scale).max() <= 2.1e-3  # two steps of 1e-3 from 0
    with pytest.raises(UserError, match='cache_features and augment exclude each other'):
        main(monkeypatch, train_conv_trans, *arguments, '--augment', '--cache_features', tmp_path / 'features')


# ---- mixed precision


@pytest.mark.parametrize('wanted, device, tensor_cores, said', [
    (True, 'cuda', 1, ''), (False, 'cuda', 0, ''), (False, 'cpu', 0, ''),
    (True, 'cpu', 0, 'mixed_precision = True is for the GPU; on the CPU it is ignored\n')])
def test_the_switch(capsys, wanted, device, tensor_cores, said):
    with jt.flag_scope(use_tensorcore=1 - tensor_cores):
        operators.use_mixed_precision(wanted, device)
        assert jt.flags.use_tensorcore == tensor_cores
    assert capsys.readouterr().out == said


def test_the_layers_are_jittors():
    x = jt.array(np.random.RandomState(0).rand(2, 3, 8, 8).astype(np.float32))
    for ours, jittors in ((layers.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1)),
                          (layers.Linear(8, 5), nn.Linear(8, 5)),
                          (layers.Linear(8, 5, bias=False), nn.Linear(8, 5, bias=False))):
        jittors.load_state_dict(ours.state_dict())
        expected = jittors(x).numpy()
        rounding = 1e-6 * np.abs(expected).max() if isinstance(ours, nn.Conv2d) else 0  # tests/network/test_rounding.py
        assert np.allclose(ours(x).numpy(), expected, rtol=0, atol=rounding)


def test_on_the_cpu_mixed_precision_is_ignored_with_one_line(tmp_path, database, whole_stage_1, monkeypatch, capsys):
    main(monkeypatch, train_autoencoder, '--path', database, *SMALL, '--epochs', 2, '--mixed_precision',
         '--save_auto_model', tmp_path)
    assert capsys.readouterr().out.count('on the CPU it is ignored') == 1
    assert_same_run(the_run(tmp_path), whole_stage_1)
