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
import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tools.base.errors import INTERRUPTED, UserError
from tools.base.files import lock, write_text
from tools.base.mpi import COUNT, FIRST
from tools.data.frames import note_frames
from tools.data.images import write_image
from tools.data.training_list import folder_of
from tools.runtime import jt, ran_out_of_memory
from tools.runtime.processes import by_first, check_same, gather
from tools.training.loss_log import LossLog
from tools.training.run_folder import LOCK, SAMPLE, SETTINGS, SUMMARY, save_settings
from tools.training.run_list import RUN_LIST, RunList
from tools.training.state import RunState
from tools.training.stopping import Stopping
from tools.weights.checkpoint import fingerprint, save_weights
from tools.weights.networks import weights_of

SAMPLES = 4  # images of a batch in a sample picture


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
    settings: the script's dataclass. weights_file: its name, with `{epoch}` in it.
    metadata: goes into the weights files.

    A first Ctrl-C (or SIGTERM or SIGUSR1, as batch systems send them, or SIGHUP, of a closed terminal) ends the loop
    after the step in progress, with the state saved; a second one ends at once. With several processes, SIGUSR1 does.

    A resumed run gives bit for bit the losses and weights of an uninterrupted one, on one machine's CPU with the same
    number of threads. Nothing random happens after the initial weights but the order of the data (and what `augment`
    does), which follows from seed, epoch and place in it. So the state is the weights, the optimiser's moments and the
    place in the data; the losses so far are in the CSV file, which resuming cuts off where the state was saved.

    Several processes (tools/runtime/processes.py) go through all this in step, so that any number of them can
    go on; the first alone writes.
    """

    def __init__(self, folder, model, optimizer, batches, settings, weights_file, metadata):
        self.folder, self.model, self.optimizer, self.batches = Path(folder), model, optimizer, batches
        self.settings, self.weights_file, self.metadata = settings, weights_file, metadata
        self.paths = []  # of the batch of the last step
        self.feed = self.lock = self.list = None
        self.stopping = Stopping()
        self.state = RunState(self.folder, model, optimizer, batches, metadata)
        self.log = LossLog(self.folder, len(batches), batches.batch_size, settings.epochs)
        by_first(self._lock_folder)
        resume = by_first((self.folder / SETTINGS).exists)
        if resume:
            self.state.restore(self.log)
        if COUNT > 1:
            check_same({'settings': vars(self.settings), 'run folders': str(self.folder),
                        'images': [self.batches.items, self.batches.seed],
                        'states': [self.epoch, self.step], 'weights': fingerprint(weights_of(self.model))})
        by_first(self.log.start, self.epoch, self.step, settings.tensorboard)
        by_first(save_settings, settings, self.folder)  # of a resumed run with what was given beside --resume
        if not resume:
            by_first(note_frames, batches.items, self.folder)
            self.save_state()  # so that there is something to go on from, and a full disk shows now
        if FIRST and not (self.folder / RUN_LIST).exists():
            roots = [root for root in (settings.ir, settings.vi) if root] or settings.path
            modality = getattr(settings, 'type_flag', None)  # of stage 1
            self.list = RunList(self.folder / RUN_LIST, batches.items, folder_of(roots), modality)

    @property
    def epoch(self):
        """Of the next step to do, counted from 0."""
        return self.state.epoch

    @property
    def step(self):
        """The number of the next step within its epoch, counted from 0."""
        return self.state.step

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
            print(f'training on the {"GPU" if jt.flags.use_cuda else "CPU"}: {len(self.batches)} steps per epoch, '
                  f'beginning with epoch {self.epoch + 1}, step {self.step + 1}; results go to {self.folder}; the very '
                  'first step takes minutes, while Jittor compiles', flush=True)
            if COUNT > 1:
                print(f'{COUNT} processes share each batch; to stop them after a step: pkill -USR1 mpirun (Ctrl-C lets '
                      'mpirun kill them within seconds, back to the last saved state)', flush=True)
        else:
            print(f'{self.folder} has finished its {self.epoch} epochs; to continue training, give a larger number: '
                  f'--epochs {self.epoch + 1}')
        self.stopping.heed()
        self.saved_at = time.monotonic()
        return self

    def __exit__(self, kind, error, trace):
        self.stopping.release()
        # The feed ends its threads here, not when the garbage collector finds it.
        for open_one in (self.list, self.feed, self.log, self.lock):
            if open_one is not None:
                open_one.close()
        if ran_out_of_memory(error):
            smaller = max(1, self.batches.batch_size // 2)
            raise UserError(f'there was not enough memory in epoch {self.epoch + 1}, step {self.step + 1}: resume from '
                            f'the last saved state, with a smaller batch if this happens again: {self._resuming()} '
                            f'--batch {smaller}') from error
        if self.stopping.asked and isinstance(error, RuntimeError):
            # In a terminal, Ctrl-C ends the compiler too that Jittor may be waiting for, which it takes for an error.
            raise KeyboardInterrupt from error

    def batches_of(self, epoch):
        """The batches of an epoch that are still to do, with a progress bar on a terminal."""
        self.feed = self.batches.epoch(epoch, self.step)
        with self.log.progress(epoch, self.step) as bar:
            for batch in self.feed:
                yield batch
                bar.update()

    def after_step(self, losses, batch):
        """Note the losses of a step, {name: Var of one element}; write them, save the
        state and stop when it is time to.

        UserError if losses or weights are not finite.
        """
        self.log.add(losses, batch.paths)
        self._show_news_of_list()
        self.paths = batch.paths
        self.state.step += 1
        due = time.monotonic() - self.saved_at > 60 * self.settings.save_minutes
        stopping, due = map(any, zip(*gather([self.stopping.asked, due])))
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
        self.state.epoch, self.state.step = self.epoch + 1, 0
        self.state.last_weights = self.folder / self.weights_file.format(epoch=self.epoch)
        by_first(save_weights, self.state.last_weights, weights,
                 {**self.metadata, 'epoch': self.epoch, 'run': self.folder.name, 'settings': vars(self.settings)})
        columns = [np.concatenate(list(np.asarray(images)[:SAMPLES, 0])) for images in samples]
        picture = np.concatenate(columns, axis=1).clip(0, 255).astype(np.uint8)
        by_first(write_image, self.folder / SAMPLE.format(epoch=self.epoch), picture)
        self.save_state()
        if self.epoch < self.settings.epochs:
            self._stop_if_asked()

    def _stop_if_asked(self):
        if any(gather(self.stopping.asked)):
            print(f'stopped; to resume, run: {self._resuming()}')
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
                 f'time: {self.log.seconds / 60:.1f} minutes, {self.log.images / max(self.log.seconds, 1e-9):.2f} '
                 'images/s',
                 f'losses of the last step: {self.log.last}',
                 f'weights: {self.state.last_weights}',
                 f'images left out because they could not be read: {len(self.batches.broken)}',
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
        raise UserError(f'training diverged in epoch {self.epoch + 1}, step {step}: {what}. '
                        f'Images of that batch: {files}. '
                        f'Last good weights: {self.state.last_weights or "none, this was the first epoch"}. '
                        'Nothing has been saved since then; a smaller lr may help')

    def save_state(self):
        """Save everything that resuming needs; the losses so far are checked and written first."""
        self._flush()
        arrays = self.state.arrays()
        self._check_finite(arrays)
        self.state.save(arrays, self.log)
        self.saved_at = time.monotonic()

