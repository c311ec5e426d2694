"""Which CUDA Jittor is to use here, and why: what the machine has is looked at, and one function decides.

Jittor 1.3.11 was made for CUDA 11 and 12 with cuDNN 8. Newer ones take an adapted copy of it (tools/runtime/adapted.py); where there is
none of them, the packages of requirements-gpu.txt are a toolkit (tools/runtime/wheels.py). Imports nothing but Python's own.
"""
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import List, NamedTuple, Optional, Tuple

NVCC_PLACES = ('nvcc', '/usr/local/cuda/bin/nvcc', '/usr/bin/nvcc', '/opt/cuda/bin/nvcc')  # where Jittor looks, in this order
MORE_TOOLKITS = Path('/usr/local')  # cuda-12.8 and the like beside the one that "cuda" is a link to
WSL_DRIVER = Path('/usr/lib/wsl/lib')
SYSTEM_HEADERS = Path('/usr/include')
ANSWER_TIME = 60  # seconds
VISIBLE = 'CUDA_VISIBLE_DEVICES'
# What Jittor 1.3.11 works with as it is; for cards of Hopper at most, since it compiles for no later ones.
OLD_CUDA, OLD_CUDNN, OLD_CARDS = (11, 12), 8, 9
# What works with its adapted copy; CUDA 13 needs this driver, and cards from Turing on.
NEW_CUDA, NEW_CUDNN, NEW_DRIVER, NEW_CARD = (12, 13), 9, 580, (7, 5)
# The first CUDA that knows cards of a major version of the compute capability.
FIRST_CUDA = {8: (11, 0), 9: (11, 8), 10: (12, 8), 11: (13, 0), 12: (12, 8)}
ADA, ADA_CUDA = (8, 9), (11, 8)  # before that CUDA, Jittor compiles for 8.0 or 8.6, which such a card runs
INSTALL_WHEELS = 'make setup GPU=1 (or pip install -r requirements-gpu.txt)'


class Card(NamedTuple):
    """One that nvidia-smi lists, and whether CUDA_VISIBLE_DEVICES lets it be used."""
    name: str
    capability: Tuple[int, int]
    visible: bool


class Toolkit(NamedTuple):
    """nvcc and what is beside it; what could not be found out is None, and refuses nothing."""
    nvcc: str
    cuda: Optional[Tuple[int, int]]
    cudnn: Optional[int]  # major version; 0 if there is none where Jittor looks
    newest_gcc: Optional[int]  # that nvcc accepts
    of_wheels: bool = False


class Machine(NamedTuple):
    answers: bool  # the driver, with a device
    driver: str  # its version, or ''
    cards: List[Card]
    toolkits: List[Toolkit]  # in the order in which they are preferred
    gcc: Optional[int]  # major version
    misfit: str  # why Jittor cannot be adapted, or ''
    wheels: str = ''  # what is wrong with the packages of requirements-gpu.txt, or ''
    wanted: bool = True  # False: the environment variable nvcc_path is set to nothing


class Decision(NamedTuple):
    """toolkit: None for the CPU. adapted: whether it takes the adapted copy of Jittor. reason: one line, with the remedy."""
    toolkit: Optional[Toolkit]
    adapted: bool
    reason: str


# ---- looking

def look(answers, misfit, wheels_nvcc=None, wheels='', toolkits=True):
    """The Machine. answers, misfit, wheels: as there; wheels_nvcc: of the packages, if they are a toolkit; toolkits: whether they count."""
    driver, cards = _driver_and_cards()
    chosen = os.environ.get('nvcc_path')
    places = [chosen] if chosen is not None else [*NVCC_PLACES, *sorted(map(str, MORE_TOOLKITS.glob('cuda-*/bin/nvcc')), reverse=True)]
    found = [path for path in (shutil.which(place) for place in places if place and toolkits) if path]
    unlike = {os.path.realpath(path): path for path in reversed(found)}  # of several names of one, the first
    own = [look_at_toolkit(path, path == str(wheels_nvcc)) for path in found if unlike[os.path.realpath(path)] == path]
    if wheels_nvcc and chosen is None:
        own.append(look_at_toolkit(str(wheels_nvcc), of_wheels=True))
    gcc = re.match(r'\d+', _said(os.environ.get('cc_path', 'g++'), '-dumpversion')) if toolkits else None
    return Machine(answers, driver, cards, own, int(gcc.group()) if gcc else None, misfit, wheels, chosen != '')


