"""Jittor's cache, the part of a user's machine that breaks: where it is, what in it is damaged, and what Jittor's errors come from.

Like tools/runtime/setup.py it imports nothing but Python's own.
"""
import builtins
import contextlib
import errno
import json
import multiprocessing
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools.base.errors import EXPLAINERS, UserError
from tools.base.files import NO_LOCKS, lock, warn_of_no_locks, whole_file
from tools.base.mpi import FIRST
from tools.runtime.processes import can_start_processes

COLOUR = r'\x1b\[[0-9;]*m'  # of Jittor's messages in a terminal
SAID = 300  # characters at either end of what Jittor said, which may be pages
NAMED = 3  # damaged files
ELSEWHERE = 'set the environment variable JITTOR_HOME to a folder'
CANNOT_LOAD = f'the file system of {{}} does not let programs run (noexec): {ELSEWHERE} of another one, where they may'
REMEDIES = {
    errno.ENOSPC: f'make room, or {ELSEWHERE} on another disk',
    errno.EDQUOT: f'make room, or {ELSEWHERE} on another disk',
    errno.EACCES: 'what is not compiled there yet has to be compiled by those who may write it (python -m tools.fusing.warm_up), '
                  f'or {ELSEWHERE} of your own'}
REMEDIES.update({errno.EPERM: REMEDIES[errno.EACCES], errno.EROFS: REMEDIES[errno.EACCES]})
ROOM = 2 ** 22  # bytes: more than what one operator takes
# What errors say when compiling or loading fails.
OF_OPERATORS = 'Run cmd failed', 'Source read failed', 'Cannot open library', 'Loading symbol'
PATIENCE = 5  # seconds that another process may take to start Jittor, without a word
PAUSE = 0.1  # seconds
# Loads libraries, any of which may end the process, and prints a line for each: what is wrong with it itself, not with another that
# it needs.
LOAD = '''
import ctypes, os, sys
system = ctypes.CDLL(None)
system.dlopen.restype, system.dlerror.restype = ctypes.c_void_p, ctypes.c_char_p
for path in sys.argv[1:]:
    loaded = system.dlopen(os.fsencode(path), os.RTLD_LAZY)
    reason = b"" if loaded else system.dlerror()
    print(os.fsdecode(reason) if reason.startswith(os.fsencode(path) + b":") else "", flush=True)
'''
LOADING_TIME = 60  # seconds
ELF_HEADER = 64  # bytes


# ---- where it is

def cache_folder():
    """The folder where Jittor keeps what it compiled. UserError if it cannot be written, unless what others compiled there can be read.

    Jittor takes it from the environment variable JITTOR_HOME, or else from a file in which it notes it itself, but see `_home_of_jittor`.
    """
    variable = 'JITTOR_HOME' if 'JITTOR_HOME' in os.environ else 'HOME'
    remedy = f'set the environment variable {variable} to a folder where you may write'
    try:
        home = Path(os.environ['JITTOR_HOME']).absolute() if variable == 'JITTOR_HOME' else Path.home()
    except (RuntimeError, KeyError):
        raise UserError(f'it is not known where to keep what Jittor compiles: {remedy}') from None
    folder = home / '.cache' / 'jittor'
    _check_usable(folder, remedy)
    remembered = folder / 'config.json'
    try:
        text = remembered.read_text(encoding='utf-8') if remembered.is_file() else '{}'
        remembered_home = Path(json.loads(text).get('JITTOR_HOME', home))
    except (OSError, ValueError, AttributeError, TypeError):
        raise UserError(f'{remembered}, where Jittor remembers its cache folder, is damaged: delete it') from None
    if variable == 'HOME' and remembered_home != home:
        folder = remembered_home / '.cache' / 'jittor'
        _check_usable(folder, f'delete {remembered}, which remembers it from a run with JITTOR_HOME')
    return folder


def _check_usable(folder, remedy):
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=str(folder)):
            pass
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EROFS) and _compiled(folder):
            return
        remedy = REMEDIES[error.errno] if error.errno in (errno.ENOSPC, errno.EDQUOT) else remedy
        raise UserError(f'Jittor cannot write its cache folder {folder} ({error.strerror}): {remedy}') from error


def made_once(target, fill):
    """target, a folder in Jittor's cache folder: unless it is there, fill(another folder) makes what is renamed to it.

    So it is whole or not there at all. What an interruption left is removed, and of several processes one makes it. UserError if none can.
    """
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(exist_ok=True)
        with open(target.parent / 'lock', 'w') as file:
            lock(file)
            if not target.is_dir():  # now
                for left in target.parent.glob('*.partial'):
                    shutil.rmtree(left)
                partial = target.with_name(f'{target.name}.partial')
                partial.mkdir()
                fill(partial)
                partial.rename(target)
    except OSError as error:
        remedy = f': {REMEDIES[error.errno]}' if error.errno in REMEDIES else ''
        raise UserError(f'cannot make {target}: {error.strerror or error}{remedy}') from error
    return target


