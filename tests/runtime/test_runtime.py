"""Jittor starts anywhere: what is set up before its import, what is refused with one line, and signals after it."""
import os
import platform
import random
import re
import signal
import subprocess
import sys
import sysconfig
import warnings
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from new_python import A_GPU, LEFT_BY_JITTOR, NO_GPU, executable, refusal, run, start, write_jittor

import tools.runtime.loading
from tools.base.errors import UserError
from tools.runtime import cuda, jt, set_seed, use_device
from tools.runtime import setup as jittor_setup


@pytest.fixture
def environment(monkeypatch):
    """The environment of this process as a copy, without what Jittor left in it."""
    copy = {name: value for name, value in os.environ.items() if name not in LEFT_BY_JITTOR}
    monkeypatch.setattr(os, 'environ', copy)
    return copy


@pytest.fixture
def home(environment, tmp_path):
    environment.pop('JITTOR_HOME', None)
    environment['HOME'] = str(tmp_path / 'home')
    return tmp_path / 'home'


@pytest.fixture
def fake_jittor(tmp_path):
    return partial(write_jittor, tmp_path / 'packages')


# What the machine lacks

def test_without_a_compiler_one_line_says_what_to_install(tmp_path):
    line = refusal(PATH=tmp_path)
    assert 'g++' in line and 'apt install g++' in line


def test_a_compiler_that_is_set_but_missing_is_named():
    assert '"/nowhere/g++-12" was not found' in refusal(cc_path='/nowhere/g++-12')


@pytest.mark.parametrize('version', [(3, 7, 17), (3, 13, 0), (3, 14, 2), (4, 0, 0)])
def test_an_unsupported_python_is_refused_with_one_line(version):
    line = refusal(f'import sys; sys.version_info = ({", ".join(map(str, version))}, "final", 0)')
    assert 'Python 3.8 to 3.12, this is ' + '.'.join(map(str, version)) in line and 'virtual environment' in line


@pytest.mark.parametrize('version', [(3, 8, 0), (3, 12, 99)])
def test_a_supported_python_is_not_refused(version, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sys, 'version_info', (*version, 'final', 0))
        jittor_setup.check_python()


def test_numpy_2_is_refused_with_one_line(tmp_path):
    (tmp_path / 'numpy-2.1.3.dist-info').mkdir()
    (tmp_path / 'numpy-2.1.3.dist-info' / 'METADATA').write_text('Metadata-Version: 2.1\nName: numpy\nVersion: 2.1.3\n')
    line = refusal(PYTHONPATH=tmp_path)
    assert 'numpy 2.1.3' in line and 'pip install -r requirements.txt' in line


def test_missing_requirements_are_one_line():
    line = refusal('', '-S')  # without the folder of installed packages
    assert 'jittor is not installed: pip install -r requirements.txt' in line


CHECK_MACHINE = 'import runpy; runpy.run_module("tools.runtime.setup", run_name="__main__")'


def test_the_machine_can_be_checked_before_the_requirements_are_installed(tmp_path):
    code, output, errors = run(CHECK_MACHINE, '-S', **{cuda.VISIBLE: ''})
    assert (code, errors) == (0, '') and output.startswith('| CUDA | found |\n') and '| computes on | the CPU: ' in output
    code, output, errors = run(CHECK_MACHINE, '-S', PATH=tmp_path)
    assert (code, output, errors.count('\n')) == (1, '', 1) and errors.startswith('error: ') and 'g++' in errors


def test_missing_headers_of_python_are_one_line(tmp_path):
    line = refusal(f'import sysconfig; sysconfig.get_path = lambda name: {str(tmp_path)!r}')
    assert 'Python.h' in line and f'apt install python3.{sys.version_info[1]}-dev' in line


def test_a_missing_python_config_is_refused(monkeypatch):
    monkeypatch.setattr(sys, 'base_prefix', '/nowhere')
    monkeypatch.setattr(jittor_setup, 'PYTHON_CONFIG_FOLDERS', ('/nowhere/bin',))
    with pytest.raises(UserError, match=f'python3.{sys.version_info[1]}-config.*apt install'):
        jittor_setup.find_python_config()


