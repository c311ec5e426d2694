"""PyTorch's files: read as PyTorch reads them; nothing in them is run, and none fills the memory."""
import argparse
import collections
import contextlib
import io
import json
import os
import pathlib
import pickle
import re
import subprocess
import sys
import types
import zipfile

import numpy as np
import pytest
from conftest import REFERENCE, REPOSITORY
from weights_files import FOUR, TINY_FILES, assert_same

from tools.base.errors import UserError
from tools.weights.checkpoint import load_weights
from tools.weights.torch_file import COUNT, LEGACY_MAGIC, read_torch, write_torch
from tools.weights.torch_pickle import NAMES

JITTOR_FILES = [REFERENCE / 'tiny_jittor.pth', REFERENCE / 'tiny_jittor.pkl']


@pytest.mark.parametrize('path', TINY_FILES, ids=lambda path: path.stem)
def test_files_that_pytorch_wrote(path):
    values = [0, 1, 3, 100]
    loaded = load_weights(path)
    assert loaded.metadata == {}
    assert_same(loaded.arrays, {
        'plain': np.arange(6, dtype=np.float32).reshape(2, 3) / 4,
        'transposed': np.arange(12, dtype=np.float32).reshape(3, 4).T,  # this and the next two share a storage
        'part': np.float32([[5, 6], [7, 8]]),
        'expanded': np.full((2, 3), 2, np.float32),
        'parameter': np.float32([0.1, -2.5]),
        'scalar': np.array(2 ** 40 + 1),
        'empty': np.zeros((0, 3), np.float32),
        'as_bfloat16': np.float32(values), 'as_float16': np.float32(values),
        'as_bool': np.array([False, True, True, True]),
        **{f'as_{name}': np.array(values, name) for name in ('float64', 'int32', 'int16', 'int8', 'uint8')}})
    assert all(array.flags.c_contiguous and array.flags.writeable for array in loaded.arrays.values())


@pytest.mark.parametrize('path', JITTOR_FILES, ids=lambda path: path.suffix)
def test_files_that_jittor_wrote(path):
    values = [0, 1, 3, 100]
    expected = {'matrix': np.arange(6, dtype=np.float32).reshape(2, 3) / 4, 'as_float16': np.float32(values), 'as_int32': np.int32(values),
                'as_bool': np.array([False, True, True, True])}
    if path.suffix == '.pkl':
        transposed = np.arange(12, dtype=np.float32).reshape(3, 4).T
        expected.update({'transposed': transposed, 'the_same': transposed, 'scalar': np.array(2.5), 'empty': np.zeros((0, 3), np.float32),
                         'as_uint8': np.uint8(values), 'as_int64': np.int64(values)})
    loaded = load_weights(path)
    assert loaded.metadata == {}
    assert_same(loaded.arrays, expected)
    assert all(array.flags.c_contiguous and array.flags.writeable for array in loaded.arrays.values())


def test_any_change_of_a_jittor_file_is_noticed():
    data = JITTOR_FILES[1].read_bytes()
    for place in range(len(data)):
        with pytest.raises(UserError, match='^f '):
            read_torch(data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1:], 'f')


def test_pytorch_files_come_back_exactly(tmp_path, fusion):
    write_torch(tmp_path / 'fuse.model', fusion)
    assert_same(load_weights(tmp_path / 'fuse.model').arrays, fusion)
    assert list(load_weights(tmp_path / 'fuse.model').arrays) == list(fusion)
    transposed = {'t': np.arange(24, dtype='>f4').reshape(2, 3, 4).T}
    write_torch(tmp_path / 't.pth', transposed)
    np.testing.assert_array_equal(load_weights(tmp_path / 't.pth').arrays['t'], transposed['t'])


def torch_calls(path):
    """What the pickle in a PyTorch zip asks PyTorch to do, per weight; by Python's own unpickler, with stand-ins."""
    class Reader(pickle.Unpickler):
        def find_class(self, module, name):
            if name == 'OrderedDict':
                return collections.OrderedDict
            return lambda *arguments: (f'{module}.{name}', *arguments)

        def persistent_load(self, identifier):
            kind, storage_type, key, device, count = identifier
            return kind, storage_type(), device, count, archive.read(f'{folder}/data/{key}')

    with zipfile.ZipFile(path) as archive:
        folder = archive.namelist()[0].split('/')[0]
        assert (archive.read(f'{folder}/version'), archive.read(f'{folder}/byteorder')) == (b'3\n', b'little')
        return Reader(io.BytesIO(archive.read(f'{folder}/data.pkl'))).load()


