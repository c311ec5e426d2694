"""The weights that come with the repository, and the script that makes such files of a run."""
import hashlib

import numpy as np
import pytest
from conftest import REPOSITORY
from fusion_runs import pair_of, write_run

from tools.base.errors import UserError
from tools.data.images import luma
from tools.fusing.fuser import load_fuser
from tools.scenes.folders import write_database
from tools.scenes.places import make_scene
from tools.weights.checkpoint import load_weights, save_weights
from tools.weights.convert import convert
from tools.weights.encoders import find_encoder
from tools.weights.fusion import SHIPPED, load_fusion_model
from tools.weights.levelling import patch_pattern
from tools.weights.ship import CHECKSUMS, ship, training_pairs

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
    # Random weights are no trained ones, whose sums do not cancel
    assert difference.max() <= 8 and difference.mean() < 1


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


def test_variances_beyond_float16_are_kept(tmp_path):
    run, name = write_run(tmp_path / 'fuse_20261122_101500'), 'decoder_fusion.conv1.conv2d.1.running_var'
    arrays, metadata = load_weights(run / 'fusetrans_epoch_3.safetensors')
    arrays[name][0] = 1.5e6  # as signed shares make it
    save_weights(run / 'fusetrans_epoch_3.safetensors', arrays, metadata)
    ship(run, tmp_path / 'shipped')
    assert np.array_equal(load_weights(tmp_path / 'shipped' / 'fusetrans_epoch_3.safetensors').arrays[name], arrays[name])


def test_shares_other_than_the_training_s_can_be_noted(tmp_path):
    run = write_run(tmp_path / 'fuse_20261122_101500')
    ship(run, tmp_path / 'shipped', deep_shares='bounded')
    fuser = load_fuser(tmp_path / 'shipped')
    assert fuser.model.deep_shares == 'bounded' and 'bounded' not in fuser.model.name
    pair = pair_of(72, 96)
    assert np.abs(fuser(*pair).astype(int) - load_fuser(run, deep_shares='bounded')(*pair)).mean() < 1


def test_what_the_attention_adds_to_every_image_is_taken_off(tmp_path):
    run, database = write_run(tmp_path / 'fuse_20261122_101500'), tmp_path / 'database'
    write_database(database, 3, (64, 80), seed=0)
    ship(run, tmp_path / 'as_it_is')
    ship(run, tmp_path / 'shipped', level=[database])
    before, after = (load_weights(tmp_path / folder / 'fusetrans_epoch_3.safetensors').arrays for folder in ('as_it_is', 'shipped'))
    pairs = list(training_pairs([database]))
    assert len(pairs) == 3 and pairs[0][0].shape == pairs[0][1].shape == (256, 256)
    pattern = patch_pattern(load_fusion_model(run).networks, pairs)
    assert {name for name in before if not np.array_equal(before[name], after[name])} == set(pattern) and len(pattern) == 2
    left = patch_pattern(load_fusion_model(tmp_path / 'shipped').networks, pairs)
    for name, taken in pattern.items():
        assert np.abs(taken.reshape(-1, 4).mean(1)).max() < 1e-5 < 0.01 < np.abs(taken).max()
        assert np.abs(left[name]).max() < 0.01 * np.abs(taken).max()  # float16
    with pytest.raises(UserError, match='variant cnn has no cross-attention'):
        ship(write_run(tmp_path / 'cnn', 'cnn'), tmp_path / 'out', level=[database])


def test_the_weights_of_the_repository_bring_no_grid():
    scenes = (make_scene(seed, 256, 256) for seed in range(2))
    left = patch_pattern(load_fusion_model(SHIPPED).networks, [(ir, luma(visible)) for ir, visible in scenes])
    assert all(np.sqrt(np.mean(of_norm ** 2)) < 0.1 for of_norm in left.values())  # it was 0.62


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


def test_their_folder_names_the_encoders_for_training(tmp_path):
    for modality in ('ir', 'vi'):
        assert find_encoder(SHIPPED, modality, tmp_path) == SHIPPED / f'auto_encoder_{modality}.safetensors'
    with pytest.raises(UserError, match='no weights of an auto-encoder for ir in .*train_autoencoder.py --type_flag ir'):
        find_encoder(tmp_path, 'ir', SHIPPED)


@pytest.mark.parametrize('seed', range(3))
def test_they_fuse_drawn_scenes_well(seed, tmp_path):
    """Warm things, people above all, are brighter than what is around them, and no few pixels take the range."""
    fuser = load_fuser(runs=tmp_path)  # no run there: what is shipped
    assert fuser.model.files.fusion.parent == SHIPPED == REPOSITORY / 'results' / 'models'
    ir, vi = make_scene(seed, 256, 320)
    fused = fuser.fuse(ir, vi)
    gray = fused.image.mean(axis=2)
    assert fused.doubt == '' and gray.std() > 15
    hot, cool = ir > 220, ir < 100
    assert hot.mean() > 0.001 and gray[hot].mean() > gray[cool].mean() + 40
    assert np.corrcoef(gray.ravel(), vi.mean(axis=2).ravel())[0, 1] > 0.3  # the visible image is there, too
