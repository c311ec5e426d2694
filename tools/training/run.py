"""A training run: its folder, its log, its saved states, and how it stops and goes on.

    models/autoencoder/ir_20261122_101500/
        settings.json                       what it was started with
        train.log, losses.csv               the losses, for people and for programs
        auto_encoder_epoch_1_ir.safetensors the weights after each epoch
        samples/epoch_1.png                 sources and results of a few images
        frames.json                         what the images of this run are known by when it goes on
        training_list.tsv                   the images by hash (tools/data/training_list.py), written while it trains
        state_7.bin                         what `--resume` goes on from
        summary.txt
"""
import contextlib
import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tools.base.errors import INTERRUPTED, UserError
from tools.base.files import lock, write_text
from tools.base.mpi import COUNT, FIRST
from tools.data.frames import check_frames, note_frames
from tools.data.images import write_image
from tools.data.training_list import folder_of
from tools.runtime import jt, ran_out_of_memory
from tools.runtime.processes import by_first, gather
from tools.training.loss_log import LossLog
from tools.training.run_folder import LOCK, SAMPLE, SETTINGS, SUMMARY, save_settings
from tools.training.run_list import RUN_LIST, RunList
from tools.weights.checkpoint import fingerprint, load_state, save_state, save_weights
from tools.weights.networks import weights_of

SAMPLES = 4  # images of a batch in a sample picture
STDERR = 2
# SIGUSR1: of batch systems, before the time is up; mpirun forwards it to each of several processes, and answers the others by killing them.
STOP_SIGNALS = signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1
STOPPING = b'\nstopping after this step (Ctrl-C again: at once, back to the last saved state)\n'


def learning_rate(lr, epoch, full_rate_epochs=2):
    """Full for the first epochs, two in the original, a tenth afterwards (epoch counts from 0).

    Once, as the original's code does it; the earlier port's README speaks of a tenth every epoch.
    """
    return lr if epoch < full_rate_epochs else lr / 10


