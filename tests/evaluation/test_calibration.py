"""The calibration page: made of stand-in images, its numbers, what it says of single sources, and
the page in the repository."""
import copy
import csv

import numpy as np
import pytest
from conftest import REFERENCE, REPOSITORY, SHARED_DATA
from metric_functions import m

from tools.base.errors import UserError
from tools.data.images import write_image
from tools.evaluation.calibration import (
    CHECKED,
    UNCHECKED,
    calibrate,
    confirmation,
    main,
    read_reference,
    value_of,
    write_calibration,
)
from tools.evaluation.protocols import metrics_of

FILES = [REFERENCE / 'metrics.json', REFERENCE / 'metrics_more.json']


@pytest.fixture
def reference(tmp_path):
    """The reference with one triple, of drawn images."""
    content = copy.deepcopy(read_reference(FILES))
    content['triples'] = {'CF1': content['triples']['CF1']}
    for seed, role in enumerate(('fused', 'ir', 'vis')):
        image = np.random.default_rng(seed).integers(0, 256, (170, 180), dtype=np.uint8)
        content['triples']['CF1'][role] = f'{role}.png'
        write_image(tmp_path / f'{role}.png', image)
    return content


def test_table_and_page(reference, tmp_path):
    fused, ir, vi = (np.random.default_rng(seed).integers(0, 256, (170, 180), dtype=np.uint8) for seed in range(3))
    reference['triples']['CF1']['values']['vifb_octave']['Ssim'] = 2 * m.ssim(fused, ir, vi) / 1.25
    table = calibrate(reference, tmp_path)
    triple = reference['triples']['CF1']
    assert len(table) == sum(value_of(triple, source) is not None for sources in CHECKED.values() for source in sources)
    row = table.set_index('metric').loc['SSIM']
    assert row['ours'] == pytest.approx(m.ssim(fused, ir, vi)) and row['relative difference'] == pytest.approx(0.25)
    write_calibration(reference, table, tmp_path / 'out')
    page = (tmp_path / 'out/README.md').read_text(encoding='utf-8')
    line, = [line for line in page.splitlines() if line.startswith('| SSIM |')]
    assert 'vifb_octave: `Ssim / 2` | one source only (vifb)' in line and '| 2.5e-01 |' in line
    assert 'xingchenzhang/VIFB@22b2ea9' in page and 'jittor_port' not in page
    with open(tmp_path / 'out/calibration.csv', encoding='utf-8-sig', newline='') as file:
        assert len(list(csv.DictReader(file))) == len(table)


def test_a_port_does_not_confirm_its_original():
    assert confirmation('PSNR (tang, tang_2022_01)') == 'one source only (tang)'
    assert confirmation('EN') == '4 sources'
    assert confirmation('PSNR').startswith('no toolbox')
    assert 'not checked against MATLAB' in confirmation('FMI_w')
    assert confirmation('Q_CB') == 'one source only (liu)'  # VIFB's is a copy
    assert confirmation('a new one') == 'not checked against any toolbox'


def test_every_source_has_a_value():
    content = read_reference(FILES)
    assert {*CHECKED, *UNCHECKED} <= {metric.name for metric in metrics_of('all', every=True)}
    for source in sum(CHECKED.values(), []):
        assert any(value_of(triple, source) is not None for triple in content['triples'].values()), source


def test_missing_files_are_named(reference, tmp_path):
    (tmp_path / 'vis.png').unlink()
    with pytest.raises(UserError, match='cannot read .*vis.png'):
        calibrate(reference, tmp_path)
    with pytest.raises(UserError, match="cannot read the toolboxes' values from nothing.json"):
        main(['--reference', 'nothing.json'])


@pytest.mark.parametrize('shared', [SHARED_DATA] if SHARED_DATA else [])
def test_values_of_the_toolboxes_and_the_page_in_the_repository(shared, tmp_path):
    main(['--reference', *map(str, FILES), '--folder', str(shared.parent), '--out', str(tmp_path)])
    tolerances = {(metric, *source[:2]): source.tolerance for metric, sources in CHECKED.items() for source in sources}
    with open(tmp_path / 'calibration.csv', encoding='utf-8-sig', newline='') as file:
        rows = list(csv.DictReader(file))
    assert {(row['metric'], row['implementation'], row['name']) for row in rows} == set(tolerances)
    for row in rows:
        assert abs(float(row['relative difference'])) < tolerances[row['metric'], row['implementation'], row['name']], row
    parts = [(folder / 'README.md').read_text(encoding='utf-8').split() for folder in (tmp_path, REPOSITORY / 'results/calibration')]
    is_rounding = lambda word: word.count('e-') == 1  # the last digits of differences near 0 depend on the processor
    here, there = ([word for word in words if not is_rounding(word)] for words in parts)
    assert len(here) == len(there)
    for one, other in zip(here, there):  # so do those of values
        assert one == other or float(one) == pytest.approx(float(other), rel=1e-5), (one, other)
