"""The training scripts, on small scenes, and mixed precision."""
import contextlib
import os
import pty
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY
from fusion_runs import pair_of
from training_runs import assert_same_run, rows, the_run

import train_autoencoder
import train_conv_trans
from network import layers, operators
from tools.base.errors import UserError
from tools.data.images import read_gray, read_image, write_image
from tools.data.kaist import list_pairs
from tools.fusing.fuser import load_fuser
from tools.runtime import jt, nn, set_seed
from tools.weights.checkpoint import load_state, load_weights, save_weights
from tools.weights.networks import build_auto_encoder, build_fusion, weights_of

SMALL = ('--Height', '32', '--Width', '32', '--step', '1')
WAIT = 300  # seconds for a script to say something; the first time Jittor compiles


def main(monkeypatch, script, *arguments):
    monkeypatch.setattr(sys, 'argv', [script.__name__ + '.py', '--cuda', 'false', *map(str, arguments)])
    script.main()


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
    assert code == 130 and f'stopped; to resume, run: python train_autoencoder.py --resume {folder}' in out
    assert 'stopping after this step' in errors and 'Traceback' not in errors
    assert 1 + 2 <= len(rows(folder)) < len(rows(whole_stage_1))
    shutil.copytree(database, tmp_path / 'moved' / 'database')
    main(monkeypatch, train_autoencoder, '--resume', folder, '--path', tmp_path / 'moved')
    assert_same_run(folder, whole_stage_1)
    capsys.readouterr()
    main(monkeypatch, train_autoencoder, '--resume', folder)
    assert f'{folder} has finished its 2 epochs' in capsys.readouterr().out
    with pytest.raises(UserError, match='batch was 2, and can only become smaller'):
        main(monkeypatch, train_autoencoder, '--resume', folder, '--batch', 3)


def test_stage_1_killed_at_random_moments(tmp_path, database, whole_stage_1, monkeypatch):
    """It saves its state after every step, so that many kills meet it while saving."""
    moments = random.Random(0)
    start = ('--path', database, *SMALL, '--epochs', 2)
    for attempt in range(3):
        with Script('train_autoencoder.py', *(start if attempt == 0 else ('--resume',)), '--save_auto_model', tmp_path,
                    '--save_minutes', 1e-9) as script:
            script.wait_for('Batch', 'has finished')  # a fast machine may be done before the third kill
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
    with pytest.raises(UserError, match='training diverged in epoch 1, step .*Images of that batch: .*lwir'):
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
    arguments = ['--path', database, *encoders, '--size', 64, '--batch', 1, '--epochs', 1, '--step', 1]
    main(monkeypatch, train_conv_trans, *arguments, '--save_fusion_model', tmp_path / 'whole')
    whole = the_run(tmp_path / 'whole')
    with Script('train_conv_trans.py', *arguments, '--save_fusion_model', tmp_path / 'parts') as script:
        script.wait_for('Batch 1/8')
        script.ctrl_c()
        code, out, errors = script.end()
    folder = the_run(tmp_path / 'parts')
    assert code == 130 and f'--resume {folder}' in out and 'Traceback' not in errors
    assert 1 < len(rows(folder)) < 1 + 8
    main(monkeypatch, train_conv_trans, '--resume', folder)
    assert_same_run(folder, whole)
    assert read_image(folder / 'samples' / 'epoch_1.png').shape == (64, 3 * 64)
    metadata = load_weights(folder / 'fusetrans_epoch_1.safetensors').metadata
    assert (metadata['kind'], metadata['variant'], set(metadata['encoders'])) == ('fusion', 'standard', {'ir', 'vi'})
    copies = {path.name for path in folder.glob('auto_encoder*')}
    assert copies == {'auto_encoder_ir.safetensors', 'auto_encoder_vi.safetensors'}
    # Fused in windows of 64×64 pixels, six of 4×4 patches.
    assert load_fuser(folder).attention(*pair_of(100, 190))['ir'].shape == (6, 16, 16, 16)


def test_both_stages_begin_with_given_weights(tmp_path, database, encoders, monkeypatch):
    save_weights(tmp_path / 'run' / 'fusetrans_epoch_2.safetensors', weights_of(build_fusion()),
                 {'kind': 'fusion', 'variant': 'no_gradient_loss', 'options': {'deep_shares': 'bounded', 'img_size': 4}})
    # With such a decay Adam's first step takes lr off every weight.
    step = '--path', database, '--batch', 1, '--train_num', 1, '--epochs', 1, '--lr', 1e-3, '--weight_decay', 1e12
    for script, given, stage, name in (
            (train_autoencoder, ['--resume_model_auto', encoders[1]], 'save_auto_model', 'auto_encoder_epoch_1_ir'),
            (train_conv_trans, [*encoders, '--resume_model_trans', tmp_path / 'run'], 'save_fusion_model', 'fusetrans_epoch_1')):
        expected = load_weights(given[-1] if Path(given[-1]).is_file() else given[-1] / 'fusetrans_epoch_2.safetensors').arrays
        main(monkeypatch, script, *step, *given, f'--{stage}', tmp_path / stage)
        found = load_weights(the_run(tmp_path / stage) / f'{name}.safetensors').arrays
        kept = {key for key in expected if np.array_equal(found[key], expected[key])}
        trained = [key for key in expected.keys() - kept if not re.search('running_|num_batches', key)]
        assert len(trained) > 2 * len(kept)
        for key in trained:
            large = np.abs(expected[key]) > 1e-3
            assert np.allclose(found[key][large], (expected[key] - 1e-3 * np.sign(expected[key]))[large], rtol=0, atol=1e-5), key
    folder = the_run(tmp_path / 'save_fusion_model')
    metadata = load_weights(folder / 'fusetrans_epoch_1.safetensors').metadata  # the network is what its file says
    assert metadata['variant'] == metadata['settings']['variant'] == 'no_gradient_loss' and 'gra_loss' not in rows(folder)[0]
    assert metadata['options']['deep_shares'] == metadata['settings']['deep_shares'] == 'bounded'
    assert (metadata['options']['img_size'], metadata['settings']['size']) == (4, 32)
    main(monkeypatch, train_conv_trans, '--resume', folder)
    main(monkeypatch, train_conv_trans, *step, *encoders, '--resume_model_trans', folder, '--size', 64,
         '--save_fusion_model', tmp_path / 'larger')
    larger = load_weights(the_run(tmp_path / 'larger') / 'fusetrans_epoch_1.safetensors').metadata
    assert larger['options']['img_size'] == 8
    save_weights(tmp_path / 'odd', weights_of(build_fusion()),
                 {'kind': 'fusion', 'variant': 'standard', 'options': {'img_size': 5}})
    with pytest.raises(UserError, match='odd was trained on images of 40×40 .* multiple of 32: give --size'):
        main(monkeypatch, train_conv_trans, *step, *encoders, '--resume_model_trans', tmp_path / 'odd')
    with pytest.raises(UserError, match='holds an auto-encoder; a fusion network is needed'):
        main(monkeypatch, train_conv_trans, *step, *encoders, '--resume_model_trans', encoders[1])


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
    for script, stage, more in ((train_autoencoder, 'save_auto_model', SMALL),
                                (train_conv_trans, 'save_fusion_model', [*encoders, '--size', 32])):
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
    arguments = ['--path', database, *encoders, '--size', 32, '--batch', 1, '--train_num', 2, '--epochs', 2,
                 '--deep_start', 0, '--deep_shares', 'bounded']
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
