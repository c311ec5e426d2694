"""What scripts print and write: no name, terminal, pipe or full disk ends what they do."""
import csv
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import REPOSITORY

import evaluate_fusion_results
import plot_loss_curves
from tools.base.files import printable
from tools.base.script import run_script
from tools.data.images import write_image

LATIN_1 = os.fsdecode('été'.encode('latin-1'))  # a name as old archives hold it, which is no UTF-8
ESCAPED = r'\udce9t\udce9'
SCRIPT = '''
import sys
from pathlib import Path
from tools.base.script import run_script
def main():
{}
    Path(sys.argv[1]).write_text('done')
run_script(main)
'''


def start(lines, done, **options):
    """A Python in which a script prints by these lines and makes the file `done` after it."""
    code = SCRIPT.format(''.join(f'    {line}\n' for line in lines))
    pipes = dict.fromkeys(('stdin', 'stdout', 'stderr'), subprocess.PIPE)
    return subprocess.Popen([sys.executable, '-c', code, str(done)], cwd=REPOSITORY, **{**pipes, **options})


@pytest.mark.parametrize('encoding', ['ascii', 'cp1252', 'gbk', 'utf-8'])
def test_a_terminal_that_lacks_characters_shows_escapes(encoding, tmp_path):
    environment = {**os.environ, 'PYTHONIOENCODING': encoding}
    script = start(['print("a ↔ ✓ 融合", "b\\udce9c")', 'print("d ↔", file=sys.stderr)'], tmp_path / 'done', env=environment)
    output, errors = script.communicate()
    assert script.returncode == 0 and (tmp_path / 'done').exists()
    assert output.decode(encoding).startswith('a ') and output.decode(encoding).endswith('b\\udce9c\n')
    assert errors.decode(encoding).startswith('d ')


def test_a_script_goes_on_when_its_reader_is_gone(tmp_path):
    script = start(['print("first", flush=True)', 'sys.stdin.readline()', 'for i in range(100000): print("line", i)',
                    'print("last", flush=True)'], tmp_path / 'done')
    assert script.stdout.readline() == b'first\n'
    script.stdout.close()  # as head does
    _, errors = script.communicate(b'\n')
    assert (script.returncode, errors) == (0, b'') and (tmp_path / 'done').exists()


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='there is no full device to write to')
@pytest.mark.parametrize('line', ['print("short")', 'for i in range(100000): print("line", i)', 'print("at once", flush=True)',
                                  'print("before its end", flush=True); sys.exit(0)'])
def test_a_full_device_is_one_line(line, tmp_path):
    with open('/dev/full', 'w') as full:
        script = start([line], tmp_path / 'done', stdout=full)
        _, errors = script.communicate()
    assert script.returncode == 1
    assert errors == b'error: a part of the output is lost: No space left on device\n'
    assert (tmp_path / 'done').exists() or 'exit' in line


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='there is no full device to write to')
def test_progress_that_cannot_be_shown_ends_nothing(tmp_path):
    with open('/dev/full', 'w') as full:
        script = start(['from tqdm import tqdm', 'for _ in tqdm(range(3)): print("a", file=sys.stderr)', 'print("b")'],
                       tmp_path / 'done', stderr=full)
        output, _ = script.communicate()
    assert (script.returncode, output) == (0, b'b\n') and (tmp_path / 'done').exists()


def test_a_script_runs_with_its_outputs_closed(tmp_path):
    code = SCRIPT.format('    from tqdm import tqdm\n    for _ in tqdm(range(3)): print("↔", flush=True)')
    ended = subprocess.run(['sh', '-c', 'exec "$@" >&- 2>&-', 'sh', sys.executable, '-c', code, str(tmp_path / 'done')], cwd=REPOSITORY)
    assert ended.returncode == 0 and (tmp_path / 'done').exists()


def run(main, *arguments):
    """The exit code of a script's main function, run as a script."""
    with pytest.raises(SystemExit) as end:
        run_script(lambda: main(*arguments))
    return end.value.code


def test_names_for_people():
    assert printable(LATIN_1) == ESCAPED and printable('été ↔ 融合') == 'été ↔ 融合'


