"""Loss curves: every format read, damage said, figures drawn, and the script as a user calls it."""
import os
import subprocess
import sys
import warnings

import cv2
import numpy as np
import pandas as pd
import pytest
import scipy.io
from conftest import REPOSITORY

from tools.base.errors import UserError
from tools.base.figures import save_figure
from tools.curves.figures import Panel, Style, loss_figure, loss_panels
from tools.curves.reading import (
    AUTOENCODER,
    FUSION,
    UNKNOWN,
    Run,
    epoch_means,
    newest_runs,
    read_runs,
    relative_difference,
    smoothed,
)

AUTO_HEADER = 'step,epoch,lr,recon_loss,ssim_loss,total_loss,images_per_second'
FUSION_HEADER = 'step,epoch,lr,pix_loss,gra_loss,total_loss,images_per_second'
OUR_LINE = ('Sun Nov 22 10:15:00 2026 - Epoch {}/4 - Batch {}/100 - lr:0.000100 - recon loss: {:.6f} - ssim loss: 2.0 '
            '- total loss: {:.6f}\n')
# As the original's stage 2 prints it: over two lines, with losses that are not in use.
ORIGINAL_ENTRY = ('Tue May 14 10:00:00 2024 - Epoch {}/16 - Batch {}/50 - lr:0.000100 - pix loss: {:.6f} - gra loss: '
                  '5.250000 - mean loss:0.000000 - shallow loss: 0.000000 - middle loss: 0.000000\n'
                  'deep loss: 0.000000 - fea loss: 0.000000 \t total loss: {:.6f} \n\n')
DEBUG_LINE = '[DEBUG] batch 1 pix_loss: 99.000, gra_loss: 99.000, total_loss: 99.000\n'  # the Jittor port's


def autoencoder_csv(steps=12, per_epoch=4):
    rows = [f'{step},{(step - 1) // per_epoch + 1},0.0001,{100 / step},{1 / step},{101 / step},9.5'
            for step in range(1, steps + 1)]
    return '\n'.join([AUTO_HEADER, *rows]) + '\n'


def fusion_csv(steps=12, factor=1.0):
    rows = [f'{step},{(step - 1) // 4 + 1},0.0001,{factor * 50 / step},{5 / step},{factor * 100 / step},3.0'
            for step in range(1, steps + 1)]
    return '\n'.join([FUSION_HEADER, *rows]) + '\n'


def make_run(folder, text, when=None):
    folder.mkdir(parents=True)
    (folder / 'losses.csv').write_text(text)
    if when is not None:
        os.utime(folder / 'losses.csv', (when, when))
    return folder


def read_one(path) -> Run:
    run, = read_runs(path)
    return run


# ---- reading

def test_csv(tmp_path):
    run = read_one(make_run(tmp_path / 'ir_20261122_101500', autoencoder_csv()))
    assert (run.name, run.stage, run.notes) == ('ir_20261122_101500', AUTOENCODER, [])
    assert list(run.losses.index) == list(range(1, 13))
    assert list(run.losses['epoch']) == [1] * 4 + [2] * 4 + [3] * 4
    np.testing.assert_allclose(run.losses['recon loss'], 100 / np.arange(1, 13))
    np.testing.assert_allclose(run.losses['ssim loss'], 1 / np.arange(1, 13))
    np.testing.assert_allclose(run.losses['total loss'], 101 / np.arange(1, 13))
    assert set(run.losses) == {'epoch', 'lr', 'recon loss', 'ssim loss', 'total loss'}


def test_csv_by_its_own_name_and_with_fewer_columns(tmp_path):
    path = tmp_path / 'pytorch.csv'
    path.write_text('step,total_loss\n1,3.5\n2,2.5\n')
    run = read_one(path)
    assert (run.name, run.stage) == ('pytorch', UNKNOWN)
    assert list(run.losses['total loss']) == [3.5, 2.5] and list(run.losses['epoch']) == [1, 1]


