"""What is written down of the losses of a training run: its log for people, its CSV for programs,
TensorBoard, and the progress shown."""
import os
import time

import numpy as np
from tqdm import tqdm

from tools.base.errors import UserError
from tools.runtime import jt
from tools.runtime.processes import by_first
from tools.training.run_folder import CSV, LOG


class LossLog:
    """Takes the losses of each step, whatever names they have, and writes them when `flush` is called.

    folder: of the run. steps: per epoch, of `batch_size` images each.
    """

    def __init__(self, folder, steps, batch_size, epochs):
        self.csv_path, self.log_path = folder / CSV, folder / LOG
        self.steps, self.batch_size, self.epochs = steps, batch_size, epochs
        self.pending = []  # (losses, paths of the images) of steps whose losses have not been looked at yet
        self.seconds, self.images, self.last = 0.0, 0, ''  # of the whole run, resumed parts included
        self.bar = self.writer = None
        self.flushed_at = time.monotonic()

    def start(self, epoch, step, tensorboard):
        """To be called once, before the step of that epoch, both counted from 0."""
        for path in (self.csv_path, self.log_path):
            _append(path, '')
        if tensorboard:
            from tensorboardX import SummaryWriter
            self.writer = SummaryWriter(str(self.csv_path.parent), purge_step=epoch * self.steps + step + 1)
        self.flushed_at = time.monotonic()

    def progress(self, epoch, step):
        """A progress bar, on a terminal, for the steps of an epoch from `step` on."""
        self.bar = tqdm(desc=f'epoch {epoch + 1}/{self.epochs}', total=self.steps, initial=step, unit='step',
                        disable=None)
        return self.bar

    def add(self, losses, paths):
        """Note the losses of a step, {name: Var of one element}, and which images they are of."""
        values = jt.concat([loss.reshape(1) for loss in losses.values()]).stop_grad()
        # What is left to compute would be fused with what comes next, a step or the saving, and be rounded otherwise.
        jt.sync_all()
        self.names = list(losses)
        self.pending.append((values, paths))

    def flush(self, epoch, step, lr):
        """Write the pending losses; `step` of the epoch is the next one, both counted from 0.

        Returns None, or the first step with a loss that is not finite, up to which they were written: its number within
        the epoch, counted from 1, its losses as text, and the paths of its images.
        """
        if not self.pending:
            return None
        values, paths = jt.stack([losses for losses, _ in self.pending]).numpy(), [paths for _, paths in self.pending]
        self.pending = []
        first = step - len(values)
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        good = bad[0] if len(bad) else len(values)
        if good:
            by_first(self._write, values[:good].tolist(), epoch, first, lr)
        return (first + good + 1, self._named(values[good]), paths[good]) if len(bad) else None

    def _write(self, values, epoch, first, lr):
        now = time.monotonic()
        elapsed, self.flushed_at = now - self.flushed_at, now
        images = len(values) * self.batch_size
        self.seconds, self.images = self.seconds + elapsed, self.images + images
        rate = images / elapsed
        head = ','.join(['step', 'epoch', 'lr', *self.names, 'images_per_second']) + '\n'
        with open(self.csv_path, encoding='utf-8') as file:
            began_with = file.readline()
        if began_with not in ('', head):
            raise UserError(f'{self.csv_path} has other losses, {began_with.strip()}: a run goes on with the losses '
                            'that it began with; start a new one')
        rows = '' if began_with else head
        for step, losses in enumerate(values, epoch * self.steps + first + 1):
            rows += f'{step},{epoch + 1},{lr:g},{",".join(f"{loss:.9g}" for loss in losses)},{rate:.4g}\n'
            if self.writer:
                for name, loss in zip(self.names, losses):
                    self.writer.add_scalar(name, loss, step)
        means, last = np.mean(values, axis=0), first + len(values)
        # The original's line format, which plot_loss_curves.py reads.
        named = (f'{name.replace("_", " ")}: {loss:.6f}' for name, loss in zip(self.names, means))
        line = ' - '.join([time.ctime(), f'Epoch {epoch + 1}/{self.epochs}', f'Batch {last}/{self.steps}',
                           f'lr:{lr:.6f}', *named])
        _append(self.csv_path, rows)
        _append(self.log_path, line + '\n')
        self.last = self._named(values[-1])
        if self.bar.disable:
            left = tqdm.format_interval((self.steps - last) * elapsed / len(values))
            print(f'{line} - {rate:.1f} images/s - {left} left in this epoch', flush=True)
        else:
            self.bar.set_postfix_str(f'loss {means[-1]:.3f}, lr {lr:g}, {rate:.1f} images/s')

    def _named(self, losses):
        return ', '.join(f'{name} {loss:.6f}' for name, loss in zip(self.names, losses))

    def state(self):
        """What `restore` needs, for the state of the run; all that was written is on the disk then."""
        sizes = {}
        for path in (self.csv_path, self.log_path):
            with open(path, 'rb') as file:
                os.fsync(file.fileno())
            sizes[path.name] = path.stat().st_size
        return {'sizes': sizes, 'seconds': self.seconds, 'images': self.images, 'last': self.last}

    def restore(self, state):
        """Back to a state: what was written since is cut off, since those steps are done again.
        UserError if something is missing."""
        self.seconds, self.images, self.last = state['seconds'], state['images'], state['last']
        for name, size in state['sizes'].items():
            path = self.csv_path.with_name(name)
            if not path.is_file() or path.stat().st_size < size:
                raise UserError(f'{path} lacks lines that were there when the state was saved: put it back, or start a '
                                'new run')
            os.truncate(path, size)

    def close(self):
        for open_one in (self.bar, self.writer):
            if open_one is not None:
                open_one.close()


def _append(path, text):
    try:
        with open(path, 'a', encoding='utf-8') as file:
            file.write(text)
    except OSError as error:
        raise UserError(f'cannot write {path}: {error.strerror}') from error
