"""A run is stopped anywhere, and goes on as if it had not been."""
import os
import signal

import pytest
from conftest import assert_end, threads
from training_runs import STEPS, assert_same_run, ctrl_c_in, interrupted, log, rows, tiny_run

import tools.training.state
from tools.base.errors import UserError


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
    assert 'has finished its 2 epochs' in out and '--epochs 3' in out and 'training on' not in out
    tiny_run(whole, items, epochs=4)
    assert rows(whole) == rows(tmp_path / 'long')
    assert [line.split()[1] for line in log(whole)] == ['1/2'] * 3 + ['2/2'] * 3 + ['3/4'] * 3 + ['4/4'] * 3