# ---- what is damaged

def _compiled(folder):
    """The libraries that Jittor compiled there for this Python, and oneDNN's: those first of which the others take something."""
    found = [path for path in folder.rglob('*.so*') if path.suffix != '.key' and not path.is_symlink() and path.is_file()]
    own = [path for path in found if not path.relative_to(folder).parts[0].startswith('jt')
           # Without its key Jittor compiles a file anew, as one at which it was interrupted.
           or f'py{platform.python_version()}' in path.parts and path.with_name(f'{path.name}.key').is_file()]
    return sorted(own, key=lambda path: (len(path.parts), path))


def is_cut(path):
    """Whether a library ends before its last part, the table of its sections, or is none."""
    with open(path, 'rb') as file:
        header = file.read(ELF_HEADER)
    number = lambda start, end: int.from_bytes(header[start:end], 'little')
    return header[:4] != b'\x7fELF' or path.stat().st_size < number(40, 48) + number(58, 60) * number(60, 62)


def check_cache(folder):
    """UserError if a library that Jittor compiled is cut off, or cannot be loaded; all are loaded in processes that may end of it."""
    libraries = _compiled(folder)
    _refuse([path for path in libraries if is_cut(path)], folder)
    damaged = []
    while libraries:
        reasons = _reasons_not_to_load(libraries)
        # One that ends its process may be sound: those of two of Jittor's caches do not go into one process. So it begins the next.
        reasons = reasons or ['it ends the process']
        damaged += [path for path, reason in zip(libraries, reasons) if reason]
        libraries = libraries[len(reasons):]
    _refuse(damaged, folder)


def _reasons_not_to_load(libraries):
    """What is wrong with each library, '' if nothing, loaded one after another in a process: up to that at which the process ends."""
    try:
        # -S: without packages. gdb, which Jittor calls to its own crashes, takes minutes.
        tried = subprocess.run([sys.executable, '-S', '-c', LOAD, *map(str, libraries)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               env={**os.environ, 'gdb_path': ''}, timeout=LOADING_TIME).stdout
    except subprocess.TimeoutExpired as late:
        tried = late.stdout or b''
    return os.fsdecode(tried).split('\n')[:-1]


def _refuse(damaged, folder):
    if damaged:
        names = ' '.join(shlex.quote(str(path)) for path in damaged[:NAMED])
        more = f' … ({len(damaged)} files; or all that Jittor compiled: rm -r {shlex.quote(str(folder))})' if len(damaged) > NAMED else ''
        raise UserError(f'what Jittor compiled is damaged; to have it compiled again: rm {names}{more}')


# ---- the import of Jittor

@contextlib.contextmanager
def opened(folder):
    """Around `import jittor`: it works with a cache that others wrote, waits with a word, and is not asked to load what is cut off.

    folder: from `cache_folder`. UserError for damaged files.
    """
    if not can_start_processes():
        os.environ['DISABLE_MULTIPROCESSING'] = '1'  # Jittor's own
    with _what_others_wrote_kept() as kept, _home_of_jittor():
        jittor_utils = _jittor_utils()
        # Its processes only compile: started in another way, as a program may have set, they would import that program.
        jittor_utils.Pool = multiprocessing.get_context('fork').Pool
        jittor_lock = jittor_utils.lock
        if kept or not _wait_for_others(jittor_lock.lock_path, folder):
            jittor_lock.lock_path, jittor_lock.disable_lock = os.devnull, True
        _refuse([path for path in _compiled(folder) if is_cut(path)], folder)
        yield
        jittor = sys.modules['jittor']
        jittor.flags.disable_lock = jittor_lock.disable_lock
        jittor.flags.lazy_execution = 1  # Jittor takes its flags from the environment; with this one other operators are fused
        if 'JITTOR_HOME' in os.environ:
            jittor.flags.python_path = f'"{_python_for_operators(folder)}"'


@contextlib.contextmanager
def _home_of_jittor():
    """Around what Jittor does, or starts, while it is imported.

    At each start with another JITTOR_HOME than before, Jittor notes it in the user's home, in a file that all it starts to compile reads:
    two jobs with caches of their own would meet there. So with a JITTOR_HOME it is told that this is the home, too.
    """
    home = os.environ.get('HOME')
    if 'JITTOR_HOME' in os.environ:
        os.environ['HOME'] = os.environ['JITTOR_HOME'] = os.path.abspath(os.environ['JITTOR_HOME'])
    try:
        yield
    finally:
        os.environ.pop('HOME', None)
        if home is not None:
            os.environ['HOME'] = home


def _jittor_utils():
    """The first part of Jittor, imported."""
    with _home_of_jittor():
        import jittor_utils
        return jittor_utils


def _python_for_operators(folder):
    """A program as which Jittor can start Python for each operator that it compiles, so that the home is there as in `_home_of_jittor`."""
    path, text = folder / 'python.sh', f'#!/bin/sh\nHOME={shlex.quote(os.environ["JITTOR_HOME"])} exec {shlex.quote(sys.executable)} "$@"\n'
    if not (path.is_file() and path.read_text() == text):
        with whole_file(path) as temporary:
            temporary.write_text(text)
            temporary.chmod(0o755)
    return path


@contextlib.contextmanager
def _what_others_wrote_kept():
    """Files that may not be written, and are there, are opened for writing as if they could be; yields a list of them.

    Jittor writes at each start what it wrote before. Where it would be something else, what is compiled does not fit, and an error follows.
    """
    kept, plain = [], builtins.open

    def open_unless_kept(file, mode='r', *arguments, **options):
        try:
            return plain(file, mode, *arguments, **options)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EROFS) or 'w' not in mode or not os.path.isfile(file):
                raise
            kept.append(file)
            return plain(os.devnull, mode, *arguments, **options)
    builtins.open = open_unless_kept
    try:
        yield kept
    finally:
        builtins.open = plain


