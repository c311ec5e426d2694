"""Pairs displaced on purpose: how exactly that is found, and what metrics make of it."""
import math
from functools import partial

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from tools.data.alignment import Align, align_of_matrix, aligned
from tools.data.displacement import DISPLACED, estimate, is_sure, mean_distance
from tools.data.images import fitted, luma, read_gray
from tools.data.pairing import match_fused
from tools.evaluation.metrics import METRICS
from tools.evaluation.scoring import run_in_parallel
from tools.scenes.places import make_scene

SHIFTS = 0.5, 20.          # pixels by which pairs are displaced, as often from 1 to 2 as from 2 to 4
SCALES, ANGLES = (0.95, 1.05), (-2., 2.)
DIRECTIONS = (1, 0), (0, 1), (-1, 0), (0, -1)  # along rows and columns, where whole pixels need no interpolation
SCENE_SIZES = (256, 320), (288, 360), (235, 317)
NOTICED = 1  # per cent by which a value changes for a metric to have noticed
DRAWN = 'drawn scenes'
OURS, OURS_DISPLACED = 'CrossFuse-Jittor', 'CrossFuse-Jittor, fused displaced'


def drawn_pairs(number):
    """Pairs of gray images of drawn scenes."""
    for seed in range(number):
        ir, visible = make_scene(seed, *SCENE_SIZES[seed % len(SCENE_SIZES)])
        yield ir, luma(visible)


def read_pairs(pairs):
    """Pairs of gray images from files, the infrared one made to fit."""
    for ir, visible in pairs:
        visible = read_gray(visible)
        yield fitted(read_gray(ir), visible.shape), visible


def displace(name, pairs, rng):
    """What is found of pairs as they are, and displaced by known amounts -> list of rows, for `accuracy_table`.

    name: of where they are from. pairs: of gray images. rng: a numpy Generator. Real pairs are not registered exactly: they are
    counted from where they are found to lie as they are; drawn ones from where they are.
    """
    rows = []
    for number, (ir, visible) in enumerate(tqdm(list(pairs), name, unit='pair')):
        before = estimate(ir, visible)
        shift, turned = math.exp(rng.uniform(*np.log(SHIFTS))), rng.uniform(0, 2 * math.pi)
        known = Align(shift * math.cos(turned), shift * math.sin(turned), rng.uniform(*SCALES), rng.uniform(*ANGLES))
        moved = cv2.warpAffine(ir, known.matrix(ir.shape), ir.shape[::-1], flags=cv2.INTER_CUBIC)
        after = estimate(moved, visible)
        back = np.vstack([known.matrix(ir.shape), [0, 0, 1]])
        both = align_of_matrix(after.align.matrix(ir.shape) @ back, ir.shape)
        origin = Align() if name == DRAWN else before.align
        rows.append({'images': name, 'pair': number, 'width': ir.shape[1], 'height': ir.shape[0],
                     **{f'known {key}': value for key, value in zip(Align._fields[:4], known)},
                     'error, pixels': mean_distance(both, ir.shape, origin), 'agreeing': after.agreeing, 'sure': is_sure(after),
                     'sure as it is': is_sure(before), 'off as it is, %': 100 * before.distance,
                     'alarm as it is': is_sure(before) and before.distance >= DISPLACED})
    return rows


def accuracy_table(rows):
    """One row for each origin of the pairs: errors of those that are sure, how many are, how many are doubted as they are."""
    def summed_up(found):
        sure = found[found['sure'] & (found['sure as it is'] | (found['images'] == DRAWN))]
        quartiles = sure['error, pixels'].quantile([0.25, 0.5, 0.75, 0.95])
        off = found.loc[found['sure as it is'], 'off as it is, %']
        return pd.Series([len(found), f'{len(sure)}', *(f'{value:.2f}' for value in quartiles), f'{off.median():.2f}', f'{off.max():.2f}',
                          found['alarm as it is'].sum()],
                         ['pairs', 'sure', 'error, 25 %', 'median', '75 %', '95 %', 'off as it is, median', 'largest', 'alarms'])
    table = pd.DataFrame(rows)
    return pd.concat([table.groupby('images', sort=False)[list(table)].apply(summed_up), summed_up(table).to_frame('all').T])


