"""Windows, as far as it can be played on another system: what needs no Jittor works there, the rest says what to do."""
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import REPOSITORY

from tools.data.images import write_image

# What Python does not have there, and what the system refuses; set once the libraries are loaded, which
# were made for another system.
WINDOWS = '''
import errno, fcntl, os, platform, runpy, signal, sys
import cv2, matplotlib.figure, pandas, scipy.io, scipy.stats, seaborn, tqdm
getfl, fsync = fcntl.fcntl, os.fsync
def fsync_of_windows(file, F_GETFL=fcntl.F_GETFL):
    if getfl(file, F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    fsync(file)
os.fsync = fsync_of_windows
sys.modules.update(dict.fromkeys(['fcntl', 'grp', 'pwd', 'resource', 'termios'], None))
for name in ('SIGHUP', 'SIGCHLD', 'SIGQUIT', 'SIGKILL', 'pthread_sigmask', 'SIG_BLOCK'):
    delattr(signal, name)
platform.system = lambda: 'Windows'
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
'''


@pytest.fixture
def run(tmp_path):
    """A function that runs a script in a folder with images and losses -> (exit code, output, errors)."""
    for folder in ('ir', 'vi', 'a', 'b'):
        for number in range(3):
            image = np.random.RandomState(number + ord(folder[0])).randint(0, 256, (20, 24)).astype(np.uint8)
            write_image(tmp_path / folder / f'{number}.png', image)
    (tmp_path / 'losses.csv').write_text('step,epoch,lr,total_loss\n1,1,0.1,5\n2,1,0.1,4\n')

    def run(script, *arguments):
        ended = subprocess.run([sys.executable, '-c', WINDOWS, str(REPOSITORY / script), *arguments], cwd=tmp_path,
                               env={**os.environ, 'PYTHONPATH': str(REPOSITORY)}, capture_output=True, text=True)
        return ended.returncode, ended.stdout, ended.stderr
    return run


@pytest.mark.parametrize('script, arguments, written', [
    ('evaluate_fusion_results.py', '--ir ir --vi vi --fused a b --out out --workers 1 --html',
     ['out/summary.csv', 'out/page.html', 'out/means.png']),
    ('plot_loss_curves.py', '--runs losses.csv --output out', ['out/loss_curves.svg']),
    ('tools/evaluation/figure.py', '--ir ir --vi vi --fused a b --out out/figure', ['out/figure.pdf']),
])
def test_what_needs_no_jittor_works(run, tmp_path, script, arguments, written):
    code, _, errors = run(script, *arguments.split())
    assert code == 0, errors
    assert all((tmp_path / name).is_file() for name in written), list((tmp_path / 'out').iterdir())


@pytest.mark.parametrize('script, arguments', [
    ('test_conv_trans.py', '--ir ir --vi vi --out out'),
    ('train_autoencoder.py', '--path .'),
    ('train_conv_trans.py', '--path .'),
    ('tools/cost/__main__.py', ''),
    ('tools/fusing/warm_up.py', ''),
    ('tools/runtime/setup.py', ''),
])
def test_what_needs_jittor_says_to_use_wsl(run, script, arguments):
    code, output, errors = run(script, *arguments.split())
    assert (code, output, errors.count('\n')) == (1, '', 1) and errors.startswith('error: ') and 'use WSL' in errors, errors
