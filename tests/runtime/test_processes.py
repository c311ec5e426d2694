"""Several processes under mpirun: they give what one gives, stop, go on and fail together; and without mpirun there is no MPI."""
import contextlib
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY
from fusion_runs import pair_of, write_run
from training_runs import the_run

from network.loss import infer_value_range
from tools.base.errors import UserError
from tools.data.images import list_images, read_image, write_image
from tools.data.loader import Batches
from tools.runtime import jt, set_seed
from tools.runtime.processes import by_all, by_first, gather, mean_over_processes
from tools.weights.checkpoint import load_weights, save_weights
from tools.weights.networks import build_auto_encoder, weights_of

STAGE_1, EPOCHS = 'auto_encoder_epoch_10_ir.safetensors', 10  # of 4 steps
WAIT = 600  # seconds; the first time Jittor compiles
NEEDED = [name for name in ('mpirun', 'mpicc') if not shutil.which(name)]
with_mpi = pytest.mark.skipif(bool(NEEDED), reason=f'OpenMPI is not installed: there is no {" or ".join(NEEDED)}')
MPIRUN = ['mpirun', '--oversubscribe', '--bind-to', 'none']  # test machines may have one core
AS_ROOT = {'OMPI_ALLOW_RUN_AS_ROOT': '1', 'OMPI_ALLOW_RUN_AS_ROOT_CONFIRM': '1'}


@contextlib.contextmanager
def started(processes, script, *arguments, **variables):
    """A script as so many processes under mpirun, or without it as one; variables: of its environment."""
    command = [sys.executable, script, *map(str, arguments)]
    if processes > 1:
        command = [*MPIRUN, '-np', str(processes), *command]
    variables = {**os.environ, **AS_ROOT, **variables}
    with subprocess.Popen(command, cwd=REPOSITORY, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=variables) as process:
        try:
            yield process
        finally:
            process.kill()


def run(processes, script, *arguments, code=0, **variables):
    """Run a script as in `started`, to its end, and give back what it printed and what errors."""
    with started(processes, script, *arguments, **variables) as process:
        out, errors = process.communicate(timeout=WAIT)
    assert process.returncode == code and 'Traceback' not in errors, out + errors
    return out.replace('\r\n', '\n'), errors


def stage_1(database, runs):
    # Long enough not to be over before it is stopped, at a rate at which rounding does not add up.
    return ('train_autoencoder.py', '--cuda', 'false', '--path', database, '--Height', 32, '--Width', 32, '--step', 1,
            '--epochs', EPOCHS, '--lr', 1e-5, '--ssim_val_range', 'none', '--save_auto_model', runs)


@pytest.fixture(scope='module')
def whole(tmp_path_factory, database):
    """The folder of stage 1 by one process."""
    runs = tmp_path_factory.mktemp('whole')
    run(1, *stage_1(database, runs))
    return the_run(runs)


def losses(folder):
    """All numbers of losses.csv but the speed: (steps, columns)."""
    with open(folder / 'losses.csv', newline='') as file:
        return np.array([row[:-1] for row in list(csv.reader(file))[1:]], float)


def assert_same_run(folder, expected, weights):
    """The same losses and weights to rounding.

    But for a few weights: where a gradient is all rounding, Adam takes a whole step, up or down.
    """
    np.testing.assert_allclose(losses(folder), losses(expected), rtol=1e-3)
    got, want = load_weights(folder / weights).arrays, load_weights(expected / weights).arrays
    assert {name: array.shape for name, array in got.items()} == {name: array.shape for name, array in want.items()}
    close = {name: np.isclose(got[name], want[name], rtol=1e-3, atol=1e-3 * np.abs(want[name]).max()) for name in want}
    assert all(np.allclose(got[name], want[name], rtol=1e-3, atol=1e-3) for name in want if 'running_' in name)
    assert np.mean(np.concatenate([near.reshape(-1) for near in close.values()])) > 0.999


def names_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*') if not path.match('state_*'))


# ---- training

@with_mpi
def test_stage_1_shared_by_two_is_that_of_one(tmp_path, database, whole):
    out, errors = run(2, *stage_1(database, tmp_path))
    folder = the_run(tmp_path)
    assert_same_run(folder, whole, STAGE_1)
    assert names_in(folder) == names_in(whole)
    assert out.count('2 processes share each batch') == 1 and out.count(f'{folder}: {EPOCHS} epochs of 4 steps') == 1
    assert len(re.findall('Batch 1/4', out)) == EPOCHS and 'Batch' not in errors  # a line in each epoch