def look_at_toolkit(nvcc, of_wheels=False):
    """The Toolkit of an nvcc: versions as it, cuDNN's header and the header that checks the compiler say them."""
    release = re.search(r'release (\d+)\.(\d+)', _said(nvcc, '--version'))
    home = Path(nvcc if of_wheels else os.path.realpath(nvcc)).parent.parent
    folders = [home / 'include', *home.glob('targets/*-linux/include'), SYSTEM_HEADERS]
    headers = [folder for folder in folders if (folder / 'cudnn.h').is_file()]
    cudnn: Optional[int] = 0
    if headers:
        texts = [path.read_text(errors='replace') for path in map(headers[0].joinpath, ('cudnn_version.h', 'cudnn.h')) if path.is_file()]
        major = re.search(r'define CUDNN_MAJOR (\d+)', '\n'.join(texts))
        cudnn = int(major.group(1)) if major else None
    checks = [folder / 'crt' / 'host_config.h' for folder in folders if (folder / 'crt' / 'host_config.h').is_file()]
    newest = re.search(r'gcc versions later than (\d+)', checks[0].read_text(errors='replace')) if checks else None
    return Toolkit(nvcc, (int(release.group(1)), int(release.group(2))) if release else None, cudnn,
                   int(newest.group(1)) if newest else None, of_wheels)


def _driver_and_cards():
    """(driver's version, [Card]) as nvidia-smi tells them; ('', []) without it."""
    program = shutil.which('nvidia-smi') or str(WSL_DRIVER / 'nvidia-smi')
    lines = _said(program, '--query-gpu=index,uuid,driver_version,compute_cap,name', '--format=csv,noheader').splitlines()
    fields = [[field.strip() for field in line.split(',', 4)] for line in lines]
    fields = [line for line in fields if len(line) == 5 and re.fullmatch(r'\d+\.\d+', line[3])]
    visible = set()
    for entry in os.environ.get(VISIBLE, ','.join(line[0] for line in fields)).split(','):
        those = [line[0] for line in fields if entry.strip() and (line[0] == entry.strip() or line[1].startswith(entry.strip()))]
        if not those and not entry.strip().startswith('MIG-'):
            break  # the driver ignores what comes after one that it does not know
        visible.update(those or [line[0] for line in fields])
    cards = [Card(line[4], (int(line[3].split('.')[0]), int(line[3].split('.')[1])), line[0] in visible) for line in fields]
    return fields[0][2] if fields else '', cards


def _said(*command):
    """What a program prints; '' if it is missing, fails or does not answer."""
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True, errors='replace',
                              check=True, timeout=ANSWER_TIME).stdout
    except (OSError, subprocess.SubprocessError):
        return ''


# ---- deciding

def decide(machine):
    """The Decision: the first toolkit that suits Jittor as it is, else the first that suits its adapted copy, else the CPU."""
    if not machine.wanted:
        return Decision(None, False, 'the environment variable nvcc_path is set to nothing')
    if not machine.answers:
        return Decision(None, False, _why_no_driver(machine))
    if not machine.toolkits:
        return Decision(None, False, machine.wheels or _against_wheels(machine) or f'no nvcc was found: {INSTALL_WHEELS} brings one')
    as_it_is = [(toolkit, _against_as_it_is(machine, toolkit)) for toolkit in machine.toolkits]
    adapted = [(toolkit, _against_adapted(machine, toolkit)) for toolkit in machine.toolkits]
    for tried, changed in ((as_it_is, False), (adapted, True)):
        for toolkit, reason in tried:
            if not reason:
                where = 'the packages of requirements-gpu.txt' if toolkit.of_wheels else toolkit.nvcc
                return Decision(toolkit, changed, f'{where}, Jittor {"adapted" if changed else "as it is"}{_as_older(machine, toolkit)}')
    if machine.wheels:
        return Decision(None, False, machine.wheels)
    old = (machine.toolkits[0].cuda or (0, 0))[0] in OLD_CUDA and machine.toolkits[0].cudnn in (0, OLD_CUDNN)
    return Decision(None, False, (as_it_is if old else adapted)[0][1])


def _why_no_driver(machine):
    if machine.cards and not any(card.visible for card in machine.cards):
        return (f'{VISIBLE}={os.environ.get(VISIBLE)} leaves none of the {len(machine.cards)} GPUs: '
                f'unset it, or set it to one of 0 to {len(machine.cards) - 1}')
    if (WSL_DRIVER / 'libcuda.so.1').exists() and str(WSL_DRIVER) not in os.environ.get('LD_LIBRARY_PATH', ''):
        return f"WSL's driver does not answer: export LD_LIBRARY_PATH={WSL_DRIVER}; if it still does not, update the driver of Windows"
    if machine.cards:
        return f'the NVIDIA driver {machine.driver} lists GPUs, but does not answer CUDA: restart the machine, or the container with them'
    return 'no NVIDIA driver answers with a GPU: install one (nvidia-smi must list the GPU), in a container start it with its GPUs'


