"""Part 7: stage 2 trained from several seeds on both sides and by wrong ports, and whether the results are the same but for chance.

A run is a training by a side from a seed: weights and order of the images are those of its seed on all sides. One runs at a time, so that
their times can be compared; what interrupts it costs the steps since SAVE_EVERY, on both sides.
"""
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from comparison.equivalence import LEVEL, OPEN, Row, rows_of, spread_table, spreads, verdict
from comparison.inputs import MODALITIES, write_batches
from comparison.report import write_part
from comparison.sides import JITTOR, NAMES, PYTORCH, WRONG, open_sides
from comparison.training import Stage, start_stage
from network.variants import DEEP_SHARES
from tools.base.errors import UserError
from tools.base.figures import figure_style, label_log_axis, save_figure
from tools.base.files import whole_file
from tools.base.tables import markdown_table, write_csv
from tools.curves.reading import LABELS
from tools.evaluation.protocols import DEFAULT_PROTOCOL
from tools.evaluation.scoring import score_methods, select_metrics
from tools.weights.checkpoint import load_weights, save_weights

SAVE_EVERY = 50  # steps
FULL_RATE, TENTH_OF_IT = 0, 2  # epochs, by which both sides know the learning rate
KEPT_EVERY = 10  # of the losses of each step, for the results
POINTS = 100  # of a drawn curve, each a mean
LAST_SHARE = 10  # the end of a training is its last tenth
TRAINING = 'training'  # in place of a test set, for losses
SHIPPED = 'auto_encoder_{modality}.safetensors'


class Plan(NamedTuple):
    """first_seed … + seeds: of both sides; the first `wrong_seeds` of them of the wrong ports, too. encoders: folder with trained ones."""
    first_seed: int
    seeds: int
    wrong_seeds: int
    steps: int
    batch: int
    stage: Stage
    deep_start: float
    encoders: Path


class Run(NamedTuple):
    """A training by a side from a seed, and its folder."""
    side: str
    seed: int
    folder: Path

    @property
    def losses(self):
        return self.folder / 'losses.csv'  # with the learning rate and the time of each step

    @property
    def state(self):
        return self.folder / 'state.bin'  # to go on from; gone when there are weights

    @property
    def weights(self):
        return self.folder / 'fusion.safetensors'


def folder_of(setup):
    """Where the runs are. setup: what has the attribute `work`."""
    return Path(setup.work, 'seeds')


def runs_of(setup, plan):
    """All runs, seed by seed."""
    seeds = range(plan.first_seed, plan.first_seed + plan.seeds)
    return [Run(side, seed, folder_of(setup) / f'{side}_{seed}') for seed in seeds
            for side in (PYTORCH, JITTOR, *(WRONG if seed < plan.first_seed + plan.wrong_seeds else ()))]


def compare(setup, plan, margins, items, pairings, metrics, out, note):
    """Train what is not trained yet, fuse, score, and write tables and figure.

    margins: {metric: margin}. items: pairs to train on. pairings: {test set: pairing}. metrics: names as the evaluation takes them.
    """
    metrics = select_metrics(DEFAULT_PROTOCOL, metrics)
    runs = runs_of(setup, plan)
    for seed, of_seed in groupby(runs, key=lambda run: run.seed):
        waiting = [run for run in of_seed if not run.weights.is_file()]
        if waiting:
            given = write_start(setup, plan, seed)
            batches = write_batches(folder_of(setup) / 'batches.npy', items, plan.batch, plan.steps, seed)
            for run in waiting:
                train(setup, plan, run, given, batches.path)
    fused = fuse(setup, plan, runs, pairings)
    losses, (scores, left_out) = read_losses(runs), score(fused, pairings, metrics)
    note = ' '.join([*(f'Left out: {text}.' for text in left_out), note])
    write_results(pd.concat([final_losses(losses), scores]), losses, margins, out, note)


def write_start(setup, plan, seed):
    """{network: file} of what all sides begin with: the trained encoders, and a fusion network's new weights."""
    folder = folder_of(setup) / f'start_{seed}'
    folder.mkdir(parents=True, exist_ok=True)
    given = {network: folder / f'{network}.safetensors' for network in (*MODALITIES, 'fusion')}
    with open_sides([JITTOR], setup) as sides:
        sides[JITTOR].ask('write_initial_weights', seed=seed, deep_start=plan.deep_start, **given)
    for modality, trained in trained_encoders(plan).items():  # which may lack their decoder, that PyTorch wants to have
        save_weights(given[modality], {**load_weights(given[modality]).arrays, **load_weights(trained).arrays}, {})
    return given


def trained_encoders(plan):
    """{modality: file}. UserError if there are none."""
    files = {modality: plan.encoders / SHIPPED.format(modality=modality) for modality in MODALITIES}
    for path in files.values():
        if not path.is_file():
            raise UserError(f'there is no trained auto-encoder {path}: setting trained_encoders says where they are')
    return files