def test_csv_is_preferred_to_the_log(tmp_path):
    folder = make_run(tmp_path / 'run', autoencoder_csv())
    (folder / 'train.log').write_text(OUR_LINE.format(1, 1, 7, 7))
    assert len(read_one(folder).losses) == 12


def test_csv_cut_off_within_a_line(tmp_path):
    whole = autoencoder_csv()
    run = read_one(make_run(tmp_path / 'a', whole + '13,4,0.0001,7.6'))
    assert len(run.losses) == 12 and 'cut off' in run.notes[0]
    run = read_one(make_run(tmp_path / 'b', whole + '13,4,0.0001,7.6,1.1,8.7,9'))  # the last number may go on
    assert len(run.losses) == 12 and 'cut off' in run.notes[0]


def test_csv_with_damaged_lines(tmp_path):
    lines = autoencoder_csv().splitlines()
    lines[3:3] = ['x,y,z', '3,1,0.1,4', 'nan,1,0.0001,1,1,2,3', '\0\0\0', '1,2,3,4,5,6,7,8']
    run = read_one(make_run(tmp_path / 'a', '\n'.join(lines) + '\n'))
    assert len(run.losses) == 12 and run.notes == ['4 damaged or foreign lines are left out']


OTHERS = {  # name of the file → its content, and the losses in it, as (step, epoch) → value
    'run-a-tag-total_loss.csv': ('Wall time,Step,Value\n1.7e9,0,3.5\n1.7e9,1,2.5\n', 'total loss', {(1, 1): 3.5, (2, 1): 2.5}),
    'run-a-tag-train_pix_loss.csv': ('Wall time,Step,Value\n1.7e9,10,3.5\n1.7e9,20,2.5\n', 'pix loss', {(10, 1): 3.5, (20, 1): 2.5}),
    'metrics.csv': ('epoch,lr-Adam,step,train_loss,val_loss\n0,,49,3.5,\n0,,49,,4.5\n1,,99,2.5,\n1,,99,,3\n',
                    'total loss', {(49, 1): 3.5, (99, 2): 2.5}),
    'metrics_by_step.csv': ('epoch,step,train_loss_epoch,train_loss_step\n0,49,,3.5\n1,99,,2.5\n',
                            'total loss', {(49, 1): 3.5, (99, 2): 2.5}),
    'wandb_panel.csv': ('"Step","calm-fox-3 - train/total_loss","calm-fox-3 - train/total_loss__MIN","calm-fox-3 - train/total_loss__MAX"\n'
                        '"1","3.5","3.4","3.6"\n"2","2.5","2.5","2.5"\n', 'total loss', {(1, 1): 3.5, (2, 1): 2.5}),
    'wandb_history.csv': ('_step,_runtime,_timestamp,epoch,state,train/loss\n1,0.1,1.7e9,1,running,3.5\n2,0.2,1.7e9,1,running,2.5\n',
                          'total loss', {(1, 1): 3.5, (2, 1): 2.5}),
    'keras.csv': ('epoch;learning_rate;loss;val_loss\n0;0.001;3.5;NA\n1;0.001;2.5;1\n', 'total loss', {(1, 1): 3.5, (2, 2): 2.5}),
    'pandas.csv': (',step,Total_Loss\n0,10,3.5\n1,20,2.5\n', 'total loss', {(10, 1): 3.5, (20, 1): 2.5}),
    'pandas_index.csv': (',epoch,PixLoss\n0,1,3.5\n1,1,2.5\n', 'pix loss', {(1, 1): 3.5, (2, 1): 2.5}),
    'excel.csv': ('Step;Epoch;Total Loss;Note\n1;1;3,5;\n2;1;1.002,5;\n', 'total loss', {(1, 1): 3.5, (2, 1): 1002.5}),
    'quoted.csv': ('STEP,LOSS\n1,"3,5"\n2,"2,5"\n', 'total loss', {(1, 1): 3.5, (2, 1): 2.5}),
    'tabs.tsv': ('Iteration\tLoss\n1\t3.5\n2\t2.5\n', 'total loss', {(1, 1): 3.5, (2, 1): 2.5}),
    'tabs.txt': ('step\ttotal-loss\n1\t3.5\n2\t2.5\n', 'total loss', {(1, 1): 3.5, (2, 1): 2.5}),
    'batches.csv': ('epoch,batch,loss\n1,1,3.5\n1,2,2.5\n2,1,1.5\n', 'total loss', {(1, 1): 3.5, (2, 1): 2.5, (3, 2): 1.5}),
    'only.csv': ('loss\n3.5\n2.5\n', 'total loss', {(1, 1): 3.5, (2, 1): 2.5}),
}


