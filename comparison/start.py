"""Part 5: how long a user waits for a script's first result, with a cold cache of Jittor's and with a warm one."""
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple, Optional

from tqdm import tqdm

from comparison.inputs import MODALITIES
from comparison.report import write_part
from comparison.sides import REPOSITORY
from tools.base.errors import UserError
from tools.base.tables import markdown_table
from tools.data.images import read_image, write_image
from tools.evaluation.metrics import METRICS
from tools.scenes.folders import write_database, write_test_folders

SIZE = (256, 320)  # height, width of the scenes
SHIPPED = 'results/models'
ITSELF, JITTOR_ITSELF = 'Jittor compiles itself', ('-c', 'from tools.runtime import jt')
SMALL = dict(most=2)  # a trial
OPERATORS = '.cache/jittor/jt*/**/jit/*.so'  # what Jittor compiles, in the home folder


class Row(NamedTuple):
    """What a script does, its seconds with a cold and a warm cache, and how many operators it compiles cold, warm, and for another size."""
    task: str
    cold: float
    warm: float
    operators: int
    warm_operators: int
    other_size_operators: Optional[int]


class Script(NamedTuple):
    """command: a script and its arguments. other_size: arguments in place of the last ones, for images of another size."""
    task: str
    command: tuple
    other_size: tuple = ()


def compare(setup, out, note, most=None):
    """Run each script, or the first of them, with its operators compiled and not, on a scene or a batch of two, and write the table."""
    work = setup.work / 'start'
    shutil.rmtree(work, ignore_errors=True)
    home = work / 'home'
    home.mkdir(parents=True)

    def run(task, command):
        """(seconds, number of new operators) of a script whose home folder is `home`."""
        before, started = len(_operators(home)), time.perf_counter()
        ended = subprocess.run([sys.executable, *map(str, command)], cwd=REPOSITORY, capture_output=True, text=True, errors='replace',
                               env={**os.environ, 'HOME': str(home), 'JITTOR_HOME': str(home),
                                    'OMP_NUM_THREADS': str(setup.threads)})
        if ended.returncode:
            raise UserError(f'{task}: {(ended.stderr.strip() or ended.stdout.strip() or "it said nothing").splitlines()[-1]}')
        return time.perf_counter() - started, len(_operators(home)) - before

    seconds, operators = run(ITSELF, JITTOR_ITSELF)
    rows = [Row(ITSELF, seconds, run(ITSELF, JITTOR_ITSELF)[0], operators, 0, None)]
    of_jittor = _operators(home)
    for script in tqdm(scripts(work, setup.cuda)[:most], 'starting scripts', unit='script'):
        for path in _operators(home) - of_jittor:
            path.unlink()
        cold, operators = run(script.task, script.command)
        warm, warm_operators = run(script.task, script.command)
        other = run(script.task, [*script.command[:-len(script.other_size)], *script.other_size])[1] if script.other_size else None
        rows.append(Row(script.task, cold, warm, operators, warm_operators, other))
    write_part(out, 'start', rows, describe(rows, note))


def scripts(work, cuda):
    """The list of Script, whose images are written into `work`."""
    database = work / 'database'
    write_database(database, 2, SIZE, seed=0)
    gray, colour = write_test_folders(work / 'images', 1, seed=0)
    pairs = {folder: _two_sizes(folder) for folder in (gray, colour)}
    device = '--cuda', str(cuda).lower()
    encoders = [f'--resume_model_auto_{modality}={SHIPPED}/auto_encoder_{modality}.safetensors' for modality in MODALITIES]
    training = (*device, '--path', database, '--epochs', 1, '--batch', 2)
    fusing = (*device, '--model', SHIPPED, '--overwrite', '--output', work / 'output')
    found = [Script('python -m tools.fusing.warm_up, part of make setup', ('-m', 'tools.fusing.warm_up')),
             Script('train_autoencoder.py: a step, and its weights saved',
                    ('train_autoencoder.py', *training, '--save_auto_model', work / 'autoencoder')),
             Script('train_conv_trans.py: a step, and its weights saved',
                    ('train_conv_trans.py', *training, *encoders, '--save_fusion_model', work / 'transfuse'))]
    for name, folder in (('test_conv_trans.py', gray), ('test_color_image.py', colour)):
        first, second = (('--ir', ir, '--vi', vi) for ir, vi in pairs[folder])
        found.append(Script(f'{name}: a pair', (name, *fusing, *first), second))
    scored = ('--fused', gray / 'vi', '--ir', gray / 'ir', '--vi', gray / 'vi')
    return [*found, Script(f'evaluate_fusion_results.py: a pair, {len(METRICS)} metrics',
                           ('evaluate_fusion_results.py', '--metrics', 'all', '--output', work / 'output', *scored))]


def describe(rows, note):
    """The rows as Markdown."""
    table = markdown_table(
        ['from start to end', 'cold cache', 'operators compiled', 'warm cache', 'operators', 'for another image size'],
        [[row.task, f'{row.cold:.1f} s', row.operators, f'{row.warm:.1f} s', row.warm_operators,
          '' if row.other_size_operators is None else row.other_size_operators] for row in rows])
    return (f'## Start\n\n{table}\nCold: without any of the operators that Jittor compiles for the script, but with Jittor itself. '
            f'Each measured once. {note}\n')


def _two_sizes(folder):
    """The only pair of a folder, and smaller copies of it, as paths (infrared, visible)."""
    pair = [next(Path(folder, modality).iterdir()) for modality in MODALITIES]
    smaller = [folder.parent / f'smaller_{folder.name}_{path.parent.name}.png' for path in pair]
    for path, target in zip(pair, smaller):
        write_image(target, read_image(path)[:-8, :-24])
    return pair, smaller


def _operators(home):
    return set(home.glob(OPERATORS))
