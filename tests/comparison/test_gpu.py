"""The check on a GPU: its parts in turn, the result of each kept, and a time limit; small programs in place of the real commands."""
import re
import sys
import time
from pathlib import Path

import pytest

import args_auto
import args_trans
from comparison import __main__ as comparison
from comparison import gpu
from tools.base.settings import parse_settings
from tools.scenes import __main__ as scenes


@pytest.fixture
def check(tmp_path, monkeypatch):
    """Runs the check with programs in place of the commands of parts -> (exit code, the rows of README.md, {part: what it said})."""
    monkeypatch.setattr(gpu, 'what_is_there', lambda place: '| CUDA | found |\n')

    def checked(programs, *arguments):
        monkeypatch.setattr(gpu, 'commands', lambda part, *_: [[sys.executable, '-c', program] for program in programs[part]])
        monkeypatch.setattr(sys, 'argv', ['gpu', '--out', str(tmp_path / 'out'), '--work', str(tmp_path / 'work'), '--parts', *programs,
                                          *arguments])
        code = gpu.main()
        rows = re.findall(r'^\| (.+) \| .+ \| (.+) \| \d+ s \| (.*) \|$', (tmp_path / 'out' / 'README.md').read_text(), re.MULTILINE)
        return code, rows, {path.stem: path.read_text() for path in tmp_path.glob('out/*.log')}
    return checked


def test_a_part_that_fails_does_not_keep_the_next_from_its_turn(check):
    code, rows, said = check({'tests': ['print("one")', 'import sys; print("two"); sys.exit(3)', 'print("three")'],
                              'compile': ['print("compiled")'], 'speed': [''], 'training': ['import nothing_like_it']})
    assert code == 1
    assert rows == [
        ('compile', 'passed', 'compiled'), ('tests', 'failed: exit code 3', 'two'),
        ('training', 'failed: exit code 1', "ModuleNotFoundError: No module named 'nothing_like_it'"),
        ('speed', 'not done: it takes --original', '')]
    assert 'one' in said['tests'] and 'two' in said['tests'] and '\nthree' not in said['tests']


def test_when_the_minutes_are_over_all_that_a_part_has_started_ends(check, tmp_path):
    child = f'import time; time.sleep(30); open({str(tmp_path / "left")!r}, "w")'
    started = time.monotonic()
    code, rows, said = check({'compile': [f'import subprocess, sys, time; subprocess.Popen([sys.executable, "-c", {child!r}]); '
                                          'print("begun", flush=True); time.sleep(60)'], 'tests': ['']}, '--minutes', '0.03')
    assert code == 1 and 'begun' in said['compile'] and time.monotonic() - started < 25
    assert [row[:2] for row in rows] == [('compile', gpu.TIME_OVER), ('tests', 'not done: the minutes were over')]


def test_what_is_set_up_has_no_toolkit_but_the_packages(tmp_path, monkeypatch):
    (tmp_path / 'cuda').mkdir()
    (tmp_path / 'cuda' / 'nvcc').touch()
    monkeypatch.setenv('PATH', f'{tmp_path}/cuda:/bin')
    nvcc = tmp_path / 'home/.cache/jittor/cuda/toolkit_1/bin/nvcc'
    nvcc.parent.mkdir(parents=True)
    nvcc.touch()
    place = gpu.fresh_place(gpu.Args(wheels='wheels'), tmp_path)
    assert {name: place.environment[name] for name in ('PATH', 'nvcc_path', 'JITTOR_HOME', 'PIP_NO_INDEX', 'PIP_FIND_LINKS')} == {
        'PATH': '/bin', 'nvcc_path': str(nvcc), 'JITTOR_HOME': str(tmp_path / 'home'), 'PIP_NO_INDEX': '1',
        'PIP_FIND_LINKS': str(Path('wheels').resolve())}


SETTINGS = {'train_autoencoder.py': args_auto, 'train_conv_trans.py': args_trans, 'tools.scenes': scenes, 'comparison': comparison}


@pytest.mark.parametrize('part', gpu.PARTS)
def test_the_commands_give_settings_that_there_are(part, tmp_path):
    (tmp_path / 'sides' / 'seeds').mkdir(parents=True)
    settings = gpu.Args(original=str(tmp_path), cuda=False)
    for command in gpu.commands(part, settings, gpu.Place('python', {}), tmp_path):
        words = [str(word) for word in command if word not in ('python', '-m')]
        for name in set(words) & set(SETTINGS):
            parsed = parse_settings(SETTINGS[name].Args, '', words[words.index(name) + 1:])
            assert getattr(parsed, 'cuda', False) is False
