"""The READMEs and docs: both languages say the same, commands and links work, and results are those under results/."""
import ast
import csv
import importlib.util
import re
import shlex
import string
from collections import Counter, namedtuple
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from conftest import REPOSITORY

import args_auto
import args_test
import args_trans
import evaluate_fusion_results
import plot_loss_curves
from comparison import __main__ as compare_with_pytorch
from tools.base.errors import UserError
from tools.base.settings import parse_settings
from tools.cost import __main__ as measure_cost
from tools.data import align, lists
from tools.evaluation import calibration, figure
from tools.fusing import displacement, flicker
from tools.scenes import __main__ as make_scenes
from tools.weights import convert, ship

CHINESE = '.zh-CN.md'
ENGLISH = ['README.md', *sorted(f'docs/{path.name}' for path in (REPOSITORY / 'docs').glob('*.md') if not path.name.endswith(CHINESE))]
ALL = [name for english in ENGLISH for name in (english, english.replace('.md', CHINESE))]
WIDTH = 120
ORIGINAL = 'https://github.com/hli1221/CrossFuse'

SETTINGS = {
    'train_autoencoder.py': args_auto.Args, 'train_conv_trans.py': args_trans.Args,
    'test_conv_trans.py': args_test.Args, 'test_color_image.py': args_test.ColorArgs,
    'evaluate_fusion_results.py': evaluate_fusion_results.Args, 'tools.evaluation.figure': figure.Args,
    'comparison': compare_with_pytorch.Args, 'tools.scenes': make_scenes.Args,
    'plot_loss_curves.py': plot_loss_curves.Args, 'tools.cost': measure_cost.Args, 'tools.weights.ship': ship.Args,
    'tools.weights.convert': convert.Args, 'tools.evaluation.calibration': calibration.Args,
    'tools.data.lists': lists.Args, 'tools.data.align': align.Args, 'tools.fusing.displacement': displacement.Args,
    'tools.fusing.flicker': flicker.Args,
}
FOLDERS_OF_OURS = 'network/', 'tools/', 'tests/', 'comparison/', 'recipes/', 'docs/', 'results/'

# What README.md says in its text, a file under results/, and how it stands there.
SAID = [
    ('957 pairs for two epochs', 'models/README.md', '957 pairs'),
    ('300 steps of each network', 'comparison/training.md', '| Fusion network | total loss | 300 |'),
    ('99.7 % are the same, and none is more than one gray level off', 'comparison/results.md',
     '| Jittor | 21 | 73.48 dB | 69.00 dB | 1 gray levels | 99.7 % |'),
    ('up to 7.7 % apart in total loss at the median step (Jittor: 2.3 %)', 'comparison_first_epochs/training.md',
     '| Fusion network | total loss | 300 | 8285.13 | -1.29 % | 1.59 % | 2.3 % | 7.7 % |'),
    ('2.49 % (Jittor: 3.3 %)', 'comparison_zero_start/training.md', '| -25.8 % | 27.9 % | 3.3 % | 2.49 % |'),
    ('On two cores of an AMD EPYC', 'comparison/speed.md', 'AMD EPYC, 2 cores'),
    ('medians of ten rounds', 'comparison/speed.md', 'Medians of 10 rounds'),
    ('stage 2 at batch 8 took PyTorch 0.977 s a pair, Jittor 0.719', 'comparison/scaling.md',
     '| batch of stage 2 | 8 | 0.977 s | 0.719 s |'),
    ('22.90 M parameters, 128.9 G multiply–adds for 640×480', 'cost/README.md', '| all | 22.90 M | 26.0 G | 128.9 G |'),
]
# Decimal numbers in README.md and docs/ that claim no result: versions, settings, and 31.6 = 1/√(1 − 0.999), from Adam's β₂.
NO_RESULTS = {'3.8', '3.12', '1.3', '0.9', '0.0001', '0.001', '31.6', '0.999', '4.0', '4.10'}
CHECKED_TABLES = 'method', 'compared', 'hours of training', 'task', 'task on a GPU', 'from start to end'