def test_the_python_config_of_this_python_comes_first(monkeypatch, tmp_path):
    name = f'python3.{sys.version_info[1]}-config'
    elsewhere, own = executable(tmp_path / 'usr' / name), tmp_path / 'own' / 'bin' / name
    monkeypatch.setattr(sys, 'base_prefix', str(tmp_path / 'own'))
    monkeypatch.setattr(jittor_setup, 'PYTHON_CONFIG_FOLDERS', (str(tmp_path / 'usr'),))
    assert jittor_setup.find_python_config() == elsewhere
    executable(own)
    assert jittor_setup.find_python_config() == own


def test_the_python_config_that_is_found_names_the_headers_of_this_python():
    includes = subprocess.check_output([str(jittor_setup.find_python_config()), '--includes'])
    folders = [Path(part[2:]) for part in includes.decode().split()]
    assert Path(sysconfig.get_path('include')).resolve() in [folder.resolve() for folder in folders]


def test_an_older_cpp_library_than_the_compilers_is_one_line(tmp_path):
    """As in an environment of conda; the library that stands for its own lacks all but the oldest symbols."""
    assert run(CHECK_MACHINE, '-S', HOME=tmp_path, JITTOR_HOME=None)[::2] == (0, '')  # compiles what is tried to load
    (tmp_path / 'versions').write_text('GLIBCXX_3.4 { global: old; };')
    (tmp_path / 'old.c').write_text('void old(void) {}')
    subprocess.run(['g++', '-x', 'c', 'old.c', '-shared', '-fPIC', '-nostdlib', '-Wl,--version-script=versions',
                    '-Wl,-soname=libstdc++.so.6', '-o', 'libstdc++.so.6'], cwd=str(tmp_path), check=True)
    code, output, errors = run(CHECK_MACHINE, '-S', HOME=tmp_path, JITTOR_HOME=None, LD_LIBRARY_PATH=tmp_path)
    assert (code, output, errors.count('\n')) == (1, '', 1) and errors.startswith('error: ')
    assert f'loads {tmp_path}/libstdc++.so.6, which is too old' in errors and 'conda install' in errors
    newer = re.search('LD_PRELOAD=(.*)', errors).group(1)
    assert Path(newer).is_file() and newer != f'{tmp_path}/libstdc++.so.6'
    assert run(CHECK_MACHINE, '-S', HOME=tmp_path, JITTOR_HOME=None, LD_LIBRARY_PATH=tmp_path, LD_PRELOAD=newer)[::2] == (0, '')


def test_a_compiler_that_does_not_compile_is_named(tmp_path):
    compiler = executable(tmp_path / 'my-g++', '#!/bin/sh\necho no headers here; exit 1\n')
    line = refusal(cc_path=compiler, HOME=tmp_path, JITTOR_HOME=None)
    assert f'the C++ compiler {compiler} does not work; it said: no headers here' in line


# The cache folder

def test_the_cache_folder_is_made_in_the_home(home):
    assert jittor_setup.cache_folder() == home / '.cache' / 'jittor'
    assert list((home / '.cache' / 'jittor').iterdir()) == []


def test_jittor_home_moves_the_cache_and_is_remembered_by_jittor(home, environment, tmp_path):
    (home / '.cache' / 'jittor').mkdir(parents=True)
    (home / '.cache' / 'jittor' / 'config.json').write_text(f'{{"JITTOR_HOME": "{tmp_path}/before"}}')
    assert jittor_setup.cache_folder() == tmp_path / 'before' / '.cache' / 'jittor'
    environment['JITTOR_HOME'] = str(tmp_path / 'now')
    assert jittor_setup.cache_folder() == tmp_path / 'now' / '.cache' / 'jittor'


def test_an_unwritable_home_is_one_line(tmp_path):
    (tmp_path / 'file').write_text('')
    line = refusal(HOME=tmp_path / 'file' / 'x', JITTOR_HOME=None)
    assert f'{tmp_path}/file/x/.cache/jittor' in line and 'variable HOME' in line


