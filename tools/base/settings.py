"""Settings: a dataclass holds the typed, commented defaults, and the command line can change each of them."""
import argparse
import dataclasses
import difflib
import math
import shlex
import sys
import typing
from pathlib import Path

from tools.base.errors import UserError

# The types that a value may have: what --help calls it, what an error calls it.
TYPES = {
    bool: ('true|false', 'true or false'),
    int: ('INT', 'a whole number'),
    float: ('NUMBER', 'a number'),
    str: ('TEXT', 'text'),
}
BOOLS = {'true': True, '1': True, 'false': False, '0': False}
NONE = 'none'
# How a value begins for argparse that begins with a dash, since it would take it for an
# option; no argument contains a 0
DASH = '\0-'


def setting(default, help, choices=None, minimum=None, above=None, below=None, multiple_of=None, alone=None, aliases=(),
            positional=False, part=None, may_change=False, is_path=False):
    """A field of a settings dataclass, annotated as bool, int, float, str, or as List[…] or Optional[…] of these.

    default: its value; a list is copied for each use. help: shown by --help.
    choices: the only values allowed. minimum / above: the smallest value allowed, with / without
    itself. below: all values are.
    alone: what the option means without a value (`--resume`), as text; a bool alone means true. aliases:
    other names on the command line.
    positional: given by its place instead of its name, and always. part: what takes it as an argument, see `part_of`.
    may_change: whether it can be given beside --resume, since it does not change what a run
    computes, or is checked there.
    is_path: whether it names files or folders that a run reads, so that it means the same however they are spelled.
    """
    metadata = dict(help=help, choices=choices, minimum=minimum, above=above, below=below, multiple_of=multiple_of,
                    alone=alone, aliases=aliases, positional=positional, part=part, may_change=may_change,
                    is_path=is_path)
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def part_of(settings, part):
    """{name: value} of the settings that are arguments of one part, such as 'network' or 'losses'."""
    return {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)
            if field.metadata.get('part') == part}


def may_change(cls):
    """The names of the settings that can be given beside --resume."""
    return [field.name for field in dataclasses.fields(cls) if field.metadata.get('may_change')]


def paths_in(cls):
    """The names of the settings that name files or folders which are read."""
    return [field.name for field in dataclasses.fields(cls) if field.metadata.get('is_path')]


def parse_settings(cls, description, argv=None, defaults=None, others=None):
    """Fill the dataclass `cls` from its defaults and the command line (`argv`, by default the script's own).

    defaults: {name: value} to use instead of those of `cls`, from a saved file for example.
    others: {script: its dataclass}, to which the error about a setting that only such a script has refers.
    Returns an instance of `cls`. Raises UserError for an unknown name, a value of the wrong type, or one out of range,
    whether it came from the command line, from `defaults`, or was edited into `cls`.
    """
    values = {field.name: _default(field) for field in dataclasses.fields(cls)}
    for name, value in (defaults or {}).items():
        if name not in values:
            raise UserError(f'there is no setting {name}: the saved settings are those of another program or version')
        values[name] = value

    types = _types(cls)
    for name, text in _given(cls, description, argv, values, others or {}).items():
        values[name] = types[name].read(text)
    for field in dataclasses.fields(cls):
        values[field.name] = _checked(field, types[field.name], values[field.name])
    return cls(**values)


def given_names(cls, argv=None):
    """The names of the settings that are given on the command line, a set; `parse_settings` has accepted it."""
    return set(_given(cls, None, argv, {field.name: _default(field) for field in dataclasses.fields(cls)}, {}))


def describe(settings):
    """The settings as text, a line `name = value` each, to print before a run and to save with it."""
    names = [field.name for field in dataclasses.fields(settings)]
    return '\n'.join(f'{name} = {_shown(getattr(settings, name))}' for name in names)


def _types(cls):
    return {name: _Type(annotation) for name, annotation in typing.get_type_hints(cls).items()}


def _given(cls, description, argv, defaults, others):
    """{name: text, for a list texts} on the command line. defaults: {name: value} that --help shows.
    others: as for `parse_settings`."""
    types = _types(cls)
    parser = _Parser(description=description, usage='%(prog)s [--name value ...]', allow_abbrev=False,
                     argument_default=argparse.SUPPRESS, formatter_class=argparse.RawDescriptionHelpFormatter)
    for field in dataclasses.fields(cls):
        _add_option(parser, field, types[field.name], defaults[field.name])
    argv = [DASH + text[1:] if _is_value(text) else text for text in (sys.argv[1:] if argv is None else argv)]
    given, unknown = parser.parse_known_args(argv)
    if unknown:
        options = [option for action in parser._actions for option in action.option_strings]
        parser.error(_unknown(_restored(unknown[0]), argv[:argv.index(unknown[0])], options, others))
    return {name: [_restored(part) for part in text] if isinstance(text, list) else _restored(text)
            for name, text in vars(given).items()}


