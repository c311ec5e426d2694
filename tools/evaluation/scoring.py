"""Scoring of fused image files against their sources, and of one fused folder against another, in parallel."""
import contextlib
import ctypes
import multiprocessing
import re
import signal
import sys
import types
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any, Dict, List, NamedTuple

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from tools.base.errors import UserError
from tools.base.files import printable
from tools.data.images import SIXTEEN_TO_EIGHT_BIT, list_images, read_gray, read_image
from tools.data.pairing import FUSED_PREFIX, match_fused
from tools.data.reading import AS_THEY_ARE, Reading
from tools.evaluation.metrics import Metric
from tools.evaluation.metrics.image import Image
from tools.evaluation.metrics.similarity import psnr, ssim
from tools.evaluation.protocols import ALL, EVERY, base_name, metrics_of
from tools.runtime.processes import by_all, can_start_processes, cores

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # options of glibc's mallopt
LARGEST_KEPT, LARGEST_FROM_HEAP = 2 ** 30, 2 ** 25  # bytes; it accepts no more for the second
MOST_WORKERS = 60 if sys.platform == 'win32' else sys.maxsize  # of a ProcessPoolExecutor


class Scores(NamedTuple):
    """What was scored, and the scores."""
    # A row per `method` and `image`, the index; a column per metric; NaN where an image was left out
    table: pd.DataFrame
    metrics: List[Metric]  # of the columns, with their names
    protocol: str
    channels: bool       # scored per colour channel and averaged, instead of on luma
    problems: List[str]  # what was left out, and why
    reading: Reading = AS_THEY_ARE  # of the pairs
    noise: Any = None  # {metric: how far two runs of the same training are apart}, to mark differences that are smaller


class Fidelity(NamedTuple):
    """How far one fused image is from another of the same scene."""
    name: str
    psnr: float       # dB, infinite if they are equal
    ssim: float       # mean over colour channels
    largest: float    # largest difference in gray levels of 0…255
    identical: float  # share of pixels that are the same


def select_metrics(protocol, names):
    """The metrics of a protocol by their names, in the protocol's order -> list of Metric.

    protocol: one of PROTOCOLS, or `all`. names: `all` stands for those of the toolbox (of ours: the field's common
    ones), `every` for all that there are. Case does not matter in a name, nor `-` or `_`.
    Raises UserError for a name that the protocol does not have.
    """
    plain = lambda name: name.casefold().replace('_', '').replace('-', '')
    metrics = metrics_of(protocol, every=True)
    available = list(dict.fromkeys(map(base_name, metrics)))
    wanted = {plain(name) for name in names}
    unknown = [name for name in names if plain(name) not in map(plain, [*available, ALL, EVERY])]
    if unknown or not wanted:
        raise UserError(f'metrics: {", ".join(unknown) or "none"} chosen; protocol {protocol} has: '
                        f'{" ".join(available)} (or {ALL}, or {EVERY})')
    if ALL in wanted:
        wanted |= {plain(base_name(metric)) for metric in metrics_of(protocol)}
    return [metric for metric in metrics if EVERY in wanted or plain(base_name(metric)) in wanted]


def name_methods(folders: List[Path], names: List[str]) -> Dict[str, Path]:
    """{name of the method: folder}, the names being those given or those of the folders. Raises
    UserError if they do not fit."""
    names = [printable(name) for name in names or [folder.resolve().name for folder in folders]]
    if len(names) != len(folders):
        raise UserError(f'{len(names)} names for {len(folders)} fused folders: --names takes one for each')
    if len(set(names)) < len(names):
        raise UserError(f'the methods need different names: {" ".join(names)}; set them with --names')
    return dict(zip(names, folders))


def score_methods(folders: Dict[str, Path], pairing, protocol, metrics, channels=False, workers=0,
                  reading=AS_THEY_ARE):
    """Score the fused images in some folders, one per method, against their sources -> Scores.

    folders: a method's name -> its folder. pairing: from `tools.data.pairing.pair_folders`. metrics: from
    `select_metrics`.
    workers: processes, 0 for one per core that may be used. reading: how the pairs were read when they were fused.
    What cannot be scored is left out and named in Scores.problems: files, and methods whose folder holds no image of
    any pair or two
    of one.
    Raises UserError if no method is left.
    """
    tasks, problems = match_methods(folders, pairing)
    methods = list(dict.fromkeys(method for method, _ in tasks))
    index = pd.MultiIndex.from_product([methods, [pair.name for pair in pairing.pairs]], names=['method', 'image'])
    table = pd.DataFrame(np.nan, index, [metric.name for metric in metrics])
    scenes = [(pair, [method for method in methods if (method, pair.name) in tasks]) for pair in pairing.pairs]
    scenes = [(pair, found) for pair, found in scenes if found]
    # By name: the metrics themselves cannot be sent to another process.
    score = partial(score_scene, protocol=protocol, metrics=[metric.name for metric in metrics], channels=channels,
                    reading=reading)
    paths = [([tasks[method, pair.name][0] for method in found], pair.ir, pair.vi) for pair, found in scenes]
    complaints = {}
    for (pair, found), results in zip(scenes, run_in_parallel(score, paths, workers, unit='scene')):
        for method, (values, wrong) in zip(found, results):
            table.loc[(method, pair.name), :] = values
            complaints[method, pair.name] = wrong
    problems += [text for row in tasks for text in complaints[row]]
    return Scores(table, metrics, protocol, channels, problems, reading)


