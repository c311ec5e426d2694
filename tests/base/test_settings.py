"""Settings: what the command line and the defaults may say, what is refused and how, and what --help tells."""
import dataclasses
import os
import re
import subprocess
import sys
import warnings
from typing import List, Optional

import pytest
from conftest import REPOSITORY

from tools.base.errors import UserError
from tools.base.script import run_script
from tools.base.settings import describe, given_names, may_change, parse_settings, part_of, setting


@dataclasses.dataclass
class Settings:
    epochs: int = setting(4, 'how often', minimum=1)
    lr: float = setting(1e-4, 'learning rate', above=0)
    offset: float = setting(0.5, 'a number of either sign')
    cuda: bool = setting(True, 'use the GPU')
    cache: bool = setting(False, 'keep 100 % of the images')
    type_flag: str = setting('ir', 'modality', choices=('ir', 'vi'))
    path: List[str] = setting(['./database'], 'folders')
    w: List[float] = setting([1.0, 10000.0], 'weights', minimum=0)
    sizes: List[int] = setting([], 'sizes', choices=(8, 16))
    out: Optional[str] = setting(None, 'folder')
    window: Optional[int] = setting(7, 'window', minimum=1)
    names: Optional[List[str]] = setting(None, 'names')
    resume: Optional[str] = setting(None, 'go on', alone='newest')


def parse(*argv, **options):
    return parse_settings(Settings, 'What it does.', list(argv), **options)


def test_without_arguments_the_defaults_hold():
    assert parse() == Settings()


def test_what_is_given_is_known_by_its_name_even_if_it_is_the_default():
    assert given_names(Settings, ['--epochs', '4', '--type-flag=vi', '--cache']) == {'epochs', 'type_flag', 'cache'}
    assert given_names(Settings, []) == set()


@pytest.mark.parametrize('argv, name, value', [
    (['--epochs', '2'], 'epochs', 2),
    (['--epochs=2'], 'epochs', 2),
    (['--lr', '0.01'], 'lr', 0.01),
    (['--lr', '1e-3'], 'lr', 1e-3),
    (['--lr', '1'], 'lr', 1.0),
    (['--offset', '-2'], 'offset', -2.0),
    (['--offset', '-.5'], 'offset', -0.5),
    (['--offset=-1e-3'], 'offset', -1e-3),
    (['--cuda', 'false'], 'cuda', False),
    (['--cuda', 'False'], 'cuda', False),
    (['--cuda', '0'], 'cuda', False),
    (['--cache'], 'cache', True),
    (['--cache', 'true'], 'cache', True),
    (['--cache', '--epochs', '4'], 'cache', True),
    (['--cache', '1'], 'cache', True),
    (['--type_flag', 'vi'], 'type_flag', 'vi'),
    (['--type-flag', 'vi'], 'type_flag', 'vi'),  # hyphens do for underscores
    (['--type-flag', 'ir', '--type_flag=vi'], 'type_flag', 'vi'),
    (['--path', 'a b', 'c'], 'path', ['a b', 'c']),
    (['--path'], 'path', []),
    (['--path', 'none'], 'path', ['none']),
    (['--w', '1', '2.5'], 'w', [1.0, 2.5]),
    (['--sizes', '16', '8'], 'sizes', [16, 8]),
    (['--out', 'here'], 'out', 'here'),
    (['--out', 'x', '--out', 'none'], 'out', None),
    (['--window', '3'], 'window', 3),
    (['--window', 'none'], 'window', None),
    (['--names', 'a', 'b'], 'names', ['a', 'b']),
    (['--names', 'none'], 'names', None),
    (['--resume'], 'resume', 'newest'),
    (['--resume', 'a/run'], 'resume', 'a/run'),
])
def test_the_command_line_sets_values_of_each_type(argv, name, value):
    settings = parse(*argv)
    assert settings == dataclasses.replace(Settings(), **{name: value})
    assert type(getattr(settings, name)) is type(value)
    if isinstance(value, list):
        assert [type(one) for one in getattr(settings, name)] == [type(one) for one in value]