@pytest.mark.parametrize('name', OTHERS)
@pytest.mark.parametrize('line_end', ['\n', '\r\n'])
def test_tables_of_other_tools(tmp_path, name, line_end):
    text, loss, expected = OTHERS[name]
    (tmp_path / name).write_text(text.replace('\n', line_end), encoding='utf-8-sig', newline='')
    run = read_one(tmp_path / name)
    losses = run.losses[loss].dropna()
    assert dict(zip(zip(losses.index, run.losses['epoch']), losses)) == expected
    assert not [note for note in run.notes if 'damaged' in note or 'go back' in note], run.notes


def test_validation_losses_of_lightning_stand_beside_those_of_training(tmp_path):
    (tmp_path / 'metrics.csv').write_text(OTHERS['metrics.csv'][0])
    losses = read_one(tmp_path).losses  # a folder of Lightning, too
    assert list(losses['val loss']) == [4.5, 3] and list(losses['total loss']) == [3.5, 2.5]


def test_several_runs_in_an_export_keep_their_names(tmp_path):
    (tmp_path / 'a.csv').write_text('Step,one - loss,two - loss\n1,3,4\n2,2,3\n')
    losses = read_one(tmp_path / 'a.csv').losses
    assert list(losses['one - loss']) == [3, 2] and list(losses['two - loss']) == [4, 3]


@pytest.mark.parametrize('name, text, found', [
    ('a.csv', 'name,score\nx,y\n', 'of its columns none is of a loss with values: name, score; looked for'),
    ('a.csv', 'step,epoch,lr\n1,1,0.1\n', 'of its columns none is of a loss with values: step, epoch, lr'),
    ('a.csv', 'step,loss\n1,\n2,\n', 'of its columns none is of a loss'),
    ('a.json', '[[1.7e9, 1, 3.5]]', 'looked for a table .* it begins with .*1.7e9, 1, 3.5'),
    ('a.log', 'iteration 5 | L1 3.2\n', "looked for .*Epoch 1/4 .* it begins with 'iteration 5"),
    ('events.out.tfevents.17.host.0', 'x', 'is an event file of TensorBoard: let it write'),
])
def test_what_was_looked_for_and_what_was_found_is_said(tmp_path, name, text, found):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=found):
        read_runs(tmp_path / name)


def test_resumed_run_whose_steps_overlap(tmp_path):
    first, again = autoencoder_csv(12).splitlines(), fusion_csv()
    resumed = [f'{step},3,0.0001,1,2,3,9' for step in range(9, 11)]
    run = read_one(make_run(tmp_path / 'a', '\n'.join(first + resumed) + '\n'))
    assert list(run.losses.index) == list(range(1, 11))
    assert list(run.losses['total loss'])[-2:] == [3, 3] and run.losses['total loss'][8] == pytest.approx(101 / 8)
    assert 'steps go back' in run.notes[0] and ' 4 earlier ones' in run.notes[0]
    # Two files joined: the header comes again.
    run = read_one(make_run(tmp_path / 'b', again + again))
    assert len(run.losses) == 12 and ' 12 earlier ones' in run.notes[0]


def test_losses_that_are_no_numbers_stay_and_are_said(tmp_path):
    text = autoencoder_csv() + '13,4,0.0001,nan,nan,nan,9\n14,4,0.0001,1,1,inf,9\n'
    run = read_one(make_run(tmp_path / 'a', text))
    assert len(run.losses) == 14 and run.notes == ['2 of its steps have a loss that is missing or not a finite number']


