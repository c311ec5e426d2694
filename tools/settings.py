"""Settings: a dataclass holds the typed, commented defaults, and the command line can change each of them."""
import argparse
import dataclasses
import math
import typing

from tools.errors import UserError


def setting(default, help, choices=None, minimum=None, above=None, alone=None):
    """A field of a settings dataclass.

    default: its value; a list is copied for each use. help: shown by --help.
    choices: the only values allowed. minimum / above: the smallest value allowed, with / without itself.
    alone: the value, as text, of `--name` with nothing after it.
    """
    metadata = {'help': help, 'choices': choices, 'minimum': minimum, 'above': above, 'alone': alone}
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise UserError(f'{message} (see {self.prog} --help)')


def parse_settings(cls, description, argv=None, defaults=None):
    """Fill the dataclass `cls` from its defaults and the command line (`argv`, by default the script's own).

    defaults: {name: value} in place of those of the class, such as the saved settings of a run.
    Returns an instance of `cls`. Raises UserError for an unknown name, a value of the wrong type, or one out of range,
    whether it came from the command line or was edited into the defaults.
    """
    parser = _Parser(description=description, allow_abbrev=False, argument_default=argparse.SUPPRESS,
                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for field, kind in _fields(cls):
        choices = field.metadata['choices']
        default = _shown(_default(field)) or 'none'
        parser.add_argument('--' + field.name, type=str, nargs=_arguments(field, kind), const=field.metadata['alone'],
                            metavar='|'.join(map(str, choices)) if choices else _type_name(kind).upper(),
                            help=f'{field.metadata["help"]} (default: {default})'.replace('%', '%%'))
    given = vars(parser.parse_args(argv))
    values = {}
    for field, kind in _fields(cls):
        value = _convert(field.name, kind, given[field.name]) if field.name in given else \
            (defaults or {}).get(field.name, _default(field))
        values[field.name] = _checked(field, kind, value)
    return cls(**values)


def describe(settings):
    """The settings as text, a line `name = value` each, to print before a run and to save with it."""
    return '\n'.join(f'{field.name} = {_shown(getattr(settings, field.name))}' for field in dataclasses.fields(settings))


def _fields(cls):
    hints = typing.get_type_hints(cls)
    return [(field, hints[field.name]) for field in dataclasses.fields(cls)]


def _default(field):
    return field.default_factory() if field.default is dataclasses.MISSING else field.default


def _shown(value):
    return ' '.join(map(str, value)) if isinstance(value, list) else str(value)


def _inner(kind):
    """(type of one value, is it a list, may it be None) of an annotation: int, List[str], Optional[float], …"""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is list:
        return arguments[0], True, False
    if origin is typing.Union:  # Optional[X]
        inner, is_list, _ = _inner(next(argument for argument in arguments if argument is not type(None)))
        return inner, is_list, True
    return kind, False, False


def _arguments(field, kind):
    """argparse's nargs: lists take any number of values; a bool may stand alone (`--cuda`), meaning true."""
    inner, is_list, _ = _inner(kind)
    return '*' if is_list else '?' if inner is bool or field.metadata['alone'] else None


def _type_name(kind):
    inner, is_list, optional = _inner(kind)
    name = {bool: 'true|false', int: 'whole number', float: 'number', str: 'text'}[inner]
    return ('list of ' if is_list else '') + name + (' or none' if optional else '')


def _convert(name, kind, text):
    inner, is_list, optional = _inner(kind)
    if is_list and text != ['none']:
        return [_convert(name, inner, part) for part in text]
    if optional and text in ('none', 'None', ['none']):
        return None
    if inner is bool:
        words = {None: True, 'true': True, 'True': True, '1': True, 'false': False, 'False': False, '0': False}
        if text in words:
            return words[text]
    else:
        try:
            return inner(text)
        except ValueError:
            pass  # said below
    raise UserError(f'--{name} must be a {_type_name(kind)}, not {text!r}')


def _checked(field, kind, value):
    inner, is_list, optional = _inner(kind)
    if value is None and optional:
        return value
    if is_list and not isinstance(value, list):
        raise UserError(f'setting {field.name} must be a list, not {value!r}')
    if inner is float:  # `lr = 1` in an args file is meant as 1.0
        promote = lambda one: float(one) if type(one) is int else one
        value = [promote(one) for one in value] if is_list else promote(value)
    for one in value if is_list else [value]:
        if type(one) is not inner:
            raise UserError(f'setting {field.name} must be a {_type_name(kind)}, not {one!r}')
        choices, minimum, above = (field.metadata[key] for key in ('choices', 'minimum', 'above'))
        if choices and one not in choices:
            raise UserError(f'setting {field.name} must be one of {", ".join(map(str, choices))}, not {one!r}')
        if inner is float and not math.isfinite(one):
            raise UserError(f'setting {field.name} must be a finite number, not {one}')
        if minimum is not None and one < minimum:
            raise UserError(f'setting {field.name} must be at least {minimum}, not {one}')
        if above is not None and one <= above:
            raise UserError(f'setting {field.name} must be above {above}, not {one}')
    return value
