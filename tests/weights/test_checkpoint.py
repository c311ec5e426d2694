"""Our own weights files: what is in them, which network they are of, damage, the state of a run, conversion."""
import random
import signal
import subprocess
import sys
import time
import warnings
import zipfile

import numpy as np
import pytest
from conftest import REPOSITORY, full_disk
from weights_files import FOUR, TINY_FILES, assert_same, state_dict

from network.net_conv_trans import Trans_FuseNet
from network.variants import VARIANTS, Variant
from tools.base.errors import UserError
from tools.weights.checkpoint import (
    Weights,
    check_fits,
    fingerprint,
    load_state,
    load_weights,
    recognise,
    save_state,
    save_weights,
)
from tools.weights.convert import convert
from tools.weights.networks import build_fusion, restore, weights_of
from tools.weights.torch_file import read_torch, write_torch

METADATA = {'kind': 'fusion', 'epoch': 3, 'lr': 1e-4, 'name': 'Läufer "7"',
            'settings': {'paths': ['a', 'b'], 'cuda': False}}


def cnn_state_dict():
    """The fusion network whose cross-attention is replaced by two convolutions."""
    block = 'cross_atten_block.cross_atten_block.'
    arrays = {name: array for name, array in state_dict('fuse').items() if not name.startswith(block)}
    return {**arrays, block + 'conv1.weight': np.zeros((128, 256, 3, 3), np.float32)}


@pytest.fixture(scope='module')
def auto_encoder():
    return state_dict('ae')


def small_arrays(value=0):
    return {'weight': np.full((2, 3), value, np.float32), 'adam.m': np.arange(4.) + value, 'step': np.array(value)}


def test_weights_come_back_exactly(tmp_path, fusion):
    arrays = {**fusion, 'double': np.array([np.pi, np.inf, -0.0]), 'flags': np.array([True, False]),
              'transposed': np.arange(6, dtype=np.float32).reshape(2, 3).T,
              'empty': np.zeros((0, 3), np.float32)}
    save_weights(tmp_path / 'new' / 'w.safetensors', arrays, METADATA)
    loaded = load_weights(tmp_path / 'new' / 'w.safetensors')
    assert_same(loaded.arrays, arrays)
    assert loaded.metadata == METADATA
    loaded.arrays['double'][0] = 1  # the arrays are the caller's own
    assert [path.name for path in (tmp_path / 'new').iterdir()] == ['w.safetensors']


def test_float16_comes_as_float32(tmp_path):
    halves = np.float16([1, 1e-7, 65504])
    save_weights(tmp_path / 'w.safetensors', {'half': halves}, {})
    assert_same(load_weights(tmp_path / 'w.safetensors').arrays, {'half': halves.astype(np.float32)})


def test_a_damaged_value_is_noticed(tmp_path, auto_encoder):
    path = tmp_path / 'w.safetensors'
    save_weights(path, auto_encoder, METADATA)
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], 'little')  # of the values
    generator = np.random.default_rng(3)
    for place in generator.integers(start, len(content), 20):
        for damaged in (content[place] ^ 1 << int(generator.integers(8)), 0):  # a bit, or a byte that is lost
            if damaged != content[place]:
                path.write_bytes(content[:place] + bytes([damaged]) + content[place + 1:])
                with pytest.raises(UserError, match='w.safetensors is damaged.*checksum'):
                    load_weights(path)
    path.write_bytes(content)
    assert load_weights(path).metadata == METADATA


def test_a_fingerprint_is_of_names_shapes_and_values():
    weights = {'a': np.zeros((2, 3), np.float32), 'b': np.ones(6, np.float32), 'b.num_batches_tracked': np.array(3)}
    same = {'b': weights['b'], 'a': weights['a'], 'b.num_batches_tracked': np.array(4)}
    others = [{**weights, 'a': weights['b'].reshape(2, 3)}, {**weights, 'a': weights['a'].reshape(3, 2)},
              {'a': weights['a'], 'c': weights['b']}]
    assert fingerprint(same) == fingerprint(weights) not in map(fingerprint, others)