Block = namedtuple('Block', 'language text')


class Document:
    """A Markdown file taken apart."""

    def __init__(self, name):
        self.path = REPOSITORY / name
        self.text = self.path.read_text(encoding='utf-8')
        self.blocks = [Block(*found) for found in re.findall(r'^```(\w*)\n(.*?)^```$', self.text, re.MULTILINE | re.DOTALL)]
        self.prose = re.sub(r'^```.*?^```$', '', self.text, flags=re.MULTILINE | re.DOTALL)
        self.headings = [len(marks) for marks in re.findall(r'^(#+) ', self.prose, re.MULTILINE)]
        self.links = re.findall(r'\]\(([^)]+)\)|src="([^"]+)"', self.prose)
        self.links = [markdown or html for markdown, html in self.links]
        self.spans = re.findall(r'`([^`\n]+)`', self.prose)

    @property
    def tables(self):
        """A list of tables, each a list of rows, each a list of cells; without the line below the heads."""
        found = re.findall(r'(?:^\|.*\|\n)+', self.prose, re.MULTILINE)
        tables = [[[cell.strip() for cell in line[1:-1].split('|')] for line in table.splitlines()] for table in found]
        return [[row for row in table if not set(''.join(row)) <= set('-: ')] for table in tables]

    def table(self, first_cell):
        """[(first cell, {column: cell})] of the rows of the table that begins so."""
        head, *rows = next(table for table in self.tables if table[0][0] == first_cell)
        return [(row[0], dict(zip(head[1:], row[1:]))) for row in rows]

    def commands(self):
        """The commands in shell blocks and in the text, each a list of words."""
        lines = [line for block in self.blocks if block.language == 'bash' for line in block.text.replace('\\\n', ' ').splitlines()]
        lines += [span for span in self.spans if re.match(r'(python3?|pip|make|apt|git|bash|export) ', span)]
        variables, commands = {}, []
        for line in lines:
            words = shlex.split(line, comments=True)
            if len(words) == 1 and re.match(r'\w+=', words[0]):
                name, value = words[0].split('=', 1)
                variables[name] = value
                continue
            words = shlex.split(string.Template(line).safe_substitute(variables), comments=True)
            while words:
                end = words.index('&&') if '&&' in words else len(words)
                commands.append(words[:end])
                words = words[end + 1:]
        return commands


def numbers(text):
    """The numbers in a text, in no order of the text; not those of the stages, which Chinese writes as words."""
    return sorted(re.findall(r'\d+(?:,\d{3})*(?:\.\d+)*', re.sub(r'[Ss]tages? \d(?: and \d)?', '', text)))


def words_alone(text):
    """Without code, targets of links and HTML, and with single spaces."""
    return ' '.join(re.sub(r'`[^`\n]+`|\]\([^)]+\)|<[^>]+>', ' ', text).split())


def without_comments(text):
    return re.sub(r'\s+#.*', '', text)


def rows_of(path):
    """{first cell: {column: cell}} of a CSV file under results/."""
    with open(REPOSITORY / 'results' / path, newline='', encoding='utf-8-sig') as file:
        return {next(iter(row.values())): row for row in csv.DictReader(file)}


def shown(value, cell):
    """A value with as many decimals as the number in a cell."""
    decimals = len(cell.split('.')[1].split()[0]) if '.' in cell else 0
    return f'{float(value):.{decimals}f}'


@pytest.fixture(scope='module')
def readme():
    return Document('README.md')


@pytest.mark.parametrize('name', ENGLISH)
def test_both_languages_say_the_same(name):
    english, chinese = Document(name), Document(name.replace('.md', CHINESE))
    assert english.headings == chinese.headings
    assert [(block.language, without_comments(block.text)) for block in english.blocks if block.language != 'text'] == [
        (block.language, without_comments(block.text)) for block in chinese.blocks if block.language != 'text']
    assert [re.findall(r'[\w./{}]+\.\w+', block.text) for block in english.blocks if block.language == 'text'] == [
        re.findall(r'[\w./{}]+\.\w+', block.text) for block in chinese.blocks if block.language == 'text']
    assert [list(map(len, table)) for table in english.tables] == [list(map(len, table)) for table in chinese.tables]
    assert [numbers(' '.join(sum(table, []))) for table in english.tables] == [
        numbers(' '.join(sum(table, []))) for table in chinese.tables]
    assert numbers(english.prose) == numbers(chinese.prose)
    assert Counter(english.spans) == Counter(chinese.spans)
    assert Counter(link.replace(CHINESE, '.md') for link in english.links) == Counter(
        link.replace(CHINESE, '.md') for link in chinese.links)


