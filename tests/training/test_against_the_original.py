"""The two training scripts against what the original computed: the losses of its first steps, their
weights, the learning rate."""
import sys

import numpy as np
import pandas as pd
import pytest
from fusion_runs import encoder_weights, fusion_weights
from reference_data import load

import train_autoencoder
import train_conv_trans
from tools.data.images import write_image
from tools.weights.checkpoint import save_weights

BOUND = 1e-3  # of the first steps, as of the whole trajectories
FIRST_STEP = {'recon_loss': 1e-5, 'ssim_loss': 1e-5, 'pix_loss': 1e-4, 'gra_loss': 2e-5, 'total_loss': 3e-5}
SEED = 2024


def write_images(folder, images):
    """Files that the first epoch takes in the order of `images` (N, 1, H, W)."""
    order = np.random.RandomState([SEED, 0]).permutation(len(images))
    for place, (image,) in zip(order, images):
        write_image(folder / f'{place:02}.png', image)


@pytest.fixture
def train(tmp_path, monkeypatch):
    """A function that trains from the reference's weights, and gives the table of the losses. modalities:
    images (N, 1, H, W) by name."""
    def run(stage, modalities, *arguments):
        folder = tmp_path / f'run_{len(list(tmp_path.glob("run_*")))}'
        for name, images in modalities.items():
            write_images(folder / name, images)
            arguments += f'--{name}', folder / name
        if stage == 1:
            script, runs, given = train_autoencoder, 'save_auto_model', {'auto': encoder_weights('ae')}
            arguments += '--Height', images.shape[2], '--Width', images.shape[3]
        else:
            script, runs = train_conv_trans, 'save_fusion_model'
            given = {'auto_ir': encoder_weights('ae_deep'), 'auto_vi': encoder_weights('ae2_deep'), 'trans': fusion_weights()}
            arguments += '--deep_shares', 'signed'
        for name, arrays in given.items():
            save_weights(folder / f'{name}.safetensors', arrays, {})
            arguments += f'--resume_model_{name}', folder / f'{name}.safetensors'
        arguments += '--batch', 2, '--step', 1, '--seed', SEED, '--cuda', 'false', f'--{runs}', folder / 'runs'
        monkeypatch.setattr(sys, 'argv', ['train.py', *map(str, arguments)])
        script.main()
        table, = (folder / 'runs').glob('*/losses.csv')
        return pd.read_csv(table)
    return run


def assert_the_originals(table, names, expected):
    for name, values in zip(names, expected.T):
        error = np.abs(table[name][:len(values)] / values - 1)
        assert error[0] < FIRST_STEP[name] and error.max() < BOUND, f'{name}: {error.tolist()}'


def test_stage_1(train):
    reference, names = load('ae_trajectory'), ['recon_loss', 'ssim_loss', 'total_loss']
    table = train(1, {'ir': reference['images']}, '--epochs', 3, '--full_rate_epochs', 1)
    assert_the_originals(table, names, reference['losses'][:6])
    assert table['lr'].tolist() == [1e-4] * 6 + [1e-5] * 12


def test_stage_2(train):
    reference, names = load('fuse_trajectory'), ['pix_loss', 'gra_loss', 'total_loss']
    table = train(2, {'ir': reference['ir'], 'vi': reference['vi']}, '--epochs', 3)
    assert_the_originals(table, names, reference['losses'][:2])
    assert table['lr'].tolist() == [1e-3] * 4 + [1e-4] * 2


@pytest.mark.parametrize('stage, name, arguments, factors', [
    (1, 'ae_loss_range_255', [], {'recon_loss': 1, 'ssim_loss': 1}),
    (1, 'ae_loss_range_255', ['--recon_loss_weight', 3, '--ssim_loss_weight', 500], {'recon_loss': 3, 'ssim_loss': 0.05}),
    (1, 'ae_loss_range_auto', ['--ssim_val_range', 'none'], {'recon_loss': 1, 'ssim_loss': 1}),
    (2, 'fuse_step', ['--pixel_loss_weight', 2, '--gradient_loss_weight', 0.5], {'pix_loss': 2, 'gra_loss': 0.05}),
    (2, 'fuse_step', ['--variant', 'no_gradient_loss', '--gradient_loss_weight', 4], {'pix_loss': 1})])
def test_loss_weights(train, stage, name, arguments, factors):
    reference = load(name)
    images = {'ir': reference['image']} if stage == 1 else {'ir': reference['ir'], 'vi': reference['vi']}
    row, = train(stage, images, '--epochs', 1, *arguments).to_dict('records')
    expected = {loss: factor * reference[loss] for loss, factor in factors.items()}
    for loss, value in {**expected, 'total_loss': sum(expected.values())}.items():
        assert abs(row[loss] / value - 1) < max(FIRST_STEP.values()), loss
    assert set(row) == {'step', 'epoch', 'lr', *expected, 'total_loss', 'images_per_second'}
