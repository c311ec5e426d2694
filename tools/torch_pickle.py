"""The pickle inside PyTorch's weights files, read without running code.

A pickle is a program for a stack machine that may import and call anything by name, so a stranger's file could do
anything. Here it is run by a machine of our own that knows a few dozen instructions and names, those that tensors and
containers need, and refuses any other. (PyTorch's own answer, torch/_weights_only_unpickler.py, works in the same way.)
"""
import pickletools
from typing import NamedTuple, Tuple

from tools.errors import UserError

STORAGES = {'torch.DoubleStorage': 'float64', 'torch.FloatStorage': 'float32', 'torch.HalfStorage': 'float16',
            'torch.BFloat16Storage': 'bfloat16', 'torch.LongStorage': 'int64', 'torch.IntStorage': 'int32',
            'torch.ShortStorage': 'int16', 'torch.CharStorage': 'int8', 'torch.ByteStorage': 'uint8',
            'torch.BoolStorage': 'bool'}
TENSORS = ('torch._utils._rebuild_tensor', 'torch._utils._rebuild_tensor_v2')
ORDERED_DICT, SIZE, PARAMETER = 'collections.OrderedDict', 'torch.Size', 'torch._utils._rebuild_parameter'
ALLOWED_NAMES = {*STORAGES, *TENSORS, ORDERED_DICT, SIZE, PARAMETER, *(f'torch.{dtype}' for dtype in STORAGES.values())}


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


class _Name(NamedTuple):
    """A function or class that the pickle names, as `module.name`. It is never looked up."""
    name: str


class TorchPickle:
    """Runs one pickle. It cannot import, call or change anything of Python: all that it can do stands in this class.

    file: binary, open where the pickle begins. path: for error messages.
    """
    LITERALS = ('BININT', 'BININT1', 'BININT2', 'LONG1', 'BINFLOAT', 'BINUNICODE', 'SHORT_BINUNICODE',
                'SHORT_BINSTRING')
    CONSTANTS = {'NONE': None, 'NEWTRUE': True, 'NEWFALSE': False}
    CONTAINERS = {'EMPTY_DICT': dict, 'EMPTY_LIST': list, 'EMPTY_TUPLE': tuple}
    SHORT_TUPLES = {'TUPLE1': 1, 'TUPLE2': 2, 'TUPLE3': 3}
    WITHOUT_EFFECT = ('PROTO', 'FRAME')

    def __init__(self, file, path):
        self.file, self.path = file, path
        self.stack, self.marks, self.memo = [], [], {}
        self.storages = {}  # key → Storage, of all that the pickle mentions

    def run(self):
        """The object that the pickle describes (any OrderedDict as a dict); leaves the file's position behind it.

        Raises UserError for anything but tensors and containers. For a pickle that makes no sense, Python's own
        errors arise (ValueError, IndexError, …), as they would from `pickle`.
        """
        for opcode, argument, _ in pickletools.genops(self.file):
            name = opcode.name
            if name == 'STOP':
                break
            if name in self.LITERALS:
                self.stack.append(argument)
            elif name in self.CONSTANTS:
                self.stack.append(self.CONSTANTS[name])
            elif name in self.CONTAINERS:
                self.stack.append(self.CONTAINERS[name]())
            elif name in self.SHORT_TUPLES:
                self.stack.append(tuple(self._pop(self.SHORT_TUPLES[name])))
            elif name in self.STEPS:
                self.STEPS[name](self, argument)
            elif name not in self.WITHOUT_EFFECT:
                self._refuse(f'the pickle instruction {name}')
        return self.stack.pop()

    def _refuse(self, what):
        raise UserError(f'{self.path} is refused, because loading it would run code ({what}; weights are only tensors '
                        'and containers): expected what torch.save(model.state_dict(), …) writes')

    def _pop(self, count):
        if count > len(self.stack):
            raise ValueError('the pickle takes more than it has')
        first = len(self.stack) - count
        values = self.stack[first:]
        del self.stack[first:]
        return values

    def _pop_to_mark(self):
        return self._pop(len(self.stack) - self.marks.pop())

    def _top(self, kind):
        if not isinstance(self.stack[-1], kind):
            raise ValueError(f'the pickle treats {type(self.stack[-1]).__name__} as {kind.__name__}')
        return self.stack[-1]

    def _mark(self, _):
        self.marks.append(len(self.stack))

    def _tuple(self, _):
        self.stack.append(tuple(self._pop_to_mark()))

    def _append(self, _):
        value, = self._pop(1)
        self._top(list).append(value)

    def _append_all(self, _):
        values = self._pop_to_mark()
        self._top(list).extend(values)

    def _set(self, _):
        self._set_pairs(self._pop(2))

    def _set_all(self, _):
        self._set_pairs(self._pop_to_mark())

    def _set_pairs(self, values):
        for key, value in zip(values[::2], values[1::2]):
            if not isinstance(key, (str, int)):
                raise ValueError(f'a {type(key).__name__} as a key')
            self._top(dict)[key] = value

    def _remember(self, index):
        self.memo[len(self.memo) if index is None else index] = self.stack[-1]  # MEMOIZE has no index: it counts

    def _recall(self, index):
        self.stack.append(self.memo[index])

    def _name(self, argument):
        """GLOBAL has 'module name' as its argument, STACK_GLOBAL has both on the stack."""
        name = '.'.join(self._pop(2) if argument is None else argument.split(' ', 1))
        if name not in ALLOWED_NAMES:
            self._refuse(name)
        self.stack.append(_Name(name))

    def _call(self, _):
        function, arguments = self._pop(2)
        name = function.name if isinstance(function, _Name) else None
        if name == ORDERED_DICT and arguments == ():
            result = {}
        elif name == SIZE and len(arguments) == 1:
            result = tuple(arguments[0])
        elif name == PARAMETER and isinstance(arguments[0], Tensor):
            result = arguments[0]
        elif name in TENSORS and isinstance(arguments[0], Storage):
            result = Tensor(*arguments[:4])
        else:
            raise ValueError(f'a call of {name} with arguments of another kind')
        self.stack.append(result)

    def _storage(self, _):
        """A "persistent id" is how the pickle names a storage."""
        (kind, storage_type, key, _device, count, *view), = self._pop(1)
        if kind != 'storage' or not isinstance(storage_type, _Name) or not isinstance(key, str):
            raise ValueError('an unknown kind of storage')
        start = view[0][1] if view and view[0] is not None else 0  # view: its key, first element and count
        self.storages[key] = Storage(STORAGES[storage_type.name], key, count, start)
        self.stack.append(self.storages[key])

    def _ignore_attributes(self, _):
        """BUILD sets attributes. A state dict has one, `_metadata`: its layers' format versions, of no use here."""
        self._pop(1)
        self._top(dict)

    STEPS = {'MARK': _mark, 'TUPLE': _tuple, 'APPEND': _append, 'APPENDS': _append_all, 'SETITEM': _set,
             'SETITEMS': _set_all, 'BINPUT': _remember, 'LONG_BINPUT': _remember, 'MEMOIZE': _remember,
             'BINGET': _recall, 'LONG_BINGET': _recall, 'GLOBAL': _name, 'STACK_GLOBAL': _name, 'REDUCE': _call,
             'BINPERSID': _storage, 'BUILD': _ignore_attributes}
