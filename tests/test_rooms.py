"""Each room uses those only that its __init__.py names, and no two use each other."""
import ast
import re

import pytest
from conftest import REPOSITORY

FOLDERS = {'network': REPOSITORY / 'network', **{path.parent.name: path.parent for path in (REPOSITORY / 'tools').glob('*/__init__.py')}}
OURS = 'network', 'tools', 'comparison'


def may_use(room):
    text = ast.get_docstring(ast.parse((FOLDERS[room] / '__init__.py').read_text(encoding='utf-8')))
    allowed, = re.findall(r'^May use: (.+)\.$', text, re.MULTILINE)
    return set() if allowed == 'nothing of ours' else set(allowed.split(', '))


def used_by(room):
    """{room: the file that uses it}; a part of tools/ by its name, a script at the top by its whole one."""
    used = {}
    for path in FOLDERS[room].rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            names = [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
            if isinstance(node, ast.ImportFrom):
                names = [f'{node.module}.{name}' for name in names]
            for first, *rest in (name.split('.') for name in names):
                if first in OURS or (REPOSITORY / f'{first}.py').exists():
                    used[rest[0] if first == 'tools' else first] = path
    used.pop(room, None)
    return used


@pytest.mark.parametrize('room', FOLDERS)
def test_a_room_uses_what_it_says(room):
    assert {name: str(path) for name, path in used_by(room).items() if name not in may_use(room)} == {}


def test_there_is_no_circle():
    below = {room: may_use(room) for room in FOLDERS}
    while below:
        ground = {room for room, rest in below.items() if not rest & set(below)}
        assert ground, below
        below = {room: rest for room, rest in below.items() if room not in ground}
