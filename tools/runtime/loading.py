"""Jittor, set up. Every file gets it from here: `from tools.runtime import jt, nn`."""
import atexit
import contextlib
import ctypes
import os
import signal
import sys
import warnings

from tools.base.errors import UserError
from tools.runtime.cache import cache_folder, explanation, is_of_an_operator, opened, plain, unexplained
from tools.runtime.setup import prepare

SEEDS = 2 ** 32
# What Jittor's and CUDA's errors say when memory has run out.
MEMORY_ERRORS = 'memory is overflow', 'Unable to alloc', 'cudaErrorMemoryAllocation', 'ALLOC_FAILED'
SIGACTION_SIZE = 1024  # bytes: more than any system's struct sigaction takes


def _import_jittor():
    """Prepare the machine and import Jittor. Returns it and the Decision about CUDA. Raises UserError where Jittor cannot work."""
    cuda, folder = prepare(), cache_folder()
    try:
        # Jittor's own handlers end the process at once, past every `finally`, at Ctrl-C and when a child dies by a signal.
        with _handlers_kept(signal.SIGINT, signal.SIGCHLD), opened(folder):
            import jittor
        jittor.ones(1).numpy()  # the first operator shows whether they can be compiled and loaded
    except SystemExit:  # Jittor ends the program, with code 0, after it has renewed a part of its cache
        raise UserError('Jittor has just renewed its cache for this machine: run the same command again') from None
    except UserError:
        raise
    except Exception as error:
        of_the_machine = isinstance(error, (ImportError, OSError, RuntimeError)) or is_of_an_operator(error)
        why = explanation(error, folder) if of_the_machine else ''
        if cuda.toolkit and not why:
            raise UserError(f'Jittor cannot use the CUDA of this machine ({cuda.reason}): python -m tools.runtime.setup shows what it has; '
                            'it works with CUDA 11 or 12 and cuDNN 8, adapted with CUDA 12 or 13 and cuDNN 9, and with the environment '
                            f'variable nvcc_path set to nothing it computes on the CPU. It said: {plain(error)}') from error
        if not of_the_machine:
            raise
        raise UserError(why or unexplained(error, folder)) from error
    _end_compile_workers()
    return jittor, cuda


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
    jt, CUDA = _import_jittor()
except UserError as error:  # run_script() is not at work yet: this happens among the imports of a script
    sys.exit(f'error: {error}')
nn = jt.nn
LOADED_BY = os.getpid()


@contextlib.contextmanager
def usual_jittor():
    """Around what is computed for a program of the user's own: as in the scripts, whatever that program did with Jittor and processes.

    UserError in a fork of the process that loaded Jittor: its threads are not there, and it would wait for them forever.
    """
    if os.getpid() != LOADED_BY:
        raise UserError('Jittor cannot compute in a fork of the process that loaded it: start processes by spawn '
                        "(multiprocessing.get_context('spawn')), or load the fuser in each")
    with jt.flag_scope(lazy_execution=1):  # otherwise other operators are compiled, for minutes, and round otherwise
        yield


def use_device(cuda):
    """Compute on the GPU if `cuda` and there is a usable one, else on the CPU. Returns 'cuda' or 'cpu'."""
    usable = bool(jt.has_cuda)
    if cuda and not usable:
        warnings.warn(f'there is no usable GPU ({CUDA.reason}): computing on the CPU', stacklevel=2)
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
