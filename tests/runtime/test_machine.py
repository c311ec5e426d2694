"""What a machine leaves to a process: cores, and further processes that work for it."""
import multiprocessing.synchronize
import os
import re
import subprocess
import sys

import pytest
from conftest import REPOSITORY

from tools.evaluation.scoring import run_in_parallel
from tools.runtime import processes
from tools.runtime.processes import cores


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of 64 cores, 16 of which this process may use; returns a function that writes files of control groups, {name: text}."""
    def write(texts):
        for name, text in texts.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
    write({'of_this': ''})
    monkeypatch.setattr(processes, 'CGROUPS', tmp_path)
    monkeypatch.setattr(processes, 'CGROUPS_OF_THIS', tmp_path / 'of_this')
    monkeypatch.setattr(os, 'cpu_count', lambda: 64)
    monkeypatch.setattr(os, 'sched_getaffinity', lambda process: set(range(16)), raising=False)
    return write


SECOND, FIRST = '0::/job/step\n', '3:memory:/x\n2:cpu,cpuacct:/job\n0::/\n'


@pytest.mark.parametrize('texts, expected', [
    ({}, 16),
    ({'of_this': SECOND}, 16),  # without files
    ({'of_this': SECOND, 'job/step/cpu.max': 'max 100000\n'}, 16),
    ({'of_this': SECOND, 'job/step/cpu.max': '400000 100000\n'}, 4),
    ({'of_this': SECOND, 'job/step/cpu.max': 'max 100000\n', 'job/cpu.max': '250000 100000\n'}, 3),  # of the group above it
    ({'of_this': SECOND, 'cpu.max': '10000 100000\n'}, 1),  # as a container shows its own
    ({'of_this': SECOND, 'cpu.max': '9900000 100000\n'}, 16),
    ({'of_this': FIRST, 'cpu,cpuacct/job/cpu.cfs_quota_us': '200000\n', 'cpu,cpuacct/job/cpu.cfs_period_us': '100000\n'}, 2),
    ({'of_this': FIRST, 'cpu,cpuacct/job/cpu.cfs_quota_us': '-1\n', 'cpu,cpuacct/job/cpu.cfs_period_us': '100000\n'}, 16),
])
def test_cores_are_those_that_may_be_used(machine, texts, expected):
    machine(texts)
    assert cores() == expected


def test_processes_of_mpirun_divide_them(machine, monkeypatch):
    monkeypatch.setattr(processes, 'COUNT_HERE', 8)
    assert cores() == 8
    machine({'of_this': SECOND, 'cpu.max': '400000 100000\n'})
    assert cores() == 1


def test_a_system_without_affinity_or_control_groups(machine, monkeypatch):
    monkeypatch.delattr(os, 'sched_getaffinity')
    monkeypatch.setattr(processes, 'CGROUPS_OF_THIS', processes.CGROUPS / 'missing')
    assert cores() == 64


@pytest.mark.parametrize('error', [FileNotFoundError(2, 'No such file or directory'), PermissionError(13, 'Permission denied'),
                                   OSError(38, 'Function not implemented'), ImportError('no sem_open')])
def test_without_shared_memory_one_process_scores_and_a_line_says_so(monkeypatch, error):
    def missing(*_, **__):
        raise error
    monkeypatch.setattr(multiprocessing.synchronize, 'Lock', missing)
    processes.can_start_processes.cache_clear()
    with pytest.warns(UserWarning, match='/dev/shm is missing or cannot be written') as given:
        for _ in range(2):
            assert run_in_parallel(lambda task: (task, os.getpid()), [1, 2], 2) == [(1, os.getpid()), (2, os.getpid())]
    assert len(given) == 1
    processes.can_start_processes.cache_clear()


def test_a_program_without_a_main_guard_scores_in_processes_whatever_their_start_method(tmp_path):
    program = tmp_path / 'program.py'
    program.write_text('import multiprocessing, os\nmultiprocessing.set_start_method("fork")\nprint("started")\n'
                       'from tools.evaluation.scoring import run_in_parallel\n'
                       'print(run_in_parallel(abs, [-1, -2], 2))\n')
    ended = subprocess.run([sys.executable, str(program)], cwd=tmp_path, env={**os.environ, 'PYTHONPATH': str(REPOSITORY)},
                           capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, 'started\n[1, 2]\n'), ended.stderr


def test_beside_a_package_tools_of_the_users_own_the_line_of_the_docs_works(tmp_path):
    line, = re.findall(r'^run\(.*', (REPOSITORY / 'docs' / 'other_programs.md').read_text(encoding='utf-8'), re.MULTILINE)
    (tmp_path / 'tools').mkdir()
    (tmp_path / 'tools' / '__init__.py').write_text('print("the tools of the user")')
    (tmp_path / 'program.py').write_text('import tools\nfrom subprocess import run\n'
                                         f'ir, vi, out, repository = "--help", "x", "x", {str(REPOSITORY)!r}\n'
                                         f'{line.replace("check=True", "check=False")}')
    ended = subprocess.run([sys.executable, 'program.py'], cwd=tmp_path, capture_output=True, text=True, env={
        **os.environ, 'PATH': f'{os.path.dirname(sys.executable)}{os.pathsep}{os.environ["PATH"]}'})
    assert ended.stdout == 'the tools of the user\n' and ended.stderr.startswith('error: ') and '--ir' in ended.stderr, ended.stderr