def test_same_weights_give_the_same_file(tmp_path):
    for name in 'ab':
        save_weights(tmp_path / name, small_arrays(), METADATA)
        write_torch(tmp_path / f'{name}.model', small_arrays())
    assert (tmp_path / 'a').read_bytes() == (tmp_path / 'b').read_bytes()
    assert (tmp_path / 'a.model').read_bytes() == (tmp_path / 'b.model').read_bytes()


def test_any_safetensors_file_loads(tmp_path):
    from safetensors.numpy import save_file
    save_file(small_arrays(), tmp_path / 'stranger.bin')
    assert_same(load_weights(tmp_path / 'stranger.bin').arrays, small_arrays())
    assert load_weights(tmp_path / 'stranger.bin').metadata == {}


@pytest.mark.parametrize('content, reason', [
    (b'', 'is empty'),
    (b'version https://git-lfs.github.com/spec/v1\n', 'is not a weights file, but a Git LFS pointer .`git lfs pull`'),
    (b'<!DOCTYPE html>\n<html lang="en">', 'is not a weights file, but a saved HTML page .download'),
    (b'\r\n <HTML><head>', 'is not a weights file, but a saved HTML page'),
    (b'no <html>', 'is not a weights file: '),
    (b'\x89PNG\r\n\x1a\n' + bytes(100), 'is not a weights file'),
    (b'PK\x03\x04', 'damaged'),
    (b'\x80\x02}.', 'holds no weights'),
    (b'\x02\x00\x00\x00\x00\x00\x00\x00{}' + bytes(8), 'damaged'),
    (b'\xff\xff\xff\xff\xff\xff\xff\x7f{}', 'damaged'),
])
def test_other_files_are_refused(tmp_path, content, reason):
    (tmp_path / 'x.model').write_bytes(content)
    with pytest.raises(UserError, match=f'x.model.* {reason}.*expected'):
        load_weights(tmp_path / 'x.model')


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(UserError, match='cannot read .*missing.model: No such file'):
        load_weights(tmp_path / 'missing.model')
    with pytest.raises(UserError, match='cannot read .*: Is a directory'):
        load_weights(tmp_path)


def test_metadata_that_is_no_table_is_refused(tmp_path):
    from safetensors.numpy import save_file
    for text in ('[1, 2]', '{"epoch":', '[' * 100_000):
        save_file(small_arrays(), tmp_path / 'x', {'crossfuse': text})
        with pytest.raises(UserError, match='damaged'):
            load_weights(tmp_path / 'x')


def test_networks_are_recognised_by_their_weights(auto_encoder, fusion):
    of = lambda arrays, **metadata: recognise(Weights(arrays, metadata), 'f')
    assert of(auto_encoder) == ('auto_encoder', 'standard')
    assert of(fusion) == ('fusion', 'standard')
    assert of(cnn_state_dict()) == ('fusion', 'cnn')
    # The weights cannot tell
    assert of(fusion, kind='fusion', variant='no_gradient_loss') == ('fusion', 'no_gradient_loss')
    with pytest.raises(UserError, match='f holds weights of another network .features.0.weight'):
        of({'features.0.weight': np.zeros(3)})
    for variant in ('of_tomorrow', ['standard']):
        with pytest.raises(UserError, match='f says that its network is .*; there are standard, cnn'):
            of(fusion, kind='fusion', variant=variant)


def test_fitting_weights_pass(fusion):
    shapes = {name: array.shape for name, array in fusion.items()}
    check_fits(fusion, shapes, 'f')
    check_fits(fusion, {name: shape or (1,) for name, shape in shapes.items()}, 'f')


def test_what_does_not_fit_is_listed():
    expected = {'shape': (1, 2), 'scalar': (), **{f'missing{i}': (1,) for i in range(7)}}
    arrays = {'shape': np.zeros((2, 1)), 'scalar': np.zeros(2), 'extra': np.zeros(1)}
    with pytest.raises(UserError) as error:
        check_fits(arrays, expected, 'some.model')
    assert str(error.value) == (
        'the weights in some.model do not fit the network: '
        '7 missing (missing0, missing1, missing2, missing3, missing4, …); '
        '1 unknown (extra); 2 of another shape (shape (2, 1) instead of (1, 2), scalar (2,) instead of ())')