def test_our_pytorch_file_asks_for_what_pytorchs_own_does(tmp_path):
    names = ['plain', 'scalar', 'as_float64', 'as_float16', 'as_int32', 'as_int16', 'as_int8', 'as_uint8', 'as_bool']
    arrays = read_torch(TINY_FILES[0].read_bytes(), TINY_FILES[0])
    write_torch(tmp_path / 'ours.model', {name: arrays[name] for name in names})
    ours, theirs = torch_calls(tmp_path / 'ours.model'), torch_calls(TINY_FILES[0])
    assert type(ours) is type(theirs) is collections.OrderedDict
    assert ours == {name: theirs[name] for name in names}


def test_a_type_that_pytorch_lacks_is_refused(tmp_path):
    with pytest.raises(UserError, match='x.model: name is uint32'):
        write_torch(tmp_path / 'x.model', {'name': np.zeros(1, np.uint32)})
    assert not list(tmp_path.iterdir())


def stand_ins(module, *names):
    namespace = types.ModuleType(module)
    for name in names:
        setattr(namespace, name, type(name, (), {'__module__': module, '__init__': lambda self, *arguments: None}))
    return namespace


TORCH = stand_ins('torch', 'FloatStorage', 'HalfStorage', 'BFloat16Storage', 'Size', 'float32', 'device')
UTILS = stand_ins('torch._utils', '_rebuild_tensor', '_rebuild_tensor_v2', '_rebuild_parameter')


class Storage:
    """Pickled as the persistent id of a storage."""

    def __init__(self, key, count, *view, kind='FloatStorage'):
        self.identifier = ('storage', getattr(TORCH, kind), key, 'cpu', count, *view)


class Call:
    """Pickled as the call of a function, followed by the setting of attributes if there is a state."""

    def __init__(self, function, *arguments, state=None):
        self.reduced = (function, arguments, state)

    def __reduce__(self):
        return self.reduced


def tensor(storage, offset=0, shape=(2,), strides=(1,)):
    return Call(UTILS._rebuild_tensor_v2, storage, offset, shape, strides, False, collections.OrderedDict())


def pickled(value, protocol=2):
    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return value.identifier if isinstance(value, Storage) else None

    buffer = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, 'torch', TORCH)
        patch.setitem(sys.modules, 'torch._utils', UTILS)
        Pickler(buffer, protocol).dump(value)
    return buffer.getvalue()


def zip_file(pickle_bytes, storages):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:
        archive.writestr('archive/data.pkl', pickle_bytes)
        for key, content in storages.items():
            archive.writestr(f'archive/data/{key}', content)
    return buffer.getvalue()