def train(setup, plan, run, given, batches):
    """Train a run from its start, or from where it was saved: the first half of the steps at the full rate, the others at a tenth.

    given: {network: file} that it starts with. batches: file of its images, from comparison.inputs.
    """
    with open_sides([run.side], setup) as sides:
        side = sides[run.side]
        start_stage(side, plan.stage, given)
        done = side.ask('load_state', path=run.state).result if run.state.is_file() else 0
        rows = pd.read_csv(run.losses)[:done].to_dict('records') if done else []
        steps = range(done, plan.steps)
        for step in tqdm(steps, f'{NAMES[run.side]}, seed {run.seed}', plan.steps, initial=done, unit='step'):
            epoch = FULL_RATE if step < plan.steps // 2 else TENTH_OF_IT
            answer = side.ask('step', batches=batches, index=step, epoch=epoch)
            rows.append({'step': step + 1, **answer.result, 'seconds': answer.seconds})
            if (step + 1) % SAVE_EVERY == 0:
                save(side, run, rows)
        write_csv(run.losses, pd.DataFrame(rows))
        with whole_file(run.weights) as temporary:
            side.ask('save', path=temporary)
    run.state.unlink(missing_ok=True)


def save(side, run, rows):
    """Save the losses so far, then the state of as many steps, each whole or not at all."""
    write_csv(run.losses, pd.DataFrame(rows))
    with whole_file(run.state) as temporary:
        side.ask('save_state', path=temporary, step=len(rows))


def fuse(setup, plan, runs, pairings):
    """Fuse the test sets with the weights of all runs, by one program, so that differences are those of training.

    Returns {(test set, shares): {run: folder of the fused images}}. What has been fused already stays.
    """
    encoders = trained_encoders(plan)
    fused = {(test, shares): {run: run.folder / f'fused_{test}_{shares}' for run in runs} for test in pairings for shares in DEEP_SHARES}
    with open_sides([JITTOR], setup) as sides:
        for (test, shares), folders in fused.items():
            files = [[str(pair.ir), str(pair.vi)] for pair in pairings[test].pairs]
            for run, folder in tqdm(folders.items(), f'fusing {test}, {shares} shares', unit='run'):
                if len(list(folder.glob('[!.]*'))) < len(files):
                    sides[JITTOR].ask('start_fusing', **encoders, fusion=run.weights, deep_shares=shares)
                    sides[JITTOR].ask('fuse_files', pairs=files, out=folder)
    return fused


def score(fused, pairings, metrics):
    """The means over the images of each test set that all runs have -> (scores as of comparison.equivalence, what was left out and why).

    fused: as from `fuse`. UserError if there are no such images.
    """
    tables, left_out = [], []
    for (test, shares), folders in fused.items():
        scores = score_methods({run.folder.name: folder for run, folder in folders.items()}, pairings[test], DEFAULT_PROTOCOL, metrics)
        left_out += scores.problems
        columns = pd.MultiIndex.from_product([scores.table.columns, [run.folder.name for run in folders]])
        common = scores.table.unstack('method').reindex(columns=columns).dropna()  # a row per image
        if common.empty:
            raise UserError(f'there is no image of {test} that was fused with the weights of all runs and scored: {left_out}')
        tables += [_scores(test, shares, run.side, run.seed, common.mean().xs(run.folder.name, level=1)) for run in folders]
    return pd.concat(tables), left_out


def read_losses(runs):
    """The losses of all runs' steps, as one table with their side and seed."""
    return pd.concat([pd.read_csv(run.losses).assign(side=run.side, seed=run.seed) for run in runs], ignore_index=True)


def final_losses(losses):
    """The mean of each loss over the last tenth of a run, as scores."""
    end = losses[losses['step'] > losses['step'].max() * (1 - 1 / LAST_SHARE)]
    means = end.groupby(['side', 'seed'], sort=False)[_names(losses)].mean().rename(columns=_title)
    return pd.concat([_scores(TRAINING, '', side, seed, row) for (side, seed), row in means.iterrows()])


def write_results(scores, losses, margins, out, note):
    """Write the tables and the figure: seeds.csv and .md, the scores of each run, a tenth of the losses, and noise_SHARES.csv."""
    rows = rows_of(scores, PYTORCH, margins)
    write_csv(out / 'seeds_scores.csv', scores)
    write_csv(out / 'seeds_losses.csv', losses.loc[losses['step'] % KEPT_EVERY == 0, ['side', 'seed', 'step', 'lr', *_names(losses)]])
    fused = scores[scores['side'].isin([PYTORCH, JITTOR]) & (scores['test'] != TRAINING)]
    for shares, spread in spreads(fused).items():
        write_csv(out / f'noise_{shares}.csv', spread_table(spread))
    save_figure(draw(losses), out / 'seeds')
    write_part(out, 'seeds', rows, describe(rows, times_of(losses), note))


