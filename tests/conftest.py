"""What the tests share."""
import contextlib
import errno
import fcntl
import os
import resource
import signal
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
REFERENCE = REPOSITORY / 'tests' / 'reference'  # numbers that the PyTorch original computed

_shared = REPOSITORY.parent / 'shared' / 'data'
SHARED_DATA = _shared if _shared.is_dir() else None  # real images, where the machine has them

sys.path.insert(0, str(REPOSITORY))
# A shell starts background jobs with Ctrl-C ignored, and so would be the processes that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption('--cuda', action='store_true', help='compute on the GPU what the tests compute in their own process')


def pytest_configure(config):
    if config.getoption('--cuda'):
        os.environ['NVIDIA_TF32_OVERRIDE'] = '0'  # the reference was computed in float32, and cuDNN by itself takes less
        from tools.runtime import use_device  # here, since Jittor takes seconds to start, and few tests need it
        if use_device(cuda=True) != 'cuda':
            raise pytest.UsageError('--cuda: there is no GPU that Jittor can use')


@contextlib.contextmanager
def full_disk(size=1024):
    """No file may grow beyond so many bytes, what the tests print into a file included: not for longer than it must be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(params=['ENOLCK', 'ENOSYS', 'ENOTSUP'])
def no_locks(request, monkeypatch):
    """A file system without locks."""
    from tools.base.files import warn_of_no_locks

    def refuse(file, flags):
        raise OSError(getattr(errno, request.param), 'no locks')
    monkeypatch.setattr(fcntl, 'flock', refuse)
    warn_of_no_locks.cache_clear()
    yield
    warn_of_no_locks.cache_clear()


def threads():
    """The identifiers of the threads that run Python."""
    return set(sys._current_frames())


def assert_end(those, seconds=60):
    """Some threads have ended, or are about to."""
    deadline = time.monotonic() + seconds
    while those & threads():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def pytest_terminal_summary(terminalreporter):
    """Say what was not tested for lack of real images."""
    names = sorted(name for name, module in sys.modules.items() if name.startswith('test_') and hasattr(module, 'SHARED_DATA'))
    if SHARED_DATA is None and names:
        terminalreporter.write_line(f'{_shared} is not there: the parts with real images were left out of {", ".join(names)}')
