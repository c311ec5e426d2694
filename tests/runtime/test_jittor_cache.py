"""Jittor's cache: damaged, full, another's, without locks, in use by another process; and two caches at once."""
import errno
import fcntl
import os
import platform
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
from conftest import REPOSITORY
from new_python import NO_GPU, refusal, run, write_jittor

from tools.base.errors import UserError
from tools.runtime import cache as jittor_cache
from tools.runtime import loading as runtime
from tools.runtime import setup as jittor_setup

CHECK = 'import runpy; runpy.run_module("tools.runtime.setup", run_name="__main__")'
LONELY = '#include <cstdlib>\nstatic int meet() { if (getenv("MET")) abort(); return setenv("MET", "1", 1); } int met = meet();'
LIBRARIES = {'good': 'int good() { return 1; }', 'lonely': LONELY, 'another': LONELY,
             'deadly': 'static int die() { return *(volatile int *)0; } int died = die();',
             'lacking': 'extern int missing; int *lacking = &missing;'}


@pytest.fixture(scope='module')
def libraries(tmp_path_factory):
    """{name: file} of a library that can be loaded, two that can be but not together, one that ends its process, one that cannot be."""
    folder = tmp_path_factory.mktemp('libraries')
    for name, code in LIBRARIES.items():
        (folder / f'{name}.cc').write_text(code)
        subprocess.run(['g++', '-shared', '-fPIC', f'{name}.cc', '-o', f'{name}.so'], cwd=str(folder), check=True)
    return {name: folder / f'{name}.so' for name in LIBRARIES}


@pytest.fixture(scope='module')
def home(tmp_path_factory):
    """A home whose cache is prepared for Jittor's import, but holds nothing of Jittor."""
    folder = tmp_path_factory.mktemp('home')
    assert check(folder) == (0, '', '')
    jittor_setup.place_onednn(folder / '.cache' / 'jittor')
    return folder


@pytest.fixture
def cache(home, libraries):
    """A function that puts a library into the cache of the home, as one of Jittor's operators; returns its path."""
    folder = home / '.cache' / 'jittor' / 'jt1.3.11'

    def add(name, size=None, key=True, python=None):
        path = folder / f'py{python or platform.python_version()}' / 'jit' / f'{name}_op.so'
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(libraries[name], path)
        os.truncate(path, path.stat().st_size if size is None else size)
        if key:
            path.with_name(f'{path.name}.key').write_text('how it was compiled')
        return path
    yield add
    shutil.rmtree(folder)


def check(home):
    """(exit code, output less the table of CUDA, errors) of the check."""
    code, output, errors = run(CHECK, '-S', HOME=home, JITTOR_HOME=None)
    return code, ''.join(line for line in output.splitlines(True) if not line.startswith('|')), errors


# What is damaged

def test_a_sound_cache_is_no_word(cache, home):
    cache('good')
    assert check(home) == (0, '', '')


@pytest.mark.parametrize('name', ['deadly', 'lacking'])
def test_a_library_that_cannot_be_loaded_is_named_even_if_it_ends_the_process(cache, home, name):
    good, bad = cache('good'), cache(name)
    code, output, errors = check(home)
    assert (code, output, errors.count('\n')) == (1, '', 1) and errors.startswith('error: ')
    assert f'damaged; to have it compiled again: rm {bad}\n' in errors and str(good) not in errors
    bad.unlink()  # as it says
    assert check(home) == (0, '', '')


def test_libraries_that_do_not_go_into_one_process_are_no_damage(cache, home):
    another, bad, lonely = cache('another'), cache('deadly'), cache('lonely')
    assert check(home) == (1, '', f'error: what Jittor compiled is damaged; to have it compiled again: rm {bad}\n')
    bad.unlink()
    assert check(home) == (0, '', '') and another.is_file() and lonely.is_file()


@pytest.mark.parametrize('size', [0, 3, 1000, -4000, -1])
def test_a_cut_library_is_named_by_the_check_and_at_each_start(cache, home, tmp_path, libraries, size):
    bad = cache('good', size if size >= 0 else libraries['good'].stat().st_size + size)
    line = f'error: what Jittor compiled is damaged; to have it compiled again: rm {bad}\n'
    assert check(home) == (1, '', line)
    packages = write_jittor(tmp_path / 'packages', 'print("Jittor was not to be imported")')
    assert refusal(NO_GPU, PYTHONPATH=packages, HOME=home, JITTOR_HOME=None) == line


def test_what_jittor_compiles_anew_or_never_loads_is_no_damage(cache, home):
    cache('good', size=0, key=False)  # as one at which compiling was interrupted
    cache('deadly', python='3.0.0')
    assert check(home) == (0, '', '')


