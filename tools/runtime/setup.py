"""What Jittor needs from the machine: checked, or put in place, before loading.py imports it.

Imported plainly, Jittor fails or misbehaves on many machines: it downloads oneDNN, crashes where `nvcc` is installed
without a driver, returns garbage with numpy 2, and answers a missing compiler or an unwritable folder with a traceback.
Each function here deals with one of these. What only the user can mend is a UserError that says how.

This module imports nothing but Python's own, so that it can speak before the requirements are installed:
`python -m tools.runtime.setup` checks the machine.
"""
import ctypes
import functools
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tools.base.errors import UserError
from tools.base.files import lock, whole_file
from tools.base.mpi import COUNT, COUNT_HERE, NUMBER_HERE
from tools.base.script import run_script
from tools.runtime import cuda
from tools.runtime.adapted import adapted_jittor, misfit
from tools.runtime.cache import CANNOT_LOAD, REMEDIES, cache_folder, check_cache, is_cut
from tools.runtime.processes import cores
from tools.runtime.wheels import wheels_toolkit

OLDEST_PYTHON, NEWEST_PYTHON = (3, 8), (3, 12)
INSTALL = 'pip install -r requirements.txt'
PYTHON_CONFIG_FOLDERS = ('/usr/bin', '/usr/local/bin')
NOT_NEEDED = ('use_cutt', 'use_cutlass', 'use_nccl')  # Jittor's switches for parts that it would download for CUDA
ONEDNN_FOLDER = 'dnnl_lnx_2.2.0_cpu_gomp'  # the name under which Jittor 1.3.11 looks for oneDNN
LOOKED_FOR = 'lib/libmkldnn.so'  # in there; made last, so that what was interrupted before is copied again
DIGEST = 16  # hexadecimal digits in the name of the probe
# Parts of the C++ library that Jittor uses too, and of which compilers since version 11, 12 and 13 ask for new symbols.
PROBE = '''
#include <condition_variable>
#include <iostream>
#include <vector>
void probe(std::condition_variable &condition, std::unique_lock<std::mutex> &lock, std::vector<int> &numbers, int number) {
    condition.wait(lock);
    numbers.push_back(number);
    std::cout << number;
}
'''


def prepare():
    """Make the machine ready for `import jittor`: environment variables, and files in Jittor's cache.

    Returns the Decision of tools/runtime/cuda.py about the GPU. Raises UserError for what the user has to install or set.
    """
    check_machine()
    check_packages()
    # Without this Jittor finds the headers of some Pythons only, or those of another Python of the same version.
    os.environ.setdefault('python_config_path', str(find_python_config()))
    # By default Jittor names its cache after the git branch that is checked out, and compiles anew for each.
    os.environ.setdefault('cache_name', 'default')
    set_up_mpi()
    folder = cache_folder()
    place_onednn(folder)
    return set_up_cuda(folder)


def check_machine(thoroughly=False):
    """UserError if this Python or the machine lacks what no package can bring; thoroughly: also if what Jittor compiled is damaged."""
    if platform.system() == 'Windows':
        raise UserError('Jittor does not work under Windows: use WSL, where this runs as under Linux (evaluation, figures and loss '
                        'curves need no Jittor and work here)')
    check_python()
    check_compiler()
    find_python_config()
    folder = cache_folder()
    if thoroughly:
        check_cache(folder)
    check_cpp_library(folder)


def check_python():
    """UserError if Jittor does not work with this Python."""
    this = sys.version_info[:3]
    if not OLDEST_PYTHON <= this[:2] <= NEWEST_PYTHON:
        oldest, newest, this = ('.'.join(map(str, version)) for version in (OLDEST_PYTHON, NEWEST_PYTHON, this))
        raise UserError(f'Jittor works with Python {oldest} to {newest}, this is {this}: '
                        'make a virtual environment with one of those')


def check_packages():
    """UserError if Jittor or numpy is missing, or if it is numpy 2, with which Jittor silently returns garbage."""
    for package in ('jittor', 'numpy'):
        if not _distribution(package):
            raise UserError(f'{package} is not installed: {INSTALL}')
    numpy_version = _distribution('numpy').version
    if int(numpy_version.split('.')[0]) >= 2:
        raise UserError(f'Jittor returns garbage with numpy {numpy_version}: install numpy 1 ({INSTALL})')


