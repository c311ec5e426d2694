"""The GPU: which CUDA is found, which is decided for, and what is made for it; programs, toolkits and packages are stand-ins."""
import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from conftest import REPOSITORY
from new_python import executable

from tools.base.errors import UserError
from tools.runtime import adapted, cache, cuda, wheels
from tools.runtime import setup as jittor_setup

FITS, UNFIT = '', 'Jittor 1.4.0.0 cannot be adapted'
H100, RTX_4090, RTX_5090, GTX_1080 = ('H100', '9.0'), ('RTX 4090', '8.9'), ('RTX 5090', '12.0'), ('GTX 1080', '6.1')


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with nothing; returns functions that give it a driver with cards, and toolkits."""
    for name in (cuda.VISIBLE, 'nvcc_path', 'NVCC_APPEND_FLAGS', 'NVCC_PREPEND_FLAGS', 'LD_LIBRARY_PATH'):
        monkeypatch.delenv(name, raising=False)
    for name in ('usr_local', 'wsl', 'headers'):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(cuda, 'NVCC_PLACES', ('nvcc', str(tmp_path / 'usr_local/cuda/bin/nvcc')))
    monkeypatch.setattr(cuda, 'MORE_TOOLKITS', tmp_path / 'usr_local')
    monkeypatch.setattr(cuda, 'WSL_DRIVER', tmp_path / 'wsl')
    monkeypatch.setattr(cuda, 'SYSTEM_HEADERS', tmp_path / 'headers')
    monkeypatch.setenv('PATH', str(tmp_path / 'bin'))
    monkeypatch.setenv('cc_path', str(executable(tmp_path / 'bin' / 'g++', '#!/bin/sh\necho 13.3.0\n')))

    def driver(version, *cards, place='bin'):
        lines = '\n'.join(f'{number}, GPU-{number}ab, {version}, {capability}, NVIDIA {name}'
                          for number, (name, capability) in enumerate(cards))
        executable(tmp_path / place / 'nvidia-smi', f'#!/bin/sh\necho "{lines}"\n')

    def toolkit(release, cudnn, folder='usr_local/cuda', gcc=15, header='cudnn_version.h'):
        home = tmp_path / folder
        executable(home / 'bin' / 'nvcc', f'#!/bin/sh\necho "Cuda compilation tools, release {release}, V{release}.88"\n')
        (home / 'include' / 'crt').mkdir(parents=True)
        (home / 'include' / 'crt' / 'host_config.h').write_text(f'#error unsupported GNU version! gcc versions later than {gcc} are not')
        if cudnn:
            (home / 'include' / 'cudnn.h').touch()
            (home / 'include' / header).write_text(f'#define CUDNN_MAJOR {cudnn}\n#define CUDNN_MINOR 1\n')
        return home / 'bin' / 'nvcc'
    return SimpleNamespace(driver=driver, toolkit=toolkit, folder=tmp_path)


def decided(answers=True, misfit=FITS, nvcc=None, wrong=''):
    return cuda.decide(cuda.look(answers, misfit, nvcc, wrong))


# Five kinds of machine

def test_cuda_12_with_cudnn_8_is_used_as_it_is_also_where_a_newer_one_lies_beside_it(machine):
    machine.driver('580.65.06', H100)
    machine.toolkit('13.0', 9, 'usr_local/cuda-13.0')
    nvcc = machine.toolkit('12.2', 8)
    decision = decided(nvcc=machine.toolkit('13.0', 9, 'wheels'))
    assert (decision.toolkit.nvcc, decision.adapted) == (str(nvcc), False)
    assert decision.toolkit == cuda.Toolkit(str(nvcc), (12, 2), 8, 15)


@pytest.mark.parametrize('release, header', [('13.0', 'cudnn_version.h'), ('12.6', 'cudnn_version.h'), ('12.9', 'cudnn.h')])
def test_cuda_12_or_13_with_cudnn_9_takes_the_adapted_jittor(machine, release, header):
    machine.driver('580.65.06', H100)
    nvcc = machine.toolkit(release, 9, header=header)
    decision = decided()
    assert (decision.toolkit.nvcc, decision.adapted) == (str(nvcc), True) and 'adapted' in decision.reason
    decision = decided(misfit=UNFIT)
    assert (decision.toolkit, decision.reason) == (None, UNFIT)


def test_nothing_but_a_driver_takes_the_packages(machine):
    machine.driver('580.65.06', RTX_5090)
    decision = decided()
    assert decision.toolkit is None and 'make setup GPU=1' in decision.reason
    decision = decided(nvcc=machine.toolkit('13.0', 9, 'wheels'))
    assert decision.toolkit.of_wheels and decision.adapted and 'requirements-gpu.txt' in decision.reason
    assert decided(wrong='nvidia-nvvm is missing').reason == 'nvidia-nvvm is missing'


def test_a_toolkit_without_a_driver_is_the_cpu(machine):
    machine.toolkit('12.2', 8)
    decision = decided(answers=False)
    assert decision.toolkit is None and 'no NVIDIA driver' in decision.reason


def test_of_several_toolkits_the_first_that_suits_is_used(machine):
    machine.driver('580.65.06', H100)
    machine.toolkit('13.0', None)
    nvcc = machine.toolkit('12.1', 8, 'usr_local/cuda-12.1')
    (machine.folder / 'bin' / 'nvcc').symlink_to(machine.folder / 'usr_local/cuda/bin/nvcc')  # one toolkit by two names
    looked = cuda.look(True, FITS)
    assert [toolkit.nvcc for toolkit in looked.toolkits] == [str(machine.folder / 'bin' / 'nvcc'), str(nvcc)]
    assert cuda.decide(looked).toolkit.nvcc == str(nvcc)


# What is in the way

@pytest.mark.parametrize('driver, card, release, cudnn, said', [
    ('550.54', H100, '13.0', 9, 'driver 550.54 is too old for CUDA 13, which needs 580'),
    ('550.54', H100, None, None, 'driver 550.54 is too old for CUDA 13, which needs 580'),
    ('580.65', GTX_1080, '13.0', 9, 'GTX 1080 (compute capability 6.1) is too old for CUDA 13, which needs 7.5: install CUDA 11 or 12'),
    ('550.54', GTX_1080, None, None, 'GTX 1080 (compute capability 6.1) is too old for CUDA 13'),
    ('580.65', RTX_5090, '12.6', 9, 'RTX 5090 (compute capability 12.0) is too new for CUDA 12.6, it needs 12.8 or newer'),
    ('580.65', RTX_5090, '12.8', 8, 'RTX 5090 (compute capability 12.0) is too new for Jittor with cuDNN 8: make setup GPU=1'),
    ('525.60', H100, '11.6', 8, 'H100 (compute capability 9.0) is too new for CUDA 11.6, it needs 11.8 or newer'),
    ('580.65', H100, '12.2', None, 'cuDNN is missing: no cudnn.h in'),
    ('580.65', H100, '13.0', None, 'cuDNN is missing: no cudnn.h in'),
    ('450.80', H100, '10.2', 7, 'Jittor works with neither CUDA 10.2 with cuDNN 7'),
])
def test_what_is_in_the_way_is_said_with_the_remedy(machine, driver, card, release, cudnn, said):
    machine.driver(driver, card)
    if release:
        machine.toolkit(release, cudnn)
    decision = decided()
    assert decision.toolkit is None and said in decision.reason and '\n' not in decision.reason


def test_an_ada_card_before_cuda_11_8_computes_as_the_one_before_it(machine):
    """Jittor compiles for 8.6 then, which such a card runs."""
    machine.driver('520.56', RTX_4090)
    machine.toolkit('11.6', 8)
    decision = decided()
    assert decision.toolkit and not decision.adapted and 'CUDA 11.8 is the first that knows NVIDIA RTX 4090' in decision.reason


def test_a_newer_compiler_than_nvcc_accepts_is_said_unless_it_is_told_to_accept_it(machine, monkeypatch):
    machine.driver('580.65', H100)
    machine.toolkit('12.2', 8, gcc=12)
    assert 'g++ 13 is too new' in decided().reason and 'export cc_path=g++-12' in decided().reason
    monkeypatch.setenv('NVCC_APPEND_FLAGS', '-allow-unsupported-compiler')
    assert decided().toolkit


def test_versions_that_are_unknown_refuse_nothing(machine):
    """Jittor tries, and its error is told."""
    executable(machine.folder / 'bin' / 'nvcc')
    (machine.folder / 'headers' / 'cudnn.h').touch()
    decision = decided()
    assert decision.toolkit == cuda.Toolkit(str(machine.folder / 'bin/nvcc'), None, None, None) and not decision.adapted


@pytest.mark.parametrize('visible, cards, said', [
    ('', [], 'CUDA_VISIBLE_DEVICES= leaves none of the 2 GPUs: unset it, or set it to one of 0 to 1'),
    ('7', [], 'CUDA_VISIBLE_DEVICES=7 leaves none of the 2 GPUs'),
    ('-1', [], 'CUDA_VISIBLE_DEVICES=-1 leaves none'),
    ('1', [1], 'does not answer CUDA'), ('1,7,0', [1], ''), ('GPU-0a', [0], ''), ('1, 0', [0, 1], ''), ('MIG-0f', [0, 1], ''),
])
def test_cuda_visible_devices_chooses_the_cards_that_count(machine, monkeypatch, visible, cards, said):
    machine.driver('580.65', H100, GTX_1080)
    monkeypatch.setenv(cuda.VISIBLE, visible)
    looked = cuda.look(False, FITS)
    assert [number for number, card in enumerate(looked.cards) if card.visible] == cards
    assert said in cuda.decide(looked).reason
    machine.toolkit('13.0', 9)
    if cards:
        assert bool(decided().toolkit) is (1 not in cards)  # the old card


def test_under_wsl_the_driver_of_windows_is_looked_for(machine, monkeypatch):
    machine.driver('581.29', RTX_4090, place='wsl')
    (machine.folder / 'wsl' / 'libcuda.so.1').touch()
    assert cuda.look(False, FITS).driver == '581.29'
    assert f'export LD_LIBRARY_PATH={machine.folder}/wsl' in decided(answers=False).reason
    monkeypatch.setenv('LD_LIBRARY_PATH', f'{machine.folder}/wsl')
    assert '581.29 lists GPUs, but does not answer CUDA' in decided(answers=False).reason
    assert decided(nvcc=machine.toolkit('13.0', 9, 'wheels')).toolkit.of_wheels


def test_nvcc_path_is_the_only_one_if_set_and_the_cpu_if_empty(machine, monkeypatch):
    machine.driver('580.65', H100)
    machine.toolkit('12.2', 8)
    own = machine.toolkit('12.4', 9, 'own')
    monkeypatch.setenv('nvcc_path', str(own))
    assert decided(nvcc=machine.toolkit('13.0', 9, 'wheels')).toolkit == cuda.Toolkit(str(own), (12, 4), 9, 15)
    monkeypatch.setenv('nvcc_path', '')
    assert decided().reason == 'the environment variable nvcc_path is set to nothing'


def test_nvcc_path_can_name_the_packages(machine, monkeypatch):
    """Whose parts lie in several folders, and are together in a toolkit of links alone."""
    machine.driver('580.65', H100)
    machine.toolkit('12.2', 8)
    nvcc = machine.toolkit('13.0', 9, 'wheels')
    (machine.folder / 'nvidia').mkdir()
    (machine.folder / 'wheels' / 'bin').rename(machine.folder / 'nvidia' / 'bin')
    (machine.folder / 'wheels' / 'bin').symlink_to(machine.folder / 'nvidia' / 'bin')
    monkeypatch.setenv('nvcc_path', str(nvcc))
    decision = decided(nvcc=nvcc)
    assert decision.toolkit == cuda.Toolkit(str(nvcc), (13, 0), 9, 15, of_wheels=True) and decision.adapted


def test_the_table_of_a_machine(machine):
    machine.driver('580.65.06', H100, RTX_4090)
    nvcc = machine.toolkit('12.2', 8)
    looked = cuda.look(True, FITS, machine.toolkit('13.0', 9, 'wheels'))
    assert cuda.table(looked, cuda.decide(looked)).splitlines() == [
        '| CUDA | found |', '| --- | --- |', '| driver | 580.65.06, answers |', '| GPU | NVIDIA H100, compute capability 9.0 |',
        '| GPU | NVIDIA RTX 4090, compute capability 8.9 |', f'| toolkit | {nvcc}: CUDA 12.2 with cuDNN 8, g++ up to 15 |',
        f'| toolkit | {machine.folder}/wheels/bin/nvcc: CUDA 13.0 with cuDNN 9, g++ up to 15, from packages |', '| g++ | 13 |',
        '| Jittor | can be adapted |', f'| computes on | the GPU: {nvcc}, Jittor as it is |']


# The adapted copy of Jittor

PACKAGE = jittor_setup._jittor_package()


def test_the_installed_jittor_can_be_adapted_and_is_not_touched(tmp_path):
    assert adapted.misfit(PACKAGE, adapted.JITTOR) == ''
    before = {path: path.stat().st_mtime_ns for path in PACKAGE.rglob('*') if path.suffix != '.pyc'}
    copy = adapted.adapted_jittor(tmp_path, PACKAGE)
    for change in adapted.CHANGES:
        text = (copy / 'jittor' / change.file).read_text()
        assert change.text not in text and change.replacement in text, change.reason
    files = [path.relative_to(copy) for path in copy.rglob('*') if path.is_file()]
    changed = [path for path in files if (copy / path).read_bytes() != (PACKAGE.parent / path).read_bytes()]
    assert {str(path.relative_to('jittor')) for path in changed} == {change.file for change in adapted.CHANGES}
    assert list(PACKAGE.glob(adapted.REMOVED)) and not list(copy.rglob('cudnn_rnn*'))
    for file in sorted({change.file for change in adapted.CHANGES if change.file.endswith('.py')}):
        compile((copy / 'jittor' / file).read_text(), file, 'exec')
    assert adapted.adapted_jittor(tmp_path, '/nowhere') == copy  # made once
    assert {path: path.stat().st_mtime_ns for path in PACKAGE.rglob('*') if path.suffix != '.pyc'} == before


def test_another_jittor_is_named(tmp_path):
    assert 'Jittor 1.3.12.0 cannot be adapted' in adapted.misfit(PACKAGE, '1.3.12.0')
    for file in {change.file for change in adapted.CHANGES}:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PACKAGE / file, tmp_path / file)
    assert adapted.misfit(tmp_path, adapted.JITTOR) == ''
    (tmp_path / 'compile_extern.py').write_text('libs = []')
    line = adapted.misfit(tmp_path, adapted.JITTOR)
    assert f"{tmp_path}/compile_extern.py is not that of Jittor {adapted.JITTOR} (cuDNN 9's libraries have other names)" in line
    assert 'pip install --force-reinstall' in line


# The toolkit made of packages

class Packages(dict):
    """Installed packages as pip tells of them: {name: (version, files)}."""

    def __call__(self, name):
        if name in self:
            version, files = self[name]
            return SimpleNamespace(version=version, files=[SimpleNamespace(locate=lambda path=path: path) for path in files])


@pytest.fixture
def packages(tmp_path):
    files = {'nvidia-cuda-nvcc': ['cu13/bin/nvcc', 'cu13/bin/ptxas', 'cu13/include/fatbinary.h'], 'nvidia-nvvm': ['cu13/nvvm/bin/cicc'],
             'nvidia-cuda-crt': ['cu13/include/crt/host_config.h'], 'nvidia-cuda-runtime': [
                 'cu13/include/cuda.h', 'cu13/include/__init__.py', 'cu13/lib/libcudart.so.13', 'cu13/lib/libcudadevrt.a'],
             'nvidia-cudnn-cu13': [
                 'cudnn/include/cudnn.h', 'cudnn/include/__init__.py', 'cudnn/lib/libcudnn_ops.so.9', 'cudnn/lib/libcudnn.so.9']}
    found = Packages({name: (version, [tmp_path / 'python/nvidia' / file for file in files.get(name, [])])
                      for name, version in wheels.pinned().items()})
    for _, paths in found.values():
        for path in paths:
            executable(path, f'#!/bin/sh\necho {path.name}\n')
    return found


def test_packages_make_a_toolkit_in_which_all_is_where_jittor_looks(packages, tmp_path):
    nvcc, wrong = wheels.wheels_toolkit(tmp_path, packages)
    toolkit = nvcc.parent.parent
    assert wrong == '' and not nvcc.is_symlink()  # Jittor follows links, and looks beside what it comes to
    assert subprocess.check_output([str(nvcc)], universal_newlines=True) == 'nvcc\n'
    for place, name in {'nvvm/bin/cicc': 'cicc', 'include/cuda.h': 'cuda.h', 'include/cudnn.h': 'cudnn.h', 'bin/ptxas': 'ptxas',
                        'include/crt/host_config.h': 'host_config.h', 'lib64/libcudart.so': 'libcudart.so.13',
                        'lib64/libcudart.so.13': 'libcudart.so.13', 'lib64/libcudnn.so': 'libcudnn.so.9',
                        'lib64/libcudnn_ops.so': 'libcudnn_ops.so.9', 'lib64/libcudadevrt.a': 'libcudadevrt.a'}.items():
        assert (toolkit / place).read_text().split()[-1] == name
    assert wheels.wheels_toolkit(tmp_path, packages) == (nvcc, '')


def test_packages_that_are_missing_or_of_other_versions_are_named(packages, tmp_path):
    assert wheels.wheels_toolkit(tmp_path, Packages()) == (None, '')
    without = Packages(packages)
    del without['nvidia-nvvm']
    assert wheels.wheels_toolkit(tmp_path, without)[1].startswith('nvidia-nvvm is missing, and requirements-gpu.txt has 13.0.88: pip')
    packages['nvidia-cublas'] = ('13.5.1.27', [])
    assert wheels.wheels_toolkit(tmp_path, packages)[1].startswith('nvidia-cublas is 13.5.1.27, and requirements-gpu.txt has 13.1.0.3')
    del packages['nvidia-cuda-nvcc']  # what PyTorch brings
    assert wheels.wheels_toolkit(tmp_path, packages) == (None, '')
    assert not list(tmp_path.glob('cuda/*'))


@pytest.mark.parametrize('free, said, line', [
    (1e9, '', '1.0 GB free, and the packages of CUDA take 4'),
    (1e12, "ERROR: ... NewConnectionError('...: Failed to establish a new connection')", 'pip wheel -r requirements-gpu.txt -w wheels'),
    (1e12, 'ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device', 'the disk is full'),
    (1e12, 'WARNING: x\nERROR: No matching distribution found for nvidia-npp==13.0.1.2', 'it said: ERROR: No matching distribution found'),
])
def test_what_keeps_the_packages_from_being_installed_is_one_line(monkeypatch, free, said, line):
    monkeypatch.setattr(wheels.shutil, 'disk_usage', lambda path: SimpleNamespace(free=free))
    monkeypatch.setattr(wheels.subprocess, 'run', lambda *_, **__: SimpleNamespace(returncode=1, stderr=said))
    with pytest.raises(UserError) as refused:
        wheels.install()
    assert line in str(refused.value) and '\n' not in str(refused.value)


# Made whole or not at all

def test_what_an_interruption_left_is_made_anew(tmp_path):
    def interrupted(folder):
        (folder / 'half').touch()
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        cache.made_once(tmp_path / 'cuda' / 'toolkit', interrupted)
    assert not (tmp_path / 'cuda' / 'toolkit').exists()
    made = cache.made_once(tmp_path / 'cuda' / 'toolkit', lambda folder: (folder / 'whole').touch())
    assert [path.name for path in made.iterdir()] == ['whole'] and not list(made.parent.glob('*.partial'))


def test_two_processes_make_it_once(tmp_path):
    program = ('import sys, time; from pathlib import Path; from tools.runtime.cache import made_once\n'
               'def fill(folder): print("made"); time.sleep(0.3); (folder / "file").touch()\n'
               'assert (made_once(Path(sys.argv[1]) / "cuda" / "toolkit", fill) / "file").is_file()')
    both = [subprocess.Popen([sys.executable, '-S', '-c', program, str(tmp_path)], stdout=subprocess.PIPE, cwd=str(REPOSITORY))
            for _ in range(2)]
    assert sorted(process.communicate(timeout=60)[0] for process in both) == [b'', b'made\n']
    assert [process.returncode for process in both] == [0, 0]


@pytest.mark.parametrize('number, remedy', [(errno.EROFS, 'python -m tools.fusing.warm_up'), (errno.ENOSPC, 'make room')])
def test_a_cache_folder_that_cannot_be_written_is_one_line(tmp_path, number, remedy):
    def fail(folder):
        raise OSError(number, os.strerror(number))
    with pytest.raises(UserError, match=f'cannot make {tmp_path}/adapted/copy: {os.strerror(number)}: .*{remedy}'):
        cache.made_once(tmp_path / 'adapted' / 'copy', fail)


# What the decision sets

@pytest.fixture
def set_up(machine, monkeypatch):
    monkeypatch.setattr(os, 'environ', dict(os.environ))
    monkeypatch.setattr(sys, 'path', list(sys.path))
    monkeypatch.setattr(jittor_setup, 'has_gpu', lambda: True)
    (machine.folder / 'cache').mkdir()
    machine.driver('580.65', H100)
    return lambda: (jittor_setup.set_up_cuda(machine.folder / 'cache'), os.environ.get('nvcc_path'), sys.path[0])


def test_what_jittor_takes_by_itself_is_left_to_it(machine, set_up):
    first = sys.path[0]
    machine.toolkit('12.2', 8)
    decision, nvcc, path = set_up()
    assert decision.toolkit and (nvcc, path) == (None, first)
    assert not (machine.folder / 'cache' / 'adapted').exists()


def test_another_toolkit_than_jittors_choice_is_set(machine, set_up):
    machine.toolkit('13.0', None)
    other = machine.toolkit('12.2', 8, 'usr_local/cuda-12.2')
    assert set_up()[1] == str(other)


def test_the_adapted_copy_comes_first(machine, set_up):
    machine.toolkit('13.0', 9)
    decision, _, path = set_up()
    assert decision.adapted and path == str(next((machine.folder / 'cache' / 'adapted').glob(f'{adapted.JITTOR}_*')))
    assert (Path(path) / 'jittor_utils' / '__init__.py').is_file()


def test_with_another_jittor_the_cpu_is_used(machine, set_up, monkeypatch):
    monkeypatch.setattr(adapted, 'JITTOR', '1.3.99.0')
    machine.toolkit('13.0', 9)
    decision, nvcc, _ = set_up()
    assert (decision.toolkit, nvcc) == (None, '') and 'only 1.3.99.0 can' in decision.reason


# What was changed, compiled by the packages' nvcc, where they are installed

@pytest.fixture(scope='module')
def real(tmp_path_factory):
    """The toolkit made of the installed packages, and the adapted copy of Jittor."""
    folder = tmp_path_factory.mktemp('cache')
    nvcc, _ = wheels.wheels_toolkit(folder, jittor_setup._distribution)
    if nvcc is None:
        pytest.skip('the packages of requirements-gpu.txt are not installed')
    return SimpleNamespace(nvcc=nvcc, toolkit=nvcc.parent.parent, jittor=adapted.adapted_jittor(folder, PACKAGE) / 'jittor')


@pytest.mark.parametrize('capability', ['75', '90', '120'])
def test_the_adapted_softmax_compiles(real, tmp_path, monkeypatch, capability):
    written = []
    jittor = ModuleType('jittor')
    jittor.flags, jittor.compile_extern = SimpleNamespace(use_cuda=1), SimpleNamespace(cub_home='')
    jittor.Function = type('Function', (), {'__call__': lambda self, x: self.execute(x)})
    jittor.nn, jittor.code = None, lambda *_, cuda_header, cuda_src: written.append((cuda_header, cuda_src))
    monkeypatch.setitem(sys.modules, 'jittor', jittor)
    names = {}
    exec((real.jittor / 'other' / 'code_softmax.py').read_text(), names)
    names['softmax_v1'](SimpleNamespace(shape=[8, 256], dtype='float32'))
    (header, source), = written
    assert source.lstrip().startswith('__global__')  # what begins otherwise stays in a function, with all that follows
    kernel = source.split('int len = in0')[0].replace('@expand_op(log,@in0_type,vsum)', 'logf(vsum)')
    (tmp_path / 'softmax.cu').write_text(f'{header}\nusing namespace jittor;\ntypedef float in0_type;\ntypedef float out0_type;\n{kernel}')
    subprocess.run([str(real.nvcc), '-std=c++17', f'-arch=compute_{capability}', f'-code=sm_{capability}', '-cubin', '-o', 'softmax.cubin',
                    f'-I{real.jittor}/src', f'-I{real.jittor}/extern/cuda/inc', '-DJIT_cuda', 'softmax.cu'],
                   cwd=str(tmp_path), check=True)
    assert (tmp_path / 'softmax.cubin').stat().st_size > 0


def test_what_chooses_the_device_compiles(real, tmp_path):
    (tmp_path / 'device.cc').write_text('#include <stdlib.h>\n#include <cuda_runtime.h>\n#include <helper_cuda.h>\n'
                                        'int main() { return gpuGetMaxGflopsDeviceId(); }\n')
    subprocess.run(['g++', '-std=c++17', '-c', 'device.cc', f'-I{real.toolkit}/include', f'-I{real.jittor}/extern/cuda/inc',
                    f'-I{real.jittor}/src', '-DHAS_CUDA', '-DIS_CUDA'], cwd=str(tmp_path), check=True)