@pytest.mark.parametrize('path', TINY_FILES, ids=lambda path: path.stem)
def test_a_file_cut_off_anywhere_is_refused(path):
    data = path.read_bytes()
    for size in range(1, len(data)):
        with pytest.raises(UserError, match='^f '):
            read_torch(data[:size], 'f')


@pytest.mark.parametrize('path', TINY_FILES, ids=lambda path: path.stem)
def test_a_changed_file_gives_weights_or_a_clear_error(path):
    data, generator = path.read_bytes(), random.Random(3)
    refused = 0
    for _ in range(4000):
        changed = bytearray(data)
        changed[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        try:
            read_torch(bytes(changed), 'f')
        except UserError:
            refused += 1
    assert refused > 1000


def test_our_file_cut_off_anywhere_is_refused(tmp_path):
    save_weights(tmp_path / 'w', small_arrays(), METADATA)
    data = (tmp_path / 'w').read_bytes()
    for size in range(len(data)):
        (tmp_path / 'w').write_bytes(data[:size])
        with pytest.raises(UserError, match=r'/w is (damaged|empty|not a weights file).*expected'):
            load_weights(tmp_path / 'w')


@pytest.mark.parametrize('save', [lambda path, arrays: save_weights(path, arrays, {}), write_torch],
                         ids=['ours', 'pytorch'])
def test_full_disk_leaves_the_old_weights(tmp_path, save):
    path = tmp_path / 'w.model'
    save(path, {'a': FOUR})
    with full_disk(), pytest.raises(UserError, match='cannot write .*w.model'):
        save(path, {'a': np.zeros(10_000)})
    assert_same(load_weights(path).arrays, {'a': FOUR})
    assert [path.name for path in tmp_path.iterdir()] == ['w.model']


def save_steps(folder, steps):
    for step in range(1, steps + 1):
        save_state(folder, small_arrays(step), {'step': step})


def assert_state(folder, step):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        state = load_state(folder)
    assert state.metadata == {'step': step}
    assert_same(state.arrays, small_arrays(step))


def test_the_newest_state_is_loaded_and_two_are_kept(tmp_path):
    save_steps(tmp_path / 'run', 12)
    assert_state(tmp_path / 'run', 12)
    assert sorted(path.name for path in (tmp_path / 'run').iterdir()) == ['state_11.bin', 'state_12.bin']


def test_state_keeps_random_state_exactly(tmp_path):
    generator = np.random.default_rng(1)
    save_state(tmp_path, {}, {'random': generator.bit_generator.state})
    other = np.random.default_rng()
    other.bit_generator.state = load_state(tmp_path).metadata['random']
    assert generator.random() == other.random()


def test_a_damaged_state_is_named_and_the_one_before_used(tmp_path):
    save_steps(tmp_path, 2)
    newest = tmp_path / 'state_2.bin'
    whole = newest.read_bytes()
    broken = [whole[:size] for size in range(len(whole))]
    broken += [whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1:] for i in range(len(whole))]
    for data in broken:
        newest.write_bytes(data)
        with pytest.warns(UserWarning, match='state_2.bin is damaged') as record:
            assert load_state(tmp_path).metadata == {'step': 1}
        assert len(record) == 1
    save_state(tmp_path, small_arrays(3), {'step': 3})  # the run goes on
    assert_state(tmp_path, 3)


def test_without_a_whole_state_nothing_is_loaded(tmp_path):
    for folder in (tmp_path, tmp_path / 'missing'):
        with pytest.raises(UserError, match='has no whole state'):
            load_state(folder)
    save_steps(tmp_path, 2)
    for path in tmp_path.iterdir():
        path.write_bytes(b'')
    with pytest.warns(UserWarning) as record, pytest.raises(UserError, match='has no whole state'):
        load_state(tmp_path)
    assert ['state_2.bin' in str(record[0].message), 'state_1.bin' in str(record[1].message)] == [True, True]


def test_full_disk_leaves_the_old_state(tmp_path):
    save_steps(tmp_path, 3)
    before = sorted(path.name for path in tmp_path.iterdir())
    with full_disk(), pytest.raises(UserError, match='cannot write .*state_4.bin'):
        save_state(tmp_path, {'a': np.zeros(10_000)}, {'step': 4})
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert_state(tmp_path, 3)


