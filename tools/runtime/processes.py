"""Several processes that train one network, or share the images to fuse or to score: those that OpenMPI's mpirun starts.

    mpirun -np 2 --bind-to none python train_conv_trans.py

Each runs the whole script. In training each takes its share of every batch, and all means over the batch, those of the gradients
included, are means over all shares: so the weights are the same in all, after each step. Files are written by the first alone.
Without mpirun there is one process; all here returns what that one gives, and nothing of MPI is loaded.
"""
import contextlib
import functools
import hashlib
import json
import math
import multiprocessing
import os
import sys
import warnings
from pathlib import Path

from tools.base.errors import UserError
from tools.base.mpi import COUNT, COUNT_HERE, FIRST, NUMBER

LENGTH_BYTES = 8
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


def check_same(values):
    """UserError unless {what: value} is the same in all, perhaps on several machines: they would average what has nothing in common."""
    for what, value in values.items():
        digests = gather(hashlib.sha256(json.dumps(value, default=str).encode()).hexdigest())
        if len(set(digests)) > 1:
            raise UserError(f'the processes have different {what}: each must find the same files under the same names, '
                            'and compute on the same kind of device')


def by_first(function, *arguments):
    """function(*arguments), called in the first process alone, for which the others wait; what it gives, in all, as `gather` does."""
    return gather(function(*arguments) if FIRST else None)[0]


def by_all(function, items):
    """[a result for each item], in all processes: function(items), called in each with its share, gives as many results."""
    parts = gather(list(function(items[NUMBER::COUNT])))
    return [parts[index % COUNT][index // COUNT] for index in range(len(items))]