def times_of(losses):
    """A row per side: runs, the median of a step's seconds, and the mean hours of a run."""
    times = losses.groupby(['side', 'seed'], sort=False)['seconds'].agg(['median', 'sum']).groupby('side', sort=False)
    return pd.DataFrame({'runs': times.size(), 'seconds': times['median'].median(), 'hours': times['sum'].mean() / 3600})


def describe(rows, times, note):
    """The rows as Markdown: how many measures of each side are told apart, times, and each measure of Jittor's."""
    counts = pd.DataFrame([{'side': NAMES[row.side], 'verdict': verdict(row)} for row in rows])
    counts = pd.crosstab(counts['side'], counts['verdict'])
    summary = markdown_table(['beside the original', *counts], [[side, *values] for side, *values in counts.itertuples()])
    seconds = markdown_table(['side', 'runs', 'median step', 'a run'], [
        [NAMES[side], f'{row.runs:.0f}', f'{row.seconds:.3f} s', f'{row.hours:.2f} h'] for side, row in times.iterrows()])
    measures = markdown_table(
        ['test', 'shares', 'measure', 'PyTorch', 'Jittor', 'difference', 'margin', 'p same', 'p different', 'p, Holm', ''],
        [_cells(row) for row in rows if row.side == JITTOR], texts=3)
    return (
        f'## Seeds: whole trainings of stage 2, several a side\n\n![Losses, mean ± SD over seeds](seeds.png)\n\n{summary}\n{seconds}\n'
        f'{measures}\n'
        'Mean ± sample standard deviation over the runs of a side. *p same*: two one-sided Welch t-tests, the larger p-value; below '
        f'{LEVEL:g}, the means are less than the margin apart. *p different*: Welch\'s t-test, beside it corrected for all measures of the '
        f'side (Holm). *{OPEN}*: neither is shown with so many runs. A wrong port that is nowhere different was not told apart: the test '
        'is too weak for it. Margins: half the gap between CrossFuse and LRRNet (`margins.csv`), fixed before the runs. All networks fuse '
        'by one program, so that differences are those of training. Losses: mean of the last tenth. All measures: `seeds.csv`; '
        f'each run\'s: `seeds_scores.csv`; every {KEPT_EVERY}th step: `seeds_losses.csv`. {note}\n')


def draw(losses):
    """A panel for each loss, a band for each side: mean ± standard deviation over seeds."""
    import seaborn  # here, since it takes a second to load, which --help need not wait for
    window = -(-losses['step'].max() // POINTS)
    point = (losses['step'] - 1) // window
    means = losses.assign(point=point).groupby(['side', 'seed', 'point'], sort=False)[['step', *_names(losses)]].mean()
    bands = means.groupby(['side', 'point'], sort=False).agg(['mean', 'std'])
    with figure_style('paper'):
        figure = Figure(figsize=(8.5, 3), layout='constrained')
        panels = figure.subplots(1, len(_names(losses)))
        for axes, loss in zip(panels, _names(losses)):
            for side, colour in zip(losses['side'].unique(), seaborn.color_palette('colorblind')):
                band = bands.loc[side]
                steps, middle, spread = band['step', 'mean'], band[loss, 'mean'], band[loss, 'std']
                axes.plot(steps, middle, color=colour, label=NAMES[side])
                axes.fill_between(steps, middle - spread, middle + spread, color=colour, alpha=0.25, linewidth=0)
            axes.set(title=_title(loss), xlabel='step', yscale='log')
            label_log_axis(axes)
        figure.legend(*panels[0].get_legend_handles_labels(), loc='outside lower center', ncols=4, frameon=False)
    return figure


def _names(losses):
    return [name for name in losses if name.endswith('_loss')]


def _title(loss):
    """pix_loss → pixel loss"""
    name = loss.replace('_', ' ')
    return LABELS.get(name, name)


def _scores(test, shares, side, seed, values):
    """Scores of a run from a Series {metric: value}."""
    return pd.DataFrame({'test': test, 'shares': shares, 'side': side, 'seed': seed, 'metric': values.index, 'value': values.to_numpy()})


def _cells(row: Row):
    p_values = ('' if np.isnan(p) else f'{p:.2g}' for p in (row.p_same, row.p_different, row.p_holm))
    return [row.test, row.shares, row.metric, f'{row.pytorch:.5g} ± {row.pytorch_sd:.2g}', f'{row.other:.5g} ± {row.other_sd:.2g}',
            f'{row.difference:+.2g}', '' if np.isnan(row.margin) else f'{row.margin:.2g}', *p_values, verdict(row)]
