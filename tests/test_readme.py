"""The READMEs and docs: both languages say the same, commands and links work, and results are those under results/.

Sentences can be reworded freely. A number that claims a result has its source in a comment of its block (lines without
a blank one between them), and so has a table. A comment is a line of its own, the same in both languages:

    <!-- 99.7, 21 in comparison/results.md: "| Jittor | 21 | 73.48 dB | 69.00 dB | 1 gray levels | 99.7 % |" -->
    <!-- table comparison/speed.csv: pytorch, jittor, ratio; gpu/speed.csv: pytorch, jittor -->
    <!-- table checked by test_results_on_tno -->

The first: these numbers of the block are rounded from numbers of the quoted text, which stands
in that file under results/. The
second: the table's columns are these columns of CSV files, and its first cells are the CSV files' rows.
"""
import ast
import csv
import importlib.util
import re
import shlex
import string
from collections import Counter, namedtuple
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
from conftest import REPOSITORY

import args_auto
import args_test
import args_trans
import evaluate_fusion_results
import plot_loss_curves
from comparison import __main__ as compare_with_pytorch
from comparison import gpu as check_gpu
from tools.base.errors import UserError
from tools.base.settings import parse_settings
from tools.cost import __main__ as measure_cost
from tools.data import align, lists
from tools.evaluation import calibration, figure
from tools.fusing import displacement, flicker
from tools.scenes import __main__ as make_scenes
from tools.weights import convert, ship
from tools.weights.checkpoint import load_weights

CHINESE = '.zh-CN.md'
ENGLISH = ['README.md', *sorted(f'docs/{path.name}' for path in (REPOSITORY / 'docs').glob('*.md') if not path.name.endswith(CHINESE))]
ALL = [name for english in ENGLISH for name in (english, english.replace('.md', CHINESE))]
WIDTH = 120
ORIGINAL = 'https://github.com/hli1221/CrossFuse'

SETTINGS = {
    'train_autoencoder.py': args_auto.Args, 'train_conv_trans.py': args_trans.Args,
    'test_conv_trans.py': args_test.Args, 'test_color_image.py': args_test.ColorArgs,
    'evaluate_fusion_results.py': evaluate_fusion_results.Args, 'tools.evaluation.figure': figure.Args,
    'comparison': compare_with_pytorch.Args, 'comparison.gpu': check_gpu.Args, 'tools.scenes': make_scenes.Args,
    'plot_loss_curves.py': plot_loss_curves.Args, 'tools.cost': measure_cost.Args, 'tools.weights.ship': ship.Args,
    'tools.weights.convert': convert.Args, 'tools.evaluation.calibration': calibration.Args,
    'tools.data.lists': lists.Args, 'tools.data.align': align.Args, 'tools.fusing.displacement': displacement.Args,
    'tools.fusing.flicker': flicker.Args,
}
FOLDERS_OF_OURS = 'network/', 'tools/', 'tests/', 'comparison/', 'recipes/', 'docs/', 'results/'

# Decimal numbers and percentages that claim no result: versions, settings, licences, printed examples of commands, an
# image of ours beside another of ours (docs/data.md), and 31.6 = 1/√(1 − 0.999), from Adam's β₂.
NO_RESULTS = {'3.8', '3.12', '1.3', '0.9', '0.0001', '0.001', '31.6', '0.999', '4.0', '4.10'}
NUMBER = r'\d+(?:,\d{3})*(?:\.\d+)*'

Block = namedtuple('Block', 'language text')
Source = namedtuple('Source', 'numbers file text')
COMMENT = re.compile(r'<!-- (.*?) -->\n?')
SOURCE = re.compile(rf'({NUMBER}(?:, {NUMBER})*) in (\S+): "(.*)"')


class Paragraph:
    """Lines without a blank one between them: their text, the table in them, and the comments that
    say where numbers come from."""

    def __init__(self, block):
        self.comments = COMMENT.findall(block)
        self.text = COMMENT.sub('', block)
        lines = [line for line in self.text.splitlines() if line.startswith('|')]
        rows = [[cell.strip() for cell in line.rstrip()[1:-1].split('|')] for line in lines]
        self.table = [row for row in rows if not set(''.join(row)) <= set('-: ')]

    def sources(self):
        """[(numbers, file, text)] of its comments about numbers."""
        return [Source(re.split(', ', found.group(1)), *found.groups()[1:])
                for found in map(SOURCE.fullmatch, self.comments) if found]

    def table_source(self):
        """What its comment about the table says; '' if there is none."""
        return next((comment[len('table '):] for comment in self.comments if comment.startswith('table ')), '')


