"""A tiny network in a real run, for the tests of training runs."""
import os
import signal
import sys

import numpy as np
import pytest

import args_auto
from tools.data.loader import Batches
from tools.runtime import jt, nn, set_seed
from tools.training.optimizer import Adam
from tools.training.run import TrainingRun, learning_rate
from tools.training.run_folder import read_settings
from tools.weights.checkpoint import load_weights

STEPS = 3  # per epoch of the tiny runs


class Tiny(nn.Module):
    """One convolution, with the losses of an auto-encoder."""

    def __init__(self):
        self.conv = nn.Conv2d(1, 1, 3, padding=1)

    def train_module(self, images):
        """The output and the losses."""
        out = self.conv(images / 255) * 255
        recon_loss, ssim_loss = (out - images).sqr().mean(), (out - images).abs().mean()
        return out, {'recon_loss': recon_loss, 'ssim_loss': ssim_loss, 'total_loss': recon_loss + ssim_loss}


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


def the_run(runs):
    """The only folder in one for runs."""
    folder, = (path for path in runs.iterdir() if path.is_dir())
    return folder


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


def given(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['train.py', *map(str, arguments)])
    return read_settings(args_auto.Args, '', 'save_auto_model')