def _distribution(package):
    """What pip knows of an installed package, or None."""
    from importlib import metadata  # here, since Python 3.7, for which check_python() has a message, does not have it
    try:
        return metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return None


def check_compiler():
    """UserError if there is no C++ compiler where Jittor looks for it."""
    compiler = os.environ.get('cc_path', 'g++')
    if not shutil.which(compiler):
        raise UserError(f'Jittor compiles its operators with a C++ compiler, and "{compiler}" was not found: '
                        'install g++ (Debian, Ubuntu: apt install g++), or set the environment variable cc_path')


def check_cpp_library(folder):
    """UserError if this Python cannot load what the compiler makes, since it has an older C++ library of its own, as conda's may be.

    A small library is compiled for it once, into Jittor's cache folder.
    """
    compiler = Path(shutil.which(os.environ.get('cc_path', 'g++')))
    which = hashlib.sha256(f'{compiler.resolve()} {compiler.stat().st_mtime_ns}'.encode()).hexdigest()[:DIGEST]
    probe = folder / f'probe_{which}.so'
    if not probe.is_file() or is_cut(probe):
        with whole_file(probe) as temporary:
            made = subprocess.run([str(compiler), '-x', 'c++', '-std=c++14', '-shared', '-fPIC', '-o', str(temporary), '-'], input=PROBE,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
            if made.returncode:
                raise UserError(f'the C++ compiler {compiler} does not work; it said: {" ".join(made.stdout.split())}')
    try:
        ctypes.CDLL(str(probe))
    except OSError as error:
        if os.statvfs(str(folder)).f_flag & os.ST_NOEXEC:
            raise UserError(CANNOT_LOAD.format(folder)) from error
        lacking = re.search(r"(\S+): version `(\S+)' not found", str(error))
        if lacking is None:
            raise UserError(f'this Python cannot load what {compiler} compiles: {error} (if it is damaged: rm {probe})') from error
        newer = subprocess.run([str(compiler), '-print-file-name=libstdc++.so.6'], stdout=subprocess.PIPE, universal_newlines=True)
        library, symbol = lacking.groups()
        raise UserError(f'this Python loads {library}, which is too old for what {compiler} compiles (it has no {symbol}): '
                        'update it (conda install -c conda-forge libstdcxx-ng), or set the environment variable '
                        f'LD_PRELOAD={os.path.realpath(newer.stdout.strip())}') from error


def find_python_config():
    """Path of python3.x-config, which tells Jittor where Python's headers are. UserError if it or they are missing."""
    name = f'python3.{sys.version_info[1]}-config'
    folders = (Path(sys.base_prefix, 'bin'), *PYTHON_CONFIG_FOLDERS)
    found = [Path(folder, name) for folder in folders if Path(folder, name).is_file()]
    if not found or not Path(sysconfig.get_path('include'), 'Python.h').is_file():
        raise UserError(f'Jittor needs the headers of Python (Python.h, {name}): install them '
                        f'(Debian, Ubuntu: apt install python3.{sys.version_info[1]}-dev)')
    return found[0]


def place_onednn(folder):
    """Put the oneDNN that requirements.txt installed where Jittor looks for it, so that it downloads nothing.

    Several processes may do so at once. Raises UserError if the requirements are not installed.
    Elsewhere than under Linux on x86-64 it does nothing: PyPI has no oneDNN there, and Jittor downloads its own.
    """
    if (platform.system(), platform.machine()) != ('Linux', 'x86_64'):
        return
    target = folder / 'mkl' / ONEDNN_FOLDER
    if (target / LOOKED_FOR).is_file():
        return
    try:
        (folder / 'mkl').mkdir(exist_ok=True)
        with open(folder / 'mkl.lock', 'w') as file:
            lock(file)
            if not (target / LOOKED_FOR).is_file():  # now
                _copy_onednn(target)
    except OSError as error:
        remedy = f': {REMEDIES[error.errno]}' if error.errno in REMEDIES else ''
        raise UserError(f'cannot put oneDNN into {folder / "mkl"}: {error.strerror or error}{remedy}') from error


@functools.lru_cache(maxsize=None)
def onednn_folder():
    """Where Jittor's oneDNN is, with include/ and lib/."""
    return next((cache_folder() / 'mkl').glob('dnnl*/'))


def _copy_onednn(target):
    looked_for = target / LOOKED_FOR
    library, include = _installed_onednn()
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(include / 'oneapi', target / 'include' / 'oneapi')
    for header in include.glob('dnnl*.h*'):
        shutil.copy(header, target / 'include')
    looked_for.parent.mkdir()
    shutil.copy(library, looked_for.with_name('libdnnl.so.2'))
    for link in (looked_for.with_name('libdnnl.so'), looked_for):
        link.symlink_to('libdnnl.so.2')


def _installed_onednn():
    """(library, folder of its headers) as pip installed them."""
    packages = [_distribution(name) for name in ('onednn-cpu-gomp', 'onednn-devel-cpu-gomp')]
    paths = [Path(file.locate()).resolve() for package in packages if package for file in package.files or ()]
    library = [path for path in paths if path.name == 'libdnnl.so.2' and path.is_file()]
    header = [path for path in paths if path.parts[-2:] == ('include', 'dnnl.h') and path.is_file()]
    if not library or not header:
        raise UserError(f'oneDNN, which computes the convolutions on the CPU, is not installed: {INSTALL}')
    return library[0], header[0].parent


def set_up_mpi():
    """Have Jittor use MPI if this is one of several processes that mpirun started, and otherwise compile and load nothing of it.

    It computes on the cores that it may use, unless OMP_NUM_THREADS says on how many; several processes on one machine have a GPU each.
    """
    os.environ['use_mpi'] = str(int(COUNT > 1))
    if cores() < (os.cpu_count() or 1):
        os.environ.setdefault('OMP_NUM_THREADS', str(cores()))
    if COUNT == 1:
        os.environ.pop('OMPI_COMM_WORLD_SIZE', None)  # by which Jittor takes a single process of mpirun's for one of several
        return
    gpus = os.environ.get('CUDA_VISIBLE_DEVICES', ','.join(map(str, range(COUNT_HERE)))).split(',')
    os.environ['CUDA_VISIBLE_DEVICES'] = gpus[NUMBER_HERE % len(gpus)]


def set_up_cuda(folder):
    """Have Jittor use the CUDA that tools/runtime/cuda.py decides for, adapted if that takes it, or none. Returns the Decision.

    Without a driver Jittor would crash at its import, and without nvcc it would download CUDA.
    """
    _, decision = find_cuda(folder)
    if decision.toolkit is None:
        os.environ['nvcc_path'] = ''
    elif decision.toolkit.nvcc != _first_nvcc():
        os.environ['nvcc_path'] = decision.toolkit.nvcc
    if decision.adapted:
        sys.path.insert(0, str(adapted_jittor(folder, _jittor_package())))
    for part in NOT_NEEDED:
        os.environ.setdefault(part, '0')
    return decision


def find_cuda(folder, thoroughly=False):
    """(Machine, Decision) of tools/runtime/cuda.py. thoroughly: also what does not count where no driver answers."""
    answers, installed = has_gpu(), _distribution('jittor')
    downloaded = folder / 'jtcuda'  # by the user's own `python -m jittor_utils.install_cuda`
    if answers and downloaded.is_dir() and os.environ.get('nvcc_path') != '':
        toolkit = cuda.Toolkit(_first_nvcc(), None, None, None)
        return cuda.Machine(answers, '', [], [toolkit], None, ''), cuda.Decision(toolkit, False, f'{downloaded}, which Jittor downloaded')
    nvcc, wrong = wheels_toolkit(folder, _distribution) if answers or thoroughly else (None, '')
    unfit = misfit(_jittor_package(), installed.version) if installed and (answers or thoroughly) else ''
    machine = cuda.look(answers, unfit, nvcc, wrong, toolkits=answers or thoroughly)
    return machine, cuda.decide(machine)


def _first_nvcc():
    """The nvcc that Jittor takes by itself, or ''."""
    places = (os.environ['nvcc_path'],) if 'nvcc_path' in os.environ else cuda.NVCC_PLACES
    return next(filter(None, map(shutil.which, places)), '')


def _jittor_package():
    """The folder of the installed Jittor."""
    return Path(str(_distribution('jittor').locate_file('jittor')))


def has_gpu():
    """Whether an NVIDIA driver answers and has a device."""
    try:
        driver = ctypes.CDLL('libcuda.so.1')
    except OSError:
        return False
    count = ctypes.c_int()
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


def main():
    """Check the machine, and print what of CUDA it has, and which is used."""
    check_machine(thoroughly=True)
    print(cuda.table(*find_cuda(cache_folder(), thoroughly=True)))


if __name__ == '__main__':
    run_script(main)