@pytest.mark.parametrize('argv, message', [
    (['--epochs', '2.5'], "setting epochs must be a whole number, not '2.5'"),
    (['--epochs', 'many'], "setting epochs must be a whole number, not 'many'"),
    (['--epochs', ''], "setting epochs must be a whole number, not ''"),
    (['--epochs', 'none'], "setting epochs must be a whole number, not 'none'"),
    (['--epochs', '0'], 'setting epochs must be at least 1, not 0'),
    (['--epochs', '-1'], 'setting epochs must be at least 1, not -1'),
    (['--lr', 'fast'], "setting lr must be a number, not 'fast'"),
    (['--lr', '0'], 'setting lr must be above 0, not 0.0'),
    (['--lr', 'nan'], 'setting lr must be a finite number, not nan'),
    (['--lr', 'inf'], 'setting lr must be a finite number, not inf'),
    (['--offset=-inf'], 'setting offset must be a finite number, not -inf'),
    (['--offset', '1e999'], 'setting offset must be a finite number, not inf'),
    (['--cuda', 'perhaps'], "setting cuda must be true or false, not 'perhaps'"),
    (['--cuda', '2'], "setting cuda must be true or false, not '2'"),
    (['--type_flag', 'IR'], "setting type_flag must be one of ir, vi, not 'IR'"),
    (['--w', '1', 'two'], "each value of setting w must be a number, not 'two'"),
    (['--w', '1', '-2'], 'each value of setting w must be at least 0, not -2.0'),
    (['--sizes', '8', '9'], 'each value of setting sizes must be one of 8, 16, not 9'),
    (['--window', 'wide'], "setting window must be a whole number or none, not 'wide'"),
    (['--window', '0'], 'setting window must be at least 1 or none, not 0'),
])
def test_a_bad_value_is_refused_by_name(argv, message):
    with pytest.raises(UserError) as caught:
        parse(*argv)
    assert str(caught.value) == message


@pytest.mark.parametrize('argv, part', [
    (['--epoch', '2'], '--epoch'),  # an abbreviation, or a slip
    (['--Epochs', '2'], '--Epochs'),
    (['--batch', '2'], '--batch'),
    (['-e', '2'], '-e'),
    (['two'], 'two'),
    (['--epochs'], '--epochs'),
    (['--epochs', '2', '3'], '3'),
    (['--cuda', 'true', 'false'], 'false'),
])
def test_what_is_no_setting_is_refused(argv, part):
    with pytest.raises(UserError) as caught:
        parse(*argv)
    assert part in str(caught.value) and '--help' in str(caught.value) and '\n' not in str(caught.value)


def test_a_misspelt_name_is_told_the_nearest():
    for argv, near in ((['--epoch', '2'], 'did you mean --epochs?'), (['--catche'], 'did you mean --cache?'),
                       (['--typeflag=vi'], 'did you mean --type_flag?')):
        with pytest.raises(UserError, match=re.escape(f'unrecognized argument: {argv[0]}; {near}')):
            parse(*argv)
    with pytest.raises(UserError, match=r'unrecognized argument: --xyz \('):
        parse('--xyz')


def test_a_setting_that_only_another_script_has_names_it():
    @dataclasses.dataclass
    class Other:
        new_one: bool = setting(False, 'only here')
    for spelling in ('--new_one', '--new-one', '--new_one=true'):
        with pytest.raises(UserError, match=f'unrecognized argument: {spelling}; it is one of other.py'):
            parse_settings(Settings, 'Test.', [spelling], others={'other.py': Other})


def test_values_may_begin_with_a_dash():
    @dataclasses.dataclass
    class Names:
        names: List[str] = setting([], 'names')
        low: float = setting(0.0, 'number')
        out: Optional[str] = setting(None, 'folder')
    settings = parse_settings(Names, 'Test.', ['--names', '-a', 'b', '-c d', '--low', '-1.5', '--out=-x'])
    assert (settings.names, settings.low, settings.out) == (['-a', 'b', '-c d'], -1.5, '-x')
    assert parse_settings(Names, 'Test.', ['--names=--a']).names == ['--a']
    with pytest.raises(UserError, match="low must be a number, not '-x'"):
        parse_settings(Names, 'Test.', ['--low', '-x'])


def test_a_pattern_that_the_shell_has_expanded_is_recognised():
    with pytest.raises(UserError, match='unrecognized argument: b.png, which is one value too many for --out: if the shell .*quotes'):
        parse('--cuda', 'true', '--out', 'a.png', 'b.png', 'c.png')