def test_a_cut_probe_is_made_anew(home):
    probe, = (home / '.cache' / 'jittor').glob('probe_*.so')
    os.truncate(probe, 1000)
    assert check(home)[0] == 1
    jittor_setup.check_cpp_library(probe.parent)
    assert check(home) == (0, '', '')


# What errors come from

@pytest.mark.parametrize('number, remedy', [(errno.ENOSPC, 'make room'), (errno.EDQUOT, 'make room'),
                                            (errno.EACCES, 'python -m tools.fusing.warm_up'),
                                            (errno.EROFS, 'python -m tools.fusing.warm_up')])
def test_what_the_system_refuses_is_one_line_with_folder_and_remedy(home, tmp_path, number, remedy):
    packages = write_jittor(tmp_path / 'packages', f'raise OSError({number}, "refused")')
    line = refusal(NO_GPU, PYTHONPATH=packages, HOME=home, JITTOR_HOME=None)
    assert f'{home}/.cache/jittor' in line and remedy in line and 'JITTOR_HOME' in line and os.strerror(number) in line


@pytest.mark.parametrize('failing', ['raise {}', 'def ones(count):\n    raise {}'])
@pytest.mark.parametrize('error', ['RuntimeError("broken\\n so")', 'ImportError("broken  so")', 'Exception("Run cmd failed: broken so")'])
def test_another_error_of_the_import_or_of_the_first_operator_is_one_line(home, tmp_path, failing, error):
    line = refusal(NO_GPU, PYTHONPATH=write_jittor(tmp_path / 'packages', failing.format(error)), HOME=home, JITTOR_HOME=None)
    assert f'rm -r {home}/.cache/jittor' in line and 'python -m tools.runtime.setup' in line and 'broken so\n' in line


def test_a_full_disk_is_found_behind_what_jittor_says(tmp_path, monkeypatch):
    def full(**_):
        raise OSError(errno.ENOSPC, 'full')
    error = RuntimeError('Run cmd failed: g++')
    monkeypatch.setattr(jittor_cache.tempfile, 'TemporaryFile', full)
    assert 'No space left on device' in jittor_cache.explanation(error, tmp_path)


def test_a_library_that_was_damaged_meanwhile_is_found_behind_what_jittor_says(cache, home):
    bad = cache('good', 1000)
    script = ('import tools.runtime.cache\nfrom tools.base.script import run_script\n'
              'def main():\n    raise RuntimeError("Cannot open library: file too short")\nrun_script(main)')
    code, _, errors = run(script, HOME=home, JITTOR_HOME=None)
    assert (code, errors) == (1, f'error: what Jittor compiled is damaged; to have it compiled again: rm {bad}\n')


def test_no_room_for_onednn_is_said_with_the_remedy(tmp_path, monkeypatch):
    def full(target):
        raise OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr(jittor_setup, '_copy_onednn', full)
    with pytest.raises(UserError, match=f'cannot put oneDNN into {tmp_path}/mkl: No space left on device: make room.*JITTOR_HOME'):
        jittor_setup.place_onednn(tmp_path)


def test_an_error_that_is_not_of_the_machine_keeps_its_traceback():
    code, _, errors = run('import tools.runtime.cache\nfrom tools.base.script import run_script\n'
                          'def main():\n    raise RuntimeError("shapes")\nrun_script(main)')
    assert code == 1 and 'Traceback' in errors and 'RuntimeError: shapes' in errors


def test_a_file_system_without_programs_is_not_blamed_on_python(tmp_path, monkeypatch):
    def refuse(name):
        raise OSError(f'{name}: failed to map segment from shared object')
    monkeypatch.setattr(jittor_setup.ctypes, 'CDLL', refuse)
    monkeypatch.setattr(os, 'statvfs', lambda path: SimpleNamespace(f_flag=os.ST_NOEXEC))
    with pytest.raises(UserError, match=rf'file system of {tmp_path} does not let programs run \(noexec\).*JITTOR_HOME'):
        jittor_setup.check_cpp_library(tmp_path)
    assert 'noexec' in jittor_cache.explanation(RuntimeError('Cannot open library'), tmp_path)


# Another user's cache

OTHERS = '''
import builtins
plain = builtins.open
def refusing(file, mode='r', *arguments, **options):
    if 'w' in mode and str(file).startswith({folder!r}):
        raise PermissionError(13, 'Permission denied', str(file))
    return plain(file, mode, *arguments, **options)
builtins.open = refusing
from tools.runtime import cache as jittor_cache
def unwritable(**options):
    raise PermissionError(13, 'Permission denied')
jittor_cache.tempfile.TemporaryFile = unwritable
'''


