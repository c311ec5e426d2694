"""A training run: its folder, its log, its saved states, and how it stops and goes on.

    models/autoencoder/ir_20261122_101500/
        settings.json                       what it was started with
        train.log, losses.csv               the losses, for people and for programs
        auto_encoder_epoch_1_ir.safetensors the weights after each epoch
        samples/epoch_1.png                 sources and results of a few images
        state_7.bin                         what `--resume` goes on from
        summary.txt
"""
import csv
import hashlib
import json
import math
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tools.checkpoint import load_state, save_state, save_weights
from tools.errors import INTERRUPTED, UserError
from tools.files import whole_file
from tools.images import write_image
from tools.models import weights_of
from tools.runtime import jt

FULL_RATE_EPOCHS = 2
SAMPLES = 4  # images of a batch in a sample picture
NEWEST = 'newest'


def learning_rate(lr, epoch):
    """Full for the first two epochs, a tenth from the third on (epoch counts from 0).

    Once, as the original's code does it; the earlier port's README speaks of a tenth every epoch.
    """
    return lr if epoch < FULL_RATE_EPOCHS else lr / 10


def find_run(folder, which):
    """The run folder `which`, or with 'newest' the one below `folder` whose state was saved last. UserError if there is none."""
    if which != NEWEST:
        if not (Path(which) / 'settings.json').is_file():
            raise UserError(f'--resume {which} is not the folder of a training run (it has no settings.json)')
        return Path(which)
    states = sorted(Path(folder).glob('*/state_*.bin'), key=lambda path: path.stat().st_mtime)
    if not states:
        raise UserError(f'--resume: no run under {folder} has a saved state')
    return states[-1].parent