class Document:
    """A Markdown file taken apart."""

    def __init__(self, name):
        self.path = REPOSITORY / name
        self.text = self.path.read_text(encoding='utf-8')
        self.blocks = [Block(*found) for found in re.findall(r'^```(\w*)\n(.*?)^```$', self.text, re.MULTILINE | re.DOTALL)]
        with_comments = re.sub(r'^```.*?^```$', '', self.text, flags=re.MULTILINE | re.DOTALL)
        self.paragraphs = [Paragraph(block) for block in re.split(r'\n\s*\n', with_comments)]
        self.comments = [comment for paragraph in self.paragraphs for comment in paragraph.comments]
        self.prose = COMMENT.sub('', with_comments)
        self.headings = [(len(marks), title) for marks, title in re.findall(r'^(#+) (.*)$', self.prose, re.MULTILINE)]
        self.links = re.findall(r'\]\(([^)]+)\)|src="([^"]+)"', self.prose)
        self.links = [markdown or html for markdown, html in self.links]
        self.spans = re.findall(r'`([^`\n]+)`', self.prose)

    @property
    def tables(self):
        return [paragraph.table for paragraph in self.paragraphs if paragraph.table]

    @property
    def anchors(self):
        """What the parts of the page are called in links, as GitHub makes it from their headings."""
        return [re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-') for _, title in self.headings]

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
    return sorted(re.findall(NUMBER, re.sub(r'[Ss]tages? \d(?: and \d)?', '', text)))


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
    assert [level for level, _ in english.headings] == [level for level, _ in chinese.headings]
    assert english.comments == chinese.comments
    assert [(block.language, without_comments(block.text)) for block in english.blocks if block.language != 'text'] == [
        (block.language, without_comments(block.text)) for block in chinese.blocks if block.language != 'text']
    assert [re.findall(r'[\w./{}]+\.\w+', block.text) for block in english.blocks if block.language == 'text'] == [
        re.findall(r'[\w./{}]+\.\w+', block.text) for block in chinese.blocks if block.language == 'text']
    assert [list(map(len, table)) for table in english.tables] == [list(map(len, table)) for table in chinese.tables]
    assert [numbers(' '.join(sum(table, []))) for table in english.tables] == [
        numbers(' '.join(sum(table, []))) for table in chinese.tables]
    assert numbers(english.prose) == numbers(chinese.prose)
    assert Counter(english.spans) == Counter(chinese.spans)
    assert targets(english) == targets(chinese)


def targets(document):
    """Where the links lead, alike for both languages: parts of our pages by their number."""
    return Counter((link.split('#')[0].replace(CHINESE, '.md'), part_of(document, link)) for link in document.links)


def part_of(document, link):
    """The number of the part of a page that a link leads to; None if it leads to a whole page.
    ValueError if there is no such part."""
    page, _, anchor = link.partition('#')
    if '://' in link or not anchor:
        return None
    return (Document(document.path.parent / page) if page else document).anchors.index(anchor)


@pytest.mark.parametrize('name', ALL)
def test_contents_list_the_parts_in_order(name):
    document = Document(name)
    contents, = (paragraph.text for paragraph in document.paragraphs if paragraph.text.startswith(('**Contents:**', '**目录：**')))
    parts = [anchor for anchor, (level, _) in zip(document.anchors, document.headings) if level == 2]
    assert len(set(document.anchors)) == len(document.anchors)
    assert re.findall(r'\]\(#([^)]+)\)', contents) == parts


def test_the_readme_is_short():
    for name in ('README.md', 'README' + CHINESE):
        assert len((REPOSITORY / name).read_text(encoding='utf-8').splitlines()) <= 180


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
    targets = [(document.path.parent / link).resolve() for link in document.links if '://' not in link and link[0] != '#']
    others = [path.relative_to(REPOSITORY).as_posix() for path in targets if path.suffix == '.md']
    # The line of languages
    assert len([other for other in others if other in ALL and other not in of_this_language]) == 1


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
        assert program in ('.', 'apt', 'export', 'tensorboard', 'pyiqa'), words


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


def test_messages_of_the_troubleshooting_are_ours():
    source = '\n'.join(path.read_text(encoding='utf-8') for path in (REPOSITORY / 'tools').rglob('*.py'))
    messages = [message.strip('`') for message, _ in Document('docs/troubleshooting.md').table('message')]
    assert messages and [message for message in messages if message not in source] == []


def test_defaults_in_the_table():
    for setting, cells in Document('docs/training.md').table('setting'):
        for column, cls in (('stage 1', args_auto.Args), ('stage 2', args_trans.Args)):
            default = getattr(cls(), setting.strip('`-'), None)
            cell = cells[column]
            assert cell == '–' if default is None else cell == str(default) or float(cell) == default, (setting, column)


def test_results_on_tno(readme):
    folder = 'metrics/21_pairs_tno'
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
    assert len(ranking) == 4 and 'these four methods' in readme.prose
    assert f'{len([column for column in summary["ours"] if column.endswith(" mean")])} metrics' in ' '.join(readme.prose.split())


def test_agreement_with_pytorch():
    with open(REPOSITORY / 'results/comparison/training.csv', newline='', encoding='utf-8-sig') as file:
        losses = {row['stage'].lower(): row for row in csv.DictReader(file) if row['loss'] == 'total loss'}
    metrics, speed = rows_of('comparison/results.csv'), rows_of('comparison/speed.csv')
    times = {'infrared auto-encoder': 'training step, stage 1, batch 2', 'visible auto-encoder': 'training step, stage 1, batch 2',
             'fusion network': 'training step, stage 2, batch 8', 'fused test images': 'fused image, 640×480'}
    for compared, cells in Document('docs/comparison.md').table('compared'):
        what, number = compared.split(', ')
        if what in losses:
            columns = 'end', 'median_jittor', 'median_floor'
            values = [float(losses[what][column]) for column in columns]
        else:
            values = [float(metrics[number.split()[-1]][column]) for column in ('pytorch', 'jittor', 'floor')]
        expected = [values[0], 100 * abs(values[1]), 100 * values[2], speed[times[what]]['ratio']]
        assert [shown(value, cell) for value, cell in zip(expected, cells.values())] == [
            cell.replace(' %', '') for cell in cells.values()], compared


def test_the_same_bits():
    """docs/comparison.md and docs/replication.md say so of the auto-encoders' features and outputs."""
    with open(REPOSITORY / 'results/comparison/forward.csv', newline='', encoding='utf-8-sig') as file:
        differences = [float(row['jittor']) for row in csv.DictReader(file)
                       if 'auto-encoder' in row['stage'] and row['quantity'] in ('shallow features', 'deep features', 'out')]
    assert differences == [0] * 6


def test_the_attention_of_the_shipped_weights():
    """docs/replication.md, docs/other_programs.md and the model card say that it is
    uniform: queries and keys are as good as zero."""
    path, = (REPOSITORY / 'results/models').glob('fusetrans_*.safetensors')
    weights = load_weights(path).arrays
    arrays = [array for name, array in weights.items() if re.search(r'\.[qk]_linear\.', name)]
    assert len(arrays) == 8 and max(np.abs(array).max() for array in arrays) < 1e-3


def test_scripts_compile_once_for_all_sizes():
    for row in rows_of('comparison/start.csv').values():
        assert float(row['warm_operators']) == float(row['other_size_operators'] or 0) == 0


@pytest.mark.parametrize('name', ENGLISH)
def test_tables_are_those_of_csv_files(name):
    for paragraph in Document(name).paragraphs:
        source = paragraph.table_source()
        if source.startswith('checked by '):
            assert source.split()[-1] in globals()
        elif source:
            check_table(paragraph.table, source)


def check_table(table, source):
    """Fails unless the cells are those of the CSV files' columns: FILE: COLUMN, COLUMN; FILE: COLUMN."""
    columns = [(rows_of(file), column) for file, names in (part.split(': ') for part in source.split('; ')) for column in names.split(', ')]
    assert len(table) > 1 and {len(row) for row in table} == {1 + len(columns)}
    for first, *cells in table[1:]:
        values = [rows[first.replace('`', '')][column] for rows, column in columns]
        assert [shown(value, cell) if value else '—' for value, cell in zip(values, cells)] == cells, first


def test_hours_of_training():
    (_, recipe), *computed = Document('docs/training.md').table('hours of training')
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


@pytest.mark.parametrize('name', ENGLISH)
def test_numbers_stand_under_results(name):
    document = Document(name)
    for paragraph in document.paragraphs:
        known = [comment for comment in paragraph.comments if SOURCE.fullmatch(comment) or comment.startswith('table ')]
        assert paragraph.comments == known, 'a comment that says no source'
        for source in paragraph.sources():
            check_source(paragraph.text, source)


def check_source(text, source):
    """Fails unless the numbers are in the text, are rounded from numbers of the quoted one,
    and that stands in the file."""
    assert source.text in ' '.join((REPOSITORY / 'results' / source.file).read_text(encoding='utf-8').split())
    quoted = [number.replace(',', '') for number in re.findall(NUMBER, source.text)]
    for number in source.numbers:
        assert number in re.findall(NUMBER, text), number
        assert number.replace(',', '') in [shown(value, number) for value in quoted], number


@pytest.mark.parametrize('name', ENGLISH)
def test_no_other_number_claims_a_result(name):
    for paragraph in Document(name).paragraphs:
        if not paragraph.table_source():
            claimed = {number for source in paragraph.sources() for number in source.numbers}
            assert set(re.findall(r'\d+\.\d+|\d+(?= %)', words_alone(paragraph.text))) <= NO_RESULTS | claimed


@pytest.mark.parametrize('text, source', [
    ('It differs by 0.3 %.', Source(['0.3'], 'comparison/results.md', '| 0.31 |')),  # does not stand there
    ('It differs by 0.3 %.', Source(['0.4'], 'comparison/results.md', '| 99.7 % |')),  # not in the text
    ('It differs by 99.6 %.', Source(['99.6'], 'comparison/results.md', '| 99.7 % |')),
])
def test_numbers_that_are_not_those_of_their_source(text, source):
    with pytest.raises(AssertionError):
        check_source(text, source)


@pytest.mark.parametrize('row', [['fused image, 640×480', '4.514'], ['fused image, 640×480'], ['nothing', '4.513']])
def test_tables_that_are_not_those_of_their_source(row):
    with pytest.raises((AssertionError, KeyError)):
        check_table([['task', 'PyTorch'], row], 'comparison/speed.csv: pytorch')


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
