"""Which of the tensors in a checkpoint are the weights: some levels down, under any name, beside other things."""
import re
from typing import Any, Callable, Dict, Iterable, List, Tuple

from tools.base.errors import UserError

Table = Dict[str, Any]  # name → tensor
DEEPEST = 6  # levels of containers that are searched
# What training scripts call the weights in their checkpoints
WRAPPERS = ('state_dict', 'model_state_dict', 'model', 'net', 'params')
PREFIX = re.compile(r'(module\.|_orig_mod\.)*')  # what DataParallel and torch.compile put before each name
SHOWN, CHARACTERS_SHOWN = 5, 40  # of what was found: entries, characters of a name


def choose(content, is_tensor: Callable[[Any], bool], beginnings: Iterable[str], path, expected: str) -> Table:
    """The one table of tensors in a checkpoint that has a name with one of these beginnings; if
    none has, the only table there is.

    content: nested dicts, lists and tuples. What stands before a beginning, as the name of a module around the network,
    is cut off. UserError, which says what was found and ends with `expected`, if there is none or several.
    """
    tables = _tables(content, is_tensor)
    candidates = [(f'{place}/{prefix}'.strip('/.'), _below(table, prefix)) for place, table in tables
                  for prefix in _prefixes(table, tuple(beginnings))]
    candidates = candidates or [(place, table) for place, table in tables if place in WRAPPERS] or tables
    if len(candidates) > 1:
        found = '; '.join(f'{_short(place) or "at the top"}: {_named(table)}' for place, table in candidates[:SHOWN])
        raise UserError(f'{path} holds {len(candidates)} tables, of which any may be the weights ({found}'
                        f'{"; …" if len(candidates) > SHOWN else ""}): save the one that is meant as a file of its '
                        f'own; {expected}')
    if not candidates:
        inside = _named(dict(_items(content))) if _is_container(content) and content else 'nothing'
        found = inside if _is_container(content) else type(content).__name__
        raise UserError(f'{path} holds no weights, no tensors with names (found: {found}): {expected}')
    (_, table), = candidates
    prefix = PREFIX.match(next(iter(table))).group()  # type: ignore  # it matches any text
    return _below(table, prefix) if all(name.startswith(prefix) for name in table) else table


def _tables(content, is_tensor) -> List[Tuple[str, Table]]:
    """(place, its tensors) for each container that holds some with names. place: the names on the way
    to it, with / between them."""
    found, seen, level = [], set(), [('', content)]
    for _ in range(DEEPEST):
        below = []
        for place, container in level:
            # It may contain itself, or be there a thousand times
            if id(container) in seen or not _is_container(container):
                continue
            seen.add(id(container))
            items = _items(container)
            table = {name: value for name, value in items if isinstance(name, str) and name.isprintable()
                     and is_tensor(value)}
            if table:
                found.append((place, table))
            below += [(f'{place}/{str(name)[:CHARACTERS_SHOWN]}'.lstrip('/'), value)
                      for name, value in items if _is_container(value)]
        level = below
    return found


def _is_container(value):
    return isinstance(value, dict) or type(value) in (list, tuple)  # not a named tuple, which a tensor may be


def _items(container):
    """(name or number, value) for each entry of a container."""
    return list(container.items() if isinstance(container, dict) else enumerate(container))


def _prefixes(table, beginnings):
    """What stands before the beginnings in the names of a table, each once, in order: ''
    or text that ends with a dot."""
    places = ((name, name.find(beginning)) for name in table for beginning in beginnings)
    return list(dict.fromkeys(name[:place] for name, place in places if place == 0 or place > 0
                              and name[place - 1] == '.'))


def _below(table, prefix):
    return {name[len(prefix):]: tensor for name, tensor in table.items() if name.startswith(prefix)}


def _short(name):
    text = str(name)
    return text if text.isprintable() and len(text) <= CHARACTERS_SHOWN else repr(text[:CHARACTERS_SHOWN])


def _named(table):
    """How many entries a table has, and the names of some."""
    names = ', '.join(map(_short, list(table)[:SHOWN]))
    return f'{len(table)} named {names}{", …" if len(table) > SHOWN else ""}'