@with_mpi
def test_stage_2_shared_by_two_is_that_of_one(tmp_path, database):
    for seed, modality in enumerate(('ir', 'vi')):
        set_seed(seed)
        save_weights(tmp_path / modality, weights_of(build_auto_encoder()), {'kind': 'auto_encoder', 'modality': modality})
    for processes in (1, 2):
        run(processes, 'train_conv_trans.py', '--cuda', 'false', '--path', database, '--batch', 2, '--train_num', 4,
            '--size', 64, '--epochs', 1, '--step', 1, '--resume_model_auto_ir', tmp_path / 'ir',
            '--resume_model_auto_vi', tmp_path / 'vi', '--save_fusion_model', tmp_path / f'by_{processes}',
            '--cache_features', tmp_path / f'features_{processes}')
    one, two = (the_run(tmp_path / f'by_{processes}') for processes in (1, 2))
    assert_same_run(two, one, 'fusetrans_epoch_1.safetensors')
    assert names_in(two) == names_in(one)
    for path in (tmp_path / 'features_1').glob('*.npy'):
        np.testing.assert_allclose(np.load(tmp_path / 'features_2' / path.name), np.load(path), rtol=1e-4, atol=1e-4)


def until(process, text):
    """Read what a process prints until a line holds the text."""
    said = ''
    for line in process.stdout:
        said += line
        if text in line:
            return
    raise AssertionError(said + process.stderr.read())


@with_mpi
def test_two_stop_together_and_one_goes_on(tmp_path, database, whole):
    with started(2, *stage_1(database, tmp_path)) as process:
        until(process, 'Batch 2/4')
        process.send_signal(signal.SIGUSR1)
        out, errors = process.communicate(timeout=WAIT)
    folder = the_run(tmp_path)
    assert process.returncode == 130 and f'--resume {folder}' in out and errors.count('stopping after this step') == 1, out + errors
    assert 2 <= len(losses(folder)) < len(losses(whole)) and 'Traceback' not in errors
    run(1, 'train_autoencoder.py', '--cuda', 'false', '--resume', folder)
    assert_same_run(folder, whole, STAGE_1)


def one_dies(mpirun):
    children = Path(f'/proc/{mpirun.pid}/task/{mpirun.pid}/children').read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)


@with_mpi
@pytest.mark.parametrize('end', [one_dies, lambda mpirun: mpirun.send_signal(signal.SIGINT)], ids=['one dies', 'Ctrl-C'])
def test_when_mpirun_kills_them_two_go_on_from_the_state(tmp_path, database, whole, end):
    with started(2, *stage_1(database, tmp_path), '--save_minutes', 1e-9) as process:
        until(process, 'Batch 2/4')
        end(process)
        _, errors = process.communicate(timeout=WAIT)
    assert process.returncode and 'Traceback' not in errors
    folder = the_run(tmp_path)
    run(2, 'train_autoencoder.py', '--cuda', 'false', '--resume', folder)
    assert_same_run(folder, whole, STAGE_1)


@with_mpi
@pytest.mark.parametrize('arguments, variables, said', [
    (('train_autoencoder.py', '--batch', 3), {}, '2 processes cannot share batches of 3 equally'),
    (('train_autoencoder.py', '--batch', 2), {'mpicc_path': '/nowhere/mpicc'}, '"/nowhere/mpicc" was not found'),
    (('plot_loss_curves.py', '--output', 'not_made'), {}, 'this script is for one process'),
])
def test_what_several_processes_cannot_do_is_refused_in_one_line(database, arguments, variables, said):
    script, *rest = arguments
    paths = ('--cuda', 'false', '--path', database) if script.startswith('train') else ()
    _, errors = run(2, script, *paths, *rest, code=1, **variables)
    line, = (line for line in errors.splitlines() if line.startswith('error: '))
    assert said in line and not (REPOSITORY / 'not_made').exists()


@with_mpi
def test_a_disk_that_fails_in_the_first_ends_all(tmp_path, database):
    (tmp_path / 'file').write_text('')
    _, errors = run(2, *stage_1(database, tmp_path / 'file'), code=1)
    assert len(re.findall('^error: cannot make .*file', errors, re.MULTILINE)) == 1


def test_another_mpi_is_refused(database):
    _, errors = run(1, 'train_autoencoder.py', '--path', database, code=1, PMI_SIZE='2')
    assert errors == 'error: Jittor knows no MPI but OpenMPI: start this with its mpirun\n'