def match_methods(folders, pairing):
    """Which files belong together -> ({(method, name of the pair): paths of the fused, the infrared and
    the visible image}, problems).

    The arguments are those of `score_methods`. problems, as texts: files without a counterpart, and methods whose
    folder cannot be matched, which are left out; UserError if that are all.
    """
    tasks, problems = {}, [f'{path}: no partner' for path in pairing.unpaired]
    for method, folder in folders.items():
        try:
            match = match_fused(pairing.pairs, folder)
        except UserError as error:
            problems.append(f'method {method} left out: {error}')
            continue
        if match.rule:
            print(f'{method}: fused files were matched by {match.rule}')
        problems += [f'{folder}: no fused image of {pair.ir.name}' for pair in match.missing]
        problems += [f'{path}: no source images for it' for path in match.unmatched]
        for pair in pairing.pairs:
            if pair.name in match.paths:
                tasks[method, pair.name] = match.paths[pair.name], pair.ir, pair.vi
    if not tasks:
        raise UserError('\n'.join(problems))
    return tasks, problems


def score_scene(paths, protocol, metrics, channels, reading=AS_THEY_ARE):
    """Score the fused images of one scene -> for each (one value per metric or NaN; what went wrong, as texts).

    paths: of the fused images, the infrared and the visible image. metrics: their names, as `metrics_of` the protocol
    has them. What a metric computes of the sources alone is shared by all methods, and freed before the next metric.
    """
    fused, ir, vi = paths
    results = [([np.nan] * len(metrics), []) for _ in fused]
    try:
        sources = _read_sources(ir, vi, channels, reading)
        planes_of_sources = [[Image(plane) for plane in _planes(image)] for image in sources]
    except UserError as error:
        return [(values, [str(error)]) for values, _ in results]
    planes = []  # of each fused image: (fused, ir, vi) for its luma or each channel; none if it cannot be scored
    for path, (_, problems) in zip(fused, results):
        try:
            image = _read(channels, path)
            _check_sizes((path, ir, vi), (image, *sources))
            planes.append(_together([[Image(plane) for plane in _planes(image)], *planes_of_sources]))
        except UserError as error:
            planes.append([])
            problems.append(str(error))
    named = {metric.name: metric for metric in metrics_of(protocol, every=True)}
    for index, metric in enumerate(map(named.get, metrics)):
        for path, (values, problems), of_path in zip(fused, results, planes):
            try:
                if of_path:
                    values[index] = float(np.mean([metric.compute(*plane) for plane in of_path]))
            except ValueError as error:
                problems.append(f'{path}: no {metric.name}: {error}')
            for of_fused, *_ in of_path:
                of_fused.forget()
        for image in sum(planes_of_sources, []):
            image.forget()
    return results


def compare_folders(folder, other, workers=0):
    """Compare the images of two folders that have the same name, but for the prefix results_METHOD_.

    Returns (DataFrame with a Fidelity in each row, problems): files without a counterpart, unreadable or of different
    sizes are problems.
    Raises UserError if no names agree.
    """
    ours, theirs = _by_plain_name(folder), _by_plain_name(other)
    common = [name for name in ours if name in theirs]
    if not common:
        raise UserError(f'no image in {folder} has the name of one in {other}')
    problems = [f'{path}: no counterpart in {other}' for name, path in ours.items() if name not in theirs]
    problems += [f'{path}: no counterpart in {folder}' for name, path in theirs.items() if name not in ours]
    found = list(run_in_parallel(compare_images, [(ours[name], theirs[name]) for name in common], workers))
    problems += [complaint for _, complaint in found if complaint]
    return pd.DataFrame([result for result, _ in found if result], columns=Fidelity._fields), problems


def compare_images(paths):
    """Compare two image files -> (Fidelity, None), or (None, what is wrong with them)."""
    try:
        planes = read_planes(paths, channels=True)
        similarity = float(np.mean([ssim(ours, theirs, theirs) for ours, theirs in planes]))
    except (UserError, ValueError) as error:
        return None, f'{paths[0]}: {error}' if isinstance(error, ValueError) else str(error)
    ours, theirs = (np.hstack(channels) for channels in zip(*planes))
    differences = np.max([np.abs(np.subtract(*plane, dtype=float)) for plane in planes], axis=0)
    noise = psnr(ours, theirs, theirs)
    return Fidelity(printable(paths[0].name), noise, similarity, float(differences.max()),
                    float(np.mean(differences == 0))), None


