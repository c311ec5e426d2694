"""Weights files, and the state from which an interrupted run goes on. Names and numpy arrays only: no Jittor here.

Our own files are safetensors (a JSON header and plain numbers), so loading one from a stranger runs nothing; what
belongs to the weights (settings, variant, epoch, …) stands in the header. PyTorch's and Jittor's files load too.
"""
import hashlib
import json
import warnings
from pathlib import Path
from typing import Any, Dict, NamedTuple, Tuple

import numpy as np
import safetensors.numpy

from network.variants import VARIANTS
from tools.base.errors import UserError
from tools.base.files import mistaken_for, whole_file
from tools.weights.choosing import choose
from tools.weights.names import STATE, numbered
from tools.weights.torch_file import from_bfloat16, is_torch_file, read_torch

EXPECTED = ('expected weights of CrossFuse (.safetensors) or of the PyTorch original (.model, .pth), or what jt.save '
            'writes')
CHECKSUM = 'checksum'  # in the metadata of our files: the fingerprint of their arrays
METADATA_KEY = 'crossfuse'  # in a safetensors header, whose metadata may only be text: ours is JSON under this key
NAMES_SHOWN = 5  # in an error about many weights
STATES_KEPT = 2  # the newest, and the one before in case the newest gets damaged
BITS_OF_A_BYTE = 8
DIGEST_SIZE = hashlib.sha256().digest_size

KINDS = 'auto_encoder', 'fusion'
# (kind, variant) → how the name of a weight begins that only this network has
BEGINNINGS = {('auto_encoder', 'standard'): 'fea_encoder1.',
              **{('fusion', name): one.weight for name, one in VARIANTS.items() if one.weight}}


class Weights(NamedTuple):
    """arrays: name → array. metadata: what was saved with them; empty for files that are not ours."""
    arrays: Dict[str, np.ndarray]
    metadata: Dict[str, Any]

    @property
    def is_ours(self):
        """Whether the file says what belongs to the weights, as ours do and no others can."""
        return bool(self.metadata)


def save_weights(path, arrays: Dict[str, np.ndarray], metadata: Dict[str, Any]):
    """Write weights and what belongs to them (anything that JSON can hold) as one safetensors file,
    with a checksum of its values.

    Raises UserError if the file cannot be written; whatever stood at `path` is intact then.
    """
    content = _to_safetensors(arrays, {**metadata, CHECKSUM: fingerprint(arrays)})
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def load_weights(path, kind=None) -> Weights:
    """Read a weights file: ours (safetensors), PyTorch's in zip or legacy format, or Jittor's. Its
    content decides, not its name.

    kind: which of KINDS is wanted from a file of others that holds several; None: any.
    Weights stored as float16 or bfloat16 come as float32, in which everything computes.
    Raises UserError for a file that is unreadable, empty, damaged, something else, or would run code.
    """
    data = _read(path)
    if not data:
        raise UserError(f'{path} is empty: {EXPECTED}')
    if is_torch_file(data) and not _is_safetensors(data):
        weights = Weights(read_torch(data, path, _beginnings(kind)), {})
    else:
        weights = _from_safetensors(data, path)
        if not weights.metadata:
            weights = Weights(choose(weights.arrays, lambda value: True, _beginnings(kind), path, EXPECTED), {})
        if weights.metadata.pop(CHECKSUM, None) not in (None, fingerprint(weights.arrays)):
            raise UserError(f'{path} is damaged: its values are not those that were saved (its checksum is wrong)')
    return weights._replace(arrays={name: array.astype(np.float32) if array.dtype == np.float16 else array
                                    for name, array in weights.arrays.items()})


def recognise(weights: Weights, path) -> Tuple[str, str]:
    """Which network the weights are of: (kind, variant), one of KINDS and of network.variants.VARIANTS
    ('standard' for an auto-encoder).

    Our files say it; of others, the names of the weights tell. Raises UserError, which names
    `path`, if it is none of them.
    """
    kind, variant = weights.metadata.get('kind'), weights.metadata.get('variant')
    if kind is None:
        kind, variant = next((network for network, beginning in BEGINNINGS.items()
                              if any(name.startswith(beginning) for name in weights.arrays)), ('', ''))
    if kind not in KINDS:
        raise UserError(f'{path} holds weights of another network ({_some(weights.arrays)}): '
                        'expected a CrossFuse auto-encoder or fusion network')
    if kind == 'fusion' and not (isinstance(variant, str) and variant in VARIANTS):
        raise UserError(f'{path} says that its network is {variant!r}; there are {", ".join(VARIANTS)}')
    return kind, str(variant) if kind == 'fusion' else 'standard'


