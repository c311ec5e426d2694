"""Jittor, set up. Every file gets it from here: `from tools.runtime import jt, nn`."""
import signal
import sys
import warnings

from tools.errors import UserError
from tools.jittor_setup import prepare

SEEDS = 2 ** 32


def _import_jittor():
    """Prepare the machine and import Jittor. Raises UserError where Jittor cannot work."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGCHLD)}
    cuda = prepare()
    try:
        import jittor
    except SystemExit:  # Jittor ends the program, with code 0, after it has renewed a part of its cache
        raise UserError('Jittor has just renewed its cache for this machine: run the same command again') from None
    except Exception as error:
        if not cuda:
            raise
        reason = ' '.join(str(error).split())
        raise UserError('Jittor cannot use the CUDA of this machine: it needs CUDA 11 or 12 with cuDNN 8, '
                        'or the environment variable nvcc_path set to nothing, to compute on the CPU. '
                        f'It said: {reason}') from error
    # Jittor's own handlers end the process at once, past every `finally`, at Ctrl-C and when a child dies by a signal.
    for number, handler in handlers.items():
        signal.signal(number, handler)
    return jittor


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


def set_seed(seed):
    """Seed all that is random: Jittor (initial weights), numpy and Python. UserError unless 0 ≤ seed < 2³²."""
    if not 0 <= seed < SEEDS:
        raise UserError(f'seed must be from 0 to {SEEDS - 1}, not {seed}')
    jt.set_global_seed(seed, different_seed_for_mpi=False)  # several processes begin with the same weights