def test_a_cache_that_another_wrote_works(cache, home, tmp_path):
    good = cache('good')
    write = f'\nwith open({str(good.with_suffix(".cc"))!r}, "w") as file:\n    file.write("new")\n'
    good.with_suffix('.cc').write_text('old')
    packages = write_jittor(tmp_path / 'packages', write)
    code, output, errors = run(f'{NO_GPU}{OTHERS.format(folder=str(good.parent))}\nfrom tools.runtime import jt\nimport jittor_utils\n'
                               'print(jt.flags.disable_lock, jittor_utils.lock.lock_path)',
                               PYTHONPATH=packages, HOME=home, JITTOR_HOME=None)
    assert code == 0, errors
    assert good.with_suffix('.cc').read_text() == 'old'
    good.with_suffix('.cc').unlink()  # what is not there cannot be written
    line = refusal(f'{NO_GPU}{OTHERS.format(folder=str(good.parent))}', PYTHONPATH=packages, HOME=home, JITTOR_HOME=None)
    assert 'Permission denied' in line and 'python -m tools.fusing.warm_up' in line


def test_a_cache_whose_lock_is_anothers_is_used_without(home, tmp_path):
    folder = tmp_path / 'packages'
    packages = write_jittor(folder, utils=f'lock.lock_path = {str(tmp_path / "lock")!r}\nopen(lock.lock_path, "w")')
    (tmp_path / 'lock').write_text('')
    before = NO_GPU + OTHERS.format(folder=str(tmp_path / 'lock')).replace('jittor_cache.tempfile.TemporaryFile = unwritable', '')
    code, output, errors = run(f'{before}\nfrom tools.runtime import jt\nimport jittor_utils\n'
                               'print(jt.flags.disable_lock, jittor_utils.lock.disable_lock, jittor_utils.lock.lock_path)',
                               PYTHONPATH=packages, HOME=home, JITTOR_HOME=None)
    assert (code, output) == (0, f'True True {os.devnull}\n'), errors


def test_an_empty_cache_of_another_is_refused(tmp_path, monkeypatch):
    def unwritable(**_):
        raise PermissionError(errno.EACCES, 'Permission denied')
    monkeypatch.setattr(jittor_cache.tempfile, 'TemporaryFile', unwritable)
    monkeypatch.setenv('JITTOR_HOME', str(tmp_path))
    with pytest.raises(UserError, match=f'cannot write its cache folder {tmp_path}/.cache/jittor.*JITTOR_HOME'):
        jittor_cache.cache_folder()


# Several processes, and several caches

def test_caches_of_their_own_do_not_meet_in_a_file_of_the_home(tmp_path):
    """Neither when Jittor starts, nor in what it starts for each operator, nor with a home that cannot be written."""
    home, own = tmp_path / 'home', tmp_path / 'my own'
    home.write_text('')  # no folder
    code = ('import os, subprocess\nfrom tools.runtime import cache as jittor_cache\njittor_utils = jittor_cache._jittor_utils()\n'
            'python = jittor_cache._python_for_operators(jittor_cache.cache_folder())\n'
            'print("home", jittor_utils.home(), os.environ["HOME"])\n'
            'subprocess.run([str(python), "-c", "import jittor_utils; print(\'cache\', jittor_utils.cache_path)"])\n'
            'print("cache", jittor_utils.cache_path)')
    code, output, errors = run(code, HOME=home, JITTOR_HOME=own)
    assert code == 0, errors
    assert f'home {own} {home}\n' in output
    in_operator, in_jittor = [line for line in output.splitlines() if line.startswith('cache ')]
    assert in_operator == in_jittor and in_jittor.startswith(f'cache {own}/.cache/jittor/')
    assert not list(own.rglob('config.json'))


def test_what_jittor_starts_while_it_is_imported_sees_that_home_too(tmp_path):
    """As with CUDA, where it asks another Python for the cards."""
    packages = write_jittor(tmp_path / 'packages', 'import os\nos.system("echo home $HOME")\n')
    code, output, errors = run(f'{NO_GPU}\nimport os\nfrom tools.runtime import jt\nprint("then", os.environ["HOME"])',
                               PYTHONPATH=packages, HOME='/nowhere', JITTOR_HOME=tmp_path)
    assert (code, output) == (0, f'home {tmp_path}\nthen /nowhere\n'), errors