def fingerprint(arrays: Dict[str, np.ndarray]) -> str:
    """SHA-256 over names, shapes and values, by which a fusion network knows the encoders it was trained with.

    Counters are left out: they do not change what a network computes, and not every format keeps them alike.
    """
    digest = hashlib.sha256()
    for name in sorted(arrays):
        if not name.endswith('num_batches_tracked'):
            digest.update(f'{name}{arrays[name].shape}'.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def check_fits(arrays: Dict[str, np.ndarray], expected_shapes: Dict[str, Tuple[int, ...]], path):
    """Raise UserError, saying what is missing, extra or of another shape, unless the weights are the expected ones.

    For use before Jittor's load_state_dict, which says nothing about missing weights.
    A scalar may have shape () or (1,): Jittor, unlike PyTorch, knows only the latter.
    """
    missing = [name for name in expected_shapes if name not in arrays]
    extra = [name for name in arrays if name not in expected_shapes]
    shapes = [(name, arrays[name].shape, tuple(shape)) for name, shape in expected_shapes.items() if name in arrays]
    other = [f'{name} {found} instead of {expected}' for name, found, expected in shapes
             if (found or (1,)) != (expected or (1,))]
    complaints = [f'{len(names)} {what} ({_some(names)})' for names, what in
                  ((missing, 'missing'), (extra, 'unknown'), (other, 'of another shape')) if names]
    if complaints:
        raise UserError(f'the weights in {path} do not fit the network: {"; ".join(complaints)}')


def save_state(folder, arrays: Dict[str, np.ndarray], metadata: Dict[str, Any]):
    """Save the state of a run in `folder` as state_NUMBER.bin, and remove all but the two newest.

    The file is a SHA-256 checksum and what it is of, in the format of our weights files.
    Raises UserError if it cannot be written; the states before it are intact then, as after a kill at any moment.
    """
    folder = Path(folder)
    for leftover in folder.glob('.state_*.partial.bin'):  # of a process that was killed in `whole_file`
        leftover.unlink()
    content = _to_safetensors(arrays, metadata)
    states = numbered(folder, STATE)
    path = folder / STATE.format(number=max(states, default=0) + 1)
    with whole_file(path) as temporary, open(temporary, 'wb') as file:
        file.write(hashlib.sha256(content).digest())
        file.write(content)
    for path in list(states.values())[:-(STATES_KEPT - 1)]:
        path.unlink()


def load_state(folder) -> Weights:
    """The newest whole state in `folder`. Each damaged one that is newer is named in a warning.

    Raises UserError if there is none.
    """
    for path in reversed(list(numbered(folder, STATE).values())):
        try:
            return _read_state(path)
        except UserError as error:
            warnings.warn(f'{error}; using the state saved before it, if any', stacklevel=2)
    raise UserError(f'{folder} has no whole state to resume from (state_NUMBER.bin): start a new run')


def _read_state(path):
    data = _read(path)
    content = data[DIGEST_SIZE:]
    if hashlib.sha256(content).digest() != data[:DIGEST_SIZE]:
        raise UserError(f'{path} is damaged (its checksum is wrong)')
    return _from_safetensors(content, path)


def _read(path):
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f'cannot read {path}: {error.strerror or error}') from error


def _to_safetensors(arrays, metadata):
    return safetensors.numpy.save(arrays, {METADATA_KEY: json.dumps(metadata)})


def _is_safetensors(data):
    return data[8:9] == b'{'  # eight bytes of length, then the header, a JSON object


def _from_safetensors(data, path):
    if not _is_safetensors(data):
        mistaken = mistaken_for(data)
        raise UserError(f'{path} is not a weights file{f", but {mistaken}" if mistaken else ""}: {EXPECTED}')
    try:
        tensors = sorted(safetensors.deserialize(data), key=lambda item: item[0])
        arrays = {name: _array(tensor) for name, tensor in tensors}
        header = json.loads(data[8:8 + int.from_bytes(data[:8], 'little')])
        metadata = json.loads(header.get('__metadata__', {}).get(METADATA_KEY, '{}'))
        if not isinstance(metadata, dict):
            raise ValueError('its metadata is not a table')
    except (safetensors.SafetensorError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f'{path} is damaged, cut off, or not a weights file ({error}): {EXPECTED}') from error
    return Weights(arrays, metadata)


def _array(tensor):
    """A tensor of a safetensors file, a dict with its `dtype` such as F32, its `shape` and `data`, as an
    array; bfloat16 as float32."""
    kind = tensor['dtype']
    dtype = {'BOOL': '?', 'BF16': '<u2'}.get(kind) or f'<{kind[0].lower()}{int(kind[1:]) // BITS_OF_A_BYTE}'
    array = np.frombuffer(tensor['data'], dtype).reshape(tensor['shape'])
    return from_bfloat16(array) if kind == 'BF16' else array


def _beginnings(kind):
    return [beginning for (of_kind, _), beginning in BEGINNINGS.items() if kind in (None, of_kind)]


def _some(names):
    """A few of many names, for a message."""
    names = list(names)
    return ', '.join(names[:NAMES_SHOWN]) + (', …' if len(names) > NAMES_SHOWN else '')