def test_an_unwritable_jittor_home_is_one_line(tmp_path):
    (tmp_path / 'file').write_text('')
    line = refusal(HOME=tmp_path, JITTOR_HOME=tmp_path / 'file' / 'x')
    assert f'{tmp_path}/file/x/.cache/jittor' in line and 'variable JITTOR_HOME' in line


def test_an_unwritable_folder_that_jittor_remembers_is_told_with_the_file_that_remembers_it(home, tmp_path):
    (tmp_path / 'file').write_text('')
    remembered = home / '.cache' / 'jittor' / 'config.json'
    remembered.parent.mkdir(parents=True)
    remembered.write_text(f'{{"JITTOR_HOME": "{tmp_path}/file/x"}}')
    with pytest.raises(UserError) as caught:
        jittor_setup.cache_folder()
    assert f'{tmp_path}/file/x/.cache/jittor' in str(caught.value) and f'delete {remembered}' in str(caught.value)


def test_an_unknown_home_is_refused(monkeypatch):
    def unknown():
        raise RuntimeError('Could not determine home directory.')
    monkeypatch.setattr(Path, 'home', unknown)
    with pytest.raises(UserError, match='variable HOME'):
        jittor_setup.cache_folder()


@pytest.mark.parametrize('content', [b'', b'{', b'[]', b'{"JITTOR_HOME": 5}', b'{"JITTOR_HOME": null}', b'\xff\xfe'])
def test_a_damaged_file_of_jittor_is_named(home, content):
    damaged = home / '.cache' / 'jittor' / 'config.json'
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(content)
    with pytest.raises(UserError) as caught:
        jittor_setup.cache_folder()
    assert str(damaged) in str(caught.value) and 'delete it' in str(caught.value)


def test_a_damaged_file_of_jittor_is_one_line(tmp_path):
    (tmp_path / '.cache' / 'jittor').mkdir(parents=True)
    (tmp_path / '.cache' / 'jittor' / 'config.json').write_text('{"JITTOR_HOME": ')
    assert f'{tmp_path}/.cache/jittor/config.json' in refusal(HOME=tmp_path)


# oneDNN

USE_ONEDNN = '''
#include <dnnl.h>
#include <stdio.h>
int main() { const dnnl_version_t *v = dnnl_version(); printf("%d.%d", v->major - DNNL_VERSION_MAJOR, v->minor); }
'''


def test_onednn_is_placed_where_jittor_looks_and_can_be_compiled_with(tmp_path):
    jittor_setup.place_onednn(tmp_path)
    placed = tmp_path / 'mkl' / 'dnnl_lnx_2.2.0_cpu_gomp'
    assert [entry.name for entry in (tmp_path / 'mkl').iterdir()] == [placed.name]  # Jittor takes any dnnl… in there
    assert (placed / 'lib' / 'libmkldnn.so').is_file() and (placed / 'include' / 'dnnl.hpp').is_file()
    (tmp_path / 'use.cc').write_text(USE_ONEDNN)
    subprocess.run(['g++', 'use.cc', f'-I{placed}/include', f'-L{placed}/lib', '-lmkldnn', f'-Wl,-rpath,{placed}/lib',
                    '-o', 'use'], cwd=str(tmp_path), check=True)
    assert subprocess.run([str(tmp_path / 'use')], stdout=subprocess.PIPE, check=True).stdout == b'0.6'


def test_onednn_is_left_alone_where_it_is_and_completed_where_it_was_interrupted(tmp_path, monkeypatch):
    jittor_setup.place_onednn(tmp_path)
    placed = tmp_path / 'mkl' / jittor_setup.ONEDNN_FOLDER
    (placed / 'a_mark').write_text('')
    with monkeypatch.context() as patch:
        patch.setattr(jittor_setup, '_distribution', lambda package: None)  # what is placed needs no package
        jittor_setup.place_onednn(tmp_path)
    assert (placed / 'a_mark').exists()
    (placed / 'lib' / 'libmkldnn.so').unlink()
    jittor_setup.place_onednn(tmp_path)
    assert (placed / 'lib' / 'libmkldnn.so').is_file() and not (placed / 'a_mark').exists()