def test_jittor_compiles_operators_with_that_python(tmp_path):
    packages = write_jittor(tmp_path / 'packages')
    code, output, errors = run(f'{NO_GPU}\nfrom tools.runtime import jt\nprint(jt.flags.python_path)', PYTHONPATH=packages,
                               HOME='/nowhere', JITTOR_HOME=tmp_path)
    assert (code, output) == (0, f'"{tmp_path}/.cache/jittor/python.sh"\n'), errors
    program = [output.strip().strip('"'), '-c', 'import os, sys; print(os.environ["HOME"], sys.executable)']
    shown = subprocess.check_output(program, text=True)
    assert shown == f'{tmp_path} {sys.executable}\n'


@pytest.mark.parametrize('name', ['flock', 'lockf'])  # taken while another starts, and while it compiles operators
def test_waiting_for_another_process_is_said(tmp_path, monkeypatch, capsys, name):
    held, said = [True], []

    def take(file, flags):
        if held:
            raise BlockingIOError(errno.EAGAIN, 'held')

    def pause(seconds):
        said.append(capsys.readouterr().err)
        held.clear()
    (tmp_path / 'lock').write_text('')
    monkeypatch.setattr(fcntl, name, take)
    monkeypatch.setattr(jittor_cache, 'PATIENCE', -1)
    monkeypatch.setattr(jittor_cache.time, 'sleep', pause)
    assert jittor_cache._wait_for_others(tmp_path / 'lock', tmp_path) is True
    assert said == [f'waiting for another process, which compiles in {tmp_path}\n'] and capsys.readouterr().err == ''


# File systems without locks

def test_a_cache_without_locks_works_with_one_warning(no_locks, tmp_path):
    (tmp_path / 'lock').write_text('')
    with pytest.warns(UserWarning, match='has no locks') as given:
        assert jittor_cache._wait_for_others(tmp_path / 'lock', tmp_path) is False
        jittor_setup.place_onednn(tmp_path)
    assert len(given) == 1 and (tmp_path / 'mkl' / jittor_setup.ONEDNN_FOLDER / jittor_setup.LOOKED_FOR).is_file()


def test_onednn_is_locked_only_where_it_is_copied(tmp_path, monkeypatch):
    jittor_setup.place_onednn(tmp_path)
    (tmp_path / 'mkl.lock').unlink()
    monkeypatch.setattr(fcntl, 'flock', None)
    jittor_setup.place_onednn(tmp_path)
    assert not (tmp_path / 'mkl.lock').exists()


# What a program of the user's own does with processes and flags

def test_a_fork_after_loading_is_refused_where_it_would_hang(tmp_path):
    code = '''
import os
from tools.base.errors import UserError
from tools.runtime import usual_jittor
if os.fork():
    os.wait()
else:
    try:
        with usual_jittor():
            print('computed')
    except UserError as error:
        print(error)
'''
    code, output, errors = run(f'{NO_GPU}{code}', PYTHONPATH=write_jittor(tmp_path / 'packages'))
    assert code == 0 and 'in a fork' in output and "get_context('spawn')" in output and 'computed' not in output, errors


def test_eager_execution_of_the_users_own_does_not_reach_the_network(monkeypatch):
    monkeypatch.setattr(runtime.jt.flags, 'lazy_execution', 0)
    with runtime.usual_jittor():
        assert runtime.jt.flags.lazy_execution == 1
    assert runtime.jt.flags.lazy_execution == 0


def test_jittor_is_imported_whatever_a_program_sets_for_its_own_processes_and_operators(tmp_path):
    """Processes that spawn would import the program, and with it Jittor, for which they would wait."""
    script = tmp_path / 'program.py'
    script.write_text('import multiprocessing\nmultiprocessing.set_start_method("spawn")\nfrom tools.runtime import jt\n'
                      'print("sum", jt.ones(3).sum().item(), multiprocessing.get_start_method(), jt.flags.lazy_execution)')
    ended = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=300,
                           env={**os.environ, 'PYTHONPATH': str(REPOSITORY), 'lazy_execution': '0'})
    assert ended.returncode == 0 and ended.stdout.count('sum 3.0 spawn 1\n') == 1, ended.stderr


def test_without_shared_memory_jittor_compiles_in_one_process(tmp_path):
    broken = ('import multiprocessing.synchronize\ndef missing(*_, **__):\n    raise FileNotFoundError(2, "No such file or directory")\n'
              'multiprocessing.synchronize.Lock = missing')
    code, output, errors = run(f'{NO_GPU}\n{broken}\nimport os; from tools.runtime import jt\nprint(os.environ["DISABLE_MULTIPROCESSING"])',
                               PYTHONPATH=write_jittor(tmp_path / 'packages'))
    assert (code, output) == (0, '1\n') and errors.count('/dev/shm is missing or cannot be written') == 1, errors
