"""The sides of the comparison as seen from the script: worker processes that are asked to do one thing at a time."""
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple, Optional

from tools.base.errors import UserError

REPOSITORY = Path(__file__).resolve().parent.parent
PYTORCH = 'pytorch'
FLOORS = ('floor', 'floor_2', 'floor_3')  # further runs of PyTorch, which round otherwise
JITTORS = ('jittor', 'jittor_2', 'jittor_3', 'jittor_4')  # as many runs as of PyTorch
FLOOR, JITTOR = FLOORS[0], JITTORS[0]
SIDES = (PYTORCH, JITTOR, FLOOR)  # what parts without training compare
# Ports with a mistake on purpose, which the part seeds has to tell from the right one
WRONG = ('own_adam', 'absolute_shares')
NAMES = {PYTORCH: 'PyTorch', JITTOR: 'Jittor', FLOOR: 'PyTorch, other rounding',
         **{name: f'PyTorch, other rounding {number}' for number, name in enumerate(FLOORS[1:], 2)},
         **{name: f'Jittor, other rounding {number}' for number, name in enumerate(JITTORS[1:], 2)},
         'own_adam': 'wrong: Jittor\'s own Adam', 'absolute_shares': 'wrong: absolute shares'}
MODULES = {**dict.fromkeys((PYTORCH, *FLOORS), 'comparison.pytorch_side'),
           **dict.fromkeys(JITTORS, 'comparison.jittor_side'), **dict.fromkeys(WRONG, 'comparison.wrong_ports')}
NEEDED_FILES = ('network/net_autoencoder.py', 'network/net_conv_trans.py', 'network/transformer_cam.py',
                'network/loss.py', 'pytorch_msssim/__init__.py', 'tools/utils.py', 'args_auto.py', 'args_trans.py')
SECONDS_TO_END = 5
# Environment: left to itself, cuDNN rounds what a convolution multiplies to 11 bits
FLOAT32 = {'NVIDIA_TF32_OVERRIDE': '0'}


class Setup(NamedTuple):
    """original: a checkout of the PyTorch original. work: folder for what the sides exchange. threads: of a side.

    ssim_val_range: the range of the values in msssim, as for network.loss.msssim; None: inferred, as the original does.
    """
    original: Path
    work: Path
    cuda: bool
    threads: int
    ssim_val_range: Optional[float] = None


class Answer(NamedTuple):
    """result: what a side's method returned. seconds: how long the method took."""
    result: Any
    seconds: float


class SideError(UserError):
    """A side's method failed; its process goes on."""


def sides_with(floors, jittors):
    """The names of the sides with so many runs of PyTorch that round otherwise, and so many of Jittor."""
    return (PYTORCH, *JITTORS[:jittors], *FLOORS[:floors])


def check_original(path):
    """Raise UserError unless `path` is a checkout of the original and PyTorch is installed."""
    if path is None:
        raise UserError('--original is missing: the path of a checkout of github.com/hli1221/CrossFuse')
    missing = [name for name in NEEDED_FILES if not Path(path, name).is_file()]
    if missing:
        raise UserError(f'{path} is not a checkout of github.com/hli1221/CrossFuse: it lacks {", ".join(missing)}')
    if importlib.util.find_spec('torch') is None:
        raise UserError('PyTorch is not installed: pip install -r requirements-compare.txt')


class Side:
    """A process of one framework. Its methods are those of comparison.pytorch_side and comparison.jittor_side."""

    def __init__(self, side, setup):
        self.name = NAMES[side]
        self.log = setup.work / f'{side}.log'
        arguments = {'cuda': setup.cuda, 'threads': setup.threads, 'ssim_val_range': setup.ssim_val_range}
        if side in WRONG:
            arguments.update(mistake=side)
        elif side not in JITTORS:
            arguments.update(original=str(setup.original), other_rounding=side in FLOORS)
            # On the CPU another number of threads adds up in another order; on a GPU it is the algorithms that change.
            arguments['threads'] = 1 if side in FLOORS else setup.threads
        receiving, sending = os.pipe()
        with open(self.log, 'w') as log:
            self.process = subprocess.Popen(
                [sys.executable, '-m', MODULES[side], json.dumps({'replies': sending, **arguments})], cwd=REPOSITORY,
                env={**os.environ, **FLOAT32, 'OMP_NUM_THREADS': str(arguments['threads'])}, text=True,
                stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, pass_fds=[sending],
                start_new_session=True)  # Ctrl-C reaches the script alone, which ends its sides
        os.close(sending)
        self.replies = os.fdopen(receiving)

    def ask(self, method, **arguments):
        """Have the side run a method -> Answer. Raises as `answer` does."""
        self.tell(method, **arguments)
        return self.answer(method)

    def tell(self, method, **arguments):
        """Have the side begin a method. Its `answer` must be taken before it is told another."""
        paths_as_text = {name: str(value) if isinstance(value, Path) else value for name, value in arguments.items()}
        with contextlib.suppress(BrokenPipeError):  # `answer` says it
            self.process.stdin.write(json.dumps([method, paths_as_text]) + '\n')
            self.process.stdin.flush()

    def answer(self, method):
        """Wait for the method that was told -> Answer. Raises SideError if it fails, UserError if the process ended."""
        line = self.replies.readline()
        if not line:
            lines = self.log.read_text(errors='replace').splitlines() or ['it said nothing']
            raise UserError(f'the process of {self.name} ended: {lines[-1]} (all it said: {self.log})')
        answer = json.loads(line)
        if 'error' in answer:
            raise SideError(f'{self.name}, {method}: {answer["error"]} (more in {self.log})')
        return Answer(**answer)

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        with contextlib.suppress(BrokenPipeError):  # a command that a dead process has not taken
            self.process.stdin.close()
        self.replies.close()


@contextlib.contextmanager
def open_sides(names, setup):
    """Start a process for each of the sides named -> {name: Side}. They end with the block, however it is left."""
    setup.work.mkdir(parents=True, exist_ok=True)
    sides = {}
    try:
        for name in names:
            sides[name] = Side(name, setup)
        yield sides
    finally:
        for side in sides.values():
            side.close()
