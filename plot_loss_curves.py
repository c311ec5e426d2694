"""Plot the losses of training runs.

Without settings: the newest run of each kind under ./models. Otherwise name runs: run folders, CSV files, text logs
(ours or the original's) or loss_data_*.mat files; the first of a list is what the others are compared with.
"""
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from tools.base.errors import UserError
from tools.base.figures import save_figure, warn_of_missing_glyphs
from tools.base.files import printable
from tools.base.script import run_script
from tools.base.settings import parse_settings, setting
from tools.base.tables import terminal_table
from tools.curves.figures import Panel, Style, loss_figure, loss_panels
from tools.curves.reading import AUTOENCODER, FUSION, TOTAL, UNKNOWN, Run, epoch_means, newest_runs, read_runs

STAGES = {'ir': AUTOENCODER, 'vi': AUTOENCODER, 'fusion': FUSION}
TITLES = {'ir': 'Infrared autoencoder', 'vi': 'Visible autoencoder', 'fusion': 'Fusion network',
          'runs': 'Training losses'}
FIGURES = {'ir': 'ir_autoencoder_comparison', 'vi': 'vi_autoencoder_comparison', 'fusion': 'fusion_network_comparison'}
BOTH_AUTOENCODERS = 'autoencoder_total_loss_comparison'


@dataclass
class Args:
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
    settings = parse_settings(Args, __doc__)
    groups = read_named(settings) or find_newest(settings.models)
    for run in [run for runs in groups.values() for run in runs]:
        print(f'{run.name}: {run.stage}, {len(run.losses)} entries, up to epoch {run.losses["epoch"].iloc[-1]}, '
              f'step {run.losses.index[-1]}')
        for note in run.notes:
            print(f'  note: {note}')
        if settings.list:
            print(terminal_table(epoch_means(run)) + '\n')
    if settings.list:
        return
    style = Style(settings.per, settings.scale, settings.smooth or None)
    wanted = figures(groups, settings.figure)
    panels = [panel for _, _, panels in wanted for panel in panels]
    warn_of_missing_glyphs([panel.title for panel in panels] + [run.name for panel in panels for run in panel.runs])
    for name, title, panels in wanted:
        for path in save_figure(loss_figure(title, panels, style), Path(settings.output, name)):
            print(f'wrote {path}')


def read_named(settings: Args) -> Dict[str, List[Run]]:
    """The runs that the settings name, by 'ir', 'vi', 'fusion' and 'runs'; empty if there are none."""
    lists = {kind: getattr(settings, kind) for kind in TITLES}
    longest = max(map(len, lists.values()))
    if len(settings.names) > longest:
        raise UserError(f'--names has {len(settings.names)} names, for lists of {longest} runs at most')
    return {kind: read_list(paths, STAGES.get(kind), settings.names) for kind, paths in lists.items() if paths}


def read_list(paths: List[str], stage: Optional[str], names: List[str]) -> List[Run]:
    """The runs at `paths`, of one stage unless that is None, called by `names` as far as
    there are any, no two alike."""
    runs = []
    for path in paths:
        found = read_runs(path)
        fitting = [run for run in found if stage in (None, run.stage) or run.stage == UNKNOWN]
        if not fitting:
            raise UserError(f'{path} holds losses of the {found[0].stage} training, not of the {stage} training')
        runs += fitting
    chosen = []
    for index, run in enumerate(runs):
        name = printable(names[index]) if index < len(names) else run.name
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
        having = [run for run in groups.get(kind, []) if TOTAL in run.losses]
        if having:
            totals.append(Panel(f'{TITLES[kind]}: {TOTAL}', TOTAL, having))
    if totals:
        wanted.append((BOTH_AUTOENCODERS, 'Autoencoders', totals))
    return wanted + [(FIGURES.get(kind, name), TITLES[kind], loss_panels(runs)) for kind, runs in groups.items()]


if __name__ == '__main__':
    run_script(main)
