"""Jittor, set up. Every file gets it from here: `from tools.runtime import jt, nn`.

Importing Jittor plainly fails or misbehaves on many machines: it downloads oneDNN, crashes where `nvcc` is installed without a
driver, takes Ctrl-C away, and returns garbage with numpy 2. What is done about each stands below, before and after its import.
"""
import ctypes
import importlib.metadata
import json
import os
import random
import shutil
import signal
import sys
import sysconfig
import tempfile
import warnings
from pathlib import Path

import numpy as np

OLDEST_PYTHON, FIRST_UNSUPPORTED_PYTHON = (3, 8), (3, 13)
ONEDNN_FOLDER = 'dnnl_lnx_2.2.0_cpu_gomp'  # the name under which Jittor 1.3.11 looks for oneDNN


def _fail(message):
    """End the program with one line: this runs during imports, where an exception would show as a traceback."""
    raise SystemExit(f'error: {message}')


def _check_python():
    if not OLDEST_PYTHON <= sys.version_info[:2] < FIRST_UNSUPPORTED_PYTHON:
        _fail(f'Jittor works with Python 3.8 to 3.12, this is {sys.version.split()[0]}: '
              'make a virtual environment with one of those (make PYTHON=python3.11 setup)')
    if int(np.__version__.split('.')[0]) >= 2:
        _fail(f'Jittor returns garbage with numpy {np.__version__}: pip install -r requirements.txt brings numpy 1')
    if not Path(sysconfig.get_path('include'), 'Python.h').is_file():
        _fail(f'Jittor needs the headers of Python: install them (Debian, Ubuntu: apt install python3-dev)')
    # Jittor finds a python3.x-config beside a virtual environment's Python or under /usr, not beside other Pythons.
    config = Path(sysconfig.get_config_var('BINDIR'), f'python3.{sys.version_info[1]}-config')
    if config.is_file():
        os.environ.setdefault('python_config_path', str(config))


def _check_compiler():
    if not shutil.which(os.environ.get('cc_path') or 'g++'):
        _fail('Jittor compiles its operators with g++, which was not found: '
              'install it (Debian, Ubuntu: apt install g++) or set the environment variable cc_path')


def _cache_folder():
    """The folder where Jittor keeps what it compiled, checked to be writable."""
    settings = Path.home() / '.cache' / 'jittor'  # Jittor keeps config.json here even when JITTOR_HOME points elsewhere
    home = None
    try:
        if (settings / 'config.json').is_file():
            home = json.loads((settings / 'config.json').read_text()).get('JITTOR_HOME')
    except (OSError, ValueError, AttributeError):
        _fail(f'{settings / "config.json"} is damaged: delete it')
    folder = Path(os.environ.get('JITTOR_HOME') or home or Path.home()) / '.cache' / 'jittor'
    for needed in (settings, folder):
        try:
            needed.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=needed):
                pass
        except OSError as error:
            _fail(f'Jittor cannot write its cache folder {needed} ({error.strerror}): '
                  'set the environment variable HOME to a folder where you may write')
    return folder


def _place_onednn(folder):
    """Put the oneDNN that requirements.txt installed where Jittor looks for it, so that it downloads nothing."""
    target = folder / 'mkl' / ONEDNN_FOLDER
    if (target / 'lib' / 'libmkldnn.so').exists():
        return
    try:
        files = [file.locate().resolve() for package in ('onednn-cpu-gomp', 'onednn-devel-cpu-gomp')
                 for file in importlib.metadata.files(package) or []]
    except importlib.metadata.PackageNotFoundError:
        return  # another platform: Jittor gets its own build there
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        made = Path(scratch, 'onednn')
        (made / 'lib').mkdir(parents=True)
        library = next(file for file in files if file.name.startswith('libdnnl.so.2') and file.is_file())
        shutil.copy(library, made / 'lib' / 'libdnnl.so.2')
        for link in ('libdnnl.so', 'libmkldnn.so'):
            (made / 'lib' / link).symlink_to('libdnnl.so.2')
        include = next(file for file in files if file.name == 'dnnl.h' and 'oneapi' not in file.parts).parent
        for header in include.glob('dnnl*.h*'):
            (made / 'include').mkdir(exist_ok=True)
            shutil.copy(header, made / 'include')
        shutil.copytree(include / 'oneapi', made / 'include' / 'oneapi')
        shutil.rmtree(target, ignore_errors=True)
        try:
            made.rename(target)
        except OSError:
            if not (target / 'lib' / 'libmkldnn.so').exists():  # else another process was first
                raise


def _has_gpu():
    """Whether an NVIDIA driver answers and has a device."""
    try:
        driver = ctypes.CDLL('libcuda.so.1')
    except OSError:
        return False
    count = ctypes.c_int()
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


def _import_jittor():
    _check_python()
    _check_compiler()
    folder = _cache_folder()
    _place_onednn(folder)
    nvcc = shutil.which('nvcc') or Path('/usr/local/cuda/bin/nvcc').is_file() or (folder / 'jtcuda').is_dir()
    if not (_has_gpu() and nvcc):
        os.environ['nvcc_path'] = ''  # without a driver Jittor crashes at import, without nvcc it would download CUDA
    os.environ.setdefault('cache_name', 'default')  # else the cache is named after the git branch, and each compiles anew
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGCHLD)}
    try:
        import jittor
    except SystemExit:  # Jittor ends with code 0 after it renewed a part of its cache that another set-up had made
        _fail('Jittor has just renewed its cache for this Python: run the same command again')
    # Jittor's own handlers end the process at once, past every `finally`, at Ctrl-C and when any child dies by a signal.
    for number, handler in handlers.items():
        signal.signal(number, handler)
    return jittor


jt = _import_jittor()
nn = jt.nn


def use_device(cuda):
    """Compute on the GPU if `cuda` and there is a usable one, else on the CPU. Returns 'cuda' or 'cpu'."""
    usable = bool(jt.has_cuda)
    if cuda and not usable:
        warnings.warn('cuda = True, but no usable GPU was found (driver and nvcc are needed): computing on the CPU', stacklevel=2)
    jt.flags.use_cuda = int(cuda and usable)
    return 'cuda' if jt.flags.use_cuda else 'cpu'


def set_seed(seed):
    """Seed every source of randomness: the initial weights (Jittor), numpy and Python."""
    jt.set_global_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
