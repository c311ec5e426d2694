"""CUDA from packages: those of requirements-gpu.txt, installed, and put together in the shape of a toolkit.

    python -m tools.runtime.wheels

They share a few folders in Python's; a toolkit, as Jittor expects it, is made of links to them, in Jittor's cache folder.
Imports nothing but Python's own.
"""
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tools.base.errors import UserError
from tools.base.script import run_script
from tools.runtime.cache import cache_folder, made_once

REQUIREMENTS = Path(__file__).resolve().parent.parent.parent / 'requirements-gpu.txt'
COMPILER = 'nvidia-cuda-nvcc'  # without it the packages are no toolkit: PyTorch brings some of the others
INSTALL = 'pip install -r requirements-gpu.txt'
ROOM = 4  # GB: the packages take 2.4, and while pip unpacks them, what it downloaded 1.5
DIGEST = 8  # hexadecimal digits in the name of the toolkit
NO_CONNECTION = 'NewConnectionError', 'ConnectionError', 'Connection aborted', 'Name or service not known', 'name resolution', 'timed out'


def pinned():
    """{package: version} of requirements-gpu.txt."""
    return dict(re.findall(r'^([\w-]+)==(\S+)', REQUIREMENTS.read_text(encoding='utf-8'), re.MULTILINE))


def wheels_toolkit(folder, distribution):
    """(path of nvcc in a toolkit made of the installed packages, or None; one line that says what is wrong with them, or '').

    folder: Jittor's cache folder. distribution: a function that gives what pip knows of a package, or None.
    UserError if the toolkit cannot be made.
    """
    installed = {name: distribution(name) for name in pinned()}
    if not installed[COMPILER]:
        return None, ''
    for name, version in pinned().items():
        found = installed[name].version if installed[name] else 'missing'
        if found != version:
            return None, f'{name} is {found}, and requirements-gpu.txt has {version}: {INSTALL}'
    files = [Path(str(file.locate())) for package in installed.values() for file in package.files or ()]
    missing = next((path for path in files if path.parts[-2:] == ('bin', 'nvcc') and not path.is_file()), None)
    if missing:
        return None, f'{missing} is missing: {INSTALL} --force-reinstall'
    which = hashlib.sha256(repr((sorted(pinned().items()), sorted(map(str, files))[:1])).encode()).hexdigest()[:DIGEST]
    toolkit = made_once(folder / 'cuda' / f'toolkit_{which}', lambda target: _link(files, target))
    return toolkit / 'bin' / 'nvcc', ''


def _link(files, target):
    """Make a toolkit of links: bin and nvvm as wholes, since Jittor follows links of files; headers and libraries in one folder each."""
    for path in files:
        for part in ('bin', 'nvvm'):
            if part in path.parts and path.is_file() and not (target / part).is_symlink():
                (target / part).symlink_to(next(parent for parent in path.parents if parent.name == part), target_is_directory=True)
    headers = {parent for path in files for parent in path.parents if parent.name == 'include' and parent.parent.parent.name == 'nvidia'}
    (target / 'include').mkdir()
    for folder in sorted(headers):
        for header in folder.iterdir():
            if not (target / 'include' / header.name).is_symlink():  # as the two __init__.py
                (target / 'include' / header.name).symlink_to(header)
    (target / 'lib64').mkdir()
    for library in sorted(path for path in files if path.parent.name == 'lib' and ('.so' in path.name or path.suffix == '.a')):
        (target / 'lib64' / library.name).symlink_to(library)
        if library.suffix == '.a':
            continue
        plain = target / 'lib64' / f'{library.name.split(".so")[0]}.so'
        if not plain.is_symlink():
            plain.symlink_to(library.name)


def install():
    """Have pip install the packages into this Python, and make the toolkit. UserError: no room, no connection, or what pip says."""
    free = shutil.disk_usage(sys.prefix).free / 1e9
    if free < ROOM:
        raise UserError(f'{sys.prefix} has {free:.1f} GB free, and the packages of CUDA take {ROOM} while they are installed: make room')
    print(f'== {REQUIREMENTS.name}: 1.5 GB to download, 2.4 GB installed', flush=True)
    ended = subprocess.run([sys.executable, '-m', 'pip', 'install', '--no-cache-dir', '--requirement', str(REQUIREMENTS)],
                           stderr=subprocess.PIPE, universal_newlines=True, errors='replace')
    if ended.returncode:
        raise UserError(_refusal(ended.stderr))
    from importlib import metadata  # here, since Python 3.7, for which tools/runtime/setup.py has a message, does not have it
    nvcc, wrong = wheels_toolkit(cache_folder(), metadata.distribution)
    if wrong:
        raise UserError(wrong)
    print(f'== a toolkit of them: {nvcc.parent.parent}')


def _refusal(said):
    """What to do about an error of pip's, which said this."""
    if os.strerror(28) in said:
        return f'the disk is full: the packages of CUDA take {ROOM} GB while they are installed in {sys.prefix}, and in TMPDIR'
    if any(text in said for text in NO_CONNECTION):
        return (f'the packages of CUDA cannot be downloaded: on a machine with internet run pip wheel -r {REQUIREMENTS.name} -w wheels, '
                f'and here pip install --no-index --find-links wheels -r {REQUIREMENTS.name}')
    errors = [line for line in said.splitlines() if line.startswith('ERROR')] or said.splitlines()[-1:]
    return f'pip cannot install {REQUIREMENTS.name}; it said: {" ".join(" ".join(errors).split())}'


if __name__ == '__main__':
    run_script(install)
