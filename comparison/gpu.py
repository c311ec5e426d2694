"""Check this repository on the GPU of this machine, part after part: what works, what does not, and how long it takes.

    python -m comparison.gpu --original ../CrossFuse

Each part is a few commands of this repository in processes of their own. Where one fails, the next part begins; where
the minutes are over, the check ends. After each part README.md in `out` has all that is known,
and what the part said is in a file beside it.
Imports nothing but Python's own, so that the part setup can begin with nothing.
"""
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

from tools.base.files import write_text
from tools.base.machine import processor
from tools.base.script import run_script
from tools.base.settings import describe, parse_settings, setting

REPOSITORY = Path(__file__).resolve().parent.parent
SETUP, SEEDS = 'setup', 'seeds'
PARTS = {  # in the order in which they are done
    SETUP: 'a fresh environment with the packages of requirements-gpu.txt as CUDA',
    'compile': 'Jittor, and what fusing needs',
    'tests': 'the tests of the networks, by the numbers that the original computed on a CPU',
    'training': 'stage 1 in 50 steps, and stage 2 in about as many, by the scripts, on drawn scenes',
    'pytorch': 'the forward pass, and 50 steps of both stages, beside PyTorch',
    'speed': 'steps, fused images and memory, beside PyTorch',
    'processes': 'stage 2 by two processes on one GPU',
    SEEDS: 'stage 2 from five seeds beside PyTorch, and by wrong ports',
}
BESIDE_PYTORCH = 'pytorch', 'speed', SEEDS
PYTORCH_STEPS, SEEDS_STEPS = 50, 100
SCENES, TEST_PAIRS = 50, 6  # to train on; in each test set
EPOCHS_1, EPOCHS_2 = 2, 8  # make 50 steps of them, in batches of 2 and 8
SECONDS_TO_END = 20  # that a part has, once its time is over
AS_ROOT = {'OMPI_ALLOW_RUN_AS_ROOT': '1', 'OMPI_ALLOW_RUN_AS_ROOT_CONFIRM': '1'}  # in containers, who runs it mostly is
TIME_OVER, NOT_DONE, PASSED = 'stopped: the minutes were over', 'not done: ', 'passed'


@dataclass
class Args:
    original: Optional[str] = setting(None, 'a checkout of github.com/hli1221/CrossFuse, for the parts beside PyTorch')
    parts: List[str] = setting([part for part in PARTS if part != SEEDS], 'which parts to do', choices=tuple(PARTS))
    minutes: float = setting(60.0, 'when these are over, the check ends', above=0)
    wheels: Optional[str] = setting(None, 'of the part setup, without internet: a folder with all packages')
    cuda: bool = setting(True, 'false: a trial of this check, on the CPU')
    out: str = setting('./output/gpu', 'the folder for what was found')
    work: str = setting('./output/gpu_work', 'the folder for what the parts write; the fresh environment, of 5 GB, too')


class Result(NamedTuple):
    """What became of a part, in how many seconds, and the last line that it said."""
    part: str
    ended: str
    seconds: float
    said: str = ''


class Place(NamedTuple):
    """Where parts run: a Python with the requirements, and its environment variables."""
    python: str
    environment: Dict[str, str]


def main():
    settings = parse_settings(Args, __doc__)
    print(describe(settings))
    out, work = Path(settings.out).resolve(), Path(settings.work).resolve()
    out.mkdir(parents=True, exist_ok=True)
    work.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + 60 * settings.minutes
    place = Place(sys.executable, dict(os.environ))
    machine = what_is_there(place)
    results: List[Result] = []
    for part in (part for part in PARTS if part in settings.parts):
        reason = why_not(part, settings, deadline)
        if reason:
            results.append(Result(part, NOT_DONE + reason, 0))
        else:
            print(f'{part}: {PARTS[part]}; what it says: {out / part}.log', flush=True)
            there = fresh_place(settings, work) if part == SETUP else place
            results.append(run_part(part, commands(part, settings, there, work), there, out, deadline))
            if part == SETUP and results[-1].ended == PASSED:
                place = fresh_place(settings, work)
                machine = what_is_there(place)
            compared = work / 'comparison' / 'README.md'
            if part in BESIDE_PYTORCH and compared.is_file():
                shutil.copyfile(str(compared), str(out / 'comparison.md'))
        print(f'{part}: {results[-1].ended}', flush=True)
        write_text(out / 'README.md', report(settings, machine, results))
    print(f'what was found: {out / "README.md"}')
    return int(any(result.ended != PASSED for result in results))


def why_not(part, settings, deadline):
    """Why a part cannot be done here, or ''."""
    if time.monotonic() > deadline:
        return 'the minutes were over'
    if part in BESIDE_PYTORCH and settings.original is None:
        return 'it takes --original'
    if part == 'processes' and not shutil.which('mpirun'):
        return 'there is no mpirun'
    return ''


def fresh_place(settings, work):
    """The environment of the part setup: no toolkit on its PATH, a cache of its own for Jittor, the packages' CUDA."""
    folders = [folder for folder in os.environ.get('PATH', '').split(os.pathsep) if not Path(folder, 'nvcc').exists()]
    environment = {**os.environ, 'PATH': os.pathsep.join(folders), 'JITTOR_HOME': str(work / 'home')}
    for nvcc in work.glob('home/.cache/jittor/cuda/toolkit_*/bin/nvcc'):
        environment['nvcc_path'] = str(nvcc)
    if settings.wheels:
        environment.update(PIP_NO_INDEX='1', PIP_FIND_LINKS=str(Path(settings.wheels).resolve()))
    return Place(str(work / 'environment' / 'bin' / 'python'), environment)


