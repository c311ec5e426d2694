"""Numbers that go bad, full disks, memory that runs out: the last good state stays."""
import contextlib
import errno
import os
import signal

import numpy as np
import pytest
from conftest import full_disk
from training_runs import STEPS, assert_same_run, rows, tiny_run

import args_auto
from tools.base.errors import UserError
from tools.data.loader import Batches
from tools.weights.checkpoint import load_state


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
    with pytest.raises(UserError, match='^there was not enough memory in epoch 2, step 2: [^\n]* --resume [^\n]*$'):
        tiny_run(tmp_path / 'run', items, fail)
    tiny_run(tmp_path / 'run', items)
    assert_same_run(tmp_path / 'run', whole)
