"""PyTorch's weights files (`.model`, `.pth`), read and written without PyTorch, and Jittor's, read.

There are two formats (see torch/serialization.py of PyTorch). Since version 1.6 it is a zip, with a pickle in
`data.pkl` and an entry `data/KEY` for each storage. Before, the "legacy" format: five pickles one after another (magic
number, version, machine, the object, the storages' keys), then the storages.

Jittor's `jt.save` writes PyTorch's zip if the file's name is .pth, .pt or .bin. Any other is a pickle with numpy
arrays inside, then its SHA-1 and the JITTOR_END (jittor/__init__.py, safepickle). `pickle.dump` of numpy arrays
gives the same without that end.
"""
import hashlib
import io
import pickle
import struct
import zipfile
import zlib
from typing import Dict

import numpy as np

from tools.base.errors import UserError
from tools.base.files import whole_file
from tools.weights.choosing import choose
from tools.weights.torch_pickle import EXPECTED, NEW_DICT, STORAGES, TENSOR, NumpyArray, Tensor, TorchUnpickler

ZIP_START = b'PK\x03\x04'
PICKLE_START = b'\x80'
LEGACY_MAGIC = 0x1950a86a20f9469cfc6c  # the first pickle of a legacy file
JITTOR_END = b'HCAJSLHD'
SHA1_SIZE = hashlib.sha1().digest_size
COUNT = struct.Struct('<q')  # stands before each storage of a legacy file: its number of elements
# Tensors may share memory in the file, but all of them together may take only so many times its size
LARGEST_GROWTH = 8

# What the zip and pickle modules, numpy and our own code raise about bytes that make no sense.
MALFORMED = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, EOFError, MemoryError, RuntimeError,
             struct.error, zlib.error, zipfile.BadZipFile, pickle.UnpicklingError)


def is_torch_file(data: bytes) -> bool:
    """Whether a file's content begins as PyTorch's and Jittor's formats do."""
    return data.startswith((ZIP_START, PICKLE_START))


def read_torch(data: bytes, path, beginnings=()) -> Dict[str, np.ndarray]:
    """The weights in the content of a file that `torch.save` or `jt.save` wrote: name → array, in the file's order.

    Reads a state dict, also one in a checkpoint (`tools.weights.choosing.choose`, which explains `beginnings`).
    bfloat16 becomes float32, which is exact; other types stay. path: for error messages only.
    Raises UserError for a file that would run code, is damaged, or holds something else.
    """
    try:
        open_file = _open_zip if data.startswith(ZIP_START) else _open_pickle
        tensors, read_storage = open_file(data, path,
                                          lambda content: choose(content, _is_tensor, beginnings, path, EXPECTED))
        contents = {key: read_storage(key)
                    for key in {tensor.storage.key for tensor in tensors.values() if isinstance(tensor, Tensor)}}
        views = {name: _view(tensor, contents[tensor.storage.key]) if isinstance(tensor, Tensor)
                 else _numpy_view(tensor)
                 for name, tensor in tensors.items()}
        if sum(view.nbytes for view in views.values()) > LARGEST_GROWTH * len(data):
            raise ValueError('tensors that together are much larger than the file')
        return {name: _own_array(view) for name, view in views.items()}
    except MALFORMED as error:
        raise UserError(f'{path} is damaged or not a weights file of PyTorch or Jittor '
                        f'({str(error) or type(error).__name__}): {EXPECTED}') from error


def _is_tensor(value):
    return isinstance(value, (Tensor, NumpyArray))


def _open_zip(data, path, chosen):
    """The dict name → Tensor or NumpyArray, `chosen` from the content, and a function that gives the
    bytes of the storage with a key."""
    archive = zipfile.ZipFile(io.BytesIO(data))
    names = archive.namelist()
    folders = [name[:-len('data.pkl')] for name in names if name.count('/') == 1 and name.endswith('/data.pkl')]
    if len(folders) != 1:
        raise UserError(f'{path} is a zip archive, but none of PyTorch, which have one data.pkl: {EXPECTED} '
                        '(if the weights are in the archive, unpack it)')
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
        raise ValueError('a zip with compressed entries')
    if sum(entry.file_size for entry in archive.infolist()) > len(data):
        raise ValueError('a zip with entries that overlap')
    folder, = folders
    if folder + 'byteorder' in names and archive.read(folder + 'byteorder') != b'little':
        raise ValueError('big-endian numbers')
    content = TorchUnpickler(io.BytesIO(archive.read(folder + 'data.pkl')), path).load()
    return chosen(content), lambda key: archive.read(f'{folder}data/{key}')


def _open_pickle(data, path, chosen):
    """As _open_zip, for PyTorch's legacy format and for Jittor's, where the arrays are in the pickle."""
    file = io.BytesIO(data)
    content = TorchUnpickler(file, path).load()
    if content == LEGACY_MAGIC:
        return _open_legacy(file, path, chosen)
    if data.endswith(JITTOR_END):
        pickled = data[:-len(JITTOR_END) - SHA1_SIZE]
        if data[len(pickled):] != hashlib.sha1(pickled).digest() + JITTOR_END:
            raise ValueError('its checksum is wrong')
    elif file.read():
        raise ValueError('something follows behind the pickle')
    return chosen(content), {}.__getitem__