def test_our_text_log(tmp_path):
    lines = [OUR_LINE.format(epoch, batch, batch, batch + 2) for epoch in (1, 2) for batch in (50, 100)]
    path = tmp_path / 'vi_run' / 'train.log'
    path.parent.mkdir()
    path.write_text('settings: …\n' + ''.join(lines), encoding='utf-8')
    for source in (path, path.parent):
        run = read_one(source)
        assert (run.name, run.stage, run.notes) == ('vi_run', AUTOENCODER, [])
        assert list(run.losses.index) == [50, 100, 150, 200] and list(run.losses['epoch']) == [1, 1, 2, 2]
        assert list(run.losses['recon loss']) == [50, 100, 50, 100] and list(run.losses['total loss']) == [52, 102, 52, 102]
        assert set(run.losses['lr']) == {1e-4}


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
@pytest.mark.parametrize('line_end', ['\n', '\r\n'])
def test_original_and_port_text_log(tmp_path, encoding, line_end):
    text = 'Start training.....\n' + DEBUG_LINE + ''.join(
        ORIGINAL_ENTRY.format(epoch, batch, 1000 / batch, 2000 / batch) + DEBUG_LINE
        for epoch in (1, 2) for batch in (10, 20, 30, 40, 50)) + 'Done, TransFuse training phase.\n'
    path = tmp_path / 'train_transfuse.log'
    path.write_bytes(text.replace('\n', line_end).encode(encoding))
    run = read_one(path)
    assert (run.name, run.stage) == ('train_transfuse', FUSION)
    assert run.notes == ['0 at every step, and left out: mean loss, shallow loss, middle loss, deep loss, fea loss']
    assert list(run.losses.index) == list(range(10, 101, 10))
    np.testing.assert_allclose(run.losses['pix loss'], np.tile([100, 50, 33.333333, 25, 20], 2))
    np.testing.assert_allclose(run.losses['total loss'], np.tile([200, 100, 66.666667, 50, 40], 2))
    assert set(run.losses['gra loss']) == {5.25} and set(run.losses) == {'epoch', 'lr', 'pix loss', 'gra loss', 'total loss'}


def test_text_log_cut_off_anywhere(tmp_path):
    """However much of the last entry is there, the earlier ones are read, and it is never read wrongly."""
    first, last = ORIGINAL_ENTRY.format(1, 10, 7, 8), ORIGINAL_ENTRY.format(1, 20, 70, 80)
    path = tmp_path / 'run.log'
    for length in range(len(last)):
        path.write_text(first + last[:length])
        losses = read_one(path).losses
        assert losses['total loss'][10] == 8
        assert len(losses) == 1 or losses['total loss'][20] == 80
        begun = 'Batch 20/5' in last[:length]
        assert ('cut off' in read_one(path).notes[0]) == (begun and len(losses) == 1)


def test_log_with_nan_and_exponents(tmp_path):
    path = tmp_path / 'run.log'
    path.write_text(OUR_LINE.format(1, 1, float('nan'), float('nan')) +
                    OUR_LINE.format(1, 2, 1, 1).replace('1.000000', '1.5e-05'))
    run = read_one(path)
    assert np.isnan(run.losses['total loss'][1]) and run.losses['total loss'][2] == 1.5e-5
    assert run.stage == AUTOENCODER and 'not a finite number' in run.notes[0]


def test_log_that_mixes_both_stages(tmp_path):
    path = tmp_path / 'nohup.out'
    path.write_text(OUR_LINE.format(1, 10, 3, 5) + OUR_LINE.format(1, 20, 2, 4) + ORIGINAL_ENTRY.format(1, 10, 7, 8))
    auto, fusion = read_runs(path)
    assert (auto.name, auto.stage) == ('nohup (autoencoder)', AUTOENCODER)
    assert (fusion.name, fusion.stage) == ('nohup (fusion)', FUSION)
    assert list(auto.losses['total loss']) == [5, 4] and list(fusion.losses['total loss']) == [8]
    assert 'several kinds (autoencoder, fusion)' in auto.notes[0] and auto.notes[0] == fusion.notes[0]