PLACE_ONEDNN = '''
import ctypes, pathlib, sys
from tools.runtime import setup as jittor_setup
folder = pathlib.Path({folder!r})
jittor_setup.place_onednn(folder)
placed = folder / 'mkl' / jittor_setup.ONEDNN_FOLDER
ctypes.CDLL(str(placed / 'lib' / 'libmkldnn.so')).dnnl_version
assert (placed / 'include' / 'dnnl.h').is_file() and (placed / 'include' / 'oneapi' / 'dnnl' / 'dnnl.h').is_file()
print(placed.stat().st_ino)
'''


def test_several_processes_may_place_onednn_at_once(tmp_path):
    processes = [start(PLACE_ONEDNN.format(folder=str(tmp_path))) for _ in range(4)]
    results = [process.communicate(timeout=60) for process in processes]
    assert [errors for _, errors in results] == [''] * 4
    assert len({output for output, _ in results}) == 1  # none took away what another had placed and was using


def test_missing_onednn_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(jittor_setup, '_distribution', lambda package: None)
    with pytest.raises(UserError, match='oneDNN.*not installed: pip install -r requirements.txt'):
        jittor_setup.place_onednn(tmp_path)


def test_a_place_for_onednn_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / 'mkl').write_text('')
    with pytest.raises(UserError, match=f'cannot put oneDNN into {tmp_path}/mkl'):
        jittor_setup.place_onednn(tmp_path)


def test_elsewhere_jittor_gets_its_own_onednn(tmp_path, monkeypatch):
    monkeypatch.setattr(platform, 'machine', lambda: 'aarch64')
    jittor_setup.place_onednn(tmp_path)
    assert list(tmp_path.iterdir()) == []


# The GPU

@pytest.mark.parametrize('gpu, on_path, variable, downloaded, usable, nvcc_path', [
    (False, False, None, False, False, ''),
    (False, True, None, False, False, ''),  # the toolkit without a driver
    (False, False, None, True, False, ''),
    (True, False, None, False, False, ''),  # a driver without nvcc
    (True, True, None, False, True, None),
    (True, False, None, True, True, None),
    (True, False, 'own', False, True, 'own'),
    (True, True, '/nowhere/nvcc', False, False, ''),
    (True, True, '', False, False, ''),  # the user wants the CPU
])
def test_cuda_takes_a_driver_and_nvcc(gpu, on_path, variable, downloaded, usable, nvcc_path, environment, tmp_path,
                                      monkeypatch):
    executable(tmp_path / 'bin' / 'nvcc')
    own = str(executable(tmp_path / 'own' / 'nvcc'))
    executable(tmp_path / 'headers' / 'cudnn.h')
    monkeypatch.setattr(cuda, 'SYSTEM_HEADERS', tmp_path / 'headers')
    monkeypatch.setattr(cuda, 'MORE_TOOLKITS', tmp_path)
    environment['PATH'] = str(tmp_path / ('bin' if on_path else 'empty'))
    if variable is not None:
        environment['nvcc_path'] = own if variable == 'own' else variable
    if downloaded:
        (tmp_path / 'jtcuda').mkdir()
    monkeypatch.setattr(cuda, 'NVCC_PLACES', ('nvcc',))
    monkeypatch.setattr(jittor_setup, 'has_gpu', lambda: gpu)
    assert bool(jittor_setup.set_up_cuda(tmp_path).toolkit) is usable
    assert environment.get('nvcc_path') == (own if nvcc_path == 'own' else nvcc_path)


def test_nothing_is_downloaded_for_cuda_unless_asked_for(environment, tmp_path):
    environment['use_cutt'] = '1'
    jittor_setup.set_up_cuda(tmp_path)
    assert [environment[name] for name in ('use_cutt', 'use_cutlass', 'use_nccl')] == ['1', '0', '0']