# ---- fusing and evaluating

@with_mpi
def test_fusing_and_evaluating_are_shared_and_give_the_same(tmp_path):
    write_run(tmp_path / 'model')
    for number in range(3):
        for folder, image in zip(('ir', 'vis'), pair_of(40, 56, number)):
            write_image(tmp_path / 'images' / folder / f'{number}.png', image)
    (tmp_path / 'images' / 'ir' / '3.png').write_text('no image')
    shutil.copy(tmp_path / 'images' / 'vis' / '2.png', tmp_path / 'images' / 'vis' / '3.png')
    sources = '--ir', tmp_path / 'images' / 'ir', '--vi', tmp_path / 'images' / 'vis'
    for processes in (1, 2):
        out, errors = run(processes, 'test_conv_trans.py', '--cuda', 'false', '--model', tmp_path / 'model', *sources, '--contact_sheet',
                          '--out', tmp_path / f'fused_{processes}', code=1)
        assert '3 images fused into' in out and errors.count('3.png left out: ') == 1
        out, errors = run(processes, 'evaluate_fusion_results.py', *sources, '--fused', tmp_path / f'fused_{processes}', '--metrics', 'EN',
                          'SD', '--names', 'ours', '--workers', 1, '--out', tmp_path / f'scores_{processes}', code=1)
        assert out.count('tables: ') == 1 and errors.count('no fused image of 3.png') == 1
    assert names_in(tmp_path / 'fused_2') == names_in(tmp_path / 'fused_1')
    for path in list_images(tmp_path / 'fused_1'):
        np.testing.assert_allclose(read_image(tmp_path / 'fused_2' / path.name).astype(int), read_image(path), atol=1)
    assert names_in(tmp_path / 'scores_2') == names_in(tmp_path / 'scores_1')
    assert 'ours' in (tmp_path / 'scores_2' / 'scores.csv').read_text(encoding='utf-8-sig')


# ---- the parts

def together():
    """Run by each of two processes: prints, in the first, what went wrong."""
    sys.stdout.flush()
    values, inputs = gather({'number': jt.rank}), jt.array([jt.rank + 1.0, 2.0])
    mean = mean_over_processes(inputs)
    gradient = jt.grad((mean * mean * inputs).sum(), inputs)
    checks = {
        'gather': values == [{'number': 0}, {'number': 1}],
        'by_first': by_first(lambda: jt.rank) == 0,
        'by_all': by_all(lambda items: [item ** 2 for item in items], list(range(5))) == [0, 1, 4, 9, 16],
        'mean': mean.numpy().tolist() == [1.5, 2],
        # (1·m² + 2·m²)/2 with m = (1 + 2)/2: the derivative of the mean of both, times 2, by the one's own share of it
        'gradient': gradient.numpy().tolist() == [1.5 ** 2 + 1.5 * 3, 12],
        'range': infer_value_range(jt.array([200.0 if jt.rank else 0.5])).item() == 255,
    }
    print(json.dumps([name for name, good in checks.items() if not good] + gather([])))


@with_mpi
def test_what_two_processes_tell_each_other():
    out, _ = run(2, __file__, PYTHONPATH=f'{REPOSITORY}:{REPOSITORY / "tests"}')
    assert out.count('[[], []]') == 2, out


def test_without_mpirun_there_is_one_process_and_no_mpi():
    assert not jt.in_mpi and jt.mpi is None
    x = jt.array([1.0])
    assert mean_over_processes(x) is x
    assert gather(Path('a')) == [Path('a')] and by_first(Path, 'a') == Path('a') and by_all(sorted, [1, 2]) == [1, 2]


def test_shares_make_up_the_batch(tmp_path):
    items = [(tmp_path / f'{number}.png',) for number in range(9)]
    for number, (path,) in enumerate(items):
        write_image(path, np.full((4, 4), number, np.uint8))
    whole, *parts = (list(Batches(items, 4, (4, 4), augment=True, share=share, shares=shares).epoch(1))
                     for share, shares in ((0, 1), (0, 2), (1, 2)))
    assert len(whole) == 2
    for batch, *shares in zip(whole, *parts):
        assert np.array_equal(np.concatenate([share.arrays[0] for share in shares]), batch.arrays[0])
        assert sum((share.paths for share in shares), []) == batch.paths
    with pytest.raises(UserError, match='3 processes cannot share batches of 4 equally'):
        Batches(items, 4, shares=3)


if __name__ == '__main__':
    together()