def test_losses_of_any_name_are_read_and_drawn(tmp_path):
    """In stage 2 an SSIM loss instead of that of gradients, and two of which nothing is known here."""
    names = 'pix_loss', 'ssim_loss', 'perceptual_loss', 'KL', 'total_loss'
    rows = [f'{step},1,0.001,{step + 1},{step + 2},{step + 3},{step + 4},{step + 5},9.5' for step in range(1, 11)]
    folder = make_run(tmp_path / 'fuse', '\n'.join([f'step,epoch,lr,{",".join(names)},images_per_second', *rows]) + '\n')
    log = tmp_path / 'log' / 'train.log'
    log.parent.mkdir()
    log.write_text(''.join(f'Thu Nov 26 00:01:12 2026 - Epoch 1/2 - Batch {step}/10 - lr:0.001000 - pix loss: {step + 1}.0 - '
                           f'ssim loss: {step + 2}.0 - perceptual loss: {step + 3}.0 - KL: {step + 4}.0 - total loss: {step + 5}.0 '
                           '- 9.5 images/s - 0:10 left in this epoch\n' for step in range(1, 11)))
    from_csv, from_log = read_one(folder), read_one(log)
    assert from_csv.stage == from_log.stage == FUSION and from_csv.notes == from_log.notes == []
    assert from_csv.loss_names == from_log.loss_names == ['total loss', 'pix loss', 'ssim loss', 'perceptual loss', 'kl']
    assert list(from_csv.losses['kl']) == list(range(5, 15)) and from_csv.losses.equals(from_log.losses)
    assert list(epoch_means(from_csv)) == ['steps', 'lr', *from_csv.loss_names]
    figure = loss_figure('t', loss_panels([from_csv]), Style())
    assert [axes.get_title() for axes in figure.axes] == ['total loss', 'pixel loss', 'SSIM loss', 'perceptual loss', 'kl']


def test_stage_2_without_gradient_loss(tmp_path):
    header = 'step,epoch,lr,pix_loss,total_loss,images_per_second'
    run = read_one(make_run(tmp_path / 'fuse', f'{header}\n1,1,0.001,3,3,9.5\n'))
    assert run.stage == FUSION and run.loss_names == ['total loss', 'pix loss']


def test_original_mat_files(tmp_path):
    folder = tmp_path / 'transfuse'
    (folder / 'loss').mkdir(parents=True)
    total = 100 / np.arange(1, 13)
    for epoch in range(3):  # each holds the steps of the epochs before it too
        so_far = list(total[:4 * (epoch + 1)])
        scipy.io.savemat(folder / 'loss' / f'loss_data_trans_e{epoch}.mat', {'loss_data': so_far})
    run = read_one(folder)
    assert (run.name, run.stage) == ('transfuse', UNKNOWN)
    np.testing.assert_allclose(run.losses['total loss'], total)
    assert list(run.losses['epoch']) == [1] * 4 + [2] * 4 + [3] * 4 and list(run.losses.index) == list(range(1, 13))
    port = tmp_path / 'loss_data_autoencoder_pytorch_e9_session_20260219_164733.mat'
    scipy.io.savemat(port, {'loss_data': list(np.arange(20.0))})
    assert list(read_one(port).losses['epoch'].unique()) == list(range(1, 11))


