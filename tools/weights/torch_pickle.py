"""The pickles inside PyTorch's and Jittor's weights files, read without running code.

A pickle is a program for a stack machine that may import and call anything by name, so a stranger's file could do
anything. Here Python's own machine runs it, but imports nothing: each name stands for something in this file (as
in PyTorch's weights_only), and instructions that could set attributes, hash for ever or take memory by a number in
the file are refused or replaced.
"""
import io
import pickle
import pickletools
from collections import namedtuple

import numpy as np

from tools.base.errors import UserError

STORAGES = {'torch.DoubleStorage': 'float64', 'torch.FloatStorage': 'float32', 'torch.HalfStorage': 'float16',
            'torch.BFloat16Storage': 'bfloat16', 'torch.LongStorage': 'int64', 'torch.IntStorage': 'int32',
            'torch.BoolStorage': 'bool',
            'torch.ShortStorage': 'int16', 'torch.CharStorage': 'int8', 'torch.ByteStorage': 'uint8'}
EXPECTED = 'expected what torch.save or jt.save(model.state_dict(), …) writes'
TENSOR, NEW_DICT = 'torch._utils._rebuild_tensor_v2', b'ccollections\nOrderedDict\n)R'  # the latter as instructions
MAX_INSTRUCTIONS = 500_000  # a thousand tensors and Adam's state of them take 125,000
# Hash anything, take long, name by number
REFUSED = 'DICT', 'ADDITEMS', 'FROZENSET', 'INT', 'LONG', 'LONG4', 'EXT1', 'EXT2', 'EXT4'
# For BUILD, persistent_load gets (object, its state)
REPLACED = {'EMPTY_DICT': NEW_DICT, 'BUILD': pickle.TUPLE2 + pickle.BINPERSID,
            'NEWOBJ': pickle.REDUCE, 'FRAME': b''}  # names stand for functions, and a frame's length would be wrong

# A flat piece of memory, outside of the pickle. count: elements; start: where the part that is meant
# begins, 0 but in some legacy files
Storage = namedtuple('Storage', 'dtype key count start')
Tensor = namedtuple('Tensor', 'storage offset shape strides')  # into a Storage, in elements; unchecked


class NumpyArray:
    state = None  # (version, shape, np.dtype, whether it is stored column by column, bytes), unchecked


class Dict(dict):
    def __setitem__(self, key, value):
        # Else hashes may take for ever, crash or collide
        if not (isinstance(key, str) or isinstance(key, int) and abs(key) < 2 ** 60):
            raise ValueError('a key that is neither text nor a number')
        super().__setitem__(key, value)


NUMPY_CODES = [np.dtype(name).str[1:] for name in STORAGES.values() if name != 'bfloat16']
# None of them keeps a copy of what it is given: repeated calls, of a few bytes each, would fill the
# memory. None: of no use here.
NAMES = {**STORAGES, **{f'torch.{dtype}': None for dtype in STORAGES.values()},
         'collections.OrderedDict': lambda: Dict(),
         **dict.fromkeys((TENSOR, 'torch._utils._rebuild_tensor'), lambda *arguments: Tensor(*arguments[:4])),
         **dict.fromkeys(('torch._utils._rebuild_parameter', 'torch.Size', 'jittor.jittor_core.Var'),
                         lambda value, *_: value),
         'numpy.dtype': lambda code, *_: np.dtype(code) if code in NUMPY_CODES else None,
         **dict.fromkeys(('numpy.core.multiarray._reconstruct', 'numpy._core.multiarray._reconstruct'),
                         lambda *_: NumpyArray()),
         **dict.fromkeys(('argparse.Namespace', 'pathlib.PosixPath', 'collections.Counter', 'torch.device',
                          '_codecs.encode', 'numpy.core.multiarray.scalar', 'numpy._core.multiarray.scalar',
                          'numpy.ndarray'), lambda *_: None)}


class TorchUnpickler(pickle.Unpickler):
    """`load()` gives what the pickle at the position of `file`, a BytesIO, describes; the
    position moves behind it at once.

    Raises UserError, which names `path`, for other names than of tensors and containers; Python's own
    errors for a senseless pickle.
    """

    def __init__(self, file, path):
        self.path, self.storages = path, {}  # key → Storage, of all that the pickle mentions
        # "PUT number" remembers an object, and takes memory for so many.
        content, safe = memoryview(file.getvalue()), io.BytesIO()
        # Which fails if the file ends before a length is over
        for count, (code, number, start) in enumerate(pickletools.genops(file)):
            too_large = count > MAX_INSTRUCTIONS or 'PUT' in code.name and number > count
            if code.name in REFUSED or code.proto > 5 or too_large:
                raise ValueError(f'instructions that weights do not need: {code.name} as number {count:,}')
            safe.write(REPLACED.get(code.name, content[start:file.tell()]))
        super().__init__(io.BytesIO(safe.getvalue()), encoding='utf-8')

    def find_class(self, module, name):
        if f'{module}.{name}' not in NAMES:
            raise UserError(f'{self.path} is refused, because loading it would run code ({module}.{name}; weights are '
                            f'only tensors and containers): {EXPECTED}')
        return NAMES[f'{module}.{name}']

    def persistent_load(self, identifier):
        """A storage, whose name in the file is a "persistent id". Or an object, whose state BUILD gives."""
        if len(identifier) == 2:
            target, state = identifier
            if isinstance(target, NumpyArray):
                target.state = state
            elif isinstance(target, np.dtype) and state[1] == '>':
                raise ValueError('big-endian numbers')
            return target
        kind, storage_type, key, _device, count, *view = identifier
        if kind != 'storage' or storage_type not in STORAGES.values() or type(key) not in (str, int):  # int by jt.save
            raise ValueError('an unknown kind of storage')
        start = view[0][1] if any(view) else 0  # view: none, or (its key, first element, count)
        self.storages[str(key)] = storage = Storage(storage_type, str(key), count, start)
        return storage