DRIVER = '''
#include <stdlib.h>
extern "C" int cuInit(unsigned flags) { return atoi(getenv("init")); }
extern "C" int cuDeviceGetCount(int *count) { *count = atoi(getenv("devices")); return atoi(getenv("counted")); }
'''


@pytest.fixture(scope='module')
def driver(tmp_path_factory):
    """The folder of a driver that answers what the environment tells it to."""
    folder = tmp_path_factory.mktemp('driver')
    (folder / 'driver.cc').write_text(DRIVER)
    subprocess.run(['g++', '-shared', '-fPIC', 'driver.cc', '-o', 'libcuda.so.1'], cwd=str(folder), check=True)
    return folder


@pytest.mark.parametrize('init, counted, devices, expected', [
    (0, 0, 1, True), (0, 0, 8, True), (0, 0, 0, False), (100, 0, 1, False), (0, 3, 1, False)])
def test_a_gpu_is_a_driver_that_answers_and_has_a_device(driver, init, counted, devices, expected):
    code, output, errors = run('from tools.runtime.setup import has_gpu; print(has_gpu())', LD_LIBRARY_PATH=driver,
                               init=init, counted=counted, devices=devices)
    assert (code, output, errors) == (0, f'{expected}\n', '')


def test_a_driver_that_cannot_be_loaded_is_no_gpu(monkeypatch):
    def missing(name):
        raise OSError(f'{name}: cannot open shared object file')
    monkeypatch.setattr(jittor_setup.ctypes, 'CDLL', missing)
    assert jittor_setup.has_gpu() is False


def test_nvcc_without_a_driver_computes_on_the_cpu(tmp_path):
    nvcc = executable(tmp_path / 'nvcc', '#!/bin/sh\necho "Cuda compilation tools, release 12.2, V12.2.140"\n')
    program = f'{NO_GPU}\nfrom tools.runtime import jt\nprint("sum", jt.ones(3).sum().item(), int(jt.has_cuda))'
    code, output, errors = run(program, PATH=f'{nvcc.parent}{os.pathsep}{os.environ["PATH"]}')
    assert (code, output.splitlines()[-1]) == (0, 'sum 3.0 0'), errors


def test_cuda_without_a_usable_gpu_is_one_warning(monkeypatch):
    monkeypatch.setattr(jt, 'has_cuda', 0)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter('always')
        assert use_device(True) == 'cpu'
    assert len(seen) == 1 and 'computing on the CPU' in str(seen[0].message)
    assert Path(seen[0].filename).name == Path(__file__).name  # it points at the script, not into tools
    assert jt.flags.use_cuda == 0


def test_the_cpu_by_choice_is_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert use_device(False) == 'cpu'


@pytest.mark.parametrize('wanted, device', [(True, 'cuda'), (False, 'cpu')])
def test_a_usable_gpu_is_used_if_wanted(wanted, device, monkeypatch):
    jittor = SimpleNamespace(has_cuda=1, flags=SimpleNamespace(use_cuda=None))
    monkeypatch.setattr(tools.runtime.loading, 'jt', jittor)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert use_device(wanted) == device
    assert jittor.flags.use_cuda == int(wanted)


# The import itself

def test_the_environment_is_set_before_jittor_is_imported(fake_jittor):
    names = ('nvcc_path', 'cache_name', 'python_config_path', *jittor_setup.NOT_NEEDED)
    packages = fake_jittor(f'import os\nprint([os.environ.get(name) for name in {names}])')
    code, output, errors = run(f'{NO_GPU}\nfrom tools.runtime import jt', PYTHONPATH=packages)
    expected = ['', 'default', str(jittor_setup.find_python_config()), '0', '0', '0']
    assert (code, output, errors) == (0, f'{expected}\n', '')


