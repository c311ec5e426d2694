"""The numbers that OpenMPI's mpirun gives to each of several processes, and how they end
together. Without it there is one."""
import atexit
import contextlib
import os
import shutil
import sys
import time

from tools.base.errors import INTERRUPTED, UserError

COUNT = int(os.environ.get('OMPI_COMM_WORLD_SIZE', 1))
NUMBER = int(os.environ.get('OMPI_COMM_WORLD_RANK', 0))
COUNT_HERE = int(os.environ.get('OMPI_COMM_WORLD_LOCAL_SIZE', 1))  # on this machine
NUMBER_HERE = int(os.environ.get('OMPI_COMM_WORLD_LOCAL_RANK', 0))
FIRST = NUMBER == 0
# When it ends processes, at Ctrl-C or since one failed, mpirun lets so many seconds pass, sends SIGTERM,
# lets as many pass, and kills.
GRACE, DEFAULT_GRACE = 'OMPI_MCA_odls_base_sigkill_timeout', 1
OTHER_MPI = 'PMI_SIZE'  # in the environment of what another MPI's mpirun starts
PATIENCE = 3  # seconds; see `together`


@contextlib.contextmanager
def together(shared):
    """Around all that a script does. shared: whether several processes can share its work;
    UserError if they are to, and cannot.

    Only the first of several processes prints. One that fails ends without waiting for the
    others, and mpirun ends those.
    """
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
            raise UserError(f'Jittor compiles what connects processes with OpenMPI\'s compiler, and "{compiler}" was '
                            f'not found: install it '
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
