"""What Jittor compiles for a GPU, by the nvcc of the packages of requirements-gpu.txt, on a machine without one.

`stand_in_cuda.c` takes the place of the driver and of CUDA's libraries. The test is skipped where the packages are missing. It
compiles Jittor and all operators: half an hour on two cores. With the environment variable KEEP_GPU_OPERATORS, a folder, what is compiled
stays there, and an interrupted test goes on where it was.
"""
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY

from tools.runtime import setup as jittor_setup
from tools.runtime import wheels
from tools.scenes.folders import write_database

STAND_IN = Path(__file__).with_name('stand_in_cuda.c')
REPLACED = re.compile(r'lib(cudart|cublas|cudnn|curand|cufft|cusparse)\.so\.\d+')
NVCC_FOR_IT = re.compile(r'bin/nvcc.* -code=sm_90 ')  # the stand-in's compute capability
SHIPPED = [f'--resume_model_auto_{modality}=results/models/auto_encoder_{modality}.safetensors' for modality in ('ir', 'vi')]
# Operators that are no sums or products of elements: those of CUDA's libraries, and code of Jittor's or ours.
EXPECTED = {'cudnn_conv', 'cudnn_conv_backward_x', 'cudnn_conv_backward_w', 'cublas_matmul', 'cublas_batched_matmul', 'code'}


@pytest.fixture(scope='module')
def machine(tmp_path_factory):
    """(Jittor's cache folder, environment) of a machine with a stand-in for a GPU."""
    if jittor_setup._distribution(wheels.COMPILER) is None:
        pytest.skip('the packages of requirements-gpu.txt are not installed')
    home = Path(os.environ.get('KEEP_GPU_OPERATORS') or tmp_path_factory.mktemp('home')).absolute()
    folder = home / '.cache' / 'jittor'
    folder.mkdir(parents=True, exist_ok=True)
    nvcc, wrong = wheels.wheels_toolkit(folder, jittor_setup._distribution)
    assert wrong == ''
    driver = home / 'driver' / 'libcuda.so.1'
    driver.parent.mkdir(exist_ok=True)
    for library in (driver, *(path for path in (nvcc.parent.parent / 'lib64').iterdir() if REPLACED.fullmatch(path.name))):
        library.unlink(missing_ok=True)  # most were links to the packages'
        subprocess.run(['gcc', '-shared', '-fPIC', '-w', f'-Wl,-soname,{library.name}', f'-I{nvcc.parent.parent}/include',
                        '-o', str(library), str(STAND_IN)], check=True)
    environment = {**os.environ, 'JITTOR_HOME': str(home), 'nvcc_path': str(nvcc), 'LD_LIBRARY_PATH': str(driver.parent), 'gdb_path': ''}
    return folder, environment


def run(environment, *command):
    ended = subprocess.run([sys.executable, *map(str, command)], cwd=str(REPOSITORY), env=environment, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, universal_newlines=True, errors='replace')
    print(ended.stdout)
    assert ended.returncode == 0, ended.stdout[-2000:]
    return ended.stdout


def test_all_operators_of_fusing_and_of_both_trainings_compile(machine, tmp_path):
    folder, environment = machine
    assert 'computes on | the GPU: the packages' in run(environment, '-m', 'tools.runtime.setup')
    assert 'works on the cuda' in run(environment, '-m', 'tools.fusing.warm_up')
    write_database(tmp_path / 'database', 4, (256, 256), seed=0)
    data = '--path', tmp_path / 'database', '--epochs', 1, '--batch', 2
    assert 'training on the GPU' in run(environment, 'train_autoencoder.py', *data, '--save_auto_model', tmp_path / 'autoencoder')
    assert 'training on the GPU' in run(environment, 'train_conv_trans.py', *data, *SHIPPED, '--save_fusion_model', tmp_path / 'fuse')
    compiled = operators(folder)
    print(f'{len(compiled)} operators compiled for a GPU:', *sorted(compiled.values()), sep='\n')
    assert {name.split('__')[0] for name in compiled.values()} >= EXPECTED
    assert missing_symbols(folder) == set()


def operators(folder):
    """{source: what it computes} of the operators that nvcc compiled; fused ones by what they are made of."""
    found = {}
    for key in folder.glob('jt*/**/cu*/jit/*.so.key'):
        source = key.with_name(key.name.replace('.so.key', '.cc'))
        text = source.read_text(errors='replace')
        if '#define JIT_cuda 1' in text:
            assert NVCC_FOR_IT.search(key.read_text(errors='replace').split('\n')[0]) and key.with_suffix('').is_file(), key
            parts = re.findall(r'^#define op\d+_(?:OP )?(\w+) ?$', text, re.MULTILINE)
            found[source] = ', '.join(parts) if key.name.startswith('__opkey') else key.name
    return found


def missing_symbols(folder):
    """What Jittor and its operators want of CUDA's libraries, and the packages do not have: the stand-in hides it from the linker."""
    files = [Path(str(file.locate())) for name in wheels.pinned() for file in jittor_setup._distribution(name).files or ()]
    there = symbols('--defined-only', [path for path in files if '.so' in path.name])
    wanted = symbols('--undefined-only', folder.glob('jt*/**/cu*/**/*.so'))
    assert {'__cudaLaunchKernel', 'cudnnConvolutionForward', 'cublasGemmStridedBatchedEx'} <= wanted
    return {name for name in wanted if re.match('_*(cuda|cublas|cudnn|curand|cufft|cusparse|npp)[A-Z]', name)} - there


def symbols(which, libraries):
    listed = subprocess.run(['nm', '-D', which, *map(str, libraries)], stdout=subprocess.PIPE, universal_newlines=True, check=True).stdout
    return {line.split()[-1].split('@')[0] for line in listed.splitlines() if ' ' in line}
