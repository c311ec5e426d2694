"""Part 4: how long a training step and a fused image take, both sides in turn, and how much memory."""
from functools import partial
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np
from tqdm import tqdm

from comparison.inputs import SIZE, BatchFile, PairFile, write_resized
from comparison.report import write_part
from comparison.sides import JITTOR, NAMES, PYTORCH, open_sides
from comparison.training import STAGES, start_stage
from tools.base.tables import markdown_table
from tools.evaluation.metrics import METRICS

TIMED = (PYTORCH, JITTOR)
NOTHING = '—'
WARM_UP_ROUNDS = 2  # Jittor compiles in the first
LONG_ROUNDS = 4  # of tasks that take a minute, with one to warm up
LOADED_PAIRS, LOADED_BATCH = 64, 8
MANY_METHODS = 5  # whose images are scored together
FUSED_SIZES = ((256, 256), (480, 640), (768, 1024))  # height, width


class Work(NamedTuple):
    """What is timed. initial: {network: file}. batches: {network: BatchFile}. pair: PairFile, resized to each of sizes (height, width).

    training_files, test_files: paths (infrared, visible).
    """
    initial: Dict[str, Path]
    batches: Dict[str, BatchFile]
    training_files: List[Tuple[Path, ...]]
    pair: PairFile
    sizes: Sequence[Tuple[int, int]]
    test_files: List[Tuple[Path, ...]]


class Row(NamedTuple):
    """Median seconds of both sides; Jittor's time over PyTorch's, round by round; peak memory in MiB.

    gflop: floating-point operations / 1e9 of the task in Jittor. of_peak: its share of the speed of a large convolution.
    NaN for what there is not: PyTorch's of what the original does not do, operations of what is no computation of networks.
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
    """start: function of a side that prepares it. method, arguments: what is timed then. computes: whether with networks."""
    title: str
    start: Any
    method: str
    arguments: Dict[str, Any]
    sides: Tuple[str, ...] = TIMED
    computes: bool = True
    is_long: bool = False


def compare(setup, work, repeats, out, note):
    """Time training, loading, fusing and scoring, and write the table.

    repeats: timed rounds; in each, either side does the task once while the other waits. note: on what is compared.
    """
    rows = []
    for task in tasks(setup, work):
        rows.append(_measure(setup, task, repeats))
        print(f'{task.title}: {", ".join(cells(rows[-1])[1:3])}')
    write_part(out, 'speed', rows, describe(rows, repeats, note))


def tasks(setup, work):
    """The list of Task."""
    initial, batches = work.initial, work.batches
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

    def start_fusing(side):
        side.ask('start_fusing', **initial)
    for size in work.sizes:
        resized = write_resized(setup.work / f'{size[0]}x{size[1]}.npy', work.pair, size)
        found.append(Task(f'fused image, {resized.name}', start_fusing, 'fuse', {'pair': resized.path}))

    folder = {'pairs': as_texts(work.test_files), 'out': setup.work / 'folder'}
    number = len(work.test_files)
    found.append(Task(f'folder of {number} test pairs, from files to files', start_fusing, 'fuse_files', folder, is_long=True))

    def start_scoring(side):
        start_fusing(side)
        side.ask('fuse_files', **folder)
    for methods, of_methods in ((1, ''), (MANY_METHODS, f' of {MANY_METHODS} methods each')):
        found.append(Task(f'{len(METRICS)} metrics of {number} fused test pairs{of_methods}', start_scoring, 'score',
                          {**folder, 'methods': methods}, sides=(JITTOR,), computes=False, is_long=True))
    loaded = work.training_files[:LOADED_PAIRS]
    found.append(Task(f'loading {len(loaded)} pairs to train on', lambda side: None, 'load',
                      {'pairs': as_texts(loaded), 'batch': min(LOADED_BATCH, len(loaded)), 'size': SIZE}, computes=False))
    return found


def as_texts(files):
    """Tuples of paths as lists of texts."""
    return [[str(path) for path in paths] for paths in files]


def summary(task, seconds, memory, operations, peak):
    """A Row. seconds: {side: round by round}. memory: {side: MiB}. operations: of the task in Jittor. peak: how many a second at most."""
    pytorch, jittor = (np.array(seconds.get(name, [np.nan])) for name in TIMED)
    ratios = jittor / pytorch
    return Row(task, np.median(pytorch), np.median(jittor), np.median(ratios), ratios.min(), ratios.max(), memory.get(PYTORCH, np.nan),
               memory[JITTOR], operations / 1e9, operations / np.median(jittor) / peak)


def describe(rows, repeats, note):
    """The rows as Markdown."""
    table = markdown_table(
        ['task', 'PyTorch', 'Jittor', 'Jittor ÷ PyTorch', 'smallest … largest', 'PyTorch, peak memory', 'Jittor', 'GFLOP',
         'Jittor reaches'],
        map(cells, rows))
    return (f'## Speed and memory\n\n{table}\n'
            f'Medians of {repeats} rounds after {WARM_UP_ROUNDS} to warm up; in a round, either side works while the '
            f'other waits; of the folder and its metrics {LONG_ROUNDS - 1} after one. Peak memory: of the process, or on a GPU what the '
            f'framework reserved there. '
            f'GFLOP: of convolutions, linear layers and attention. Peak: the speed of a large 3×3 convolution in the same process. '
            f'{note}\n')


def cells(row):
    """A Row as texts; NOTHING for NaN."""
    texts = ((row.pytorch, f'{row.pytorch:.3f} s'), (row.jittor, f'{row.jittor:.3f} s'), (row.ratio, f'{row.ratio:.2f}'),
             (row.ratio, f'{row.smallest_ratio:.2f} … {row.largest_ratio:.2f}'), (row.pytorch_memory, f'{row.pytorch_memory:.0f} MiB'),
             (row.jittor_memory, f'{row.jittor_memory:.0f} MiB'), (row.gflop, f'{row.gflop:.0f}'),
             (row.of_peak, f'{row.of_peak:.0%} of the peak'))
    return [row.task, *(NOTHING if np.isnan(value) else text for value, text in texts)]


def _measure(setup, task, repeats) -> Row:
    """In new processes, whose peak memory is the task's."""
    warm_up, rounds = (1, LONG_ROUNDS) if task.is_long else (WARM_UP_ROUNDS, WARM_UP_ROUNDS + repeats)
    with open_sides(task.sides, setup) as sides:
        for side in sides.values():
            task.start(side)
        seconds = {name: [] for name in sides}
        for number in tqdm(range(rounds), task.title, unit='round', leave=False):
            for name in task.sides if number % 2 else task.sides[::-1]:
                seconds[name].append(sides[name].ask(task.method, **task.arguments).seconds)
        memory = {name: side.ask('peak_memory').result for name, side in sides.items()}
        operations = sides[JITTOR].ask(f'{task.method}_operations', **task.arguments).result if task.computes else np.nan
        peak = sides[JITTOR].ask('peak').result
        return summary(task.title, {name: times[warm_up:] for name, times in seconds.items()}, memory, operations, peak)
