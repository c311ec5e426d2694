"""Settings of training: what is refused, and what a resumed run takes from before."""
import dataclasses
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from training_runs import ctrl_c_in, given, interrupted, tiny_run

import args_auto
import args_trans
import train_autoencoder
import train_conv_trans
from tools.base.errors import UserError
from tools.base.script import run_script
from tools.training.run_folder import find_run, new_run_folder, read_settings, save_settings

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
    ('stage 2', ['--size', '100'], 'setting size must be a multiple of 32, not 100'),
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
    assert auto.Height == auto.Width == trans.size == 256
    for settings in (auto, trans):
        assert settings.weight_decay == 0.9 and settings.train_num_from == 'first'
        assert not (settings.augment or settings.cache or settings.tensorboard or settings.mixed_precision)


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
    only = rf'{change[0][2:]} cannot change within a run, only path, ir, vi, .*workers, cache, epochs, batch'
    saved = json.loads((stopped / 'settings.json').read_text())
    del saved[change[0][2:]]  # as in a run from when there was no such setting: it had the default
    for settings in (None, saved):
        if settings:
            (stopped / 'settings.json').write_text(json.dumps(settings))
        with pytest.raises(UserError, match=only):
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
    # The settings of the start may be given again
    for same in (tmp_path / 'project' / 'weights', '../project/weights'):
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
