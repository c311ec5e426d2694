"""Jittor, set up. Every file gets it from here: `from tools.runtime import jt, nn`."""
import atexit
import contextlib
import ctypes
import re
import signal
import sys
import warnings

from tools.errors import UserError
from tools.jittor_setup import prepare

SEEDS = 2 ** 32
# What Jittor's and CUDA's errors say when memory has run out.
MEMORY_ERRORS = 'memory is overflow', 'Unable to alloc', 'cudaErrorMemoryAllocation', 'ALLOC_FAILED'
COLOUR = r'\x1b\[[0-9;]*m'  # of Jittor's messages in a terminal
SIGACTION_SIZE = 1024  # bytes: more than any system's struct sigaction takes


def _import_jittor():
    """Prepare the machine and import Jittor. Raises UserError where Jittor cannot work."""
    cuda = prepare()
    try:
        # Jittor's own handlers end the process at once, past every `finally`, at Ctrl-C and when a child dies by a signal.
        with _handlers_kept(signal.SIGINT, signal.SIGCHLD):
            import jittor
    except SystemExit:  # Jittor ends the program, with code 0, after it has renewed a part of its cache
        raise UserError('Jittor has just renewed its cache for this machine: run the same command again') from None
    except Exception as error:
        if not cuda:
            raise
        reason = ' '.join(re.sub(COLOUR, '', str(error)).split())
        raise UserError('Jittor cannot use the CUDA of this machine: it needs CUDA 11 or 12 with cuDNN 8, '
                        'or the environment variable nvcc_path set to nothing, to compute on the CPU. '
                        f'It said: {reason}') from error
    _end_compile_workers()
    return jittor


@contextlib.contextmanager
def _handlers_kept(*numbers):
    """Put the handlers of signals back as they were. By the C library, since signal.signal works in the main thread only."""
    sigaction = ctypes.CDLL(None).sigaction
    handlers = {number: ctypes.create_string_buffer(SIGACTION_SIZE) for number in numbers}
    for number, handler in handlers.items():
        sigaction(number, None, handler)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            sigaction(number, handler, None)


def _end_compile_workers():
    """End the processes that Jittor starts at its import, for compiling itself, and keeps.

    A Ctrl-C in the terminal reaches them too. They die of it holding a lock, for which Jittor waits forever when the
    program ends.
    """
    import jittor_utils
    if jittor_utils.pool_size:
        jittor_utils.pool_cleanup()
        atexit.unregister(jittor_utils.pool_cleanup)
        jittor_utils.pool_size = 0  # should it need them again, it starts new ones


try:
    jt = _import_jittor()
except UserError as error:  # run_script() is not at work yet: this happens among the imports of a script
    sys.exit(f'error: {error}')
nn = jt.nn


def use_device(cuda):
    """Compute on the GPU if `cuda` and there is a usable one, else on the CPU. Returns 'cuda' or 'cpu'."""
    usable = bool(jt.has_cuda)
    if cuda and not usable:
        warnings.warn('cuda = True, but there is no usable GPU (it takes an NVIDIA driver and nvcc): '
                      'computing on the CPU', stacklevel=2)
    jt.flags.use_cuda = int(cuda and usable)
    return 'cuda' if jt.flags.use_cuda else 'cpu'


def ran_out_of_memory(error):
    """Whether an exception means that the memory, the GPU's or the machine's, did not suffice."""
    return isinstance(error, MemoryError) or isinstance(error, RuntimeError) and any(text in str(error) for text in MEMORY_ERRORS)


def set_seed(seed):
    """Seed all that is random: Jittor (initial weights), numpy and Python. UserError unless 0 ≤ seed < 2³²."""
    if not 0 <= seed < SEEDS:
        raise UserError(f'seed must be from 0 to {SEEDS - 1}, not {seed}')
    jt.set_global_seed(seed, different_seed_for_mpi=False)  # several processes begin with the same weights
