"""A training run: its folder, its log, its saved states, and how it stops and goes on.

    models/autoencoder/ir_20261122_101500/
        settings.json                       what it was started with
        train.log, losses.csv               the losses, for people and for programs
        auto_encoder_epoch_1_ir.safetensors the weights after each epoch
        samples/epoch_1.png                 sources and results of a few images
        state_7.bin                         what `--resume` goes on from
        summary.txt
"""
import atexit
import fcntl
import hashlib
import json
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
from tools.run_folder import save_settings
from tools.runtime import jt

SAMPLES = 4  # images of a batch in a sample picture
STDERR = 2
STOPPING = b'\nstopping after this step (Ctrl-C again: at once, back to the last saved state)\n'


def learning_rate(lr, epoch, full_rate_epochs=2):
    """Full for the first epochs, two in the original, a tenth afterwards (epoch counts from 0).

    Once, as the original's code does it; the earlier port's README speaks of a tenth every epoch.
    """
    return lr if epoch < full_rate_epochs else lr / 10


class TrainingRun:
    """One run of a training script: use it as a context, around the loop over epochs and batches.

        with TrainingRun(folder, model, optimizer, batches, loss_names, settings, weights_file, metadata) as run:
            for epoch in range(run.epoch, settings.epochs):
                for batch in run.batches_of(epoch):
                    …one step…
                    run.after_step(outputs, batch)
                run.after_epoch(samples)
            run.finish()

    folder: of the run; if it exists, model and optimizer take its newest state and the run goes on from there.
    loss_names: of the losses in the outputs, the total last. settings: the script's dataclass.
    weights_file: its name, with `{epoch}` in it. metadata: goes into the weights files.

    A first Ctrl-C ends the loop after the step in progress, with the state saved; a second one ends at once.

    A resumed run gives bit for bit the losses and weights of an uninterrupted one, on one machine's CPU with the same
    number of threads. Nothing random happens after the initial weights but the order of the data (and what `augment`
    does), which follows from seed, epoch and place in it. So the state is the weights, the optimiser's moments and the
    place in the data; the losses so far are in the CSV file, which resuming cuts off where the state was saved.
    """

    def __init__(self, folder, model, optimizer, batches, loss_names, settings, weights_file, metadata):
        self.folder, self.model, self.optimizer, self.batches = Path(folder), model, optimizer, batches
        self.loss_names, self.settings, self.weights_file, self.metadata = loss_names, settings, weights_file, metadata
        self.epoch, self.step = 0, 0  # the next step to do: its epoch, and its number within it
        self.pending = []  # (losses, paths) of steps whose losses have not been looked at yet
        self.paths = []  # of the batch of the last step
        self.last_weights, self.last_losses = None, ''
        self.seconds, self.images = 0.0, 0  # of the whole run, resumed parts included
        self.csv_path, self.log_path = self.folder / 'losses.csv', self.folder / 'train.log'
        self.feed = self.bar = self.writer = None
        self.stopping = False
        resume = self.folder.is_dir()
        self._lock_folder()
        if resume:
            self._restore()
        else:
            self._begin()

    def _lock_folder(self):
        """UserError if another process trains in this folder. The lock ends with the process, however that ends."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.lock = open(self.folder / '.lock', 'w')
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f'{self.folder} is in use: another process trains there') from None
        except OSError as error:
            raise UserError(f'cannot write {self.folder}: {error.strerror}') from error

    def _begin(self):
        save_settings(self.settings, self.folder)
        self._append(self.log_path, '')
        self._append(self.csv_path, ','.join(['step', 'epoch', 'lr', *self.loss_names, 'images_per_second']) + '\n')
        self.save_state()  # so that there is something to go on from, and a full disk shows now

    def __enter__(self):
        if self.settings.tensorboard:
            from tensorboardX import SummaryWriter
            self.writer = SummaryWriter(str(self.folder), purge_step=self._steps_before() + self.step + 1)
        if self.epoch < self.settings.epochs:
            print(f'training on the {"GPU" if jt.flags.use_cuda else "CPU"}: {len(self.batches)} steps per epoch, from '
                  f'epoch {self.epoch + 1} step {self.step + 1}; all goes to {self.folder}; the first step ever takes '
                  'minutes, while Jittor compiles', flush=True)
        else:
            print(f'{self.folder} is finished: {self.epoch} epochs are done; to train on, give a larger number: '
                  f'--epochs {self.epoch + 1}')
        _end_compile_workers()
        self.previous_handler = signal.signal(signal.SIGINT, self._interrupt)
        self.saved_at = self.flushed_at = time.monotonic()
        return self

    def __exit__(self, kind, error, trace):
        signal.signal(signal.SIGINT, self.previous_handler)
        # The feed ends its threads here, not when the garbage collector finds it: that may be in the middle of starting a
        # thread, which then waits for itself.
        for open_one in (self.feed, self.bar, self.writer, self.lock):
            if open_one is not None:
                open_one.close()
        if self.stopping and isinstance(error, RuntimeError):
            # In a terminal, Ctrl-C ends the compiler too that Jittor may be waiting for, which it takes for an error.
            raise KeyboardInterrupt from error

    def _interrupt(self, number, frame):
        if self.stopping:
            raise KeyboardInterrupt
        self.stopping = True
        os.write(STDERR, STOPPING)  # not print, which this may have interrupted

    def batches_of(self, epoch):
        """The batches of an epoch that are still to do, with a progress bar on a terminal."""
        self.feed = self.batches.epoch(epoch, self.step)
        self.bar = tqdm(self.feed, f'epoch {epoch + 1}/{self.settings.epochs}', len(self.batches), initial=self.step,
                        unit='step', disable=None)
        yield from self.bar

    def after_step(self, outputs, batch):
        """Note the losses of a step; write them, save the state and stop when it is time to.

        UserError if losses or weights are not finite.
        """
        losses = jt.concat([outputs[name].reshape(1) for name in self.loss_names]).stop_grad()
        # What is left to compute would be fused with what comes next, a step or the saving, and be rounded otherwise.
        jt.sync_all()
        self.pending.append((losses, batch.paths))
        self.paths = batch.paths
        self.step += 1
        if self.step % self.settings.step == 0 or self.stopping:
            self._flush()
        due = time.monotonic() - self.saved_at > 60 * self.settings.save_minutes
        if self.step < len(self.batches) and (due or self.stopping):  # at the end of an epoch, after_epoch does both
            self.save_state()
            self._stop_if_asked()

    def after_epoch(self, samples):
        """Save weights, state and a sample picture: some of the `samples`, each (N, 1, H, W), side by side."""
        self._flush()
        weights = weights_of(self.model)
        self._check_finite(weights)
        self.epoch, self.step = self.epoch + 1, 0
        self.last_weights = self.folder / self.weights_file.format(epoch=self.epoch)
        save_weights(self.last_weights, weights,
                     {**self.metadata, 'epoch': self.epoch, 'run': self.folder.name, 'settings': vars(self.settings)})
        columns = [np.concatenate(list(np.asarray(images)[:SAMPLES, 0])) for images in samples]
        picture = np.concatenate(columns, axis=1).clip(0, 255).astype(np.uint8)
        write_image(self.folder / 'samples' / f'epoch_{self.epoch}.png', picture)
        self.save_state()
        if self.epoch < self.settings.epochs:
            self._stop_if_asked()

    def _stop_if_asked(self):
        if self.stopping:
            print(f'stopped; go on with: python {Path(sys.argv[0]).name} --resume {self.folder}')
            sys.exit(INTERRUPTED)

    def finish(self):
        """Write and print the summary."""
        lines = [f'{self.folder}: {self.epoch} epochs of {len(self.batches)} steps',
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
        values = jt.stack([losses for losses, _ in self.pending]).numpy()
        first = self.step - len(values)  # within the epoch, from 0
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        good = bad[0] if len(bad) else len(values)
        if good:
            self._write(values[:good].tolist(), first)
        if good < len(values):
            self._refuse(f'the loss is {self._named(values[good])}', first + good + 1, self.pending[good][1])
        self.pending = []

    def _write(self, values, first):
        """Write the losses of the steps of this epoch from number `first` on, counted from 0."""
        now = time.monotonic()
        elapsed, self.flushed_at = now - self.flushed_at, now
        images = len(values) * self.batches.batch_size
        self.seconds, self.images = self.seconds + elapsed, self.images + images
        rate, lr = images / elapsed, self.optimizer.lr
        rows = ''
        for step, losses in enumerate(values, self._steps_before() + first + 1):
            rows += f'{step},{self.epoch + 1},{lr:g},{",".join(f"{loss:.9g}" for loss in losses)},{rate:.4g}\n'
            if self.writer:
                for name, loss in zip(self.loss_names, losses):
                    self.writer.add_scalar(name, loss, step)
        means, last, total = np.mean(values, axis=0), first + len(values), len(self.batches)
        # The original's line format, which plot_loss_curves.py reads.
        named = (f'{name.replace("_", " ")}: {loss:.6f}' for name, loss in zip(self.loss_names, means))
        line = ' - '.join([time.ctime(), f'Epoch {self.epoch + 1}/{self.settings.epochs}', f'Batch {last}/{total}',
                           f'lr:{lr:.6f}', *named])
        self._append(self.csv_path, rows)
        self._append(self.log_path, line + '\n')
        self.last_losses = self._named(values[-1])
        if self.bar.disable:
            left = tqdm.format_interval((total - last) * elapsed / len(values))
            print(f'{line} - {rate:.1f} images/s - {left} left in this epoch', flush=True)
        else:
            self.bar.set_postfix_str(f'loss {means[-1]:.3f}, lr {lr:g}, {rate:.1f} images/s')

    def _append(self, path, text):
        try:
            with open(path, 'a', encoding='utf-8') as file:
                file.write(text)
        except OSError as error:
            raise UserError(f'cannot write {path}: {error.strerror}') from error

    def _named(self, losses):
        return ', '.join(f'{name} {loss:.6f}' for name, loss in zip(self.loss_names, losses))

    def _steps_before(self):
        return self.epoch * len(self.batches)

    def _check_finite(self, arrays):
        bad = [name for name, array in arrays.items() if not np.isfinite(array).all()]
        if bad:
            self._refuse(f'{len(bad)} weights are not finite ({bad[0]}, …)', self.step, self.paths)

    def _refuse(self, what, step, paths):
        files = ', '.join(str(path) for item in paths for path in item)
        raise UserError(f'training has gone bad in epoch {self.epoch + 1}, step {step}: {what}. '
                        f'Images of that batch: {files}. '
                        f'Last good weights: {self.last_weights or "none, this was the first epoch"}. '
                        'Nothing was saved since; a smaller lr may help')

    def save_state(self):
        """Save everything that resuming needs; the losses so far are checked and written first."""
        self._flush()
        arrays = {f'model/{name}': array for name, array in weights_of(self.model).items()}
        arrays.update(self.optimizer.state())
        self._check_finite(arrays)
        for path in (self.csv_path, self.log_path):
            with open(path, 'rb') as file:
                os.fsync(file.fileno())
        save_state(self.folder, arrays, {
            'epoch': self.epoch, 'step': self.step, 'seconds': self.seconds, 'images': self.images,
            'last_weights': self.last_weights and self.last_weights.name, 'last_losses': self.last_losses,
            'data': self._data_digest(),
            'broken': {str(path): reason for path, reason in self.batches.broken.items()},
            'csv_bytes': self.csv_path.stat().st_size, 'log_bytes': self.log_path.stat().st_size})
        self.saved_at = time.monotonic()

    def _restore(self):
        arrays, place = load_state(self.folder)
        if place['data'] != self._data_digest():
            raise UserError(f'{self.folder} cannot go on: the training images found are not those that it was started '
                            'with (put them back as they were, or start a new run)')
        self.model.load_state_dict({name[len('model/'):]: array for name, array in arrays.items()
                                    if name.startswith('model/')})
        self.optimizer.load_state(arrays)
        jt.sync_all()  # as after a step
        self.epoch, self.step = place['epoch'], place['step']
        self.seconds, self.images, self.last_losses = place['seconds'], place['images'], place['last_losses']
        self.last_weights = place['last_weights'] and self.folder / place['last_weights']
        self.batches.broken.update((Path(path), reason) for path, reason in place['broken'].items())
        for path, size in ((self.csv_path, place['csv_bytes']), (self.log_path, place['log_bytes'])):
            if not path.is_file() or path.stat().st_size < size:
                raise UserError(f'{path} lacks lines that were there when the state was saved: put it back, or start '
                                'a new run')
            os.truncate(path, size)  # the steps after the saved state are done again
        save_settings(self.settings, self.folder)  # with what was given beside --resume

    def _data_digest(self):
        items = [[str(path) for path in item] for item in self.batches.items]
        order = [self.batches.seed, self.batches.batch_size, items]
        return hashlib.sha256(json.dumps(order).encode()).hexdigest()


def _end_compile_workers():
    """End the processes that Jittor starts at its import, for compiling itself, and keeps.

    A Ctrl-C in the terminal reaches them too. They die of it holding a lock, for which Jittor waits forever when the
    program ends.
    """
    import jittor_utils  # here, since tools.runtime has to prepare for it
    if jittor_utils.pool_size:
        jittor_utils.pool_cleanup()
        atexit.unregister(jittor_utils.pool_cleanup)
        jittor_utils.pool_size = 0  # should it need them again, it starts new ones
