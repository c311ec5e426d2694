"""How exactly displacement is found, and how much it matters to metrics: pairs are displaced by known amounts.

python -m tools.fusing.displacement --sets images/21_pairs_tno images/RoadScene_50   accuracy, on scenes and folders
python -m tools.fusing.displacement --metrics_of images/21_pairs_tno --fused DIR …        what metrics make of it

Writes tables as Markdown and CSV. A folder holds infrared and visible images as a test set or a database does.
"""
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional

from tools.base.errors import UserError
from tools.base.files import write_text
from tools.base.script import run_script
from tools.base.settings import parse_settings, setting
from tools.base.tables import markdown_table, write_csv

ACCURACY = """# How exactly displacement is found

Made by `python -m tools.fusing.displacement`. Pairs as they are, and displaced by known amounts: 0.5 to 20 pixels in
any direction, scaled by 0.95 to 1.05, turned by up to 2°, all at once. Errors are mean distances, over the image,
from where pixels belong, in pixels; those of real pairs from where the pair was found to lie as it is, since real
pairs are not registered exactly, so that both estimates' errors add up. They are of the pairs that are sure of their
displacement ({sure:.0f} % of their parts agree); the others are never acted on. `off as it is`: by how much pairs as
they come are found to be displaced, in per cent of the shorter side; from {limit:.0f} % on a pair counts as an alarm.

{table}
All pairs: `accuracy.csv`.
"""
METRICS = """# What metrics make of displaced sources

Made by `python -m tools.fusing.displacement --metrics_of …`, with {pairs} pairs of {set}. The infrared image is moved
right, down, left or up, pair by pair in turn, by so many pixels; what it does not cover is filled from the visible
one, and half a pixel is interpolated. Changes in per cent of the value without a shift; + is better, − worse, as the
metric's arrow has it. Methods by name: fused images stay as they are, and only the source they are scored against is
moved, so a metric that sees displacement gets worse, and one of the fused image alone stays. `fused displaced`:
displaced pairs fused with the weights that come along, and scored against what was fused, as one does who does not
know of it: where that gets better, the metric rewards ghosts. In that, fused images change their range, too, which
all metrics feel.

{verdict}
A change counts from 1 % on.

{table}
"""


@dataclass
class Args:
    sets: List[str] = setting([], 'folders of pairs, on which it is measured how exactly displacement is found')
    scenes: int = setting(24, 'drawn scenes on which it is measured, too', minimum=0)
    pairs: int = setting(0, 'pairs of each folder, evenly spread; 0: all', minimum=0)
    seed: int = setting(0, 'the same seed displaces alike', minimum=0)
    metrics_of: Optional[str] = setting(None, 'instead: a test set, on which it is measured what metrics make of '
                                              'displacement')
    fused: List[str] = setting([], 'folders of fused images of that test set, one for each method')
    names: List[str] = setting([], 'names of the methods, if not those of their folders')
    metrics: List[str] = setting(['all'], 'metrics to compute, or all')
    shifts: List[float] = setting([0.5, 1., 2., 4., 8.], 'pixels by which the infrared images are displaced', above=0)
    fuse: bool = setting(True, 'fuse displaced pairs, too')
    model: Optional[str] = setting(None, 'run folder or weights file of stage 2; none: the newest run, or the shipped '
                                         'weights')
    cuda: bool = setting(True, 'compute on the GPU if there is one')
    workers: int = setting(0, 'processes that score images; 0: one for each core', minimum=0)
    out: str = setting('./results/displacement', 'the folder for the tables')


def main(arguments=None):
    settings = parse_settings(Args, __doc__, arguments)
    if settings.metrics_of:
        return measure_metrics(settings)
    return measure_accuracy(settings)


def pairs_of(folder, number):
    """Pairs of files in a folder, evenly spread; all if number is 0."""
    from tools.data.kaist import list_pairs
    return list_pairs([folder], number or None, 'spread').items


def measure_accuracy(settings):
    import numpy as np

    from tools.data.displacement import DISPLACED, SURE
    from tools.evaluation.displacing import DRAWN, accuracy_table, displace, drawn_pairs, read_pairs

    rng = np.random.default_rng(settings.seed)
    rows = displace(DRAWN, drawn_pairs(settings.scenes), rng) if settings.scenes else []
    for folder in settings.sets:
        rows += displace('/'.join(Path(folder).parts[-2:]), read_pairs(pairs_of(folder, settings.pairs)), rng)
    if not rows:
        raise UserError('no pairs: give --scenes or --sets')
    table = accuracy_table(rows)
    shown = markdown_table(['images', *table], list(map(list, table.itertuples())))
    text = ACCURACY.format(sure=100 * SURE, limit=100 * DISPLACED, table=shown)
    write_csv(Path(settings.out, 'accuracy.csv'), rows_table(rows))
    write_text(Path(settings.out, 'accuracy.md'), text)
    print(text)


def rows_table(rows):
    """Rows as a DataFrame with as many digits as mean something."""
    import pandas as pd
    return pd.DataFrame(rows).round(4)


def measure_metrics(settings):
    from tools.data.layouts import source_folders
    from tools.data.pairing import pair_folders
    from tools.evaluation.displacing import reaction_rows, score_displaced, verdict
    from tools.evaluation.protocols import DEFAULT_PROTOCOL
    from tools.evaluation.scoring import name_methods, select_metrics

    folders = source_folders(Path(settings.metrics_of))
    if not folders:
        raise UserError(f'{settings.metrics_of} holds no folders of infrared and of visible images')
    pairs = pair_folders(*folders).pairs
    if settings.pairs:
        pairs = [pairs[index * len(pairs) // settings.pairs] for index in range(min(settings.pairs, len(pairs)))]
    fuser = None
    if settings.fuse:
        from tools.fusing.fuser import load_fuser
        from tools.runtime import use_device
        print(f'computing on the {use_device(settings.cuda)}')
        fuser = load_fuser(settings.model)
    methods = name_methods([Path(folder) for folder in settings.fused], settings.names) if settings.fused else {}
    shifts = [0., *settings.shifts]
    metrics = select_metrics(DEFAULT_PROTOCOL, settings.metrics)
    table = score_displaced(methods, pairs, shifts, metrics, fuser, settings.workers)
    name = Path(settings.metrics_of).name
    head = ['method', 'metric', 'as it is', *(f'{shift:g} px, %' for shift in settings.shifts)]
    text = METRICS.format(pairs=len(pairs), set=name, verdict=verdict(table),
                          table=markdown_table(head, reaction_rows(table), texts=2))
    write_csv(Path(settings.out, f'metrics_{name}.csv'), table)
    write_text(Path(settings.out, f'metrics_{name}.md'), text)
    print(text)


if __name__ == '__main__':
    run_script(main)
