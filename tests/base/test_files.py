"""Files that are written whole or not at all."""
import errno
import os
import signal
import subprocess
import sys

import pytest
from conftest import REPOSITORY

from tools.base.errors import UserError
from tools.base.files import whole_file


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_under_its_name_when_it_is_whole(tmp_path):
    target = tmp_path / 'result.png'
    with whole_file(target) as temporary:
        temporary.write_bytes(b'first')
        assert not target.exists() and temporary.parent == tmp_path and temporary.suffix == '.png'
        temporary.write_bytes(b'whole')
    assert target.read_bytes() == b'whole' and names_in(tmp_path) == ['result.png']


def test_a_file_is_replaced_at_once(tmp_path):
    target = tmp_path / 'result.txt'
    target.write_text('old')
    with whole_file(str(target)) as temporary:
        temporary.write_text('new')
        assert target.read_text() == 'old'
    assert target.read_text() == 'new' and names_in(tmp_path) == ['result.txt']


def test_missing_folders_are_made(tmp_path):
    with whole_file(tmp_path / 'a' / 'b' / 'file') as temporary:
        temporary.write_text('x')
    assert (tmp_path / 'a' / 'b' / 'file').read_text() == 'x'


def test_the_data_is_on_the_disk_before_the_name_is_given(tmp_path, monkeypatch):
    done, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, 'fsync', lambda file: (done.append('fsync'), fsync(file)))
    monkeypatch.setattr(os, 'replace', lambda *paths: (done.append('replace'), replace(*paths)))
    with whole_file(tmp_path / 'result.txt') as temporary:
        temporary.write_text('x')
    assert done == ['fsync', 'replace']


@pytest.mark.parametrize('error', [ValueError('a mistake'), KeyboardInterrupt(), UserError('bad input'), SystemExit(1)])
def test_a_failure_leaves_what_was_there_and_passes_on(tmp_path, error):
    target = tmp_path / 'result.txt'
    target.write_text('old')
    with pytest.raises(type(error)) as caught:
        with whole_file(target) as temporary:
            temporary.write_text('half')
            raise error
    assert caught.value is error
    assert target.read_text() == 'old' and names_in(tmp_path) == ['result.txt']


def test_a_full_disk_is_named_and_leaves_what_was_there(tmp_path):
    target = tmp_path / 'result.txt'
    target.write_text('old')
    with pytest.raises(UserError) as caught:
        with whole_file(target) as temporary:
            temporary.write_text('half')
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert str(caught.value) == f'cannot write {target}: No space left on device'
    assert target.read_text() == 'old' and names_in(tmp_path) == ['result.txt']


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(UserError) as caught:
        with whole_file(tmp_path / 'file' / 'folder' / 'result.txt'):
            raise AssertionError('there is nothing to write to')
    assert str(caught.value) == (f'cannot write {tmp_path}/file/folder/result.txt: Not a directory '
                                 f'({tmp_path}/file/folder)')
    assert names_in(tmp_path) == ['file']


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path):
    (tmp_path / 'result.txt').mkdir()
    with pytest.raises(UserError, match='cannot write .*result.txt: Is a directory'):
        with whole_file(tmp_path / 'result.txt') as temporary:
            temporary.write_text('x')
    assert names_in(tmp_path) == ['result.txt']


KILLED = '''
import os, signal, sys
from tools.base.files import whole_file
with whole_file(sys.argv[1]) as temporary:
    temporary.write_text('half')
    os.kill(os.getpid(), signal.SIGKILL)
'''


def test_a_killed_program_leaves_what_was_there(tmp_path):
    target = tmp_path / 'result.txt'
    target.write_text('old')
    ended = subprocess.run([sys.executable, '-c', KILLED, str(target)], cwd=REPOSITORY)
    assert ended.returncode == -signal.SIGKILL
    assert target.read_text() == 'old'
