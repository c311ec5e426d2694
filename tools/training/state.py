"""The state of a training run: where it is, and all that going on from there needs."""
import json
from pathlib import Path

from tools.base.errors import UserError
from tools.data.frames import check_frames
from tools.runtime import jt
from tools.runtime.processes import by_first, gather
from tools.weights.checkpoint import load_state, save_state
from tools.weights.networks import weights_of


class RunState:
    """Weights, the optimiser's moments, and the place in the data. Nothing else of a run is random: see TrainingRun."""

    def __init__(self, folder, model, optimizer, batches, metadata):
        self.folder, self.model, self.optimizer = folder, model, optimizer
        self.batches, self.metadata = batches, metadata
        self.epoch, self.step = 0, 0  # the next step to do: its epoch, and its number within it
        self.last_weights = None  # the newest weights file

    def arrays(self):
        """Weights and moments by their names."""
        weights = {f'model/{name}': array for name, array in weights_of(self.model).items()}
        return {**weights, **self.optimizer.state()}

    def save(self, arrays, log):
        """Save what `arrays` gave, the place, and the state of the LossLog."""
        for broken in gather([[str(path), reason] for path, reason in self.batches.broken.items()]):
            self.batches.leave_out({Path(path): reason for path, reason in broken})
        by_first(self._write, arrays, log)

    def _write(self, arrays, log):
        save_state(self.folder, arrays, {
            'epoch': self.epoch, 'step': self.step, 'batch': self.batches.batch_size, 'log': log.state(),
            'network': self.metadata,
            'last_weights': self.last_weights and self.last_weights.name, 'broken': self._broken()})

    def restore(self, log):
        """Take back what `save` saved last. UserError if it is of another network or other images, or damaged."""
        arrays, place = load_state(self.folder)
        if 'batch' not in place:
            raise UserError(f'the state in {self.folder} is of an older version: start a new run')
        # Weights of the same shapes, which would compute something else
        if place['network'] != json.loads(json.dumps(self.metadata)):
            raise UserError(f'{self.folder} cannot go on: its network was built with other options or encoders than '
                            'this version builds')
        check_frames(self.batches.items, self.folder, [(item, file) for item, file, _ in place['broken']])
        self.model.load_state_dict({name[len('model/'):]: array for name, array in arrays.items()
                                    if name.startswith('model/')})
        self.optimizer.load_state(arrays)
        jt.sync_all()  # as after a step
        self.epoch, self.step = place['epoch'], self._step_of(place['step'], place['batch'])
        by_first(log.restore, place['log'])
        self.last_weights = place['last_weights'] and self.folder / place['last_weights']
        self.batches.broken.update((self.batches.items[item][file], reason) for item, file, reason in place['broken'])

    def _broken(self):
        """The broken files as [number of the item, number of the file in it, reason]: wherever they
        lie by the time of resuming."""
        return [[number, item.index(path), self.batches.broken[path]] for number, item in enumerate(self.batches.items)
                for path in item if path in self.batches.broken]

    def _step_of(self, step, batch):
        """The step of the epoch to go on with, after `step` ones of so many images; says it if batches are smaller now.

        Batches do not change the epoch's order: it goes on where it was. If that is within a batch, the
        images at its start come again.
        """
        if self.batches.batch_size > batch:
            raise UserError(f'{self.folder} cannot go on: batch was {batch}, and can only become smaller within a run')
        if self.batches.batch_size == batch:
            return step
        print(f'from this step on, the batch size is {self.batches.batch_size}; it was {batch}')
        return step * batch // self.batches.batch_size
