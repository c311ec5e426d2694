"""A new Python that runs some code in the repository, and a stand-in for Jittor that it may find there."""
import os
import subprocess
import sys

from conftest import REPOSITORY

from tools.runtime import setup as jittor_setup

# What Jittor and its set-up leave in the environment of this process, which a new one is to find out for itself.
LEFT_BY_JITTOR = ('cc_path', 'nvcc_path', 'python_config_path', 'cache_name', 'PYTHONPATH', *jittor_setup.NOT_NEEDED)
NO_GPU = 'from tools.runtime import setup as jittor_setup; jittor_setup.has_gpu = lambda: False'
A_GPU = 'from tools.runtime import setup as jittor_setup; jittor_setup.has_gpu = lambda: True'


def start(code, *options, **variables):
    """A new Python that runs `code`, with variables added to its environment (None: removed)."""
    environment = {name: value for name, value in os.environ.items() if name not in LEFT_BY_JITTOR}
    environment.update({name: str(value) for name, value in variables.items() if value is not None})
    for name in [name for name, value in variables.items() if value is None]:
        environment.pop(name, None)
    return subprocess.Popen([sys.executable, *options, '-c', code], cwd=str(REPOSITORY), env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)


def run(code, *options, **variables):
    """(exit code, output, errors) of a new Python that runs `code`."""
    process = start(code, *options, **variables)
    output, errors = process.communicate(timeout=300)
    return process.returncode, output, errors


def refusal(before='', *options, **variables):
    """The one line with which the import of tools.runtime ends a new Python, after the code `before`."""
    code, output, errors = run(f'{before}\nfrom tools.runtime import jt\nprint("imported")', *options, **variables)
    assert (code, output) == (1, '') and errors.startswith('error: ') and errors.count('\n') == 1, errors
    return errors


def executable(path, script='#!/bin/sh\nexit 1\n'):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script)
    path.chmod(0o755)
    return path


JITTOR = '''
from types import SimpleNamespace
nn, flags, ones = None, SimpleNamespace(), lambda count: SimpleNamespace(numpy=lambda: None)
'''
JITTOR_UTILS = '''
import tempfile
from types import SimpleNamespace
pool_size, cache_path = 0, tempfile.mkdtemp()
lock = SimpleNamespace(lock_path=cache_path + '/jittor.lock', disable_lock=False)
open(lock.lock_path, 'w').close()
'''


def write_jittor(folder, code='', utils=''):
    """Write packages `jittor` and `jittor_utils` that do what a start asks of them, and then run the
    given code; returns `folder`."""
    (folder / 'jittor').mkdir(parents=True)
    (folder / 'jittor' / '__init__.py').write_text(JITTOR + code)
    (folder / 'jittor_utils.py').write_text(JITTOR_UTILS + utils)
    return folder
