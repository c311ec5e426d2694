"""A run goes on with the same data, wherever it lies, and with no other."""
import os
import signal

import numpy as np
import pytest
from training_runs import STEPS, assert_same_run, ctrl_c_in, interrupted, rows, tiny_run

import args_auto
from tools.base.errors import UserError
from tools.data.frames import check_frames, note_frames
from tools.data.images import write_image
from tools.data.loader import Batches


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
    assert 'the batch size is 2; it was 3' in capsys.readouterr().out
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
