"""Part 5: how long a user waits for a script's first result, with a cold cache of Jittor's and with a warm one."""
import os
import shutil
import subprocess
import sys
import time
from typing import NamedTuple

from tqdm import tqdm

from comparison.inputs import MODALITIES
from comparison.report import write_part
from comparison.sides import REPOSITORY
from tools.base.errors import UserError
from tools.base.tables import markdown_table
from tools.evaluation.metrics import METRICS
from tools.scenes.folders import write_database, write_test_folders

SIZE = (256, 320)  # height, width of the scenes
SHIPPED = 'results/models'
ITSELF, JITTOR_ITSELF = 'Jittor compiles itself', ('-c', 'from tools.runtime import jt')
SMALL = dict(most=2)  # a trial
OPERATORS = '.cache/jittor/jt*/**/jit/*.so'  # what Jittor compiles, in the home folder


class Script(NamedTuple):
    """command: a script and its arguments. other_size: the same for images of another size."""
    task: str
    command: tuple
    other_size: tuple = ()


def time_starts(setup, out, note, most=None):
    """Run each script, or the first of them, with its operators compiled and not, on a
    scene or two; write the table."""
    work = setup.work / 'start'
    shutil.rmtree(work, ignore_errors=True)
    home = work / 'home'
    home.mkdir(parents=True)
    homes = {'HOME': str(home), 'JITTOR_HOME': str(home), 'OMP_NUM_THREADS': str(setup.threads)}

    def compiled():
        return set(home.glob(OPERATORS))

    def run(task, command):
        """(seconds, number of new operators) of a script whose home folder is `home`."""
        before, started = len(compiled()), time.perf_counter()
        ended = subprocess.run([sys.executable, *map(str, command)], cwd=REPOSITORY, env={**os.environ, **homes},
                               capture_output=True, text=True, errors='replace')
        if ended.returncode:
            said = ended.stderr.strip() or ended.stdout.strip() or 'it said nothing'
            raise UserError(f'{task}: {said.splitlines()[-1]}')
        return time.perf_counter() - started, len(compiled()) - before

    rows, of_jittor = [], set()
    for task, command, other in tqdm([Script(ITSELF, JITTOR_ITSELF), *scripts(work, setup.cuda)[:most]], 'starting'):
        for path in compiled() - of_jittor:
            path.unlink()
        (cold, operators), (warm, warm_operators) = run(task, command), run(task, command)
        if task == ITSELF:
            of_jittor = compiled()
        rows.append({'task': task, 'cold': cold, 'warm': warm, 'operators': operators, 'warm_operators': warm_operators,
                     'other_size_operators': run(task, other)[1] if other else None})
    head = ['from start to end', 'cold cache', 'operators compiled', 'warm cache', 'operators',
            'for another image size']
    table = markdown_table(head, [
        [task, f'{cold:.1f} s', operators, f'{warm:.1f} s', warm_operators, '' if other is None else other]
        for task, cold, warm, operators, warm_operators, other in map(dict.values, rows)])
    write_part(out, 'start', rows, f'## Start\n\n{table}\nCold: without any of the operators that Jittor compiles for '
                                   f'the script, but with Jittor itself. Each measured once. {note}\n')


def scripts(work, cuda):
    """The list of Script, whose images are written into `work`."""
    database = work / 'database'
    write_database(database, 2, SIZE, seed=0)
    gray, colour = write_test_folders(work / 'images', 2, seed=0)  # of two sizes
    one, _ = write_test_folders(work / 'scored', 1, seed=0)
    device = '--cuda', str(cuda).lower()
    encoders = [f'--resume_model_auto_{modality}={SHIPPED}/auto_encoder_{modality}.safetensors'
                for modality in MODALITIES]
    training = (*device, '--path', database, '--epochs', 1, '--batch', 2)
    fusing = (*device, '--model', SHIPPED, '--overwrite', '--output', work / 'output')
    scoring = ('--metrics', 'all', '--output', work / 'output', '--ir', one / 'ir', '--vi', one / 'vi')

    def fused(script, folder):
        pairs = zip(*(sorted((folder / modality).iterdir()) for modality in MODALITIES))
        return Script(f'{script}: a pair', *((script, *fusing, '--ir', ir, '--vi', vi) for ir, vi in pairs))

    return [Script('python -m tools.fusing.warm_up, part of make setup', ('-m', 'tools.fusing.warm_up')),
            Script('train_autoencoder.py: a step, and its weights saved',
                   ('train_autoencoder.py', *training, '--save_auto_model', work / 'autoencoder')),
            Script('train_conv_trans.py: a step, and its weights saved',
                   ('train_conv_trans.py', *training, *encoders, '--save_fusion_model', work / 'transfuse')),
            fused('test_conv_trans.py', gray), fused('test_color_image.py', colour),
            Script(f'evaluate_fusion_results.py: a pair, {len(METRICS)} metrics',
                   ('evaluate_fusion_results.py', *scoring, '--fused', one / 'vi'))]