def test_other_names_places_multiples_and_parts():
    @dataclasses.dataclass
    class Other:
        source: str = setting('', 'read', positional=True)
        vi: str = setting('', 'visible', aliases=('vis',), part='network')
        height: int = setting(16, 'a multiple', multiple_of=8, below=100, may_change=True)
    settings = parse_settings(Other, '', ['here', '--vis', 'there'])
    assert settings == parse_settings(Other, '', ['--vi', 'there', 'here']) == Other('here', 'there')
    assert part_of(settings, 'network') == {'vi': 'there'} and may_change(Other) == ['height']
    for argv, message in (([], 'arguments are required: SOURCE'), (['a', '--height', '20'], 'height must be a multiple of 8, not 20'),
                          (['a', '--height', '104'], 'height must be below 100, not 104')):
        with pytest.raises(UserError, match=message):
            parse_settings(Other, '', argv)


def command_of(path):
    """How a program is called: a script by its name, another one as a module of its room."""
    module = path.relative_to(REPOSITORY).with_suffix('').as_posix().replace('/', '.').replace('.__main__', '')
    return [path.name] if path.parent == REPOSITORY else ['-m', module]


PLACES = REPOSITORY.glob('*.py'), (REPOSITORY / 'tools').rglob('*.py'), (REPOSITORY / 'comparison').glob('*.py')
PROGRAMS = sorted(command_of(path) for place in PLACES for path in place
                  if all(text in path.read_text(encoding='utf-8') for text in ('\n    run_script(main', '_settings(')))


def test_all_programs_are_found():
    assert {'train_autoencoder.py', 'tools.scenes', 'tools.weights.convert', 'comparison'} <= {words[-1] for words in PROGRAMS}