def commands(part, settings, place, work):
    """The commands of a part, one after another, as lists of texts or paths."""
    python, device = place.python, ('--cuda', str(settings.cuda).lower())
    database, images = work / 'scenes' / 'database', work / 'scenes' / 'images'
    scenes = [python, '-m', 'tools.scenes', '--folder', work / 'scenes', '--scenes', SCENES, '--test_pairs', TEST_PAIRS]
    last = images / 'scenes_color' / 'vi' / f'{TEST_PAIRS:05d}.png'
    drawn = [] if last.is_file() else [scenes]
    shipped = [f'--resume_model_auto_{modality}=results/models/auto_encoder_{modality}.safetensors'
               for modality in ('ir', 'vi')]
    stage_2 = ['train_conv_trans.py', *device, '--path', database, '--epochs', EPOCHS_2, *shipped,
               '--save_fusion_model', work / 'transfuse']
    beside = [python, '-m', 'comparison', '--original', settings.original, *device, '--data', database,
              '--test', images / 'scenes_gray',
              '--out', work / 'comparison', '--work', work / 'sides', '--parts']
    go_on = ['--resume'] if (work / 'sides' / 'seeds').is_dir() else []
    seeds = [SEEDS, '--steps', SEEDS_STEPS, '--batch_2', 2, '--deep_start', 0, *go_on]
    return {
        SETUP: lambda: [[sys.executable, '-m', 'venv', work / 'environment'],
                        [python, '-m', 'pip', 'install', '--requirement',
                         f'requirements{"-compare" * bool(settings.original)}.txt'],
                        [python, '-m', 'tools.runtime.wheels']],
        'compile': lambda: [[python, '-m', 'tools.fusing.warm_up']],
        'tests': lambda: [[python, '-m', 'pytest', 'tests/network', *(['--cuda'] if settings.cuda else [])]],
        'training': lambda: [*drawn, [python, 'train_autoencoder.py', *device, '--path', database, '--epochs', EPOCHS_1,
                                      '--save_auto_model', work / 'autoencoder'], [python, *stage_2]],
        'pytorch': lambda: [*drawn, [*beside, 'forward', 'training', '--steps', PYTORCH_STEPS]],
        'speed': lambda: [*drawn, [*beside, 'speed']],
        'processes': lambda: [*drawn, ['mpirun', '-np', 2, '--oversubscribe', '--bind-to', 'none', python, *stage_2]],
        SEEDS: lambda: [*drawn, [*beside, *seeds]],
    }[part]()


def run_part(part, those, place, out, deadline):
    """Run commands until one fails or the time is over -> Result. What they say goes to a file in `out`."""
    environment = {**AS_ROOT, **place.environment}
    if part == 'processes':
        environment.setdefault('CUDA_VISIBLE_DEVICES', '0')  # both on the first
    started, ended = time.monotonic(), PASSED
    with open(out / f'{part}.log', 'w', encoding='utf-8') as log:
        for command in those:
            command = [str(word) for word in command]
            print(f'$ {" ".join(command)}', file=log, flush=True)
            code = run(command, environment, log, deadline)
            if code:
                ended = TIME_OVER if code is TIME_OVER else f'failed: exit code {code}'
                break
    lines = (out / f'{part}.log').read_text(encoding='utf-8', errors='replace').split('\n')
    last = next((line.strip() for line in reversed(lines) if line.strip()), '')
    return Result(part, ended, time.monotonic() - started, last)


def run(command, environment, log, deadline):
    """The exit code of a command, or TIME_OVER. All that it has started is ended with it."""
    try:
        process = subprocess.Popen(command, cwd=str(REPOSITORY), env=environment, stdout=log, stderr=subprocess.STDOUT,
                                   start_new_session=True)
    except OSError as error:
        print(f'{command[0]}: {error.strerror}', file=log, flush=True)
        return error.errno
    try:
        return process.wait(max(0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return TIME_OVER
    finally:
        if process.poll() is None:
            end(process)


def end(process):
    """As by Ctrl-C, so that a training saves its state; what is left then is killed."""
    os.killpg(process.pid, signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(SECONDS_TO_END)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def what_is_there(place):
    """The machine's CUDA as a table, or what keeps Jittor from working."""
    return subprocess.run([place.python, '-m', 'tools.runtime.setup'], cwd=str(REPOSITORY), env=place.environment,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True, errors='replace').stdout


def report(settings, machine, results):
    """README.md: the machine, and the results so far."""
    rows = ''.join(f'| {part} | {PARTS[part]} | {ended} | {seconds:.0f} s | {said.replace("|", " ")} |\n'
                   for part, ended, seconds, said in results)
    return (f'# This repository on {"a GPU" if settings.cuda else "a CPU, for a trial"}\n\n'
            f'Written by `python -m comparison.gpu`. {processor()}, {os.cpu_count()} cores.\n\n{machine}\n'
            f'| part | what it does | result | time | last line |\n| --- | --- | --- | --: | --- |\n{rows}')


if __name__ == '__main__':
    run_script(main)
