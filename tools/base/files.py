"""Files that are written whole or not at all, and text that goes into them."""
import contextlib
import errno
import functools
import os
import warnings
from pathlib import Path

from tools.base.errors import ESCAPED, UserError
from tools.base.mpi import FIRST

NO_LOCKS = errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP  # what file systems without locks answer

MISTAKEN = {  # what may lie in the place of a file → how it begins
    'a Git LFS pointer (`git lfs pull` gets the file itself)': (b'version https://git-lfs',),
    'a saved HTML page (download the file itself)': (b'<!doctype html', b'<html'),
}


@contextlib.contextmanager
def whole_file(path):
    """Yield a temporary path beside `path`; rename it to `path` on success, remove it on any failure.

    The temporary name keeps the extension, since libraries choose the format by it. A missing parent folder is made.
    The data is on the disk before the rename, so a crash leaves the old file or the new one, never a piece.
    Raises UserError where the system refuses (disk full, no permission); whatever stood at `path` is intact then.
    """
    path = Path(path)
    temporary = path.with_name(f'.{path.stem}.{os.getpid()}.partial{path.suffix}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, 'r+b') as file:  # Windows refuses to sync one that is only read
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        where = '' if error.filename in (None, str(temporary), str(path)) else f' ({error.filename})'
        raise UserError(f'cannot write {path}: {error.strerror or error}{where}') from error
    finally:
        with contextlib.suppress(OSError):  # after a success it is gone; after a failure that one is what matters
            temporary.unlink()


def write_text(path, text):
    """Write a text file as UTF-8, whole or not at all; what UTF-8 cannot hold as escapes.
    Raises as `whole_file` does."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding='utf-8', errors=ESCAPED)


def lock(file, wait=True):
    """Lock an open file, until it is closed or the process ends; returns whether it is. BlockingIOError if
    another has it, and not `wait`.

    Where the file system has no locks, as Lustre and NFS may not, the first call gives a
    warning, and all goes on without.
    """
    import fcntl  # here, since Windows does not have it
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        warn_of_no_locks()
        return False
    return True


@functools.lru_cache(maxsize=None)
def warn_of_no_locks():
    """The warning of `lock`, once."""
    if FIRST:
        warnings.warn('the file system has no locks: see to it that no other process uses the same run, kept features '
                      'or cache of Jittor while this one starts or trains', stacklevel=3)


def printable(name):
    """A name for tables and figures, with escapes for what is not UTF-8 in the name of a file:
    pandas and SVG files refuse it."""
    return name.encode('utf-8', ESCAPED).decode('utf-8')


def mistaken_for(data):
    """What lies in the place of a file with this content, as text: a pointer or page from which it was
    to be got; None if neither."""
    beginning = data[:100].lstrip().lower()
    return next((what for what, beginnings in MISTAKEN.items() if beginning.startswith(beginnings)), None)


def found_from(folder, path):
    """A path that was noted by a program running in `folder`: as it is found from there, or
    if it is not, as it is spelled.

    So it is found from any other folder, and also where everything moved together.
    """
    there = os.path.join(folder, path)
    return there if folder != os.getcwd() and os.path.exists(there) else path
