"""Part 4: how long a training step and a fused image take, both sides in turn, and how much memory."""
from functools import partial
from typing import Any, Dict, NamedTuple, Tuple

import numpy as np
from tqdm import tqdm

from comparison.inputs import SIZE, write_resized
from comparison.report import write_part
from comparison.sides import JITTOR, NAMES, PYTORCH, open_sides
from comparison.training import STAGES, start_stage
from tools.base.tables import markdown_table
from tools.evaluation.metrics import METRICS

NOTHING = '—'
WARM_UP_ROUNDS = 2  # Jittor compiles in the first
LONG_ROUNDS = 4  # of tasks that take a minute, with one to warm up
LOADED_PAIRS, LOADED_BATCH = 64, 8
MANY_METHODS = 5  # whose images are scored together
FUSED_SIZES = ((256, 256), (480, 640), (768, 1024))  # height, width


class Timing(NamedTuple):
    """Median seconds of both sides; Jittor's time over PyTorch's, round by round; peak memory in MiB.

    gflop: floating-point operations / 1e9 of the task in Jittor. of_peak: its share of the speed of a
    large convolution. NaN for what there is not: PyTorch's of what the original does not do,
    operations of what no network computes.
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
    """start: function of a side that prepares it. method, arguments: what is timed. computes: whether with networks."""
    title: str
    start: Any
    method: str
    arguments: Dict[str, Any]
    sides: Tuple[str, ...] = (PYTORCH, JITTOR)
    computes: bool = True
    is_long: bool = False


def time_tasks(setup, tasks, repeats, out, note):
    """Time the tasks in `repeats` rounds, in each of which either side works while the other waits; write the table."""
    timings = []
    for task in tasks:
        warm_up, rounds = (1, LONG_ROUNDS) if task.is_long else (WARM_UP_ROUNDS, WARM_UP_ROUNDS + repeats)
        with open_sides(task.sides, setup) as sides:  # new processes, whose peak memory is the task's
            seconds = {name: times[warm_up:] for name, times in seconds_of(sides, task, rounds).items()}
            memory = {name: side.ask('peak_memory').result for name, side in sides.items()}
            jittor, operations = sides[JITTOR], np.nan
            if task.computes:
                operations = jittor.ask(f'{task.method}_operations', **task.arguments).result
            timings.append(timing_of(task.title, seconds, memory, operations, jittor.ask('peak').result))
        print(f'{task.title}: {", ".join(cells(timings[-1])[1:3])}')
    write_part(out, 'speed', timings, speed_text(timings, repeats, note))


def seconds_of(sides, task, rounds):
    """{side: seconds of each round} of a task of `sides` {name: Side}, which begin by turns."""
    for side in sides.values():
        task.start(side)
    seconds = {name: [] for name in sides}
    for number in tqdm(range(rounds), task.title, unit='round', leave=False):
        for name in task.sides if number % 2 else task.sides[::-1]:
            seconds[name].append(sides[name].ask(task.method, **task.arguments).seconds)
    return seconds


def tasks_of(setup, initial, batches, training_files, pair, sizes, test_files):
    """The list of Task. initial: {network: file}. batches: {network: BatchFile}. pair: PairFile, fused at `sizes`.

    training_files, test_files: paths (infrared, visible).
    """
    trained = [training_task(title, STAGES[key], batches[STAGES[key].network], initial)
               for key, title in (('stage_1_ir', 'training step, stage 1'), ('stage_2', 'training step, stage 2'))]
    stage_2 = trained[-1]

    def start_with_features(side):
        stage_2.start(side)
        if side.name == NAMES[JITTOR]:
            side.ask('cache_features', batches=stage_2.arguments['batches'], index=0)

    def start_scoring(side):
        side.ask('start_fusing', **initial)
        side.ask('fuse_files', **folder)

    number, loaded = len(test_files), training_files[:LOADED_PAIRS]
    folder = {'pairs': as_texts(test_files), 'out': setup.work / 'folder'}
    loading = {'pairs': as_texts(loaded), 'batch': min(LOADED_BATCH, len(loaded)), 'size': SIZE}
    fused = [fusing_task(setup, initial, pair, size) for size in sizes]
    scored = [Task(f'{len(METRICS)} metrics of {number} fused test pairs{of_methods}', start_scoring, 'score',
                   {**folder, 'methods': methods}, sides=(JITTOR,), computes=False, is_long=True)
              for methods, of_methods in ((1, ''), (MANY_METHODS, f' of {MANY_METHODS} methods each'))]
    return [
        *trained,
        stage_2._replace(title=f'{stage_2.title}, deep features cached in Jittor', start=start_with_features),
        *fused,
        fused[0]._replace(title=f'folder of {number} test pairs, from files to files', method='fuse_files',
                          arguments=folder, is_long=True),
        *scored,
        Task(f'loading {len(loaded)} pairs to train on', lambda side: None, 'load', loading, computes=False)]


def training_task(title, stage, file, initial):
    """A step of a stage on the first batch of a BatchFile."""
    return Task(f'{title}, batch {file.batch}', partial(start_stage, stage=stage, weights=initial), 'step',
                {'batches': file.path, 'index': 0, 'epoch': 0})


def fusing_task(setup, initial, pair, size):
    """A PairFile fused at a size (height, width)."""
    resized = write_resized(setup.work / f'{size[0]}x{size[1]}.npy', pair, size)
    return Task(f'fused image, {resized.name}', lambda side: side.ask('start_fusing', **initial), 'fuse',
                {'pair': resized.path})


def as_texts(files):
    """Tuples of paths as lists of texts."""
    return [[str(path) for path in paths] for paths in files]


def timing_of(task, seconds, memory, operations, peak):
    """seconds: {side: round by round}. memory: {side: MiB}. operations: in Jittor. peak: how many a second at most."""
    pytorch, jittor = (np.array(seconds.get(name, [np.nan])) for name in (PYTORCH, JITTOR))
    ratios = jittor / pytorch
    return Timing(task, np.median(pytorch), np.median(jittor), np.median(ratios), ratios.min(), ratios.max(),
                  memory.get(PYTORCH, np.nan), memory[JITTOR], operations / 1e9, operations / np.median(jittor) / peak)


def speed_text(timings, repeats, note):
    """The timings as Markdown."""
    table = markdown_table(['task', 'PyTorch', 'Jittor', 'Jittor ÷ PyTorch', 'smallest … largest',
                            'PyTorch, peak memory', 'Jittor', 'GFLOP', 'Jittor reaches'], map(cells, timings))
    return (f'## Speed and memory\n\n{table}\nMedians of {repeats} rounds after {WARM_UP_ROUNDS} to warm up; in a '
            f'round, either side works while the other waits; of the folder and its metrics {LONG_ROUNDS - 1} after '
            'one. Peak memory: of the process, or on a GPU what the framework reserved there. GFLOP: of convolutions, '
            'linear layers '
            f'and attention. Peak: the speed of a large 3×3 convolution in the same process. {note}\n')


def cells(timing):
    """A Timing as texts; NOTHING for NaN."""
    task, pytorch, jittor, ratio, smallest, largest, *rest = timing
    values = pytorch, jittor, ratio, smallest, *rest
    texts = ('{:.3f} s', '{:.3f} s', '{:.2f}', f'{{:.2f}} … {largest:.2f}', '{:.0f} MiB', '{:.0f} MiB', '{:.0f}',
             '{:.0%} of the peak')
    return [task, *(NOTHING if np.isnan(value) else text.format(value) for text, value in zip(texts, values))]