@pytest.mark.parametrize('name, content, message', [
    ('run.log', b'', 'holds no losses'),
    ('run.log', b'Start training.....\n', 'holds no losses'),
    ('losses.csv', AUTO_HEADER.encode() + b'\n', 'holds no losses'),
    ('losses.csv', AUTO_HEADER.encode()[:20], 'holds no losses; its last line is cut off'),
    ('run.log', ORIGINAL_ENTRY.format(1, 10, 7, 8).encode()[:150], 'holds no losses; 1 entries are cut off'),
    ('run.log', np.random.default_rng(0).bytes(3000), 'holds no losses'),
    ('run.csv', b'step,epoch,lr,total_loss\n1,1,0.1,nan\n', 'no losses that are finite numbers'),
    ('loss_data_trans_e0.mat', b'not a mat file', 'cannot read'),
    ('loss_data_trans_e0.mat', b'', 'cannot read'),
])
def test_nothing_to_read_is_an_error(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_runs(tmp_path / name)


def test_other_errors(tmp_path):
    with pytest.raises(UserError, match='cannot read .*missing.log: No such file'):
        read_runs(tmp_path / 'missing.log')
    with pytest.raises(UserError, match='no losses.csv, no log, no loss_data'):
        read_runs(tmp_path)
    scipy.io.savemat(tmp_path / 'other.mat', {'x': [1.0]})
    with pytest.raises(UserError, match='no variable loss_data.*, but x'):
        read_runs(tmp_path / 'other.mat')
    for name in ('a.log', 'b.log'):
        (tmp_path / name).write_text(OUR_LINE.format(1, 1, 1, 1))
    with pytest.raises(UserError, match='several logs .a.log, b.log.: name one'):
        read_runs(tmp_path)


def test_newest_runs(tmp_path):
    make_run(tmp_path / 'autoencoder/ir_20261122_101500', autoencoder_csv(), when=1000)
    make_run(tmp_path / 'autoencoder/ir_20261121_101500', autoencoder_csv(), when=2000)  # resumed later
    make_run(tmp_path / 'autoencoder/ir_20261123_101500', AUTO_HEADER + '\n', when=3000)  # just started
    make_run(tmp_path / 'transfuse/fuse_20261122_101500', fusion_csv())
    (tmp_path / 'autoencoder/vi_20261122_101500').mkdir()
    found, notes = newest_runs(tmp_path)
    assert {kind: run.name for kind, run in found.items()} == {
        'ir': 'ir_20261121_101500', 'fusion': 'fuse_20261122_101500'}
    assert len(notes) == 2 and 'ir_20261123' in notes[0] and 'vi_20261122' in notes[1]
    assert newest_runs(tmp_path / 'nothing') == ({}, [])


# ---- arithmetic

def run_of(values, steps=None, epoch=1):
    index = pd.Index(steps if steps is not None else range(1, len(values) + 1), name='step')
    table = {'epoch': epoch, 'lr': 1e-4, 'total loss': np.array(values, float)}
    return Run('run', pd.DataFrame(table, index=index), UNKNOWN, [])


def test_smoothing():
    values = [1.0, 5.0, 3.0, 7.0, np.nan, 9.0]
    np.testing.assert_allclose(smoothed(run_of(values), 'total loss', 1), values)
    np.testing.assert_allclose(smoothed(run_of(values), 'total loss', 3), [3, 3, 5, 5, 8, 9])
    every_ten = run_of([1, 5, 3], steps=[10, 20, 30])  # the window is in steps, not in values
    np.testing.assert_allclose(smoothed(every_ten, 'total loss', 3), [1, 5, 3])
    np.testing.assert_allclose(smoothed(every_ten, 'total loss', 20), [3, 3, 4])


def test_relative_difference():
    reference = pd.Series([2.0, 4.0, 0.0, -8.0], index=[1, 2, 3, 4])
    np.testing.assert_allclose(relative_difference(pd.Series([3.0, 3.0, 1.0, -4.0], index=[1, 2, 3, 4]), reference),
                               [50, -25, np.nan, 50])
    # Logged at other steps: interpolated, and only where both ran.
    sparse = pd.Series([4.0, 8.0], index=[2, 4])
    difference = relative_difference(sparse, pd.Series([4.0, 4, 4, 4, 4], index=[1, 2, 3, 4, 5]))
    assert difference.to_dict() == {2: 0, 3: 50, 4: 100}


def test_epoch_means():
    means = epoch_means(run_of([1, 3, 10, 20], epoch=[1, 1, 2, 2]))
    assert means.index.tolist() == [1, 2] and means['total loss'].tolist() == [2, 15] and means['steps'].tolist() == [2, 4]


# ---- figures

def renamed(run, name):
    return run._replace(name=name)


def draw(title, panels, style, path):
    return save_figure(loss_figure(title, panels, style), path)


@pytest.mark.parametrize('style', [Style(), Style('epoch', 'linear'), Style('step', 'linear', 5), Style('epoch')])
def test_figure(tmp_path, style):
    ours = read_one(make_run(tmp_path / 'a', fusion_csv(400)))
    other = read_one(make_run(tmp_path / 'b', fusion_csv(400, factor=1.3)))
    panels = loss_panels([renamed(other, 'PyTorch'), ours])
    png, svg = draw('Fusion network', panels, style, tmp_path / 'out' / 'figure')
    picture = cv2.imread(str(png))
    assert picture.shape[1] == 1700 and picture.std() > 10
    text = svg.read_text()
    for word in ('Fusion network', 'total loss', 'pixel loss', 'gradient loss', 'PyTorch', 'difference', style.per):
        assert f'<!-- {word} -->' in text, word
    assert sorted(path.name for path in png.parent.iterdir()) == ['figure.png', 'figure.svg']
    again = draw('Fusion network', panels, style, tmp_path / 'again')
    assert [path.read_bytes() for path in again] == [png.read_bytes(), svg.read_bytes()], 'the same curves, the same files'


def test_curves_are_smoothed_over_a_fiftieth_of_the_run():
    """A jump becomes a slope, as wide as the window."""
    run = run_of(np.where(np.arange(1000) < 500, 1, 2))
    figure = loss_figure('jump', loss_panels([run]), Style())
    curve = next(line for line in figure.axes[0].get_lines() if line.get_label() == 'run').get_ydata()
    assert np.count_nonzero((curve > 1) & (curve < 2)) == 20
    assert curve[480] == 1 and curve[520] == 2


def test_figure_shows_the_data(tmp_path):
    """The curves are the losses, and the panels of differences are there only if runs are compared."""
    run = read_one(make_run(tmp_path / 'a', fusion_csv(100)))
    double = read_one(make_run(tmp_path / 'b', fusion_csv(100, factor=2)))
    one = loss_figure('one', loss_panels([run]), Style(window=1))
    two = loss_figure('two', loss_panels([run, renamed(double, '_double')]), Style(window=1))
    assert len(one.axes) == 3 and len(two.axes) == 6
    curves = {line.get_label(): line.get_ydata() for line in two.axes[0].get_lines()}
    np.testing.assert_allclose(curves['_double'], 2 * curves['a'])
    np.testing.assert_allclose(two.axes[3].get_lines()[1].get_ydata(), 100)
    assert [axes.get_title() for axes in two.axes[:3]] == ['total loss', 'pixel loss', 'gradient loss']
    assert [text.get_text() for text in two.legends[0].get_texts()] == ['a', '_double']


@pytest.mark.parametrize('scale', ['log', 'linear'])
def test_odd_values_can_be_drawn(tmp_path, scale):
    apart = run_of([1, 2], steps=[1000, 1001])._replace(name='no step in common')
    odd = [[0, 0, 0], [5, 5, 5], [-1, -2, -3], [1], [1e-9, 1e9, np.inf], [np.nan, 4, np.nan], [1.01, 1.02]]
    panels = [Panel(str(values), 'total loss', [run_of(values), apart]) for values in odd]
    with warnings.catch_warnings():
        warnings.simplefilter('error', category=UserWarning)
        warnings.simplefilter('error', category=RuntimeWarning)
        _, svg = draw('odd', panels, Style(scale=scale), tmp_path / 'odd')
    assert '<!-- [-1, -2, -3] -->' in svg.read_text()


def test_long_runs_give_small_files(tmp_path):
    run = run_of(np.random.default_rng(0).random(60_000) + 1)
    _, svg = draw('long', loss_panels([run]), Style(), tmp_path / 'long')
    assert svg.stat().st_size < 500_000


# ---- the script

def plot(folder, *arguments):
    command = [sys.executable, str(REPOSITORY / 'plot_loss_curves.py'), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.fixture
def models(tmp_path):
    make_run(tmp_path / 'models/autoencoder/ir_20261122_101500', autoencoder_csv())
    make_run(tmp_path / 'models/autoencoder/vi_20261122_111500', autoencoder_csv() + '13,4,0.1')
    make_run(tmp_path / 'models/transfuse/fuse_20261122_121500', fusion_csv())
    return tmp_path / 'models'


def test_script_plots_the_newest_runs(tmp_path, models):
    result = plot(tmp_path)
    assert result.returncode == 0, result.stderr
    names = ('autoencoder_total_loss_comparison', 'ir_autoencoder_comparison', 'vi_autoencoder_comparison',
             'fusion_network_comparison')
    assert {path.name for path in (tmp_path / 'results' / 'loss curves').iterdir()} == {
        f'{name}.{kind}' for name in names for kind in ('png', 'svg')}
    assert 'vi_20261122_111500: autoencoder, 12 entries, up to epoch 3, step 12' in result.stdout
    assert 'note: its last line is cut off' in result.stdout


def test_script_compares_named_runs(tmp_path, models):
    text_log = tmp_path / 'pytorch.log'
    text_log.write_text(''.join(ORIGINAL_ENTRY.format(1, batch, 500 / batch, 1000 / batch) for batch in range(1, 13)))
    result = plot(tmp_path, '--fusion', str(text_log), 'models/transfuse/fuse_20261122_121500', '--names', 'PyTorch',
                  'Jittor', '--output', 'figures', '--per', 'epoch', '--scale', 'linear')
    assert result.returncode == 0, result.stderr
    assert {path.name for path in (tmp_path / 'figures').iterdir()} == {
        'fusion_network_comparison.png', 'fusion_network_comparison.svg'}
    drawn = (tmp_path / 'figures' / 'fusion_network_comparison.svg').read_text()
    assert '<!-- PyTorch -->' in drawn and '<!-- Jittor -->' in drawn


def test_script_with_any_runs_and_equal_names(tmp_path, models):
    folder = 'models/transfuse/fuse_20261122_121500'
    result = plot(tmp_path, '--runs', folder, 'models/autoencoder/ir_20261122_101500', folder, '--figure', 'mine')
    assert result.returncode == 0, result.stderr
    assert 'fuse_20261122_121500 [2]: fusion' in result.stdout
    drawn = (tmp_path / 'results' / 'loss curves' / 'mine.svg').read_text()
    assert '<!-- reconstruction loss -->' in drawn and '<!-- gradient loss -->' in drawn


def test_script_lists(tmp_path, models):
    result = plot(tmp_path, '--list', '--fusion', 'models/transfuse/fuse_20261122_121500')
    assert result.returncode == 0, result.stderr
    last = result.stdout.strip().splitlines()[-1].split()
    expected = np.mean([100 / step for step in (9, 10, 11, 12)])
    assert last[:2] == ['3', '12'] and float(last[3]) == pytest.approx(expected, rel=1e-5)
    assert not (tmp_path / 'results').exists()


@pytest.mark.parametrize('arguments, message', [
    ((), 'no training runs with losses under ./models'),
    (('--ir', 'missing'), 'cannot read missing'),
    (('--ir', 'log.csv'), 'log.csv holds losses of the fusion training, not of the autoencoder training'),
    (('--fusion', 'log.csv', '--names', 'a', 'b'), '--names has 2 names, for lists of 1 runs at most'),
    (('--per', 'hour'), 'must be one of step, epoch'),
])
def test_script_errors_are_one_line(tmp_path, arguments, message):
    (tmp_path / 'log.csv').write_text(fusion_csv())
    result = plot(tmp_path, *arguments)
    assert result.returncode == 1 and result.stderr.startswith('error: ') and result.stderr.count('\n') == 1
    assert message in result.stderr


def test_reading_and_drawing_need_no_jittor():
    code = 'import sys; import plot_loss_curves; sys.exit("jittor" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], cwd=REPOSITORY).returncode == 0