@pytest.mark.parametrize('name', ALL)
def test_lines_are_short(name):
    lines = (REPOSITORY / name).read_text(encoding='utf-8').splitlines()
    assert [line for line in lines if len(line) > WIDTH and line[0] not in '|<'] == []


@pytest.mark.parametrize('name', ALL)
def test_links_lead_somewhere(name):
    document = Document(name)
    broken = [link for link in document.links
              if '://' not in link and not (document.path.parent / unquote(link.split('#')[0])).exists()]
    assert document.links and not broken


@pytest.mark.parametrize('name', ALL)
def test_chinese_pages_lead_to_chinese_pages(name):
    document = Document(name)
    of_this_language = {name for name in ALL if name.endswith(CHINESE) == document.path.name.endswith(CHINESE)}
    targets = [(document.path.parent / link).resolve() for link in document.links if '://' not in link]
    others = [path.relative_to(REPOSITORY).as_posix() for path in targets if path.suffix == '.md']
    assert len([other for other in others if other in ALL and other not in of_this_language]) == 1  # the line of languages


@pytest.mark.parametrize('name', ENGLISH)
def test_commands_can_be_given(name):
    for words in Document(name).commands():
        check_command(words)


def check_command(words):
    """Fails unless the command is one of ours, with settings that it takes, or a known one of the system."""
    program, *rest = words
    if program in ('python', 'python3'):
        if rest[0] == '-m':
            assert importlib.util.find_spec(rest[1]), f'no module {rest[1]}'
            if rest[1] in SETTINGS and rest[2:]:  # else it is only named
                parse_settings(SETTINGS[rest[1]], '', rest[2:])
        else:
            parse_settings(SETTINGS[rest[0]], '', rest[1:])
    elif program == 'pip':
        for file in (file for option, file in zip(rest, rest[1:]) if option == '-r'):
            assert (REPOSITORY / file).is_file()
    elif program == 'make':
        makefile = (REPOSITORY / 'Makefile').read_text(encoding='utf-8')
        assert re.search(f'^{rest[0]}:', makefile, re.MULTILINE), f'no target {rest[0]}'
        assert all(re.search(f'^{name.split("=")[0]} ', makefile, re.MULTILINE) for name in rest[1:])
    elif program == 'mpirun':
        check_command(rest[rest.index('python'):])
    elif program == 'bash':
        assert (REPOSITORY / rest[0]).is_file()
    elif program == 'git':
        assert rest[:2] == ['clone', ORIGINAL]
    else:
        assert program in ('.', 'apt', 'export'), words


@pytest.mark.parametrize('command', ['python train_conv_trans.py --epoch 2', 'python train_nothing.py', 'make demos', 'rm -rf x',
                                     'python -m tools.nothing', 'python -m tools.scenes --scene 2',
                                     'python test_conv_trans.py --deep_shares unsigned', 'pip install -r requirements-none.txt'])
def test_commands_that_cannot(command):
    with pytest.raises((UserError, KeyError, AssertionError)):
        check_command(command.split())


@pytest.mark.parametrize('name', ENGLISH)
def test_settings_and_files_named_in_the_text_exist(name):
    for span in Document(name).spans:
        if span.startswith('--'):
            assert any(takes(cls, span) for cls in SETTINGS.values()), span
        elif span.startswith(FOLDERS_OF_OURS) or re.fullmatch(r'\w+\.py', span):
            assert (REPOSITORY / span).exists(), span


