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
        # The reference was computed in float32, and cuDNN by itself takes less
        os.environ['NVIDIA_TF32_OVERRIDE'] = '0'
        from tools.runtime import use_device  # here, since Jittor takes seconds to start, and few tests need it
        if use_device(cuda=True) != 'cuda':
            raise pytest.UsageError('--cuda: there is no GPU that Jittor can use')


@contextlib.contextmanager
def full_disk(size=1024):
    """No file may grow beyond so many bytes, what the tests print into a file included: not
    for longer than it must be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(scope='session')
def database(tmp_path_factory):
    """A folder to train on, of 8 scenes of 40×48 pixels."""
    from tools.scenes.folders import write_database
    folder = tmp_path_factory.mktemp('scenes')
    write_database(folder, 8, (40, 48), seed=0)
    return folder


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


@pytest.fixture
def items(tmp_path):
    """Seven images, three batches of two and one left over."""
    import numpy as np

    from tools.data.images import write_image
    paths = [tmp_path / 'images' / f'{index}.png' for index in range(7)]
    for index, path in enumerate(paths):
        write_image(path, np.random.RandomState(index).randint(0, 256, (20, 24)).astype(np.uint8))
    return [(path,) for path in paths]


@pytest.fixture
def whole(tmp_path, items):
    """The folder of a run of two epochs that nothing interrupted."""
    from training_runs import tiny_run
    tiny_run(tmp_path / 'whole', items)
    return tmp_path / 'whole'


@pytest.fixture(scope='module')
def fusion():
    from weights_files import state_dict
    return state_dict('fuse')


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """A folder of runs, with one run in it: fusion_runs.RUN."""
    from fusion_runs import RUN, write_run
    folder = tmp_path_factory.mktemp('models')
    write_run(folder / RUN)
    return folder


@pytest.fixture(scope='module')
def fuser(runs):
    from fusion_runs import RUN

    from tools.fusing.fuser import load_fuser
    return load_fuser(runs / RUN)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A working folder with six pairs as a test set, and three methods' results in a, b and c."""
    import numpy as np
    from scored_folders import SET, picture

    from tools.data.images import write_image
    monkeypatch.chdir(tmp_path)
    for i in range(1, 7):
        ir, vi = picture(i), picture(100 + i)
        write_image(tmp_path / f'images/{SET}/ir/IR{i}.png', ir)
        write_image(tmp_path / f'images/{SET}/vis/VIS{i}.png', vi)
        write_image(tmp_path / f'a/results_transfuse_IR{i}.png', np.maximum(ir, vi))
        write_image(tmp_path / f'b/IR{i}.png', (ir // 2 + vi // 2))
        write_image(tmp_path / f'c/IR{i}.bmp', vi - vi // 10)
    return tmp_path