def score_displaced(methods, pairs, shifts, metrics, fuser=None, workers=0):
    """Metrics of fused images whose infrared source is displaced by some pixels -> DataFrame: method, metric, shift, mean value.

    methods: {name: folder of fused images}, which stay as they are. metrics: list of Metric. fuser: what it makes of the pairs as they are
    is a method, too, and what it makes of the displaced ones another. Pairs are displaced in four directions in turn.
    shifts: the first is 0.
    """
    tasks, names = [], []
    found = {name: match_fused(pairs, folder).paths for name, folder in methods.items()}
    for number, pair in enumerate(tqdm(pairs, 'fusing', unit='pair', disable=fuser is None)):
        (ir, visible), (right, down) = next(read_pairs([(pair.ir, pair.vi)])), DIRECTIONS[number % len(DIRECTIONS)]
        as_it_is = fuser(ir, visible) if fuser else None
        for shift in shifts:
            moved = aligned(ir, visible, Align(shift * right, shift * down)) if shift else ir
            for name, paths in found.items():
                if pair.name in paths:
                    tasks.append((read_gray(paths[pair.name]), moved, visible))
                    names.append((name, shift))
            if fuser:
                fused = fuser(moved, visible) if shift else as_it_is
                tasks += [(as_it_is, moved, visible), (fused, moved, visible)]
                names += [(OURS, shift), (OURS_DISPLACED, shift)]
    score = partial(_scores, names=[metric.name for metric in metrics])
    table = pd.DataFrame([(*name, metric.name, value) for name, values in zip(names, run_in_parallel(score, tasks, workers))
                          for metric, value in zip(metrics, values)],
                         columns=['method', 'shift', 'metric', 'value'])
    return table.groupby(['method', 'metric', 'shift'], sort=False)['value'].mean().reset_index()


def _scores(images, names):
    """The value of each metric of a fused image and its sources, as a list. names: by which the metrics are sent to other processes."""
    images = [image.astype(float) for image in images]
    return [float(metric.compute(*images)) for metric in METRICS if metric.name in names]


def reactions(table):
    """DataFrame like that of `score_displaced`, with by how many per cent a value is better, or worse (−), than without a shift."""
    lower = table['metric'].map({metric.name: metric.lower_is_better for metric in METRICS})
    before = table.groupby(['method', 'metric'])['value'].transform('first')
    return table.assign(before=before, change=100 * (table['value'] - before) / before.abs() * np.where(lower, -1, 1))


def reaction_rows(table):
    """For each method and metric: its value without a shift, and by how many per cent it is better, or worse (−), at each shift."""
    arrows = {metric.name: '↓' if metric.lower_is_better else '↑' for metric in METRICS}
    return [[method, f'{metric} {arrows[metric]}', f'{rows["before"].iloc[0]:.4g}', *(f'{one:+.1f}' for one in rows['change'].iloc[1:])]
            for (method, metric), rows in reactions(table).groupby(['method', 'metric'], sort=False)]


def verdict(table):
    """What the largest shift does to each metric, as lines of text: which get worse, which better, which do not change."""
    rows = reactions(table)
    rows = rows[rows['shift'] == rows['shift'].max()]
    scored, fused = rows[rows['method'] != OURS_DISPLACED], rows[rows['method'] == OURS_DISPLACED]
    worst, best = (getattr(scored.groupby('metric', sort=False)['change'], kind)() for kind in ('max', 'min'))
    lines = {f'At {rows["shift"].iloc[0]:g} pixels, images as they are score worse for all methods by': worst.index[worst < -NOTICED],
             'Some methods score better, or no worse, by': worst.index[(worst >= -NOTICED) & (best.abs() + worst.abs() > 0)],
             'Not of the sources, and so blind to this, are': worst.index[(best == 0) & (worst == 0)]}
    if len(fused):
        lines['Images fused displaced score better, though they show ghosts, by'] = fused.loc[fused['change'] > NOTICED, 'metric']
        lines['and worse by'] = fused.loc[fused['change'] < -NOTICED, 'metric']
    return ''.join(f'- {what}: {", ".join(metrics) or "none"}.\n' for what, metrics in lines.items())