def legacy_file(pickle_bytes, storages, little_endian=True):
    head = pickled(LEGACY_MAGIC) + pickled(1001) + pickled({'protocol_version': 1001, 'little_endian': little_endian})
    tail = b''.join(COUNT.pack(len(content) // 4) + content for content in storages.values())
    return head + pickle_bytes + pickled(list(storages)) + tail


def plain_file(pickle_bytes, storages):
    return pickle_bytes if pickle_bytes.startswith(pickle.PROTO) else pickle.PROTO + b'\x02' + pickle_bytes


FORMATS = pytest.mark.parametrize('file', [zip_file, legacy_file])
STORAGES = {'0': FOUR.tobytes()}


@FORMATS
@pytest.mark.parametrize('protocol', [2, 3, 4])
@pytest.mark.parametrize('content', [
    {'a': tensor(Storage('0', 4), 1)},
    {'module.a': tensor(Storage('0', 4), 1)},
    {'_orig_mod.module.a': tensor(Storage('0', 4), 1)},
    {'model_state_dict': {'a': tensor(Storage('0', 4), 1)}, 'epoch': 7},
    {'net': {'module._orig_mod.a': tensor(Storage('0', 4), 1)}},
    {'params': {'a': tensor(Storage('0', 4), 1)}},
    [{'a': tensor(Storage('0', 4), 1)}],
    (7, {'a': tensor(Storage('0', 4), 1)}, 'note'),
    {'loss': np.float64(0.5), 'step': np.int64(3), 'name': np.str_('x'), 'state_dict': {'a': tensor(Storage('0', 4), 1)},
     'args': argparse.Namespace(lr=0.1, folder=pathlib.PosixPath('x'), device=Call(TORCH.device, 'cuda')),
     'scheduler': {'milestones': collections.Counter([3, 4])}},
    {'epoch': 7, 'best': 0.5, 'note': None, 'state_dict': {'a': tensor(Storage('0', 4), 1)},
     'optimizer': {'state': {0: {'step': 3}}, 'param_groups': [{'betas': (0.9, 0.999, 1, 2), 'dtype': TORCH.float32}]}},
    {'model': {'module.a': tensor(Storage('0', 4), 1)}},
    {'a': tensor(Storage('0', 4), 1), 'epoch': 3, 'loss': np.float64(3), 'state': {}},
    {'run': [{'best': {'weights': {'a': tensor(Storage('0', 4), 1)}}}, 7]},
    {'a': Call(UTILS._rebuild_parameter, tensor(Storage('0', 4), 1), True, collections.OrderedDict())},
    {'a': Call(UTILS._rebuild_tensor, Storage('0', 4), 1, Call(TORCH.Size, (2,)), (1,))},
    Call(collections.OrderedDict, state={'_metadata': {'': {'version': 1}}}),
], ids=['plain', 'data parallel', 'compiled', 'model_state_dict', 'net', 'params', 'list', 'tuple', 'beside', 'checkpoint',
        'model', 'among others', 'far down', 'parameter', 'first version', 'attributes'])
def test_what_pytorch_may_write(file, protocol, content):
    if isinstance(content, Call):  # an ordered dict cannot both be filled and given attributes by `Call`
        content = {'state_dict': {'a': tensor(Storage('0', 4), 1)}, 'other': content}
    assert_same(read_torch(file(pickled(content, protocol), STORAGES), 'f'), {'a': FOUR[1:3]})


ENCODER, ATTENTION = 'fea_encoder1.conv.weight', 'cross_atten_block.cross_atten_block.cross_atten1.w'
WHOLE = tensor(Storage('0', 4), 0, (4,))


@pytest.mark.parametrize('content', [
    {'ckpt': {'generator': {ENCODER: WHOLE}, 'discriminator': {'conv.weight': tensor(Storage('0', 4))}}},
    {'a': {ENCODER: WHOLE}, 'optimizer': {'state': {0: {'exp_avg': WHOLE}, 1: {'exp_avg': WHOLE}}}},
    {'state_dict': {f'model.{ENCODER}': WHOLE, 'loss.vgg.weight': WHOLE, 'mean': WHOLE}},  # as of Lightning
    {'nets': {f'module.enc.{ENCODER}': WHOLE, f'module.fuse.{ATTENTION}': WHOLE}},
    {'encoder': {ENCODER: WHOLE}, 'fusion': {ATTENTION: WHOLE}},
], ids=['another network', 'optimizer', 'modules', 'both in one table', 'both'])
def test_of_several_tables_the_one_that_fits(tmp_path, content):
    path = tmp_path / 'x.ckpt'
    path.write_bytes(zip_file(pickled(content), STORAGES))
    assert_same(load_weights(path, 'auto_encoder').arrays, {ENCODER: FOUR})


def test_several_tables_that_fit_are_listed(tmp_path):
    path = tmp_path / 'x.ckpt'
    path.write_bytes(zip_file(pickled({'ir': {ENCODER: WHOLE, 'b': WHOLE}, 'vi': {ENCODER: WHOLE}, 'losses': {'c': WHOLE}}), STORAGES))
    with pytest.raises(UserError, match=f'holds 2 tables.* .ir: 2 named {ENCODER}, b; vi: 1 named {ENCODER}.: save the one'):
        load_weights(path)
    path.write_bytes(zip_file(pickled({'both': {f'ir.{ENCODER}': WHOLE, f'vi.{ENCODER}': WHOLE}}), STORAGES))
    with pytest.raises(UserError, match=f'holds 2 tables.* .both/ir: 1 named {ENCODER}; both/vi: 1 named {ENCODER}.'):
        load_weights(path, 'auto_encoder')


@pytest.mark.parametrize('prefix', ['', 'module.', '_orig_mod.module.', 'net.encoder.'])
def test_safetensors_of_others(tmp_path, prefix):
    """With bfloat16, which numpy does not know, and with what wraps a network."""
    values = np.float32([np.pi, -1e-30, 1, 0])
    header = {f'{prefix}{ENCODER}': {'dtype': 'BF16', 'shape': [2, 2], 'data_offsets': [0, 8]},
              f'{prefix}b': {'dtype': 'I64', 'shape': [], 'data_offsets': [8, 16]}}
    text = json.dumps({'__metadata__': {'format': 'pt'}, **header}).encode()
    content = (values.view(np.uint32) >> 16).astype('<u2').tobytes() + np.int64(7).tobytes()
    (tmp_path / 'x').write_bytes(len(text).to_bytes(8, 'little') + text + content)
    loaded = load_weights(tmp_path / 'x').arrays
    assert set(loaded) == {ENCODER, 'b'} and loaded['b'] == 7 and loaded['b'].dtype == np.int64
    assert np.array_equal(loaded[ENCODER].view(np.uint32).ravel(), values.view(np.uint32) & 0xFFFF0000)


@FORMATS
def test_attributes_have_no_effect(file):
    call = lambda state: Call(UTILS._rebuild_tensor, Storage('0', 4), 1, (2,), (1,), state=state)
    for state in ({'offset': 9}, (None, {'offset': 9}), (None, {'__class__': 1})):
        assert_same(read_torch(file(pickled({'a': call(state)}), STORAGES), 'f'), {'a': FOUR[1:3]})


def test_view_of_a_legacy_file():
    content = {'a': tensor(Storage('0', 4, ('view', 1, 3)), 1)}
    assert_same(read_torch(legacy_file(pickled(content), STORAGES), 'f'), {'a': FOUR[2:4]})


def test_bfloat16_is_the_upper_half_of_float32():
    values = np.float32([np.pi, -1e-30, np.inf, 0])
    storages = {'0': (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()}
    content = {'a': tensor(Storage('0', 4, kind='BFloat16Storage'), 0, (4,))}
    loaded = read_torch(zip_file(pickled(content), storages), 'f')['a']
    np.testing.assert_array_equal(loaded.view(np.uint32), values.view(np.uint32) & 0xFFFF0000)


def test_float16_of_pytorch(tmp_path):
    halves = np.float16([1, 1e-7, 65504, -2])
    path, place = tmp_path / 'half.pth', tensor(Storage('0', 4, kind='HalfStorage'), 1, (3,))
    path.write_bytes(zip_file(pickled({'a': place}), {'0': halves.tobytes()}))
    assert_same(read_torch(path.read_bytes(), path), {'a': halves[1:]})
    assert_same(load_weights(path).arrays, {'a': halves[1:].astype(np.float32)})
    for count, offset in ((4, 1), (4, 2 ** 63), (2, 0), (8, 0)):
        content = pickled({'a': tensor(Storage('0', count, kind='HalfStorage'), offset, (4,))})
        path.write_bytes(zip_file(content, {'0': halves.tobytes()}))
        with pytest.raises(UserError, match='half.pth is damaged'):
            load_weights(path)


@FORMATS
@pytest.mark.parametrize('content, reason', [
    ({}, 'holds no weights'),
    ([tensor(Storage('0', 4))], 'holds no weights'),
    (tensor(Storage('0', 4)), 'holds no weights'),
    ({'state_dict': {}}, 'holds no weights'),
    ({'a\x1b[31m': tensor(Storage('0', 4))}, r"holds no weights, no tensors with names .found: 1 named 'a.x1b.31m'"),
    ({'a\ud800': tensor(Storage('0', 4))}, r"holds no weights.* 'a.ud800'"),
    ({'net': {'a': tensor(Storage('0', 4))}, 'model': {'a': tensor(Storage('0', 4), 1)}}, '2 tables'),
    ([{'a': tensor(Storage('0', 4))}, {'a': tensor(Storage('0', 4), 1)}], '2 tables'),
    ({3: tensor(Storage('0', 4))}, 'holds no weights.* 1 named 3'),
    ({'a': Storage('0', 4)}, 'holds no weights.* 1 named a'),
    ({'a': tensor(Storage('0', 4), 3)}, 'damaged'),  # reaches behind the storage
    ({'a': tensor(Storage('0', 4), -1)}, 'damaged'),
    ({'a': tensor(Storage('0', 4), 0, (2,), (-1,))}, 'damaged'),
    ({'a': tensor(Storage('0', 4), 0, (2,), (4,))}, 'damaged'),
    ({'a': tensor(Storage('0', 4), 0, (2, 2))}, 'damaged'),
    ({'a': tensor(Storage('0', 4), 0, (-2,))}, 'damaged'),
    ({'a': tensor(Storage('0', 4), 0, (2 ** 62, 2 ** 62), (0, 0))}, 'damaged'),
    ({'a': tensor(Storage('0', 4), 0, (5,), (2 ** 60,))}, 'damaged'),  # 2⁶⁴ bytes further: 0 for a machine
    ({'a': tensor(Storage('0', 4), 0, (2, 2), (1,))}, 'damaged'),
    ({'a': tensor(Storage('0', 4), 0, (2 ** 33,), (0,))}, 'much larger than the file'),
    ({f'a{i}': tensor(Storage('0', 4), 0, (2 ** 12,), (0,)) for i in range(9)}, 'much larger than the file'),
    ({'a': tensor(Storage('0', 4), 0, ('text' * 2 ** 10,) * 2 ** 10, ('text' * 2 ** 10,) * 2 ** 10)}, 'damaged'),
    ({'a': tensor(Storage('0', 'four'))}, 'damaged'),
    ({'a': tensor(Storage('0', 4, ('view', 'one', 3)))}, 'damaged'),
    ({'a': tensor(Storage('0', 4, ('view', -1, 3)), 1)}, 'damaged'),
    ({'a': tensor(Storage('0', 4), 0.5)}, 'damaged'),
    ({'a': tensor(Storage('0', 4), 0, 'ab')}, 'damaged'),
    ({'a': tensor(Storage('0', 5))}, 'damaged'),  # larger than the file says
    ({'a': tensor(Storage('1', 4))}, 'damaged'),  # not in the file
    ({'a': tensor(Storage(7, 4))}, 'damaged'),
    ({'a': tensor('0')}, 'damaged'),
    ({'a': tensor(TORCH.FloatStorage)}, 'damaged'),
    ({'a': Call(UTILS._rebuild_tensor_v2)}, 'damaged'),
    ({'a': Call(UTILS._rebuild_tensor_v2, Storage('0', 4))}, 'damaged'),
    ({'a': Call(UTILS._rebuild_parameter, 'no tensor')}, 'holds no weights.* named a'),
    ({'a': Call(TORCH.Size, 5)}, 'holds no weights.* named a'),
    ({'a': tensor(Storage('0', 4), 0, Call(TORCH.Size, 5))}, 'damaged'),
    ({'a': Call(TORCH.FloatStorage, 2 ** 50)}, 'damaged'),
    ({'a': Call(collections.OrderedDict, [('b', 1)])}, 'damaged'),
    ({(1, 2): tensor(Storage('0', 4))}, 'damaged'),  # a tuple as a key
])
def test_what_makes_no_sense_is_refused(file, content, reason):
    with pytest.raises(UserError, match=f'some.pth .*{reason}.*expected'):
        read_torch(file(pickled(content), STORAGES), 'some.pth')


def numpy_array(state):
    return Call(np.core.multiarray._reconstruct, np.ndarray, (0,), b'b', state=state)


@pytest.mark.parametrize('array, reason', [
    (numpy_array((1, (2,), np.dtype('f4'), False, bytes(9))), 'damaged'),
    (numpy_array((1, (3,), np.dtype('f4'), False, bytes(8))), 'damaged'),
    (numpy_array((1, (-2,), np.dtype('f4'), False, bytes(8))), 'damaged'),
    (numpy_array((1, (2 ** 62, 4), np.dtype('f4'), False, b'')), 'damaged'),
    (numpy_array((1, (1,) * 70, np.dtype('f4'), False, bytes(4))), 'damaged'),
    (numpy_array((1, 'ab', np.dtype('f4'), False, bytes(8))), 'damaged'),
    (numpy_array((1, (2,), np.dtype('f4'), False, 'text')), 'damaged'),
    (numpy_array((1, (2,), 'f4', False, bytes(8))), 'damaged'),
    (numpy_array((1, (2,), Call(np.dtype, 'f4', False, True, state=3), False, bytes(8))), 'damaged'),
    (numpy_array((1, (2,))), 'damaged'),
    (numpy_array(None), 'damaged'),
    (np.array(['text']), 'damaged.*plain numbers'),
    (np.array([{}]), 'damaged.*plain numbers'),
    (np.zeros(2, 'f4,i4'), 'damaged.*plain numbers'),
    (np.zeros(2, complex), 'damaged.*plain numbers'),
    (np.zeros(2, '>f4'), 'damaged.*big-endian'),
    (np.float32(2), 'holds no weights.* named a'),
    (Call(np.dtype, 'f4'), 'holds no weights.* named a'),
])
def test_numpy_arrays_that_make_no_sense(array, reason):
    assert_same(read_torch(pickled({'a': numpy_array((1, (2,), np.dtype('f4'), False, FOUR[:2].tobytes()))}, 4), 'f'), {'a': FOUR[:2]})
    with pytest.raises(UserError, match=f'some.pkl .*{reason}.*expected'):
        read_torch(pickled({'a': array}, 4), 'some.pkl')


def test_shared_numpy_arrays_cannot_fill_the_memory():
    shared = np.zeros(64, np.float32)
    assert len(read_torch(pickled({f'a{i}': shared for i in range(4)}, 4), 'f')) == 4
    with pytest.raises(UserError, match='much larger than the file'):
        read_torch(pickled({f'a{i}': shared for i in range(400)}, 4), 'f')


def test_a_pickle_that_promises_storages_but_has_none():
    with pytest.raises(UserError, match='^f is damaged'):
        read_torch(pickled({'a': tensor(Storage('0', 4))}), 'f')


def test_numpy_arrays_beside_pytorchs():
    content = {'state_dict': {'a': tensor(Storage('0', 4), 1)}, 'losses': np.arange(3.), 'names': np.array(['x'])}
    for protocol in (2, 3, 4):
        assert_same(read_torch(zip_file(pickled(content, protocol), STORAGES), 'f'), {'a': FOUR[1:3]})


def test_big_endian_numbers_are_refused():
    content = pickled({'a': tensor(Storage('0', 4))})
    data = io.BytesIO(zip_file(content, STORAGES))
    with zipfile.ZipFile(data, 'a') as archive:
        archive.writestr('archive/byteorder', 'big')
    for file in (data.getvalue(), legacy_file(content, STORAGES, little_endian=False)):
        with pytest.raises(UserError, match='big-endian'):
            read_torch(file, 'f')


@pytest.mark.parametrize('keys', [[7], [['0']], ['0', '1'], [], 3, b'\x80\x02](' + b')' + b'\x85' * 300_000 + b'e.'])
def test_keys_of_a_legacy_file_that_make_no_sense(keys):
    if not isinstance(keys, bytes):
        keys = pickled(keys)
    content = pickled({'a': tensor(Storage('0', 4), 1)})
    whole = legacy_file(content, STORAGES)
    data = whole.replace(pickled(['0']), keys)
    assert data != whole
    with pytest.raises(UserError, match='^f is damaged'):
        read_torch(data, 'f')


def test_a_zip_of_something_else_is_named(tmp_path):
    np.savez_compressed(tmp_path / 'x.npz', a=FOUR)
    with zipfile.ZipFile(tmp_path / 'y.model', 'w') as archive:
        archive.write(TINY_FILES[0], 'weights.model')
    for name in ('x.npz', 'y.model'):
        with pytest.raises(UserError, match=f'{name} is a zip archive, but none of PyTorch.*expected.*unpack it'):
            load_weights(tmp_path / name)


def test_a_zip_whose_entries_overlap_is_refused():
    data = bytearray(zip_file(pickled({'a': tensor(Storage('0', 4))}), STORAGES))
    # In the directory: both sizes of the last entry, as if it went on to the end
    place = data.rindex(b'PK\x01\x02') + 20
    data[place:place + 8] = (len(data)).to_bytes(4, 'little') * 2
    with pytest.raises(UserError, match='^f is damaged.*overlap'):
        read_torch(bytes(data), 'f')


def run(text):
    return Call(os.system, text)


def run_by_pickle(content):
    """Load with Python's own pickle, which may fail after an attack has run."""
    class Unpickler(pickle.Unpickler):
        def persistent_load(self, identifier):
            return identifier

    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(TypeError, AttributeError):
        patch.setitem(sys.modules, 'torch', TORCH)
        patch.setitem(sys.modules, 'torch._utils', UTILS)
        Unpickler(io.BytesIO(content)).load()


@pytest.mark.parametrize('file', [zip_file, legacy_file, plain_file])
@pytest.mark.parametrize('attack', [
    lambda touch: run(touch),
    lambda touch: {'a': run(touch)},
    lambda touch: {'a': [({'b': run(touch)},)]},
    lambda touch: {'a': tensor(Storage('0', 4)), 'b': run(touch)},
    lambda touch: {'a': tensor(run(touch))},
    lambda touch: {'a': tensor(Storage('0', 4), run(touch))},
    lambda touch: {'a': tensor(Storage(run(touch), 4))},
    lambda touch: {'a': Call(collections.OrderedDict, [('b', run(touch))])},
    lambda touch: {'a': Call(collections.OrderedDict, state={'b': run(touch)})},
    lambda touch: Call(eval, f'__import__("os").system({touch!r})'),
    lambda touch: Call(exec, f'__import__("os").system({touch!r})'),
    lambda touch: Call(sum, Call(map, os.system, [touch])),
    lambda touch: Call(subprocess.check_call, touch.split()),
    lambda touch: b'cos\nsystem\n(S' + repr(touch).encode() + b'\ntR.',  # the instructions of protocol 0
    lambda touch: b'(S' + repr(touch).encode() + b'\nios\nsystem\n.',  # INST calls without naming first
    lambda touch: b'\x80\x02(cos\nsystem\nX' + len(touch).to_bytes(4, 'little') + touch.encode() + b'o.',  # OBJ
    lambda touch: b'\x80\x04\x8c\x02os\x8c\x06system\x93\x8c' + bytes([len(touch)]) + touch.encode() + b'\x85R.',
    lambda touch: {'a': np.array([run(touch)])},
    lambda touch: {'a': numpy_array((1, (2,), np.dtype('f4'), False, run(touch)))},
    lambda touch: {'a': numpy_array((1, (2,), Call(np.dtype, run(touch)), False, bytes(8)))},
    lambda touch: {'a': Call(np.core.multiarray._reconstruct, run(touch), (0,), b'b')},
], ids=range(21))
def test_a_file_that_would_run_code_runs_nothing(tmp_path, file, attack):
    marker, path = tmp_path / 'marker', tmp_path / 'evil.model'
    attack = attack(f'touch {marker}')
    content = attack if isinstance(attack, bytes) else pickled(attack)
    run_by_pickle(content)
    marker.unlink()  # which shows that the attack is one
    path.write_bytes(file(content, STORAGES))
    with pytest.raises(UserError, match='evil.model is refused, because loading it would run code .*expected'):
        load_weights(path)
    assert not marker.exists()


@pytest.mark.parametrize('name', ['torch._utils._rebuild_sparse_tensor', 'numpy.core.multiarray.fromfile',
                                  'collections.OrderedDict.update', 'builtins.list', 'torch.load'])
def test_only_tensors_and_containers_may_be_named(name):
    module, _, last = name.rpartition('.')
    with pytest.raises(UserError, match=f'would run code .{name};'):
        read_torch(zip_file(f'c{module}\n{last}\n.'.encode(), {}), 'f')


STATES = [b'}(\x8c\x08__init__N\x8c\x0b__setitem__N\x8c\x08__code__N\x8c\x05stateNu', b'}\x8c\x0c__defaults__))s']


def test_a_file_cannot_change_what_the_next_ones_give():
    """With each name, and what a call of it gives: attributes, items."""
    before = repr({name: (value, vars(value) if hasattr(value, '__dict__') else None) for name, value in NAMES.items()})
    for name in [*NAMES, 'numpy.dtype']:
        named = 'c{}\n{}\n'.format(*name.rpartition('.')[::2]).encode()
        for target in (named, named + b')R', named + b')\x81', named + b'\x8c\x02f4\x85R', named + b'(NNNNtR'):
            for change in (b'%bb', b'N%b\x86b', b'%bNs', b'(%bNu', b'%ba', b'(%be'):
                for state in (*STATES, b'(K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t', b'\x8c\x01a'):
                    with pytest.raises(UserError, match='^f '):
                        read_torch(b'\x80\x04' + target + change % state + b'.', 'f')
    assert repr({name: (value, vars(value) if hasattr(value, '__dict__') else None) for name, value in NAMES.items()}) == before
    test_what_pytorch_may_write(zip_file, 2, {'a': tensor(Storage('0', 4), 1)})
    test_files_that_jittor_wrote(JITTOR_FILES[1])


MEMORY_ALLOWED = 200 * 1024  # kB, with Python and numpy
LOAD_ALL = """
import re, resource, sys
from tools.weights.checkpoint import load_weights
from tools.base.errors import UserError
resource.setrlimit(resource.RLIMIT_AS, (4 * 2 ** 30, 4 * 2 ** 30))
for path in sys.argv[1:]:
    try:
        load_weights(path)
    except UserError as error:
        print(error, flush=True)
print(re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read()).group(1))  # the most memory that it had
"""


def pairs(levels):
    """The instructions for a tuple of twice the same tuple of twice the same …: 2^levels parts in a few bytes."""
    return b')' + b''.join(b'q%ch%c\x86' % (level, level) for level in range(levels))


def sizes_of(value):
    """The instructions for a list of many calls of torch.Size with the same value."""
    return b'](' + value + b'q\x00ctorch\nSize\nq\x01' + b'h\x01h\x00\x85R' * 10_000 + b'e.'


DEEP = b')' + b'\x85' * 300_000  # a tuple in a tuple in a tuple …
# Hashes: 0
OVERLAPPING = b''.join(b'\x8a\x0c' + (number * (2 ** 61 - 1)).to_bytes(12, 'little') + b'N' for number in range(40_000))
BOMBS = [(b'\x80\x04' + instructions, reason) for instructions, reason in [
    (b'}r\xff\xff\xff\x7f.', 'damaged'),  # to remember something at place 2³¹
    (b'}p2147483647\n.', 'damaged'),
    *((start + DEEP + end, reason) for start, end, reason in [  # to hash or compare
        (b'}', b'Ns.', 'a key'),
        (b'}(', b'Nu.', 'a key'),
        (b'ccollections\nOrderedDict\n)R', b'Ns.', 'a key'),
        (b'ccollections\nOrderedDict\n)\x81', b'Ns.', 'a key'),
        (b'(', b'Nd.', 'damaged.*DICT'),
        (b'\x8f(', b'\x90.', 'damaged.*ADDITEMS'),
        (b'(', b'\x91.', 'damaged.*FROZENSET'),
        (b'}}', b'Nsb.', 'a key'),
        (b'cnumpy\ndtype\n', b'\x85R.', 'holds no weights'),
        (b'(\x8c\x07storage', b'NNNtQ.', 'damaged'),
        (b'(\x8c\x07storagectorch\nFloatStorage\n', b'NNtQ.', 'damaged'),
        (b'', b'\x8c\x01a\x93.', 'damaged'),  # as a name
        (b'', b'.', 'holds no weights')]),
    (b'}' + pairs(60) + b'Ns.', 'a key'),
    (b'(' + pairs(60) + b'Nd.', 'damaged.*DICT'),
    (b'}' + b')' + b'2\x86' * 60 + b'Ns.', 'a key'),  # pairs by DUP
    (b'}\x8c\x01a' + pairs(60) + b's.', 'holds no weights.* named a'),
    (pairs(60) + b'Q.', 'holds no weights'),  # as a persistent id, and as the type and key of a storage
    (b'(\x8c\x07storage' + pairs(60) + b'NNNtQ.', 'damaged'),
    (b'(\x8c\x07storage\x8c\x07float32' + pairs(60) + b'NNtQ.', 'damaged'),
    (b'}(' + OVERLAPPING + b'u.', 'a key'),
    (b'(' * 300_000 + b'.', 'damaged'),
    (b']' * 600_000 + b'.', 'damaged.*as number 500,001'),
    (b']' * 200_000 + b'a' * 199_999 + b'.', 'holds no weights'),
    (b'\x8c\x01aq\x000' + b'}h\x00' * 100_000 + b'N' + b's' * 100_000 + b'.', 'holds no weights.* named a'),
    (b'ctorch._utils\n_rebuild_tensor\nq\x00' + b'h\x00(' * 60_000 + b'NNNN' + b'tRNNN' * 60_000 + b'.', 'holds no weights'),
    (b'cnumpy.core.multiarray\n_reconstruct\n)\x81q\x000' + b'cnumpy.core.multiarray\n_reconstruct\n)R' * 50_000 + b'N' + b'b' * 50_000
     + b'.', 'holds no weights'),
    (b'X\xff\xff\xff\xff.', 'damaged'),  # lengths that the file does not have
    (b'B\xff\xff\xff\xff.', 'damaged'),
    (b'T\xff\xff\xff\x7f.', 'damaged'),
    (b'\x95\xff\xff\xff\xff\xff\xff\xff\x7f.', 'damaged'),
    (b'\x96\x00\x00\x00\x00\x02\x00\x00\x00.', 'damaged'),
    (b'\x8d\x00\x00\x00\x00\x02\x00\x00\x00.', 'damaged'),
    (b'\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.', 'damaged'),
    (b'\x8b\xff\xff\xff\x7f.', 'damaged'),
    (b'I' + b'9' * 1_000_000 + b'\n.', 'damaged'),  # takes long to read
    (b'\x8b\x40\x42\x0f\x00' + b'\x7f' * 1_000_000 + b'.', 'damaged.*LONG4'),  # and to multiply or print
    (sizes_of(b'](' + b'N' * 100_000 + b'e'), 'holds no weights'),  # each of which would be a copy
    (sizes_of(b'X\xa0\x86\x01\x00' + b'a' * 100_000), 'holds no weights'),
    # Such calls, in other ways
    *((b']((' + b'N' * 100_000 + b'lq\x00\x85q\x010' + many * 10_000 + b'e.', 'damaged') for many in [
        b'ccollections\nOrderedDict\nh\x01R', b'ccollections\nOrderedDict\nh\x01\x81', b'(ccollections\nOrderedDict\nh\x00o',
        b'(h\x00icollections\nOrderedDict\n', b'ccollections\nOrderedDict\nh\x01}\x92']),
    # A dict's items as its attributes
    (b']((' + b'KN' * 100_000 + b'tq\x000' + b'}h\x00b' * 10_000 + b'e.', 'holds no weights'),
]]


def test_small_files_cannot_fill_the_memory_or_hang(tmp_path):
    paths = [tmp_path / f'{number}.model' for number in range(len(BOMBS))]
    for path, (content, _) in zip(paths, BOMBS):
        path.write_bytes(zip_file(content, STORAGES))
    done = subprocess.run([sys.executable, '-c', LOAD_ALL, *map(str, paths)], cwd=REPOSITORY, capture_output=True, text=True,
                          timeout=120, env={**os.environ, 'OPENBLAS_NUM_THREADS': '1'})
    *errors, memory = done.stdout.splitlines()
    assert (done.returncode, done.stderr, len(errors)) == (0, '', len(BOMBS))
    for path, (_, reason), error in zip(paths, BOMBS, errors):
        assert re.match(f'{path} .*{reason}', error), error
    assert int(memory) < MEMORY_ALLOWED