def _against_wheels(machine):
    """Why CUDA 13, as packages or another, does not work with this driver and these cards; '' if it does."""
    for card in machine.cards:  # first: no driver mends it
        if card.visible and card.capability < NEW_CARD:
            return (f'{card.name} (compute capability {_dotted(card.capability)}) is too old for CUDA 13, which needs {_dotted(NEW_CARD)}: '
                    'install CUDA 11 or 12 with cuDNN 8')
    major = re.match(r'\d+', machine.driver)
    if major and int(major.group()) < NEW_DRIVER:
        return (f'the driver {machine.driver} is too old for CUDA 13, which needs {NEW_DRIVER} or newer: update it, '
                'or install CUDA 11 or 12 with cuDNN 8')
    return ''


def _against_both(machine, toolkit):
    """What keeps Jittor, adapted or not, from working with a toolkit; '' if nothing does."""
    for card in machine.cards:
        first = FIRST_CUDA.get(card.capability[0])
        if card.visible and first and toolkit.cuda and toolkit.cuda < first:
            return (f'{card.name} (compute capability {_dotted(card.capability)}) is too new for CUDA {_dotted(toolkit.cuda)}, '
                    f'it needs {_dotted(first)} or newer: {INSTALL_WHEELS}')
    if toolkit.cudnn == 0:
        return (f'cuDNN is missing: no cudnn.h in {Path(toolkit.nvcc).parent.parent}/include or {SYSTEM_HEADERS}: '
                f'install cuDNN 8 for CUDA 11 and 12, or {INSTALL_WHEELS}')
    allowed = any('allow-unsupported-compiler' in os.environ.get(name, '') for name in ('NVCC_APPEND_FLAGS', 'NVCC_PREPEND_FLAGS'))
    if machine.gcc and toolkit.newest_gcc and machine.gcc > toolkit.newest_gcc and not allowed:
        return (f'g++ {machine.gcc} is too new for {toolkit.nvcc}, which accepts {toolkit.newest_gcc} at most: install '
                f'g++-{toolkit.newest_gcc} and export cc_path=g++-{toolkit.newest_gcc}')
    return ''


def _against_as_it_is(machine, toolkit):
    versions = toolkit.cuda is None or toolkit.cuda[0] in OLD_CUDA, toolkit.cudnn in (OLD_CUDNN, None, 0)
    if not all(versions):
        return f'{_versions(toolkit)} are not CUDA 11 or 12 with cuDNN 8'
    for card in machine.cards:
        if card.visible and card.capability[0] > OLD_CARDS:
            return f'{card.name} (compute capability {_dotted(card.capability)}) is too new for Jittor with cuDNN 8: {INSTALL_WHEELS}'
    return _against_both(machine, toolkit)


def _against_adapted(machine, toolkit):
    if toolkit.cuda is None or toolkit.cuda[0] not in NEW_CUDA or toolkit.cudnn not in (NEW_CUDNN, 0):
        return f'Jittor works with neither {_versions(toolkit)} ({toolkit.nvcc}): {INSTALL_WHEELS}'
    return (toolkit.cuda[0] == max(NEW_CUDA) and _against_wheels(machine)) or _against_both(machine, toolkit) or machine.misfit


def _as_older(machine, toolkit):
    """A note where a card computes as one of the same major version that the toolkit knows; '' if none does."""
    ada = [card.name for card in machine.cards if card.visible and card.capability == ADA]
    return f'; CUDA {_dotted(ADA_CUDA)} is the first that knows {ada[0]}' if ada and toolkit.cuda and toolkit.cuda < ADA_CUDA else ''


def _dotted(version):
    return '.'.join(map(str, version))


def _versions(toolkit):
    return (f'CUDA {_dotted(toolkit.cuda) if toolkit.cuda else "(version unknown)"} with '
            f'{"no cuDNN" if toolkit.cudnn == 0 else f"cuDNN {toolkit.cudnn}" if toolkit.cudnn else "cuDNN (version unknown)"}')


# ---- telling

def table(machine, decision):
    """The Machine and the Decision as a table in Markdown, for a bug report."""
    cards = [f'{card.name}, compute capability {_dotted(card.capability)}{"" if card.visible else f" (hidden by {VISIBLE})"}'
             for card in machine.cards]
    toolkits = [f'{toolkit.nvcc}: {_versions(toolkit)}, g++ up to {toolkit.newest_gcc or "unknown"}'
                f'{", from packages" if toolkit.of_wheels else ""}' for toolkit in machine.toolkits]
    rows = [('driver', f'{machine.driver or "unknown"}, {"answers" if machine.answers else "does not answer"}'),
            *(('GPU', card) for card in cards or ['none listed by nvidia-smi']),
            *(('toolkit', toolkit) for toolkit in toolkits or ['none']),
            ('g++', str(machine.gcc or 'unknown')),
            ('Jittor', machine.misfit or 'can be adapted'),
            ('computes on', f'the {"GPU" if decision.toolkit else "CPU"}: {decision.reason}')]
    return '\n'.join(['| CUDA | found |', '| --- | --- |', *(f'| {what} | {found} |' for what, found in rows)])
