"""What a run writes into its folder, and shows."""
import io
import os
import re
import sys
import types

import numpy as np
import pytest
from conftest import assert_end, threads
from training_runs import STEPS, ctrl_c_in, interrupted, rows, tiny_run

import args_auto
import tools.data.test_images
from tools.base.errors import UserError
from tools.base.script import run_script
from tools.curves.reading import read_runs
from tools.data.images import read_image
from tools.data.loader import Batches
from tools.data.training_list import entry_of, read_list, sha256_of
from tools.weights.checkpoint import load_weights


def test_broken_images_are_named_and_in_the_summary_also_after_going_on(tmp_path, items, capsys):
    broken = list(Batches(items, 2, (16, 16), args_auto.Args().seed).epoch(0))[1].paths[0][0]  # in the second step
    broken.write_bytes(broken.read_bytes()[:60])
    interrupted(tmp_path / 'run', items, ctrl_c_in(3))
    assert f'left out: {broken}' in capsys.readouterr().out
    tiny_run(tmp_path / 'run', items)
    out = capsys.readouterr().out
    assert 'left out: ' not in out  # said already
    summary = (tmp_path / 'run' / 'summary.txt').read_text()
    assert 'images left out because they could not be read: 1' in summary and str(broken) in summary and summary in out


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
    # A run that was stopped before its list was whole
    tiny_run(tmp_path / 'run', items, path=[str(tmp_path)], epochs=3)
    assert read_list(tmp_path / 'run' / 'training_list.tsv') == listed
    assert_end(threads() - before)


def test_a_run_does_not_go_on_with_other_losses(tmp_path, items):
    interrupted(tmp_path / 'run', items, ctrl_c_in(3))
    path = tmp_path / 'run' / 'losses.csv'
    before = path.read_text().replace('ssim_loss', 'mean_loss')
    path.write_text(before)
    with pytest.raises(UserError, match='losses.csv has other losses, step,epoch,lr,recon_loss,mean_loss.*start a new'):
        tiny_run(tmp_path / 'run', items)
    assert path.read_text() == before


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