class TrainingRun:
    """One run of a training script: use it as a context, around the loop over epochs and batches.

        with TrainingRun(folder, model, optimizer, batches, settings, weights_file, metadata) as run:
            for epoch in range(run.epoch, settings.epochs):
                for batch in run.batches_of(epoch):
                    …one step…
                    run.after_step(losses, batch)
                run.after_epoch(samples)
            run.finish()

    folder: of the run; if it holds one, model and optimizer take its newest state and the run goes on from there.
    settings: the script's dataclass. weights_file: its name, with `{epoch}` in it. metadata: goes into the weights files.

    A first Ctrl-C (or SIGTERM or SIGUSR1, as batch systems send them, or SIGHUP, of a closed terminal) ends the loop after the step in
    progress, with the state saved; a second one ends at once. With several processes, SIGUSR1 does.

    A resumed run gives bit for bit the losses and weights of an uninterrupted one, on one machine's CPU with the same
    number of threads. Nothing random happens after the initial weights but the order of the data (and what `augment`
    does), which follows from seed, epoch and place in it. So the state is the weights, the optimiser's moments and the
    place in the data; the losses so far are in the CSV file, which resuming cuts off where the state was saved.

    Several processes (tools/runtime/processes.py) go through all this in step, so that any number of them can go on; the first alone
    writes.
    """

    def __init__(self, folder, model, optimizer, batches, settings, weights_file, metadata):
        self.folder, self.model, self.optimizer, self.batches = Path(folder), model, optimizer, batches
        self.settings, self.weights_file, self.metadata = settings, weights_file, metadata
        self.epoch, self.step = 0, 0  # the next step to do: its epoch, and its number within it
        self.paths = []  # of the batch of the last step
        self.last_weights = self.feed = self.lock = self.list = None
        self.stopping = False
        self.log = LossLog(self.folder, len(batches), batches.batch_size, settings.epochs)
        by_first(self._lock_folder)
        resume = by_first((self.folder / SETTINGS).exists)
        if resume:
            self._restore()
        self._check_processes()
        by_first(self.log.start, self.epoch, self.step, settings.tensorboard)
        by_first(save_settings, settings, self.folder)  # of a resumed run with what was given beside --resume
        if not resume:
            by_first(note_frames, batches.items, self.folder)
            self.save_state()  # so that there is something to go on from, and a full disk shows now
        if FIRST and not (self.folder / RUN_LIST).exists():
            roots = [root for root in (settings.ir, settings.vi) if root] or settings.path
            modality = getattr(settings, 'type_flag', None)  # of stage 1
            self.list = RunList(self.folder / RUN_LIST, batches.items, folder_of(roots), modality)

    def _lock_folder(self):
        """UserError if another process trains in this folder. The lock ends with the process, however that ends."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.lock = open(self.folder / LOCK, 'w')
            lock(self.lock, wait=False)
        except BlockingIOError:
            raise UserError(f'{self.folder} is in use: another process trains there') from None
        except OSError as error:
            raise UserError(f'cannot write {self.folder}: {error.strerror}') from error

    def __enter__(self):
        if self.epoch < self.settings.epochs:
            print(f'training on the {"GPU" if jt.flags.use_cuda else "CPU"}: {len(self.batches)} steps per epoch, from '
                  f'epoch {self.epoch + 1} step {self.step + 1}; all goes to {self.folder}; the first step ever takes '
                  'minutes, while Jittor compiles', flush=True)
            if COUNT > 1:
                print(f'{COUNT} processes share each batch; to stop them after a step: pkill -USR1 mpirun (Ctrl-C lets mpirun kill '
                      'them within seconds, back to the last saved state)', flush=True)
        else:
            print(f'{self.folder} is finished: {self.epoch} epochs are done; to train on, give a larger number: '
                  f'--epochs {self.epoch + 1}')
        heeded = [number for number in STOP_SIGNALS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]  # nohup
        self.previous_handlers = {number: signal.signal(number, self._interrupt) for number in heeded}
        self.saved_at = time.monotonic()
        return self

    def __exit__(self, kind, error, trace):
        for number, handler in self.previous_handlers.items():
            signal.signal(number, handler)
        # The feed ends its threads here, not when the garbage collector finds it.
        for open_one in (self.list, self.feed, self.log, self.lock):
            if open_one is not None:
                open_one.close()
        if ran_out_of_memory(error):
            smaller = max(1, self.batches.batch_size // 2)
            raise UserError(f'the memory did not suffice in epoch {self.epoch + 1}, step {self.step + 1}: go on from the last saved state, '
                            f'with a smaller batch where it never suffices: {self._resuming()} --batch {smaller}') from error
        if self.stopping and isinstance(error, RuntimeError):
            # In a terminal, Ctrl-C ends the compiler too that Jittor may be waiting for, which it takes for an error.
            raise KeyboardInterrupt from error

    def _interrupt(self, number, frame):
        if self.stopping:
            raise KeyboardInterrupt
        self.stopping = True
        if FIRST:
            with contextlib.suppress(OSError):  # of a terminal that was closed
                os.write(STDERR, STOPPING)  # not print, which this may have interrupted

    def batches_of(self, epoch):
        """The batches of an epoch that are still to do, with a progress bar on a terminal."""
        self.feed = self.batches.epoch(epoch, self.step)
        yield from self.log.progress(self.feed, epoch, self.step)

    def after_step(self, losses, batch):
        """Note the losses of a step, {name: Var of one element}; write them, save the state and stop when it is time to.

        UserError if losses or weights are not finite.
        """
        self.log.add(losses, batch.paths)
        self._show_news_of_list()
        self.paths = batch.paths
        self.step += 1
        due = time.monotonic() - self.saved_at > 60 * self.settings.save_minutes
        stopping, due = map(any, zip(*gather([self.stopping, due])))
        if self.step % self.settings.step == 0 or stopping:
            self._flush()
        if self.step < len(self.batches) and (due or stopping):  # at the end of an epoch, after_epoch does both
            self.save_state()
            self._stop_if_asked()

    def after_epoch(self, samples):
        """Save weights, state and a sample picture: some of the `samples`, each (N, 1, H, W), side by side."""
        self._flush()
        weights = weights_of(self.model)
        self._check_finite(weights)
        self.epoch, self.step = self.epoch + 1, 0
        self.last_weights = self.folder / self.weights_file.format(epoch=self.epoch)
        by_first(save_weights, self.last_weights, weights,
                 {**self.metadata, 'epoch': self.epoch, 'run': self.folder.name, 'settings': vars(self.settings)})
        columns = [np.concatenate(list(np.asarray(images)[:SAMPLES, 0])) for images in samples]
        picture = np.concatenate(columns, axis=1).clip(0, 255).astype(np.uint8)
        by_first(write_image, self.folder / SAMPLE.format(epoch=self.epoch), picture)
        self.save_state()
        if self.epoch < self.settings.epochs:
            self._stop_if_asked()

    def _stop_if_asked(self):
        if any(gather(self.stopping)):
            print(f'stopped; go on with: {self._resuming()}')
            sys.exit(INTERRUPTED)

    def _resuming(self):
        return f'python {Path(sys.argv[0]).name} --resume {self.folder}'

    def finish(self):
        """Write and print the summary, once the list of images is written."""
        if self.list:
            self.list.wait()
        self._show_news_of_list()
        by_first(self._summarise)

    def _show_news_of_list(self):
        for line in self.list.news() if self.list else ():
            tqdm.write(line)

    def _summarise(self):
        lines = [f'{self.folder}: {self.epoch} epochs of {len(self.batches)} steps',
                 f'time: {self.log.seconds / 60:.1f} minutes, {self.log.images / max(self.log.seconds, 1e-9):.2f} images/s',
                 f'losses of the last step: {self.log.last}',
                 f'weights: {self.last_weights}',
                 f'images left out since they could not be read: {len(self.batches.broken)}',
                 *(f'    {reason}' for reason in self.batches.broken.values())]
        write_text(self.folder / SUMMARY, '\n'.join(lines) + '\n')
        print('\n'.join(lines))

    def _flush(self):
        bad = self.log.flush(self.epoch, self.step, self.optimizer.lr)
        if bad:
            step, losses, paths = bad
            self._refuse(f'the loss is {losses}', step, paths)

    def _check_finite(self, arrays):
        bad = [name for name, array in arrays.items() if not np.isfinite(array).all()]
        if bad:
            self._refuse(f'{len(bad)} weights are not finite ({bad[0]}, …)', self.step, self.paths)

    def _refuse(self, what, step, paths):
        files = ', '.join(str(path) for share in gather(paths) for item in share for path in item)
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
        for broken in gather([[str(path), reason] for path, reason in self.batches.broken.items()]):
            self.batches.leave_out({Path(path): reason for path, reason in broken})
        by_first(self._write_state, arrays)
        self.saved_at = time.monotonic()

    def _write_state(self, arrays):
        save_state(self.folder, arrays, {
            'epoch': self.epoch, 'step': self.step, 'batch': self.batches.batch_size, 'log': self.log.state(), 'network': self.metadata,
            'last_weights': self.last_weights and self.last_weights.name, 'broken': self._broken()})

    def _restore(self):
        arrays, place = load_state(self.folder)
        if 'batch' not in place:
            raise UserError(f'the state in {self.folder} is of an older version: start a new run')
        if place['network'] != json.loads(json.dumps(self.metadata)):  # weights of the same shapes, which would compute something else
            raise UserError(f'{self.folder} cannot go on: its network was built with other options or encoders than this version builds')
        check_frames(self.batches.items, self.folder, [(item, file) for item, file, _ in place['broken']])
        self.model.load_state_dict({name[len('model/'):]: array for name, array in arrays.items()
                                    if name.startswith('model/')})
        self.optimizer.load_state(arrays)
        jt.sync_all()  # as after a step
        self.epoch, self.step = place['epoch'], self._step_of(place['step'], place['batch'])
        by_first(self.log.restore, place['log'])
        self.last_weights = place['last_weights'] and self.folder / place['last_weights']
        self.batches.broken.update((self.batches.items[item][file], reason) for item, file, reason in place['broken'])

    def _broken(self):
        """The broken files as [number of the item, number of the file in it, reason]: wherever they lie by the time of resuming."""
        return [[number, item.index(path), self.batches.broken[path]] for number, item in enumerate(self.batches.items)
                for path in item if path in self.batches.broken]

    def _check_processes(self):
        """UserError unless all processes, perhaps on several machines, do the same: they would average what has nothing in common."""
        if COUNT == 1:
            return
        same = {'settings': vars(self.settings), 'run folders': str(self.folder), 'images': [self.batches.items, self.batches.seed],
                'states': [self.epoch, self.step], 'weights': fingerprint(weights_of(self.model))}
        for what, value in same.items():
            values = gather(hashlib.sha256(json.dumps(value, default=str).encode()).hexdigest())
            if len(set(values)) > 1:
                raise UserError(f'the processes have different {what}: each must find the same files under the same names, '
                                'and compute on the same kind of device')

    def _step_of(self, step, batch):
        """The step of the epoch to go on with, after `step` ones of so many images; says it if batches are smaller now.

        Batches do not change the epoch's order: it goes on where it was. If that is within a batch, the images at its start come again.
        """
        if self.batches.batch_size > batch:
            raise UserError(f'{self.folder} cannot go on: batch was {batch}, and can only become smaller within a run')
        if self.batches.batch_size == batch:
            return step
        print(f'from here on with batch {self.batches.batch_size} instead of {batch}')
        return step * batch // self.batches.batch_size
