"""Several processes that train one network, or share the images to fuse or to score: those that OpenMPI's mpirun starts.

    mpirun -np 2 --bind-to none python train_conv_trans.py

Each runs the whole script. In training each takes its share of every batch, and all means over the batch, those of the gradients
included, are means over all shares: so the weights are the same in all, after each step. Files are written by the first alone.
Without mpirun there is one process; all here returns what that one gives, and nothing of MPI is loaded.
"""
import atexit
import contextlib
import functools
import json
import math
import multiprocessing
import os
import shutil
import sys
import time
import warnings
from pathlib import Path

COUNT = int(os.environ.get('OMPI_COMM_WORLD_SIZE', 1))
NUMBER = int(os.environ.get('OMPI_COMM_WORLD_RANK', 0))
COUNT_HERE = int(os.environ.get('OMPI_COMM_WORLD_LOCAL_SIZE', 1))  # on this machine
NUMBER_HERE = int(os.environ.get('OMPI_COMM_WORLD_LOCAL_RANK', 0))
FIRST = NUMBER == 0
# When it ends processes, at Ctrl-C or since one failed, mpirun lets so many seconds pass, sends SIGTERM, lets as many pass, and kills.
GRACE, DEFAULT_GRACE = 'OMPI_MCA_odls_base_sigkill_timeout', 1
OTHER_MPI = 'PMI_SIZE'  # in the environment of what another MPI's mpirun starts
LENGTH_BYTES = 8
PATIENCE = 3  # seconds; see `together`
CGROUPS, CGROUPS_OF_THIS = Path('/sys/fs/cgroup'), Path('/proc/self/cgroup')


def cores():
    """How many cores this process may use: those of the machine, less what a batch system, a container or `taskset` keeps from it, and
    what other processes that mpirun started here take."""
    machine = os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else machine
    return max(1, min(allowed, math.ceil(min([machine, *_quotas()])) // COUNT_HERE))


def _quotas():
    """How many cores' worth of time control groups, of their second and their first version, leave to this process."""
    with contextlib.suppress(OSError):  # there are none but under Linux
        for line in CGROUPS_OF_THIS.read_text().splitlines():
            _, controllers, place = line.split(':', 2)
            files = ('cpu.cfs_quota_us', 'cpu.cfs_period_us') if controllers else ('cpu.max',)
            group = CGROUPS / controllers / place.lstrip('/')
            for folder in (group, *group.parents):
                with contextlib.suppress(OSError, ValueError):  # it has no such files, or the quota is "max"
                    quota, period = map(int, ' '.join((folder / name).read_text() for name in files).split())
                    if quota > 0:
                        yield quota / period


@functools.lru_cache(maxsize=None)
def can_start_processes():
    """Whether this process can start others that work for it, which takes semaphores of the system; a warning if not."""
    try:
        if sys.platform != 'win32':
            multiprocessing.get_context('fork').Lock()
    except (ImportError, OSError) as error:
        warnings.warn(f'/dev/shm is missing or cannot be written ({error}): one process computes and compiles all, which takes longer',
                      stacklevel=2)
        return False
    return True


@contextlib.contextmanager
def together(shared):
    """Around all that a script does. shared: whether several processes can share its work; UserError if they are to, and cannot.

    Only the first of several processes prints. One that fails ends without waiting for the others, and mpirun ends those.
    """
    from tools.errors import INTERRUPTED, UserError  # here, since tools.errors imports this module
    if COUNT == 1 and int(os.environ.get(OTHER_MPI, 1)) == 1:
        yield
        return
    try:
        if not FIRST:
            sys.stdout = open(os.devnull, 'w')
        if COUNT == 1:
            raise UserError('Jittor knows no MPI but OpenMPI: start this with its mpirun')
        if not shared:
            raise UserError('this script is for one process: start it without mpirun')
        compiler = os.environ.get('mpicc_path', 'mpicc')
        if not shutil.which(compiler):
            raise UserError(f'Jittor compiles what connects processes with OpenMPI\'s compiler, and "{compiler}" was not found: install it '
                            '(Debian, Ubuntu: apt install libopenmpi-dev), or set the environment variable mpicc_path')
        yield
    except (Exception, KeyboardInterrupt) as error:
        if not FIRST:
            # Most likely the first says the same, and mpirun ends this process meanwhile.
            time.sleep(PATIENCE + int(os.environ.get(GRACE, DEFAULT_GRACE)))
        # At an orderly end MPI waits for the others, and they may be waiting for this one.
        atexit.register(_leave, INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1)
        raise


def _leave(code):
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def mean_over_processes(x):
    """The mean of a Var of which each process has its own; gradients pass through it. The same bits in all."""
    return x if COUNT == 1 else x.mpi_all_reduce('mean')


def gather(value):
    """[the value of each process], in all of them, once each has got here. The value: what JSON holds, or a path, which comes as text."""
    if COUNT == 1:
        return [value]
    import numpy as np  # here, since what checks the machine imports this module before the requirements are installed

    from tools.runtime import jt
    own = json.dumps(value, default=str).encode()
    values = []
    for sender in range(COUNT):
        length = np.frombuffer(len(own).to_bytes(LENGTH_BYTES, 'little'), np.uint8).copy()
        jt.mpi.broadcast(length, sender)  # in place
        size = int.from_bytes(length.tobytes(), 'little')
        text = np.frombuffer(own, np.uint8).copy() if sender == NUMBER else np.empty(size, np.uint8)
        jt.mpi.broadcast(text, sender)
        values.append(json.loads(text.tobytes()))
    return values


def by_first(function, *arguments):
    """function(*arguments), called in the first process alone, for which the others wait; what it gives, in all, as `gather` does."""
    return gather(function(*arguments) if FIRST else None)[0]


def by_all(function, items):
    """[a result for each item], in all processes: function(items), called in each with its share, gives as many results."""
    parts = gather(list(function(items[NUMBER::COUNT])))
    return [parts[index % COUNT][index // COUNT] for index in range(len(items))]