def _by_plain_name(folder):
    named = {}
    for path in list_images(folder):
        name = re.sub(f'^{FUSED_PREFIX}', '', path.stem.casefold())
        if name in named:
            raise UserError(f'{named[name]} and {path} have the same name, but for prefix and extension; remove one')
        named[name] = path
    return named


def read_planes(paths, channels, reading=AS_THEY_ARE):
    """Read images as tuples of H×W planes on 0…255: their luma, or each of the three colour channels.

    A gray image beside a colour one stands for all three. The last two of three are a pair, read by `reading`.
    Raises UserError if unreadable or of different sizes.
    """
    fused, *sources = paths
    read = [_read(channels, fused)]
    read += (_read_sources(*sources, channels, reading) if len(sources) == 2
             else [_read(channels, path) for path in sources])
    _check_sizes(paths, read)
    return _together([_planes(image) for image in read])


def _read_sources(ir, vi, channels, reading):
    infrared, visible = reading.infrared(ir, partial(_read, channels)), _read(channels, vi)
    return [reading.moved(infrared, visible, ir), visible]


def _read(channels, path, value_range=None):
    """An image on 0…255: its luma, H×W, or with channels H×W or H×W×3."""
    image = read_gray(path, value_range) if value_range or not channels else read_image(path)
    return image / SIXTEEN_TO_EIGHT_BIT if image.dtype == np.uint16 else image


def _check_sizes(paths, images):
    if len({image.shape[:2] for image in images}) > 1:
        sizes = ', '.join(f'{path} {image.shape[1]}×{image.shape[0]}' for path, image in zip(paths, images))
        raise UserError(f'the images differ in size: {sizes}')


def _planes(image):
    """A gray image alone, or the three channels of a colour one."""
    return [image] if image.ndim == 2 else [image[:, :, channel] for channel in range(3)]


def _together(planes):
    """Lists of the planes of some images as tuples, one plane of each; a single one goes with all three of another."""
    return [tuple(of_image[index % len(of_image)] for of_image in planes) for index in range(max(map(len, planes)))]


def run_in_parallel(function, tasks, workers, unit='image'):
    """[function(task) for each task], computed by so many worker processes, 0 for all cores, or here if one is enough.

    Several processes that mpirun started (tools/runtime/processes.py) share the tasks; what the function gives has
    to be something that JSON holds.
    """
    return by_all(partial(_run_in_parallel, function, workers=workers, unit=unit), tasks)


def _run_in_parallel(function, tasks, workers, unit):
    workers = min(workers or cores(), len(tasks), MOST_WORKERS)
    progress = partial(tqdm, total=len(tasks), unit=unit, disable=None)
    try:
        if workers <= 1 or not can_start_processes():
            yield from progress(map(function, tasks))
        else:
            # New processes, not forks of this one: a fork hangs in OpenCV if OpenCV has run threads before it.
            with ProcessPoolExecutor(workers, multiprocessing.get_context('spawn'), _prepare_worker) as pool:
                try:
                    with _ctrl_c_later(), _main_module_hidden():
                        # Not pool.map: after Ctrl-C it cancels tasks, which fails loudly when
                        # the workers have ended, too.
                        futures = [pool.submit(function, task) for task in tasks]
                    yield from progress(future.result() for future in futures)
                except BaseException:  # Ctrl-C above all: otherwise the pool would wait for all that it was given
                    for worker in list(pool._processes.values()):
                        worker.terminate()
                    raise
    except (BrokenProcessPool, MemoryError) as error:
        raise UserError('most likely there was not enough memory: use fewer processes (--workers 1)') from error


@contextlib.contextmanager
def _main_module_hidden():
    """The processes started here do not import the script, which a user's own, without
    `if __name__ == '__main__'`, would not survive."""
    main = sys.modules['__main__']
    sys.modules['__main__'] = types.ModuleType('__main__')
    try:
        yield
    finally:
        sys.modules['__main__'] = main


@contextlib.contextmanager
def _ctrl_c_later():
    """Ctrl-C waits, also in the processes started here, which would answer it with a
    traceback until `_prepare_worker`."""
    if not hasattr(signal, 'pthread_sigmask'):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _prepare_worker():
    cv2.setNumThreads(1)  # the processes would compete with each other's threads
    _keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # at Ctrl-C the parent ends it


def _keep_freed_memory():
    """The process's own, for the next array: first use of memory that the system hands out anew takes
    metrics half of their time.

    glibc alone is told so, where it is the C library.
    """
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None) if sys.platform == 'linux' else None
    if mallopt:
        mallopt(TRIM_THRESHOLD, LARGEST_KEPT)
        mallopt(MMAP_THRESHOLD, LARGEST_FROM_HEAP)