def takes(cls, text):
    """Whether these settings can be given to a script; one alone needs no value here."""
    words = shlex.split(text)
    if len(words) == 1:
        return words[0][2:] in {'help', *cls.__dataclass_fields__}
    try:
        parse_settings(cls, '', words)
    except UserError:
        return False
    return True


def test_files_that_are_listed_exist(readme):
    listing = next(block.text for block in readme.blocks if 'train_autoencoder.py,' in block.text)
    names = re.findall(r'\b\w+\.py\b|^\w+/|(?<=, )\w+/(?=[, ])', listing, re.MULTILINE)
    assert len(names) > 10 and [name for name in names if not (REPOSITORY / name).exists()] == []


@pytest.mark.parametrize('name', ALL)
def test_python_is_python(name):
    for block in Document(name).blocks:
        if block.language == 'python':
            modules = [node.module for node in ast.walk(ast.parse(block.text)) if isinstance(node, ast.ImportFrom)]
            assert modules and all(importlib.util.find_spec(module) for module in modules)


def test_messages_of_the_troubleshooting_are_ours(readme):
    source = '\n'.join(path.read_text(encoding='utf-8') for path in (REPOSITORY / 'tools').rglob('*.py'))
    messages = [message.strip('`') for message, _ in readme.table('message')]
    assert messages and [message for message in messages if message not in source] == []


def test_defaults_in_the_table(readme):
    for setting, cells in readme.table('setting'):
        for column, cls in (('stage 1', args_auto.Args), ('stage 2', args_trans.Args)):
            default = getattr(cls(), setting.strip('`-'), None)
            cell = cells[column]
            assert cell == '–' if default is None else cell == str(default) or float(cell) == default, (setting, column)


def test_results_on_tno(readme):
    folder = 'metrics/21_pairs_tno_published'
    summary, ranking = rows_of(f'{folder}/summary.csv'), rows_of(f'{folder}/ranking.csv')
    for method, cells in readme.table('method'):
        row = {'CrossFuse-Jittor': 'ours'}.get(method, method)
        tested = cells.pop('better : worse')
        assert tested == ('–' if row == 'ours' else f'{ranking[row]["better"]} : {ranking[row]["worse"]}'), method
        for column, cell in cells.items():
            metric = column.split(' ')[0]
            value = ranking[row]['mean rank'] if column.startswith('mean rank') else summary[row][f'{metric} mean']
            assert shown(value, cell) == cell, (method, column)
    assert list(ranking) == [{'CrossFuse-Jittor': 'ours'}.get(method, method) for method, _ in readme.table('method')]
    assert 'among [these four]' in readme.prose and 'over 18 metrics' in ' '.join(readme.prose.split())
    assert (len([column for column in summary['ours'] if column.endswith(' mean')]), len(ranking)) == (18, 4)


def test_agreement_with_pytorch(readme):
    with open(REPOSITORY / 'results/comparison/training.csv', newline='', encoding='utf-8-sig') as file:
        losses = {row['stage'].lower(): row for row in csv.DictReader(file) if row['loss'] == 'total loss'}
    metrics, speed = rows_of('comparison/results.csv'), rows_of('comparison/speed.csv')
    times = {'infrared auto-encoder': 'training step, stage 1, batch 2', 'visible auto-encoder': 'training step, stage 1, batch 2',
             'fusion network': 'training step, stage 2, batch 8', 'fused test images': 'fused image, 640×480'}
    for compared, cells in readme.table('compared'):
        what, number = compared.split(', ')
        if what in losses:
            columns = 'end', 'median_jittor', 'median_floor'
            values = [float(losses[what][column]) for column in columns]
        else:
            values = [float(metrics[number.split()[-1]][column]) for column in ('pytorch', 'jittor', 'floor')]
        expected = [values[0], 100 * abs(values[1]), 100 * values[2], speed[times[what]]['ratio']]
        assert [shown(value, cell) for value, cell in zip(expected, cells.values())] == [
            cell.replace(' %', '') for cell in cells.values()], compared


