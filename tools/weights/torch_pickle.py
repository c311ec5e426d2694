"""The pickles inside PyTorch's and Jittor's weights files, read without running code.

A pickle is a program for a stack machine that may import and call anything by name, so a stranger's file could do anything. Here
Python's own machine runs it, cut down to the instructions that torch.save and jt.save write and the names that tensors need. Nothing is
imported: each name stands for a function of this file. (PyTorch's own answer, torch/_weights_only_unpickler.py, works in the same way.)
"""
import pickle
from typing import NamedTuple, Tuple

import numpy as np

from tools.errors import UserError

STORAGES = {'torch.DoubleStorage': 'float64', 'torch.FloatStorage': 'float32', 'torch.HalfStorage': 'float16',
            'torch.BFloat16Storage': 'bfloat16', 'torch.LongStorage': 'int64', 'torch.IntStorage': 'int32',
            'torch.ShortStorage': 'int16', 'torch.CharStorage': 'int8', 'torch.ByteStorage': 'uint8',
            'torch.BoolStorage': 'bool'}
EXPECTED = 'expected what torch.save or jt.save(model.state_dict(), …) writes'
TENSOR, ORDERED_DICT = 'torch._utils._rebuild_tensor_v2', 'collections.OrderedDict'

# Left out is what hashes, copies, takes memory by a number in the file, reads long numbers, or makes objects in other ways.
INSTRUCTIONS = (pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.BININT,
                pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.BINFLOAT, pickle.BINUNICODE, pickle.SHORT_BINUNICODE,
                pickle.SHORT_BINSTRING, pickle.SHORT_BINBYTES, pickle.BINBYTES, pickle.EMPTY_DICT, pickle.EMPTY_LIST,
                pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.APPEND, pickle.APPENDS,
                pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE, pickle.BINGET, pickle.LONG_BINGET, pickle.GLOBAL,
                pickle.STACK_GLOBAL, pickle.REDUCE, pickle.BINPERSID)


class Storage(NamedTuple):
    """A flat piece of memory, which stands in the file outside of the pickle. Tensors look into it."""
    dtype: str
    key: str
    count: int  # elements
    start: int  # where the part that is meant begins (0, but for views in some legacy files)


class Tensor(NamedTuple):
    """Where a tensor's elements are; offset and strides in elements."""
    storage: Storage
    offset: int
    shape: Tuple[int, ...]
    strides: Tuple[int, ...]


class NumpyArray:
    """An array of numpy's, whose elements stand in the pickle. It is made first, and then given what it consists of."""
    state = None  # (version, shape, np.dtype, whether it is stored column by column, bytes), unchecked


def _of_kind(kind, value):
    if not isinstance(value, kind):
        raise ValueError(f'the pickle treats {type(value).__name__} as {kind.__name__}')
    return value


def _tensor(storage, offset, shape, strides, *_):
    return Tensor(_of_kind(Storage, storage), offset, shape, strides)


def _numpy_dtype(code, *_):
    return NUMPY_DTYPES.get(_of_kind(str, code))  # None for arrays of text and the like, which may stand beside weights


NUMPY_DTYPES = {np.dtype(name).str[1:]: np.dtype(name) for name in STORAGES.values() if name != 'bfloat16'}

# What training checkpoints have beside the weights. It is harmless and of no use here: None stands for it.
BESIDE = ('argparse.Namespace', 'pathlib.PosixPath', 'collections.Counter', 'torch.device', '_codecs.encode',
          'numpy.core.multiarray.scalar', 'numpy._core.multiarray.scalar', 'numpy.ndarray')

# What the names in a pickle stand for. No function copies what it is given: repeated calls, of a few bytes each, would fill the memory.
NAMES = {**STORAGES, **{f'torch.{dtype}': None for dtype in STORAGES.values()},
         TENSOR: _tensor, 'torch._utils._rebuild_tensor': _tensor,
         'torch._utils._rebuild_parameter': lambda tensor, *_: _of_kind(Tensor, tensor),
         'torch.Size': lambda sizes: _of_kind(tuple, sizes), ORDERED_DICT: lambda: {},
         'jittor.jittor_core.Var': lambda array: _of_kind(NumpyArray, array), 'numpy.dtype': _numpy_dtype,
         **dict.fromkeys(('numpy.core.multiarray._reconstruct', 'numpy._core.multiarray._reconstruct'), lambda *_: NumpyArray()),
         **dict.fromkeys(BESIDE, lambda *_: None)}


class TorchUnpickler(pickle._Unpickler):
    """`load()` gives what the pickle at the position of `file` describes, any OrderedDict as a dict, and leaves the position behind it.

    Raises UserError, which names `path`, for anything but tensors and containers, and Python's own errors (ValueError, IndexError, …)
    for a pickle that makes no sense.

    The base class is `pickle.Unpickler` written in Python. The one in C lets nobody choose instructions and check keys, so that a
    number in the file can make it fill 64 GB (LONG_BINPUT), and a deeply nested tuple as a key crashes it.
    """

    def __init__(self, file, path):
        super().__init__(file, encoding='utf-8')
        self.path = path
        self.storages = {}  # key → Storage, of all that the pickle mentions

    def find_class(self, module, name):
        full_name = f'{module}.{name}'
        if full_name not in NAMES:
            self._refuse(f'loading it would run code ({full_name}; weights are only tensors and containers)')
        return NAMES[full_name]

    def persistent_load(self, identifier):
        """A "persistent id" is how the pickle names a storage."""
        kind, storage_type, key, _device, count, *view = identifier
        if kind != 'storage' or _of_kind(str, storage_type) not in STORAGES.values():
            raise ValueError('an unknown kind of storage')
        if type(key) is int:  # by jt.save
            key = str(key)
        start = view[0][1] if view and view[0] is not None else 0  # view: its key, first element and count
        self.storages[_of_kind(str, key)] = storage = Storage(storage_type, key, count, start)
        return storage

    def load_setitem(self):
        self._check_keys(self.stack[-2:-1])
        super().load_setitem()

    def load_setitems(self):
        self._check_keys(self.stack[::2])
        super().load_setitems()

    def load_build(self):
        """Give an object its state. A state dict's, `_metadata` with the versions of its layers' formats, is of no use here."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, NumpyArray):
            target.state = state
        elif isinstance(target, np.dtype):
            if state[1] == '>':
                raise ValueError('big-endian numbers')
        elif target is not None:
            _of_kind(dict, target)

    def _check_keys(self, keys):
        if not all(isinstance(key, (str, int)) for key in keys):
            raise ValueError('a key that is neither text nor a number')

    def _refuse(self, reason='loading it would run code or it is damaged (an instruction that weights do not need)'):
        raise UserError(f'{self.path} is refused, because {reason}: {EXPECTED}')

    dispatch: dict = {**dict.fromkeys(range(256), _refuse),
                      **{code: pickle._Unpickler.dispatch[code] for code, in INSTRUCTIONS},
                      pickle.SETITEM[0]: load_setitem, pickle.SETITEMS[0]: load_setitems, pickle.BUILD[0]: load_build,
                      pickle.NEWOBJ[0]: pickle._Unpickler.load_reduce}  # another way to call: what is named here are functions