KILLED_WHILE_SAVING = """
import itertools, sys
import numpy as np
from tools.weights.checkpoint import save_state
for step in itertools.count(1):
    save_state(sys.argv[1], {'a': np.full(1_000_000, step), 'b': np.full(3, -step)}, {'step': step})
    print(step, flush=True)
"""


def test_kill_at_any_moment_leaves_a_whole_state(tmp_path):
    generator = random.Random(8)
    for attempt in range(8):
        folder = tmp_path / str(attempt)
        process = subprocess.Popen([sys.executable, '-c', KILLED_WHILE_SAVING, str(folder)], cwd=REPOSITORY,
                                   stdout=subprocess.PIPE, text=True)
        process.stdout.readline()  # the first state is there
        time.sleep(generator.uniform(0, 0.2))
        process.kill()
        printed = process.communicate()[0].split()
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            state = load_state(folder)
        step = state.metadata['step']
        assert step >= int((['1'] + printed)[-1])
        assert_same(state.arrays, {'a': np.full(1_000_000, step), 'b': np.full(3, -step)})


@pytest.mark.parametrize('moment', ['replace', 'fsync'])
def test_what_a_kill_left_behind_is_removed(tmp_path, moment):
    save_steps(tmp_path, 1)
    program = f"""
import os, signal, sys
from tools.weights.checkpoint import save_state
os.{moment} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
save_state(sys.argv[1], {{}}, {{'step': 2}})
"""
    assert subprocess.run([sys.executable, '-c', program, str(tmp_path)], cwd=REPOSITORY).returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2  # the first state, and a piece of the second
    assert_state(tmp_path, 1)
    save_state(tmp_path, small_arrays(2), {'step': 2})
    assert_state(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['state_1.bin', 'state_2.bin']


@pytest.mark.parametrize('arrays, kind, variant', [(state_dict('ae'), 'auto_encoder', 'standard'),
                                                   (state_dict('fuse'), 'fusion', 'standard'),
                                                   (cnn_state_dict(), 'fusion', 'cnn')], ids=['ae', 'fuse', 'cnn'])
def test_conversion_both_ways(tmp_path, capsys, arrays, kind, variant):
    original, ours, back = (tmp_path / name for name in ('epoch_4.model', 'weights.safetensors', 'back.pth'))
    write_torch(original, arrays)
    shares = 'signed' if kind == 'fusion' else None
    convert(original, ours, shares)
    options = {'options': {'deep_shares': shares}} if shares else {}
    assert load_weights(ours).metadata == {'converted_from': 'epoch_4.model', 'kind': kind, 'variant': variant, **options}
    assert f'weights.safetensors: {kind}, {variant}, {len(arrays)} arrays' in capsys.readouterr().out
    convert(ours, back)
    assert zipfile.is_zipfile(back)
    for path in (ours, back):
        assert_same(load_weights(path).arrays, arrays)


def test_conversion_to_ours_keeps_settings_and_gives_pytorch_its_counters(tmp_path, fusion):
    """Jittor has no scalars: a network of ours saves its batch norms' counters as int32 of shape (1,)."""
    ours = {name: array.astype(np.int32).reshape(1) if array.shape == () else array for name, array in fusion.items()}
    save_weights(tmp_path / 'a.safetensors', ours, {'epoch': 3, 'settings': {'lr': 0.001}})
    convert(tmp_path / 'a.safetensors', tmp_path / 'b.safetensors')
    assert load_weights(tmp_path / 'b.safetensors').metadata == {
        'epoch': 3, 'settings': {'lr': 0.001}, 'kind': 'fusion', 'variant': 'standard'}
    convert(tmp_path / 'b.safetensors', tmp_path / 'c.model')
    assert_same(load_weights(tmp_path / 'c.model').arrays, fusion)


def test_what_pytorchs_format_cannot_hold_is_said_and_asked_for(tmp_path, capsys, fusion):
    ours, original, back = (tmp_path / name for name in ('a.safetensors', 'b.model', 'c.safetensors'))
    save_weights(ours, fusion, {'kind': 'fusion', 'variant': 'standard', 'options': build_fusion(deep_shares='bounded').options})
    convert(ours, original)
    assert 'cannot hold deep_shares = bounded, which the original does not compute: give --deep_shares bounded' in capsys.readouterr().out
    with pytest.raises(UserError, match='b.model cannot say how its network weighs deep features: give --deep_shares'):
        convert(original, back)
    assert not back.exists()
    convert(original, back, deep_shares='bounded')
    assert load_weights(back).metadata['options'] == {'deep_shares': 'bounded'}
    with pytest.raises(UserError, match='leave it out for .*c.safetensors'):
        convert(back, tmp_path / 'd.model', deep_shares='signed')
    save_weights(ours, fusion, {'kind': 'fusion', 'variant': 'standard', 'options': build_fusion().options})
    convert(ours, tmp_path / 'e.model')
    assert 'cannot hold' not in capsys.readouterr().out


def test_training_takes_nothing_for_granted(tmp_path):
    arrays = weights_of(build_fusion())
    write_torch(tmp_path / 'a.model', arrays)
    metadata = {'kind': 'fusion', 'variant': 'no_gradient_loss', 'options': {'deep_shares': 'bounded'}}
    save_weights(tmp_path / 'b.safetensors', arrays, metadata)
    theirs, ours = load_weights(tmp_path / 'a.model'), load_weights(tmp_path / 'b.safetensors')
    with pytest.raises(UserError, match='f does not say how its network weighs deep features.*--deep_shares signed'):
        restore(theirs, 'f', 'fusion', training=True)
    assert restore(theirs, 'f', 'fusion', training=True, deep_shares='signed').options['deep_shares'] == 'signed'
    with pytest.raises(UserError, match='deep_start is where new weights start'):
        restore(ours, 'f', 'fusion', training=True, deep_start=0.0)
    model = restore(ours, 'f', 'fusion', training=True, deep_shares='signed')
    assert (model.variant, model.options['deep_shares']) == ('no_gradient_loss', 'signed')


def test_conversion_refuses_what_it_cannot_do(tmp_path, auto_encoder):
    source = tmp_path / 'w.safetensors'
    save_weights(source, auto_encoder, {})
    before = source.read_bytes()
    with pytest.raises(UserError, match='format of .*x.npz: its name must end in .safetensors, .model, .pth'):
        convert(source, tmp_path / 'x.npz')
    with pytest.raises(UserError, match='exists: choose another name, or give --overwrite'):
        convert(source, source)
    with pytest.raises(UserError, match='tiny_zip.model holds weights of another network'):
        convert(TINY_FILES[0], tmp_path / 'x.safetensors')
    assert source.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_conversion_on_the_command_line(tmp_path, auto_encoder):
    source, target = tmp_path / 'w.safetensors', tmp_path / 'w.model'
    save_weights(source, auto_encoder, {})
    target.write_text('old')
    command = [sys.executable, '-m', 'tools.weights.convert', str(source), str(target)]
    refused = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert (refused.returncode, refused.stdout, target.read_text()) == (1, '', 'old')
    assert refused.stderr == f'error: {target} exists: choose another name, or give --overwrite\n'
    done = subprocess.run([*command, '--overwrite'], cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout == f'{target}: auto_encoder, standard, 26 arrays, 1,254,529 values\n'
    assert_same(load_weights(target).arrays, auto_encoder)


class HandsOn(Trans_FuseNet):
    def __init__(self, *args, deep_shares='bounded', **options):
        super().__init__(*args, deep_shares=deep_shares, **options)


def test_a_network_may_hand_on_its_arguments(monkeypatch):
    monkeypatch.setitem(VARIANTS, 'hands_on', Variant(f'{__name__}.HandsOn'))
    assert build_fusion('hands_on', n_heads=8).options == {'deep_shares': 'bounded', 'n_heads': 8}
    with pytest.raises(TypeError, match='HandsOn takes 0 options by position'):
        HandsOn(16)


def test_options_by_position_are_kept_under_their_names():
    by_position, by_name = Trans_FuseNet(32, 1, 128, True, 32, 2, 1, 1, 8), build_fusion(n_heads=8)
    assert by_position.options == by_name.options and by_name.options['n_heads'] == 8