def test_the_same_bits(readme):
    assert 'Features and outputs of the\nauto-encoders are the same bits' in readme.prose
    with open(REPOSITORY / 'results/comparison/forward.csv', newline='', encoding='utf-8-sig') as file:
        differences = [float(row['jittor']) for row in csv.DictReader(file)
                       if 'auto-encoder' in row['stage'] and row['quantity'] in ('shallow features', 'deep features', 'out')]
    assert differences == [0] * 6


def test_speed(readme):
    columns = 'pytorch', 'jittor', 'ratio', 'pytorch_memory', 'jittor_memory'
    for table, file in (('task', 'comparison/speed.csv'), ('task on a GPU', 'gpu/speed.csv')):
        speed = rows_of(file)
        for task, cells in readme.table(table):
            assert [shown(speed[task][column], cell) if speed[task][column] else '—'
                    for column, cell in zip(columns, cells.values())] == list(cells.values()), task


def test_starts(readme):
    start = rows_of('comparison/start.csv')
    for task, cells in readme.table('from start to end'):
        task = task.replace('`', '')
        columns = zip(('operators', 'cold', 'warm'), cells.values())
        assert [shown(start[task][column], cell) for column, cell in columns] == list(cells.values()), task
        assert float(start[task]['warm_operators']) == float(start[task]['other_size_operators'] or 0) == 0, 'compiled once, for all sizes'


def test_hours_of_training(readme):
    (_, recipe), *computed = readme.table('hours of training')
    logs = REPOSITORY / 'results/logs'
    minutes = {path.parent.name: float(re.search(r'time: ([\d.]+) minutes', path.read_text(encoding='utf-8')).group(1))
               for path in logs.glob('*/summary.txt')}
    speeds = rows_of('comparison/speed.csv'), rows_of('gpu/speed.csv')
    for column, runs, settings, task in (
            ('stage 1, a modality', ['autoencoder_ir', 'autoencoder_vi'], args_auto.Args(), 'training step, stage 1, batch 2'),
            ('stage 2', ['fusion'], args_trans.Args(), 'training step, stage 2, batch 8')):
        assert shown(sum(minutes[run] for run in runs) / len(runs) / 60, recipe[column]) == recipe[column]
        assert task.endswith(f'batch {settings.batch}')
        steps = settings.train_num // settings.batch * settings.epochs
        for (_, hours), speed in zip(computed, speeds):
            assert shown(steps * float(speed[task]['jittor']) / 3600, hours[column]) == hours[column]


@pytest.mark.parametrize('text, file, there', SAID)
def test_what_the_text_says_stands_under_results(readme, text, file, there):
    assert text in ' '.join(readme.prose.split())
    assert there in (REPOSITORY / 'results' / file).read_text(encoding='utf-8')


@pytest.mark.parametrize('name', ENGLISH)
def test_no_other_number_claims_a_result(name):
    document = Document(name)
    text = words_alone(document.prose)
    for table in document.tables:
        if table[0][0] in CHECKED_TABLES:
            for row in table:
                text = text.replace(words_alone(f'| {" | ".join(row)} |'), ' ')
    for said, _, _ in SAID:
        text = text.replace(said, ' ')
    assert set(re.findall(r'\d+\.\d+|\d+(?= %)', text)) <= NO_RESULTS


def test_drawing_is_a_drawing():
    root = ElementTree.parse(REPOSITORY / 'docs' / 'network.svg').getroot()
    assert root.tag.endswith('svg') and root.get('viewBox')


def test_citation_and_licence(readme):
    citation = (REPOSITORY / 'CITATION.cff').read_text(encoding='utf-8')
    entry = next(block.text for block in readme.blocks if block.language == 'bibtex')
    for field in ('title', 'journal', 'volume', 'year'):
        assert re.search(rf'{field}\s*= {{(.*)}}', entry).group(1) in citation
    licence = (REPOSITORY / 'LICENSE').read_text(encoding='utf-8')
    assert licence.startswith('MIT License') and 'license: MIT' in citation
    assert 'Hui Li and Xiao-Jun Wu' in licence and 'carries no licence' in licence