def _open_legacy(file, path, chosen):
    """As _open_zip; the first of the five pickles has been read."""
    TorchUnpickler(file, path).load()  # the version: PyTorch never counted it up
    machine = TorchUnpickler(file, path).load()
    if not machine['little_endian']:
        raise ValueError('big-endian numbers')
    main = TorchUnpickler(file, path)
    tensors = chosen(main.load())
    contents = {}
    for key in TorchUnpickler(file, path).load():
        if not isinstance(key, str):
            raise ValueError('an unknown kind of storage')
        storage = main.storages[key]
        if COUNT.unpack(file.read(COUNT.size)) != (storage.count,):
            raise ValueError('the sizes of a storage disagree')
        contents[key] = file.read(storage.count * _dtype(storage).itemsize)
    return tensors, contents.__getitem__


def _dtype(storage):
    return np.dtype('uint16' if storage.dtype == 'bfloat16' else storage.dtype).newbyteorder('<')


def _view(tensor, content):
    """A tensor as an array that looks into `content`, the bytes of its storage. bfloat16 comes as
    uint16, which nothing else has."""
    storage, dtype = tensor.storage, _dtype(tensor.storage)
    numbers = (storage.count, storage.start, tensor.offset, *tensor.shape, *tensor.strides)
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise ValueError('the place of a tensor has other than whole numbers from 0 on')
    if len(content) != storage.count * dtype.itemsize:
        raise ValueError(f'a storage has {len(content)} bytes instead of {storage.count * dtype.itemsize}')
    # numpy checks this too, but wrongly where the numbers are so large that their products have more than 64 bits.
    start = storage.start + tensor.offset
    last = start + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides))
    if 0 not in tensor.shape and last >= storage.count:
        raise ValueError('a tensor reaches behind its storage')
    return np.ndarray(tensor.shape, dtype, content, start * dtype.itemsize,
                      [stride * dtype.itemsize for stride in tensor.strides])


def _numpy_view(array):
    """As _view, for an array of numpy's."""
    _version, shape, dtype, by_columns, content = array.state
    if not isinstance(dtype, np.dtype) or not isinstance(content, bytes):
        raise ValueError('an array of other than plain numbers')
    view = np.ndarray(shape, dtype, content, order='F' if by_columns else 'C')
    if view.nbytes != len(content):
        raise ValueError(f'an array has {len(content)} bytes instead of {view.nbytes}')
    return view


def _own_array(view):
    """A copy of a view, with bfloat16 as float32."""
    return from_bfloat16(view) if view.dtype == np.uint16 else view.copy()


def from_bfloat16(bits):
    """bfloat16, of which numpy has the bits as uint16, as float32: it is the upper half of one."""
    return np.asarray(bits.astype(np.uint32) << 16).view(np.float32)


def write_torch(path, arrays: Dict[str, np.ndarray]):
    """Write name → array as a file (zip format) that `torch.load` reads as a state dict, also with weights_only=True.

    The same arrays give the same bytes.
    Raises UserError if the format has no place for an array's type, or the file cannot be written.
    """
    storage_types = {dtype: name for name, dtype in STORAGES.items()}
    for name, array in arrays.items():
        if array.dtype.name not in storage_types:
            raise UserError(f'cannot write {path}: {name} is {array.dtype.name}, which PyTorch\'s format does not know')
    items = b''.join(_pickled(name) + _pickled_tensor(array, str(key), storage_types[array.dtype.name])
                     for key, (name, array) in enumerate(arrays.items()))
    entries = [('data.pkl', b''.join((pickle.PROTO, b'\x02', NEW_DICT,
                                      pickle.MARK, items, pickle.SETITEMS, pickle.STOP))),
               ('byteorder', b'little'), ('version', b'3\n')]
    with whole_file(path) as temporary, zipfile.ZipFile(temporary, 'w', zipfile.ZIP_STORED) as archive:
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo('archive/' + name), content)
        for key, array in enumerate(arrays.values()):
            little_endian = array.astype(array.dtype.newbyteorder('<'), copy=False)
            archive.writestr(zipfile.ZipInfo(f'archive/data/{key}'), little_endian.tobytes())


def _pickled(value):
    """The instructions that put a string, a number or a tuple of numbers on the stack: a pickle less its frame."""
    return pickle.dumps(value, protocol=2)[len(pickle.PROTO) + 1:-len(pickle.STOP)]


def _pickled_name(name):
    module, _, last = name.rpartition('.')
    return pickle.GLOBAL + f'{module}\n{last}\n'.encode()


def _pickled_tensor(array, key, storage_type):
    """The call _rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks)."""
    strides = tuple(int(np.prod(array.shape[axis + 1:])) for axis in range(array.ndim))
    storage = b''.join((pickle.MARK, _pickled('storage'), _pickled_name(storage_type), _pickled(key), _pickled('cpu'),
                        _pickled(array.size), pickle.TUPLE, pickle.BINPERSID))
    return b''.join((_pickled_name(TENSOR), pickle.MARK, storage, _pickled(0), _pickled(array.shape),
                     _pickled(strides), pickle.NEWFALSE, NEW_DICT, pickle.TUPLE, pickle.REDUCE))
