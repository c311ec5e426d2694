"""Pairs displaced on purpose: what is found of them, and what metrics make of it."""
import numpy as np
import pandas as pd
import pytest

from tools.data.images import luma, read_gray, write_image
from tools.data.pairing import pair_folders
from tools.evaluation.displacing import (
    DRAWN,
    OURS,
    OURS_DISPLACED,
    accuracy_table,
    displace,
    drawn_pairs,
    reaction_rows,
    score_displaced,
    verdict,
)
from tools.evaluation.scoring import select_metrics
from tools.fusing import displacement
from tools.fusing.flickering import measure
from tools.scenes.places import make_scene

SIZE = 96, 128


def write_set(folder, number=2):
    """A test set of drawn scenes, and what a method makes of it: the mean."""
    for seed in range(number):
        ir, visible = make_scene(seed, *SIZE)
        write_image(folder / 'set' / 'ir' / f'{seed}.png', ir)
        write_image(folder / 'set' / 'vi' / f'{seed}.png', luma(visible))
        write_image(folder / 'mean' / f'{seed}.png', mean(ir, luma(visible)))


def mean(ir, visible):
    return np.rint(np.add(ir, visible, dtype=float) / 2).astype(np.uint8)


def test_drawn_scenes_are_found_where_they_were_displaced_to():
    rows = displace(DRAWN, drawn_pairs(2), np.random.default_rng(1))
    assert all(row['sure'] and row['error, pixels'] < 1 and not row['alarm as it is'] for row in rows)
    table = accuracy_table(rows)
    assert list(table.index) == [DRAWN, 'all'] and table.loc['all', 'pairs'] == 2 and table.loc[DRAWN, 'alarms'] == 0


def test_a_page_of_metrics(tmp_path):
    write_set(tmp_path)
    displacement.main(['--metrics_of', str(tmp_path / 'set'), '--fused', str(tmp_path / 'mean'), '--metrics', 'EN', 'SCD',
                               '--shifts', '8', '--fuse', 'false', '--workers', '1', '--out', str(tmp_path / 'out')])
    page = (tmp_path / 'out' / 'metrics_set.md').read_text()
    assert 'worse for all methods by: SCD.' in page and 'blind to this, are: EN.' in page and '| mean | EN ↑ |' in page
    assert list(pd.read_csv(tmp_path / 'out' / 'metrics_set.csv')['shift']) == [0, 0, 8, 8]


def test_what_fuses_displaced_pairs_is_a_method_of_its_own(tmp_path):
    write_set(tmp_path, 1)
    folder = tmp_path / 'set'
    pairs = pair_folders(folder / 'ir', folder / 'vi').pairs
    table = score_displaced({}, pairs, [0., 8.], select_metrics('default', ['CC']), mean, workers=1)
    values = table.set_index(['method', 'shift'])['value']
    assert values[OURS, 0] == values[OURS_DISPLACED, 0] and values[OURS, 8] < values[OURS_DISPLACED, 8]


def test_better_is_plus_also_where_lower_values_are_better():
    table = pd.DataFrame([('a', 'MSE', 0., 2.), ('a', 'MSE', 1., 1.), ('a', 'MSE', 2., 3.)], columns=['method', 'metric', 'shift', 'value'])
    assert reaction_rows(table) == [['a', 'MSE ↓', '2', '+50.0', '-50.0']]
    assert 'At 2 pixels, images as they are score worse for all methods by: MSE.' in verdict(table)


def test_flicker_of_frames_whose_range_changes(tmp_path):
    """A clip in which nothing happens but for one bright pixel, which a range of its own for each frame makes all others follow."""
    class Fuser:
        def unscaled(self, ir, vi):
            return type('Fused', (), {'image': np.maximum(ir, vi).astype(np.float32)})
    image = luma(make_scene(0, *SIZE)[1]) // 2
    for frame in range(4):
        spotted = image.copy()
        spotted[0, 0] = 255 if frame % 2 else 0
        for folder, picture in (('ir', spotted), ('vi', image)):
            write_image(tmp_path / folder / f'{frame}.png', picture)
    assert read_gray(tmp_path / 'ir' / '1.png')[0, 0] == 255
    table = measure(Fuser(), {'clip': (tmp_path / 'ir', tmp_path / 'vi')}, 4).set_index('pictures')
    assert table.loc['own range', 'change of the mean'] > 10 > 0.5 > table.loc['one range', 'change of the mean']
    assert table.loc['visible', 'change where nothing happens'] == 0
    assert table.loc['one range', 'change where nothing happens'] == pytest.approx(0)
