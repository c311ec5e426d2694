"""Plot the losses of training runs.

Without settings: the newest run of each kind under ./models. Otherwise name runs: run folders, CSV files, text logs
(ours or the original's) or loss_data_*.mat files; the first of a list is what the others are compared with.
"""
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Tuple

from tools.errors import UserError, run_script
from tools.loss_curves import AUTOENCODER, FUSION, LOSSES, UNKNOWN, Run, epoch_means, newest_runs, read_runs
from tools.loss_figures import Panel, Style, draw, loss_panels
from tools.settings import parse_settings, setting

KINDS = {'ir': 'Infrared autoencoder', 'vi': 'Visible autoencoder', 'fusion': 'Fusion network'}
FIGURES = {'ir': 'ir_autoencoder_comparison', 'vi': 'vi_autoencoder_comparison', 'fusion': 'fusion_network_comparison'}
BOTH_AUTOENCODERS = 'autoencoder_total_loss_comparison'


@dataclass
class Settings:
    ir: List[str] = setting([], 'runs that trained the infrared autoencoder')
    vi: List[str] = setting([], 'runs that trained the visible autoencoder')
    fusion: List[str] = setting([], 'runs that trained the fusion network')
    runs: List[str] = setting([], 'any runs, for one figure of all their losses')
    names: List[str] = setting([], 'what to call the runs, in the order of each list')
    figure: str = setting('loss_curves', 'file name of the figure of --runs, without extension')
    models: str = setting('./models', 'where to look for the newest runs if none are named')
    output: str = setting('./results/loss curves', 'the folder to write the figures into, as PNG and SVG')
    per: str = setting('step', 'a point per step, smoothed, the values themselves faint; or the mean of each epoch',
                       choices=['step', 'epoch'])
    scale: str = setting('log', 'the axis of the losses', choices=['log', 'linear'])
    smooth: int = setting(0, 'steps that a point of a smoothed curve averages; 0 for a fiftieth of the run', minimum=0)
    list: bool = setting(False, 'print a table of the mean losses per epoch instead of plotting')


def main():
    settings = parse_settings(Settings, __doc__)
    groups = read_named(settings) if any((settings.ir, settings.vi, settings.fusion, settings.runs)) else \
        find_newest(settings.models)
    for run in [run for runs in groups.values() for run in runs]:
        print(f'{run.name}: {run.stage}, {len(run.losses)} entries, up to epoch {run.losses["epoch"].iloc[-1]}, '
              f'step {run.losses.index[-1]}')
        for note in run.notes:
            print(f'  note: {note}')
        if settings.list:
            print(epoch_means(run).to_string(float_format='{:.6g}'.format) + '\n')
    if settings.list:
        return
    style = Style(settings.per, settings.scale, settings.smooth or None)
    for name, title, panels in figures(groups, settings.figure):
        for path in draw(title, panels, style, Path(settings.output, name)):
            print(f'wrote {path}')


def read_named(settings: Settings) -> Dict[str, List[Run]]:
    """The runs that the settings name, by 'ir', 'vi', 'fusion' and 'runs'."""
    stages = {'ir': (AUTOENCODER, UNKNOWN), 'vi': (AUTOENCODER, UNKNOWN), 'fusion': (FUSION, UNKNOWN),
              'runs': (AUTOENCODER, FUSION, UNKNOWN)}
    paths = {'ir': settings.ir, 'vi': settings.vi, 'fusion': settings.fusion, 'runs': settings.runs}
    longest = max(map(len, paths.values()))
    if len(settings.names) > longest:
        raise UserError(f'--names has {len(settings.names)} names, for lists of {longest} runs at most')
    return {kind: read_list(paths[kind], stages[kind], settings.names) for kind in paths if paths[kind]}


def read_list(paths: List[str], stages, names: List[str]) -> List[Run]:
    """The runs at `paths` that trained one of `stages`, called by `names` as far as there are any, no two alike."""
    runs = []
    for path in paths:
        found = read_runs(path)
        fitting = [run for run in found if run.stage in stages]
        if not fitting:
            raise UserError(f'{path} holds losses of the {found[0].stage} training, not of the {stages[0]} training')
        runs += fitting
    chosen = []
    for index, run in enumerate(runs):
        name = names[index] if index < len(names) else run.name
        taken = sum(name == earlier or earlier.startswith(f'{name} [') for earlier in chosen)
        chosen.append(f'{name} [{taken + 1}]' if taken else name)
    return [run._replace(name=name) for run, name in zip(runs, chosen)]


def find_newest(models: str) -> Dict[str, List[Run]]:
    """The newest run of each kind under the folder `models`."""
    newest, notes = newest_runs(models)
    for note in notes:
        print(f'passed over: {note}')
    if not newest:
        raise UserError(f'no training runs with losses under {models}: train first (python train_autoencoder.py), or '
                        'name runs or logs with --ir, --vi, --fusion or --runs')
    return {kind: [run] for kind, run in newest.items()}


def figures(groups: Dict[str, List[Run]], name: str) -> List[Tuple[str, str, List[Panel]]]:
    """What to draw, as (file name, title, panels): a figure for each group, and the two autoencoders' total losses."""
    wanted, totals = [], []
    for kind in ('ir', 'vi'):
        having = [run for run in groups.get(kind, []) if 'total' in run.losses]
        if having:
            totals.append(Panel(f'{KINDS[kind]}: {LOSSES["total"]}', 'total', having))
    if totals:
        wanted.append((BOTH_AUTOENCODERS, 'Autoencoders', totals))
    wanted += [(FIGURES[kind], KINDS[kind], loss_panels(groups[kind])) for kind in KINDS if kind in groups]
    if 'runs' in groups:
        wanted.append((name, 'Training losses', loss_panels(groups['runs'])))
    return wanted


if __name__ == '__main__':
    run_script(main)
