"""Starting a training run or going on with one: its folder, what is in it, and its settings. No Jittor here."""
import importlib.util
import itertools
import json
import os
import time
from functools import partial
from pathlib import Path

from tools.base.errors import UserError
from tools.base.files import found_from, write_text
from tools.base.settings import may_change, parse_settings, paths_in
from tools.data.reading import reading_of
from tools.weights.names import STATE

NEWEST = 'newest'
# What a run folder holds, beside weights (tools.weights.names).
SETTINGS, LOG, CSV, SUMMARY, LOCK = 'settings.json', 'train.log', 'losses.csv', 'summary.txt', '.lock'
WORKING_FOLDER = 'working_folder'  # beside the settings: where the run was started, for relative paths
SAMPLE = 'samples/epoch_{epoch}.png'  # sources and results of a few images


def read_settings(cls, description, runs):
    """The checked settings of a training script, and the folder of the run that it goes on with, None for a new one.

    cls: the script's dataclass. runs: the name of the setting that says where runs are.
    With --resume, settings that are not given are those that the run was started with. UserError if one is given that
    would make it another run.
    """
    settings, folder = parse_settings(cls, description), None
    if settings.resume is not None:
        folder = find_run(getattr(settings, runs), settings.resume)
        saved = saved_settings(cls, folder)
        settings = parse_settings(cls, description, defaults=saved)
        changed = changed_settings(settings, saved)
        if changed:
            raise UserError(f'--resume {folder}: {", ".join(changed)} cannot change within a run, only '
                            f'{", ".join(may_change(cls))} can: leave it out, or start a new run')
    _check(settings)
    return settings, folder


def save_settings(settings, folder):
    """Write the settings into a folder, to be known when a run is resumed."""
    values = {name: value for name, value in vars(settings).items() if name != 'resume'}
    values[WORKING_FOLDER] = os.getcwd()
    write_text(Path(folder) / SETTINGS, json.dumps(values, indent=2) + '\n')


def new_run_folder(parent, prefix):
    """Make `parent/prefix_DATE_TIME`, or the same with -2, -3, … if there is such a folder.
    UserError if it cannot be made."""
    folder = first = Path(parent) / time.strftime(f'{prefix}_%Y%m%d_%H%M%S')
    for number in itertools.count(2):
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:  # perhaps made by another process in this very second
            if not folder.is_dir():
                raise UserError(f'cannot make {folder}: {parent} is no folder') from None
            folder = first.with_name(f'{first.name}-{number}')
        except OSError as error:
            raise UserError(f'cannot make {folder}: {error.strerror}') from error


def find_run(runs, which):
    """The run folder `which`, or with 'newest' the one below `runs` whose state was saved last.

    UserError if there is none.
    """
    if which != NEWEST:
        if not (Path(which) / SETTINGS).is_file():
            raise UserError(f'--resume {which} is not the folder of a training run (it has no {SETTINGS})')
        return Path(which)
    states = sorted(Path(runs).glob(f'*/{STATE.format(number="*")}'), key=lambda path: path.stat().st_mtime_ns)
    if not states:
        raise UserError(f'--resume: no run under {runs} has a saved state')
    return states[-1].parent


def saved_settings(cls, folder):
    """{name: value} that `save_settings` wrote into a folder, paths as they are found from here.
    UserError if it cannot be read.

    cls: the dataclass of the settings.
    """
    path = Path(folder) / SETTINGS
    try:
        saved = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise UserError(f'cannot read {path}: {error}') from error
    if not isinstance(saved, dict):
        raise UserError(f'{path} is damaged: it does not hold settings')
    started_in = saved.pop(WORKING_FOLDER, os.getcwd())
    return {name: _each(partial(found_from, started_in), value) if name in paths_in(cls) else value
            for name, value in saved.items()}


def changed_settings(settings, saved):
    """The names of settings that have other values than the saved ones, and may not; the same file is the
    same however it is spelled."""
    cls = type(settings)
    # A setting that there was not yet had what is its default now.
    saved = {**vars(cls()), **saved, 'resume': settings.resume}
    spelled = lambda name, value: _each(os.path.realpath, value) if name in paths_in(cls) else value
    return [name for name, value in vars(settings).items()
            if name not in may_change(cls) and spelled(name, value) != spelled(name, saved[name])]


def _each(function, paths):
    """The function of a path or of each in a list; None stays."""
    return paths and ([function(path) for path in paths] if isinstance(paths, list) else function(paths))


def _check(settings):
    """UserError for values that are each possible, but not in training."""
    given = [(name, [getattr(settings, name)]) for name in ('ir', 'vi') if getattr(settings, name)]
    for name, folders in given or [('path', settings.path)]:
        for folder in folders:
            if not Path(folder).is_dir():
                moved = f'; if the images moved, give {name} beside resume' if settings.resume else ''
                raise UserError(f'setting {name}: there is no folder {folder}{moved}')
    reading_of(settings)
    if settings.augment and getattr(settings, 'cache_features', None):
        raise UserError('cache_features and augment exclude each other: a cropped image has other features each time')
    if settings.tensorboard and importlib.util.find_spec('tensorboardX') is None:
        raise UserError('tensorboard = True needs a package: pip install tensorboardX')