def _wait_for_others(path, folder):
    """Wait, after some seconds with a word, until no other process starts Jittor or compiles. Returns whether the file system has locks.

    path: of the file that Jittor locks.
    """
    import fcntl  # here, since Windows does not have it
    said, start = not FIRST, time.monotonic()
    with open(path, 'r+') as file:
        for take in (fcntl.flock, fcntl.lockf):  # the one while Jittor starts, the other while it compiles operators
            while True:
                try:
                    take(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError as error:
                    if error.errno in NO_LOCKS:
                        warn_of_no_locks()
                        return False
                    if not isinstance(error, (BlockingIOError, PermissionError)):
                        raise
                if not said and time.monotonic() - start > PATIENCE:
                    print(f'waiting for another process, which compiles in {folder}', file=sys.stderr, flush=True)
                    said = True
                time.sleep(PAUSE)
    return True


# ---- what an error comes from

def is_of_an_operator(error):
    """Whether Jittor raised this since an operator could not be compiled or loaded."""
    return any(text in str(error) for text in OF_OPERATORS)


def explanation(error, folder):
    """What the machine lacks, or what is damaged, if Jittor raised this, and the remedy, as one line; '' if nothing is found.

    folder: from `cache_folder`.
    """
    cache = Path(getattr(sys.modules.get('jittor_utils'), 'cache_path', folder))
    for number, place in ((getattr(error, 'errno', None), folder), (_refusal(cache), cache), (_refusal(tempfile.gettempdir()), 'TMPDIR')):
        if number in REMEDIES:
            return f'Jittor cannot compile in {place} ({os.strerror(number)}): {REMEDIES[number]}'
    if os.statvfs(str(folder)).f_flag & os.ST_NOEXEC:
        return CANNOT_LOAD.format(folder)
    try:
        check_cache(folder)
    except UserError as damage:
        return str(damage)
    return ''


def unexplained(error, folder):
    """A line for an error of Jittor's that has no `explanation`."""
    return (f'Jittor does not work with its cache {folder}: python -m tools.runtime.setup checks both, and '
            f'rm -r {shlex.quote(str(folder))} makes it compile everything again. It said: {plain(error)}')


def plain(error):
    """What an error of Jittor's says, in one line, without colours, and the middle of pages."""
    said = ' '.join(re.sub(COLOUR, '', str(error)).split())
    return said if len(said) <= 2 * SAID else f'{said[:SAID]} … {said[-SAID:]}'


def _refusal(folder):
    """Why the system does not let a file be written into a folder, as an errno; None if it does."""
    try:
        with tempfile.TemporaryFile(dir=str(folder)) as file:
            file.write(bytes(ROOM))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno
    return None


def explain(error):
    """What to do about an error of one of Jittor's operators; None for other errors."""
    return explanation(error, cache_folder()) or unexplained(error, cache_folder()) if is_of_an_operator(error) else None


EXPLAINERS.append(explain)
