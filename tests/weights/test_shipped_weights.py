"""The weights that come with the repository, and the script that makes such files of a run."""
import hashlib

import numpy as np
import pytest
from conftest import REPOSITORY
from fusion_runs import pair_of, write_run

from convert_checkpoint import convert
from ship_weights import CHECKSUMS, ship
from tools.errors import UserError
from tools.fuser import load_fuser
from tools.scenes.places import make_scene
from tools.weights.checkpoint import load_weights, save_weights
from tools.weights.fusion import SHIPPED

LARGEST_FILE = 50 * 10 ** 6


def assert_checksums(folder):
    lines = (folder / CHECKSUMS).read_text().splitlines()
    named = {name: digest for digest, name in (line.split('  ') for line in lines)}
    assert set(named) == {path.name for path in folder.glob('*.safetensors')} and len(named) == 3
    for name, digest in named.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name


def test_shipped_files_are_small_and_fuse_alike(tmp_path):
    run = write_run(tmp_path / 'fuse_20261122_101500')
    ship(run, tmp_path / 'shipped')
    assert_checksums(tmp_path / 'shipped')
    for path in (tmp_path / 'shipped').glob('*.safetensors'):
        assert path.stat().st_size < 0.5 * (run / path.name).stat().st_size
        assert load_weights(path).metadata.keys() - load_weights(run / path.name).metadata.keys() == {'only_for_fusing', 'options'}
    fuser, small = load_fuser(run), load_fuser(tmp_path / 'shipped')
    assert small.model.checked and small.model.name == fuser.model.name
    pair = pair_of(72, 96)
    difference = np.abs(small(*pair).astype(int) - fuser(*pair))
    assert difference.max() <= 8 and difference.mean() < 1  # random weights are no trained ones, whose sums do not cancel


def test_shipped_files_become_whole_ones_for_pytorch(tmp_path):
    run = write_run(tmp_path / 'fuse_20261122_101500')
    ship(run, tmp_path / 'shipped')
    files = {}
    for path in (tmp_path / 'shipped').glob('*.safetensors'):
        files[path.stem] = tmp_path / f'{path.stem}.model'
        convert(path, files[path.stem])
        expected = load_weights(run / path.name).arrays
        assert {name: array.shape for name, array in load_weights(files[path.stem]).arrays.items() if array.shape} == \
            {name: array.shape for name, array in expected.items() if not name.endswith('num_batches_tracked')}
    pair = pair_of(72, 96)
    fuser = load_fuser(files['fusetrans_epoch_3'], files['auto_encoder_ir'], files['auto_encoder_vi'])
    assert np.array_equal(fuser(*pair), load_fuser(tmp_path / 'shipped')(*pair))


def test_shares_other_than_the_training_s_can_be_noted(tmp_path):
    run = write_run(tmp_path / 'fuse_20261122_101500')
    ship(run, tmp_path / 'shipped', deep_shares='bounded')
    fuser = load_fuser(tmp_path / 'shipped')
    assert fuser.model.deep_shares == 'bounded' and 'bounded' not in fuser.model.name
    pair = pair_of(72, 96)
    assert np.abs(fuser(*pair).astype(int) - load_fuser(run, deep_shares='bounded')(*pair)).mean() < 1


def test_what_cannot_be_shipped_is_refused(tmp_path):
    with pytest.raises(UserError, match='nowhere does not exist'):
        ship(tmp_path / 'nowhere', tmp_path / 'out')
    run = write_run(tmp_path / 'run')
    arrays, metadata = load_weights(run / 'auto_encoder_vi.safetensors')
    arrays['fea_encoder1.conv1.conv2d.0.weight'][0] = 1e5
    save_weights(run / 'auto_encoder_vi.safetensors', arrays, metadata)
    with pytest.raises(UserError, match='auto_encoder_vi.safetensors cannot be stored as float16: fea_encoder1.conv1'):
        ship(run, tmp_path / 'other')
    assert not (tmp_path / 'out').exists()


def test_the_weights_of_the_repository():
    assert_checksums(SHIPPED)
    assert all(path.stat().st_size < LARGEST_FILE for path in SHIPPED.iterdir())
    card = (SHIPPED / 'README.md').read_text(encoding='utf-8')
    for line in (SHIPPED / CHECKSUMS).read_text().splitlines():
        assert line.split('  ')[0] in card


@pytest.mark.parametrize('seed', range(3))
def test_they_fuse_drawn_scenes_well(seed, tmp_path):
    """Warm things, people above all, are brighter than what is around them, and no few pixels take the range."""
    fuser = load_fuser(runs=tmp_path)  # no run there: what is shipped
    assert fuser.model.files.fusion.parent == SHIPPED == REPOSITORY / 'results' / 'models'
    ir, vis = make_scene(seed, 256, 320)
    fused = fuser.fuse(ir, vis)
    gray = fused.image.mean(axis=2)
    assert fused.doubt == '' and gray.std() > 15
    hot, cool = ir > 220, ir < 100
    assert hot.mean() > 0.001 and gray[hot].mean() > gray[cool].mean() + 40
    assert np.corrcoef(gray.ravel(), vis.mean(axis=2).ravel())[0, 1] > 0.3  # the visible image is there, too