def saved_settings(run_folder):
    """The settings that a run was started with, {name: value}."""
    try:
        return json.loads((Path(run_folder) / 'settings.json').read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise UserError(f'cannot read {Path(run_folder) / "settings.json"}: {error}') from error


class TrainingRun:
    """One run of a training script: use it as a context, around the loop over epochs and batches.

        with TrainingRun(folder, model, optimizer, batches, loss_names, settings, weights_file) as run:
            for epoch in range(run.epoch, settings.epochs):
                for batch in run.batches_of(epoch):
                    …one step…
                    run.after_step(outputs, batch)
                run.after_epoch(samples)

    folder: of the run; new, or one to go on with (resume). loss_names: of the losses in the outputs, the total last.
    settings: the script's dataclass. weights_file: its name, with `{epoch}` in it. metadata: goes into the weights files.

    A first Ctrl-C ends the loop after the step in progress, with the state saved; a second one ends at once.
    Nothing random happens after the initial weights but the order of the data, which follows from seed and epoch. So the state is the
    weights, the optimiser's moments and the place in the data.
    """

    def __init__(self, folder, model, optimizer, batches, loss_names, settings, weights_file, metadata, resume=False):
        self.folder, self.model, self.optimizer, self.batches = Path(folder), model, optimizer, batches
        self.loss_names, self.settings, self.weights_file, self.metadata = loss_names, settings, weights_file, metadata
        self.epoch, self.step = 0, 0  # the next step to do: its epoch, and its number within it
        self.pending = []  # (losses, paths) of steps whose losses have not been looked at yet
        self.last_weights, self.last_losses = None, ''
        self.seconds, self.images = 0.0, 0  # of the whole run, resumed parts included
        self.csv_path, self.log_path = self.folder / 'losses.csv', self.folder / 'train.log'
        self.resumed = resume
        if resume:
            self._restore()
        else:
            self._begin()

    def _begin(self):
        values = json.dumps(vars(self.settings), indent=2)
        with whole_file(self.folder / 'settings.json') as temporary:
            temporary.write_text(values + '\n', encoding='utf-8')
        self.log_path.write_text('', encoding='utf-8')
        header = ['step', 'epoch', 'lr', *self.loss_names, 'images_per_second']
        self.csv_path.write_text(','.join(header) + '\n', encoding='utf-8')

    def __enter__(self):
        self.stopping = False
        self.previous_handler = signal.signal(signal.SIGINT, self._interrupt)
        self.writer = self._tensorboard() if self.settings.tensorboard else None
        self.started = self.saved_at = self.flushed_at = time.monotonic()
        return self

    def __exit__(self, kind, error, trace):
        signal.signal(signal.SIGINT, self.previous_handler)
        if self.writer:
            self.writer.close()

    def _interrupt(self, number, frame):
        if self.stopping:
            raise KeyboardInterrupt
        self.stopping = True
        tqdm.write('stopping after this step (Ctrl-C again: at once, back to the last saved state)')

    def _tensorboard(self):
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise UserError('tensorboard = True needs a package: pip install tensorboardX') from None
        return SummaryWriter(str(self.folder))

    def batches_of(self, epoch):
        """The batches of an epoch that are still to do, with a progress bar on a terminal."""
        total = len(self.batches)
        self.bar = tqdm(self.batches.epoch(epoch, self.step), f'epoch {epoch + 1}/{self.settings.epochs}', total, initial=self.step,
                        unit='step', disable=None)
        yield from self.bar

    def after_step(self, outputs, batch):
        """Note the losses of a step; write them, save the state and stop when it is time to. UserError if a loss is not finite."""
        losses = jt.concat([outputs[name].reshape(1) for name in self.loss_names]).stop_grad()
        self.pending.append((losses, batch.paths))
        self.step += 1
        if self.step % self.settings.step == 0 or self.stopping:
            self._flush()
        due = time.monotonic() - self.saved_at > 60 * self.settings.save_minutes
        if self.step < len(self.batches) and (due or self.stopping):  # at the end of an epoch, after_epoch does both
            self.save_state()
            self._stop_if_asked()

    def after_epoch(self, samples):
        """Save weights, state and a sample picture. samples: (N, 1, H, W) Vars or arrays, shown side by side for some N."""
        self._flush()
        self.epoch, self.step = self.epoch + 1, 0
        self.last_weights = self.folder / self.weights_file.format(epoch=self.epoch)
        save_weights(self.last_weights, weights_of(self.model),
                     {**self.metadata, 'epoch': self.epoch, 'run': self.folder.name, 'settings': vars(self.settings)})
        columns = [np.concatenate(list(np.asarray(images)[:SAMPLES, 0])) for images in samples]
        picture = np.concatenate(columns, axis=1).clip(0, 255).astype(np.uint8)
        write_image(self.folder / 'samples' / f'epoch_{self.epoch}.png', picture)
        self.save_state()
        self._stop_if_asked()

    def _stop_if_asked(self):
        if self.stopping:
            print(f'stopped; go on with: python {Path(sys.argv[0]).name} --resume {self.folder}')
            sys.exit(INTERRUPTED)

    def finish(self):
        """Write and print the summary."""
        lines = [f'{self.folder}: {self.settings.epochs} epochs of {len(self.batches)} steps',
                 f'time: {self.seconds / 60:.1f} minutes, {self.images / max(self.seconds, 1e-9):.2f} images/s',
                 f'losses of the last step: {self.last_losses}',
                 f'weights: {self.last_weights}',
                 f'images left out since they could not be read: {len(self.batches.broken)}',
                 *(f'    {reason}' for reason in self.batches.broken.values())]
        with whole_file(self.folder / 'summary.txt') as temporary:
            temporary.write_text('\n'.join(lines) + '\n', encoding='utf-8')
        print('\n'.join(lines))

    def _flush(self):
        """Fetch the pending losses, check them, and write log and CSV."""
        if not self.pending:
            return
        values = jt.stack([losses for losses, _ in self.pending]).numpy().tolist()
        first = self.step - len(values) + 1  # within the epoch, from 1
        for step, (losses, (_, paths)) in enumerate(zip(values, self.pending), first):
            if not all(map(math.isfinite, losses)):
                self._refuse(step, losses, paths)
        now = time.monotonic()
        elapsed, self.flushed_at = now - self.flushed_at, now
        images = len(values) * self.batches.batch_size
        self.seconds, self.images, self.pending = self.seconds + elapsed, self.images + images, []
        rate, lr = images / elapsed, self.optimizer.lr
        before = self.epoch * len(self.batches)
        with open(self.csv_path, 'a', encoding='utf-8', newline='') as file:
            rows = csv.writer(file, lineterminator='\n')
            for step, losses in enumerate(values, first):
                rows.writerow([before + step, self.epoch + 1, f'{lr:g}', *(f'{loss:.9g}' for loss in losses), f'{rate:.4g}'])
                if self.writer:
                    for name, loss in zip(self.loss_names, losses):
                        self.writer.add_scalar(name, loss, before + step)
        means = np.mean(values, axis=0)
        self.last_losses = ', '.join(f'{name} {loss:.6f}' for name, loss in zip(self.loss_names, values[-1]))
        # The original's line format, which plot_loss_curves.py reads.
        line = ' - '.join([time.ctime(), f'Epoch {self.epoch + 1}/{self.settings.epochs}', f'Batch {self.step}/{len(self.batches)}',
                           f'lr:{lr:.6f}', *(f'{name.replace("_", " ")}: {loss:.6f}' for name, loss in zip(self.loss_names, means))])
        with open(self.log_path, 'a', encoding='utf-8') as file:
            file.write(line + '\n')
        if self.bar.disable:
            print(line, flush=True)
        else:
            self.bar.set_postfix_str(f'loss {means[-1]:.3f}, lr {lr:g}, {rate:.1f} images/s')

    def _refuse(self, step, losses, paths):
        values = ', '.join(f'{name} {loss}' for name, loss in zip(self.loss_names, losses))
        files = ', '.join(str(path) for item in paths for path in item)
        raise UserError(f'the loss is no longer finite: epoch {self.epoch + 1}, step {step}: {values}. Images of this batch: {files}. '
                        f'Last good weights: {self.last_weights or "none, this was the first epoch"}. Nothing was saved after that; '
                        'a smaller lr, or ssim_val_range 255, may help')

    def save_state(self):
        """Save everything that resuming needs; the losses so far are checked and written first."""
        self._flush()
        arrays = {f'model/{name}': array for name, array in weights_of(self.model).items()}
        arrays.update(self.optimizer.state())
        for path in (self.csv_path, self.log_path):
            with open(path, 'rb') as file:
                os.fsync(file.fileno())
        save_state(self.folder, arrays, {
            'epoch': self.epoch, 'step': self.step, 'seconds': self.seconds, 'images': self.images, 'data': self._data_digest(),
            'last_weights': str(self.last_weights.name) if self.last_weights else None, 'last_losses': self.last_losses,
            'csv_bytes': self.csv_path.stat().st_size, 'log_bytes': self.log_path.stat().st_size})
        self.saved_at = time.monotonic()

    def _restore(self):
        arrays, place = load_state(self.folder)
        if place['data'] != self._data_digest():
            raise UserError(f'{self.folder} cannot go on: its training images, batch size or seed are not those it was started with '
                            '(leave path, train_num, batch and seed as they were, or start a new run)')
        self.model.load_state_dict({name[len('model/'):]: array for name, array in arrays.items() if name.startswith('model/')})
        self.optimizer.load_state(arrays)
        self.epoch, self.step, self.seconds, self.images = (place[name] for name in ('epoch', 'step', 'seconds', 'images'))
        self.last_losses = place['last_losses']
        self.last_weights = self.folder / place['last_weights'] if place['last_weights'] else None
        for path, size in ((self.csv_path, place['csv_bytes']), (self.log_path, place['log_bytes'])):
            os.truncate(path, size)  # the steps after the saved state are done again

    def _data_digest(self):
        order = [self.batches.seed, self.batches.batch_size, [[str(path) for path in item] for item in self.batches.items]]
        return hashlib.sha256(json.dumps(order).encode()).hexdigest()


def new_run_folder(parent, prefix):
    """`parent/prefix_DATE_TIME`, a folder that does not exist yet."""
    folder = Path(parent) / time.strftime(f'{prefix}_%Y%m%d_%H%M%S')
    number = 2
    while folder.exists():
        folder = folder.with_name(f'{folder.name.split("-")[0]}-{number}')
        number += 1
    return folder