def _program():
    """What was started: a script, or a module by `python -m`, which argparse tells by itself since Python 3.14 only."""
    module = getattr(sys.modules['__main__'], '__spec__', None)
    return 'python -m ' + module.name.replace('.__main__', '') if module else Path(sys.argv[0]).name


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options):
        super().__init__(prog=_program(), **options)

    def error(self, message):
        raise UserError(f'{message} (see {self.prog} --help)')


def _is_value(text):
    """Whether an argument begins with a dash without being an option: all of ours but -h begin with two."""
    return text.startswith('-') and not text.startswith('--') and text != '-h'


def _restored(text):
    return text.replace(DASH, '-', 1) if isinstance(text, str) and text.startswith(DASH) else text


def _unknown(argument, before, options, others):
    """What is said of an argument that there is not: an option, with that which is most like it or the
    script that has it; or a value.

    before: the arguments before it.
    """
    name = argument.split('=')[0]
    if name.startswith('--'):
        having = [script for script, cls in others.items()
                  if name[2:].replace('-', '_') in [field.name for field in dataclasses.fields(cls)]]
        near = difflib.get_close_matches(name, options, 1)
        hint = f'; it is one of {having[0]}' if having else f'; did you mean {near[0]}?' if near else ''
        return f'unrecognized argument: {argument}{hint}'
    option = next((text.split('=')[0] for text in reversed(before) if text.startswith('--')), None)
    return f'unrecognized argument: {argument}' + (
        f', which is one value too many for {option}: if the shell has made several of a pattern such as *, give the '
        'folder, '
        'or put the pattern in quotes' if option else '')


class _Type:
    """An annotation taken apart: the type of one value, whether it is a list of them, whether it may be None."""

    def __init__(self, annotation):
        self.optional = typing.get_origin(annotation) is typing.Union
        if self.optional:
            annotation = next(part for part in typing.get_args(annotation) if part is not type(None))
        self.is_list = typing.get_origin(annotation) is list
        self.one = typing.get_args(annotation)[0] if self.is_list else annotation

    def read(self, text):
        """The value that a text, for a list the texts, on the command line stands for."""
        if self.optional and text in (NONE, [NONE]):
            return None
        return [self._read_one(part) for part in text] if self.is_list else self._read_one(text)

    def _read_one(self, text):
        """One value; what cannot be converted stays text, for _checked to refuse."""
        if self.one is bool:
            return BOOLS.get(text.lower(), text)
        try:
            return self.one(text)
        except ValueError:
            return text


def _add_option(parser, field, kind, default):
    choices, alone = field.metadata.get('choices'), field.metadata.get('alone')
    if kind.one is bool:
        alone = 'true'
    shown = '' if default is None or default == [] else f' (default: {_shown(default)})'
    text = (field.metadata.get('help', '') + shown).replace('%', '%%')
    options = dict(const=alone, nargs='*' if kind.is_list else '?' if alone else None,
                   metavar='|'.join(map(str, choices)) if choices else TYPES[kind.one][0])
    if field.metadata.get('positional'):
        parser.add_argument(field.name, help=text, metavar=field.name.upper())
        return
    names = field.name, *field.metadata.get('aliases', ())
    spellings = {spelling: argparse.SUPPRESS for name in names for spelling in (name, name.replace('_', '-'))}
    for spelling, help_text in {**spellings, field.name: text}.items():  # --help shows one only
        parser.add_argument('--' + spelling, dest=field.name, help=help_text, **options)


def _checked(field, kind, value):
    """The value, if it is what the field allows."""
    if value is None and kind.optional:
        return None
    if kind.is_list and not isinstance(value, list):
        raise UserError(f'setting {field.name} must be a list, not {value!r}')
    checked = [_checked_one(field, kind, one) for one in (value if kind.is_list else [value])]
    return checked if kind.is_list else checked[0]


def _checked_one(field, kind, value):
    def refuse(what):
        each, none = 'each value of ' if kind.is_list else '', f' or {NONE}' if kind.optional else ''
        raise UserError(f'{each}setting {field.name} must be {what}{none}, not {value!r}')

    if kind.one is float and type(value) is int:  # `lr = 1` in an args file
        value = float(value)
    choices, minimum, above, below, multiple_of = (field.metadata.get(key)
                                                   for key in ('choices', 'minimum', 'above', 'below', 'multiple_of'))
    if type(value) is not kind.one:
        refuse(TYPES[kind.one][1])
    if kind.one is float and not math.isfinite(value):
        refuse('a finite number')
    if choices and value not in choices:
        refuse('one of ' + ', '.join(map(str, choices)))
    if minimum is not None and value < minimum:
        refuse(f'at least {minimum}')
    if above is not None and value <= above:
        refuse(f'above {above}')
    if below is not None and value >= below:
        refuse(f'below {below}')
    if multiple_of is not None and value % multiple_of:
        refuse(f'a multiple of {multiple_of}')
    return value


def _default(field):
    return field.default_factory() if field.default is dataclasses.MISSING else field.default


def _shown(value):
    """A value as it can be given on the command line."""
    if value is None:
        return NONE
    return shlex.join(map(str, value)) if isinstance(value, list) else str(value)
