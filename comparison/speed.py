"""Part 4: how long a training step and a fused image take, both sides in turn, and how much memory."""
from functools import partial
from typing import Any, Dict, NamedTuple, Tuple

import numpy as np
from tqdm import tqdm

from comparison.inputs import write_resized
from comparison.report import write_part
from comparison.sides import JITTOR, NAMES, PYTORCH, open_sides
from comparison.training import STAGES, start_stage
from tools.tables import markdown_table

TIMED = (PYTORCH, JITTOR)
WARM_UP_ROUNDS = 2  # Jittor compiles in the first
FUSED_SIZES = ((256, 256), (480, 640), (768, 1024))  # height, width


class Row(NamedTuple):
    """Median seconds of both sides; Jittor's time over PyTorch's, round by round; peak memory in MiB.

    gflop: floating-point operations / 1e9 of the task in Jittor. of_peak: its share of the speed of a large convolution.
    """
    task: str
    pytorch: float
    jittor: float
    ratio: float
    smallest_ratio: float
    largest_ratio: float
    pytorch_memory: float
    jittor_memory: float
    gflop: float
    of_peak: float


class Task(NamedTuple):
    """start: function of a side that prepares it. method, arguments: what is timed then."""
    title: str
    start: Any
    method: str
    arguments: Dict[str, Any]


def compare(setup, initial, batches, pair, sizes, repeats, out, note):
    """Time training steps and fusing, and write the table.

    initial: {network: file}. batches: {network: BatchFile}. pair: PairFile, resized to each of `sizes` (height, width).
    repeats: timed rounds; in each, either side does the task once while the other waits. note: on what is compared.
    """
    rows = []
    for task in tasks(setup, initial, batches, pair, sizes):
        seconds, memory, operations, peak = _measure(setup, task, repeats)
        rows.append(summary(task.title, seconds[PYTORCH], seconds[JITTOR], memory[PYTORCH], memory[JITTOR], operations, peak))
        print(f'{task.title}: PyTorch {rows[-1].pytorch:.3f} s, Jittor {rows[-1].jittor:.3f} s')
    write_part(out, 'speed', rows, describe(rows, repeats, note))


def tasks(setup, initial, batches, pair, sizes):
    """The list of Task."""
    found = []
    for key, title in (('stage_1_ir', 'training step, stage 1'), ('stage_2', 'training step, stage 2')):
        stage = STAGES[key]
        file = batches[stage.network]
        start, of_batch = partial(start_stage, stage=stage, weights=initial), {'batches': file.path, 'index': 0}
        found.append(Task(f'{title}, batch {file.batch}', start, 'step', {**of_batch, 'epoch': 0}))

    def start_with_features(side):
        start(side)
        if side.name == NAMES[JITTOR]:
            side.ask('cache_features', **of_batch)
    found.append(found[-1]._replace(title=f'{found[-1].title}, deep features cached in Jittor', start=start_with_features))
    for size in sizes:
        resized = write_resized(setup.work / f'{size[0]}x{size[1]}.npy', pair, size)
        found.append(Task(f'fused image, {resized.name}', lambda side: side.ask('start_fusing', **initial), 'fuse',
                          {'pair': resized.path}))
    return found


def summary(task, pytorch, jittor, pytorch_memory, jittor_memory, operations, peak):
    """A Row of the seconds of both sides, a list of each, round by round; of Jittor's operations, and of them per second at most."""
    ratios = np.divide(jittor, pytorch)
    return Row(task, np.median(pytorch), np.median(jittor), np.median(ratios), ratios.min(), ratios.max(),
               pytorch_memory, jittor_memory, operations / 1e9, operations / np.median(jittor) / peak)


def describe(rows, repeats, note):
    """The rows as Markdown."""
    table = markdown_table(
        ['task', 'PyTorch', 'Jittor', 'Jittor ÷ PyTorch', 'smallest … largest', 'PyTorch, peak memory', 'Jittor', 'GFLOP',
         'Jittor reaches'],
        [[row.task, f'{row.pytorch:.3f} s', f'{row.jittor:.3f} s', f'{row.ratio:.2f}',
          f'{row.smallest_ratio:.2f} … {row.largest_ratio:.2f}', f'{row.pytorch_memory:.0f} MiB',
          f'{row.jittor_memory:.0f} MiB', f'{row.gflop:.0f}', f'{row.of_peak:.0%} of the peak'] for row in rows])
    return (f'## Speed and memory\n\n{table}\n'
            f'Medians of {repeats} rounds after {WARM_UP_ROUNDS} to warm up; in a round, either side works while the '
            f'other waits. Peak memory: of the process, or on a GPU what the framework reserved there. '
            f'GFLOP: of convolutions, linear layers and attention. Peak: the speed of a large 3×3 convolution in the same process. '
            f'{note}\n')


def _measure(setup, task, repeats) -> Tuple[dict, dict, float, float]:
    """({side: seconds of each round}, {side: peak memory}, Jittor's operations, its operations per second at most).

    In new processes, whose peak memory is the task's.
    """
    with open_sides(TIMED, setup) as sides:
        for side in sides.values():
            task.start(side)
        seconds = {name: [] for name in sides}
        for number in tqdm(range(WARM_UP_ROUNDS + repeats), task.title, unit='round', leave=False):
            for name in TIMED if number % 2 else TIMED[::-1]:
                seconds[name].append(sides[name].ask(task.method, **task.arguments).seconds)
        memory = {name: side.ask('peak_memory').result for name, side in sides.items()}
        operations, peak = (sides[JITTOR].ask(method, **arguments).result
                            for method, arguments in ((f'{task.method}_operations', task.arguments), ('peak', {})))
        return {name: times[WARM_UP_ROUNDS:] for name, times in seconds.items()}, memory, operations, peak