@pytest.fixture
def latin_1_images(tmp_path, monkeypatch):
    """Three pairs and two methods, with a folder and files whose names are not UTF-8."""
    monkeypatch.chdir(tmp_path)
    for folder in ('ir', 'vi', f'method_{LATIN_1}', 'other'):
        for number, name in enumerate((LATIN_1, 'b', 'c')):
            image = np.random.RandomState(number + len(folder)).randint(0, 256, (20, 24)).astype(np.uint8)
            try:
                write_image(tmp_path / folder / f'{name}.png', image)
            except OSError:
                pytest.skip('this file system has names in UTF-8 only')
    (tmp_path / 'vi' / f'broken_{LATIN_1}.png').write_bytes(b'')
    (tmp_path / 'ir' / f'broken_{LATIN_1}.png').write_bytes(b'')
    return tmp_path


def test_an_evaluation_of_names_that_are_not_utf_8(latin_1_images, capsys):
    code = run(evaluate_fusion_results.main, ['--ir', 'ir', '--vi', 'vi', '--fused', f'method_{LATIN_1}', 'other',
                                              '--out', f'out_{LATIN_1}', '--workers', '1', '--html'])
    output, errors = capsys.readouterr()
    assert code == 1 and f'no fused image of broken_{ESCAPED}.png' in errors and f'method_{ESCAPED}' in output
    out = latin_1_images / f'out_{LATIN_1}'
    with open(out / 'scores.csv', encoding='utf-8-sig', newline='') as file:
        rows = list(csv.DictReader(file))
    assert {(row['method'], row['image']) for row in rows if row['EN']} == {
        (method, f'{name}.png') for method in (f'method_{ESCAPED}', 'other') for name in (ESCAPED, 'b', 'c')}
    for name in ('summary.md', 'summary.tex', 'ranking.md', 'page.html'):
        assert 'other' in (out / name).read_text(encoding='utf-8')
    assert (out / 'means.png').is_file()


def test_loss_curves_of_names_that_are_not_utf_8(tmp_path, monkeypatch, capsys):
    folder = tmp_path / f'run_{LATIN_1}'
    folder.mkdir()
    (folder / 'losses.csv').write_text('step,epoch,lr,total_loss\n1,1,0.1,5\n2,1,0.1,4\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['plot', '--runs', folder.name, folder.name, '--names', f'a{LATIN_1}', '--output', 'out'])
    assert run(plot_loss_curves.main) is None
    drawn, = (tmp_path / 'out').glob('*.svg')
    assert f'a{ESCAPED}' in drawn.read_text(encoding='utf-8') and f'run_{ESCAPED}' in capsys.readouterr().out


def test_figures_are_drawn_where_no_home_is_known(tmp_path):
    """As in a container for a user whom it does not know."""
    code = '''
import os, pwd, sys
os.environ.pop('HOME', None)
def unknown(user):
    raise KeyError(user)
pwd.getpwuid = unknown
from tools.base.figures import figure_style, save_figure
from matplotlib.figure import Figure
with figure_style('paper'):
    save_figure(Figure(), sys.argv[1], ['png'])
'''
    environment = {name: value for name, value in os.environ.items() if name not in ('MPLCONFIGDIR', 'XDG_CONFIG_HOME', 'XDG_CACHE_HOME')}
    drawn = subprocess.run([sys.executable, '-c', code, str(tmp_path / 'drawn')], cwd=REPOSITORY, capture_output=True, text=True,
                           env={**environment, 'TMPDIR': str(tmp_path)})
    assert (drawn.returncode, drawn.stdout) == (0, '') and 'Traceback' not in drawn.stderr, drawn.stderr
    assert (tmp_path / 'drawn.png').is_file()


def test_what_ctrl_c_left_half_made_goes_silently():
    script = ('from tools.base.script import run_script\n'
              'class HalfMade:\n'
              '    def __del__(self):\n'
              '        print(self.never_set)\n'
              'def main():\n'
              '    half = HalfMade()\n'
              '    raise KeyboardInterrupt\n'
              'run_script(main)')
    result = subprocess.run([sys.executable, '-c', script], cwd=REPOSITORY, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (130, 'stopped\n')