def test_onednn_is_in_place_before_jittor_is_imported(fake_jittor, tmp_path):
    packages = fake_jittor('import pathlib\n'
                           'print(*pathlib.Path.home().glob(".cache/jittor/mkl/*/lib/libmkldnn.so"))')
    code, output, errors = run(f'{NO_GPU}\nfrom tools.runtime import jt', PYTHONPATH=packages, HOME=tmp_path, JITTOR_HOME=None)
    expected = tmp_path / '.cache' / 'jittor' / 'mkl' / jittor_setup.ONEDNN_FOLDER / 'lib' / 'libmkldnn.so'
    assert (code, output, errors) == (0, f'{expected}\n', '')


def test_what_the_user_set_stays(fake_jittor):
    packages = fake_jittor('import os\nprint(os.environ["cache_name"], os.environ["python_config_path"])')
    own = {'cache_name': 'mine', 'python_config_path': '/my/config'}
    code, output, errors = run('from tools.runtime import jt', PYTHONPATH=packages, **own)
    assert (code, output, errors) == (0, 'mine /my/config\n', '')


def test_a_renewed_cache_is_no_success(fake_jittor):
    line = refusal(PYTHONPATH=fake_jittor('import sys\nsys.exit(0)'))
    assert 'run the same command again' in line


def test_cuda_that_jittor_cannot_use_is_one_line(fake_jittor, tmp_path):
    nvcc = executable(tmp_path / 'bin' / 'nvcc')
    executable(tmp_path / 'include' / 'cudnn.h')
    packages = fake_jittor('raise RuntimeError("\x1b[38;5;1mCUDA found but cudnn is not loaded:\\n  Develop version not found")')
    line = refusal(A_GPU, PYTHONPATH=packages, PATH=f'{nvcc.parent}{os.pathsep}{os.environ["PATH"]}')
    assert 'cuDNN 8' in line and 'nvcc_path' in line and 'said: CUDA found but cudnn is not loaded: Develop version' in line


def test_the_tests_take_the_gpu_only_where_there_is_one():
    code, _, errors = run(f'{NO_GPU}\nimport pytest, sys\nsys.exit(pytest.main(["tests/network", "--cuda", "--collect-only"]))')
    assert code == pytest.ExitCode.USAGE_ERROR and 'there is no GPU that Jittor can use' in errors


def test_another_error_of_jittor_keeps_its_traceback(fake_jittor):
    code, _, errors = run(f'{NO_GPU}\nfrom tools.runtime import jt', PYTHONPATH=fake_jittor('raise KeyError("broken")'))
    assert code == 1 and 'Traceback' in errors and "KeyError: 'broken'" in errors


SIGNALS = '''
import multiprocessing, signal, subprocess, threading, time
def load():
    global jt
    from tools.fusing.fuser import jt
{load}
assert not multiprocessing.active_children()
for number in (signal.SIGKILL, signal.SIGSEGV):
    child = subprocess.Popen(['sleep', '60'])
    child.send_signal(number)
    child.wait()
jt.ones(3).numpy()
try:
    print('alive', flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print('interrupted', flush=True)
    raise SystemExit(7)
finally:
    print('finally', flush=True)
'''


@pytest.mark.parametrize('load', ['load()', 'thread = threading.Thread(target=load); thread.start(); thread.join()'])
def test_a_killed_child_ends_nothing_and_ctrl_c_is_a_keyboard_interrupt(load):
    process = start(SIGNALS.format(load=load))
    try:
        lines = []
        while process.poll() is None and 'alive\n' not in lines:
            lines.append(process.stdout.readline())
        assert 'alive\n' in lines, process.stderr.read()
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, output) == (7, 'interrupted\nfinally\n')


# Seeds

def test_a_seed_repeats_everything_random():
    def draw(seed):
        set_seed(seed)
        return [*jt.randn(4).numpy(), *np.random.rand(4), random.random()]
    assert draw(5) == draw(5)
    assert not set(draw(5)) & set(draw(6))


@pytest.mark.parametrize('seed', [-1, 2 ** 32])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(UserError, match=f'seed must be from 0 to 4294967295, not {seed}'):
        set_seed(seed)