@pytest.mark.parametrize('command', PROGRAMS, ids=' '.join)
def test_scripts_answer_before_jittor_is_loaded(command, tmp_path):
    (tmp_path / 'jittor.py').write_text('raise SystemExit("Jittor was loaded")')
    environment = {**os.environ, 'PYTHONPATH': str(tmp_path)}
    def run(*arguments):
        return subprocess.run([sys.executable, *command, *arguments], cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    name = ' '.join(command if len(command) == 1 else ['python', *command])
    shown = run('--help')
    assert shown.returncode == 0 and f'usage: {name} [' in shown.stdout and shown.stderr == ''
    refused = run('--no_such_setting')
    assert refused.returncode == 1 and refused.stderr.startswith('error: ') and '--help' in refused.stderr


@pytest.mark.parametrize('annotation, default, message', [
    (int, '4', "setting value must be a whole number, not '4'"),
    (int, 4.0, 'setting value must be a whole number, not 4.0'),
    (int, True, 'setting value must be a whole number, not True'),
    (int, None, 'setting value must be a whole number, not None'),
    (float, '0.1', "setting value must be a number, not '0.1'"),
    (float, True, 'setting value must be a number, not True'),
    (float, float('nan'), 'setting value must be a finite number, not nan'),
    (bool, 'False', "setting value must be true or false, not 'False'"),
    (bool, 1, 'setting value must be true or false, not 1'),
    (str, 5, 'setting value must be text, not 5'),
    (str, ['a'], "setting value must be text, not ['a']"),
    (List[str], './database', "setting value must be a list, not './database'"),
    (List[str], None, 'setting value must be a list, not None'),
    (List[float], (1.0, 2.0), 'setting value must be a list, not (1.0, 2.0)'),
    (List[float], [1.0, None], 'each value of setting value must be a number, not None'),
    (Optional[int], 'none', "setting value must be a whole number or none, not 'none'"),
])
def test_a_default_edited_to_a_wrong_type_is_refused(annotation, default, message):
    edited = dataclasses.make_dataclass('Edited', [('value', annotation, setting(default, 'a value'))])
    with pytest.raises(UserError) as caught:
        parse_settings(edited, '', [])
    assert str(caught.value) == message


@pytest.mark.parametrize('default, limits, message', [
    (0, {'minimum': 1}, 'setting value must be at least 1, not 0'),
    (0, {'above': 0}, 'setting value must be above 0, not 0'),
    (3, {'choices': (1, 2)}, 'setting value must be one of 1, 2, not 3'),
])
def test_a_default_edited_out_of_range_is_refused(default, limits, message):
    edited = dataclasses.make_dataclass('Edited', [('value', int, setting(default, 'a value', **limits))])
    with pytest.raises(UserError) as caught:
        parse_settings(edited, '', [])
    assert str(caught.value) == message


def test_a_whole_number_as_the_default_of_a_float_is_meant_as_a_float():
    fields = [('lr', float, setting(1, '')), ('w', List[float], setting([1, 2], ''))]
    edited = dataclasses.make_dataclass('Edited', fields)
    settings = parse_settings(edited, '', [])
    assert type(settings.lr) is float and [type(value) for value in settings.w] == [float, float]


def test_a_default_written_without_setting_works():
    plain = dataclasses.make_dataclass('Plain', [('epochs', int, 4), ('name', str, 'x')])
    assert parse_settings(plain, '', ['--epochs', '2']) == plain(2, 'x')
    with pytest.raises(UserError, match='setting epochs must be a whole number'):
        parse_settings(plain, '', ['--epochs', 'x'])


def test_lists_are_not_shared():
    parse().path.append('more')
    assert parse().path == Settings().path == ['./database']


def test_saved_settings_take_the_place_of_the_defaults():
    settings = parse('--epochs', '3', defaults={'epochs': 9, 'lr': 1, 'path': ['a'], 'out': 'here', 'window': None})
    assert settings == Settings(epochs=3, lr=1.0, path=['a'], out='here', window=None)
    assert type(settings.lr) is float


@pytest.mark.parametrize('saved, message', [
    ({'batch': 2}, 'there is no setting batch: .*saved'),
    ({'epochs': '2'}, "setting epochs must be a whole number, not '2'"),
    ({'lr': -1.0}, 'setting lr must be above 0'),
    ({'type_flag': 'uv'}, 'setting type_flag must be one of ir, vi'),
])
def test_bad_saved_settings_are_refused(saved, message):
    with pytest.raises(UserError, match=message):
        parse(defaults=saved)


def test_help_tells_each_setting_its_values_and_its_default(capsys, monkeypatch):
    monkeypatch.setenv('COLUMNS', '200')
    with pytest.raises(SystemExit) as end:
        parse('--help')
    assert end.value.code == 0
    output = capsys.readouterr().out
    assert output.splitlines()[2] == 'What it does.'
    options = [' '.join(part.split()) for part in output.split('\n  --')[1:]]
    assert [option.split()[0] for option in options] == [field.name for field in dataclasses.fields(Settings)]
    for expected in ('epochs INT how often (default: 4)', 'lr NUMBER learning rate (default: 0.0001)',
                     'cuda [true|false] use the GPU (default: True)', 'type_flag ir|vi modality (default: ir)',
                     'cache [true|false] keep 100 % of the images (default: False)', 'out TEXT folder',
                     'window INT window (default: 7)', 'resume [TEXT] go on'):
        assert expected in options
    assert [option.rpartition('] ')[2] for option in options if '...' in option] == [
        'folders (default: ./database)', 'weights (default: 1.0 10000.0)', 'sizes', 'names']


def test_describe_shows_every_setting():
    assert describe(parse('--path', 'my photos', 'b', '--cache')).splitlines() == [
        'epochs = 4', 'lr = 0.0001', 'offset = 0.5', 'cuda = True', 'cache = True', 'type_flag = ir',
        "path = 'my photos' b", 'w = 1.0 10000.0', 'sizes = ', 'out = none', 'window = 7', 'names = none',
        'resume = none']


def fail():
    raise UserError('no such folder: x')


def fill_the_memory():
    raise MemoryError('Unable to allocate 3 TiB')


def interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize('main, code, errors', [
    (lambda: None, None, ''),
    (lambda: 0, 0, ''),
    (lambda: 3, 3, ''),
    (fail, 1, 'error: no such folder: x\n'),
    (interrupt, 130, 'stopped\n'),
    (fill_the_memory, 1, 'error: there was not enough memory (Unable to allocate 3 TiB)\n'),
])
def test_a_script_ends_with_an_exit_code_and_a_line(main, code, errors, capsys):
    with pytest.raises(SystemExit) as end:
        run_script(main)
    assert end.value.code == code
    assert capsys.readouterr() == ('', errors)


def test_a_warning_in_a_script_is_one_line(capsys, monkeypatch):
    monkeypatch.setattr(warnings, 'formatwarning', warnings.formatwarning)  # so that it is put back
    with warnings.catch_warnings(), pytest.raises(SystemExit):
        warnings.simplefilter('always')
        # pytest catches what is shown; this is what Python shows otherwise
        monkeypatch.setattr(warnings, 'showwarning', lambda *warning: sys.stderr.write(warnings.formatwarning(*warning)))
        run_script(lambda: warnings.warn('no usable GPU', stacklevel=1))
    assert capsys.readouterr().err == 'warning: no usable GPU\n'


def test_a_mistake_in_the_program_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run_script(lambda: 1 / 0)
