"""A copy of Jittor for CUDA 12 and 13 with cuDNN 9, in its cache folder: made once, and the installed one is not touched.

Each change is a text and what replaces it. Where a text is not there, as in another Jittor, nothing is copied, and the CPU is used.
Imports nothing but Python's own.
"""
import hashlib
import shutil
from pathlib import Path
from typing import NamedTuple

from tools.runtime.cache import made_once

JITTOR = '1.3.11.0'  # of which the changes are
PARTS = 'jittor', 'jittor_utils'  # both: the second names what is compiled by where it lies itself, so that the two do not meet
NOT_COPIED = '__pycache__', 'test', 'demo', 'notebook'
DIGEST = 8  # hexadecimal digits in the name of the copy


class Change(NamedTuple):
    """In a file of the package `jittor`, a text that is there so many times, and what replaces it."""
    reason: str
    file: str
    text: str
    replacement: str
    times: int = 1


CHANGES = (
    Change("CUDA 13's CUB asks for C++17", 'compiler.py',
           'cc_flags += " -Wall -Wno-unknown-pragmas -std=c++14 -fPIC "', 'cc_flags += " -Wall -Wno-unknown-pragmas -std=c++17 -fPIC "'),
    Change('nvcc was given C++14 instead, in the spelling of Windows', 'compiler.py',
           'nvcc_flags = nvcc_flags.replace("-std=c++17", "-std=c++14 -Xcompiler -std:c++14")', 'pass'),
    Change('Blackwell does not run what is compiled for Hopper alone', 'compiler.py',
           '    max_arch = 90\n', '    max_arch = 120 if nvcc_version >= [12, 8] else 90\n'),
    Change("CUDA 13's properties of a device lack its mode", 'extern/cuda/inc/helper_cuda.h',
           'deviceProp.computeMode', 'cudaComputeModeDefault', 3),
    Change("CUDA 13's properties of a device lack its clock rate, by which one of several is chosen", 'extern/cuda/inc/helper_cuda.h',
           'deviceProp.clockRate', '1'),
    # In the header, since of the source Jittor moves out of its function only what begins with an underscore.
    Change("CUDA 13's CUB lacks Max; what it did", 'other/code_softmax.py',
           "#include <type/fp16_compute.h>\n''', cuda_src=f'''\n__global__ void kernel(in0_type* x, out0_type* y, int len) {{",
           "#include <type/fp16_compute.h>\nstruct Larger {{\n"
           "    __device__ float operator()(float a, float b) const {{ return a > b ? a : b; }}\n}};\n"
           "''', cuda_src=f'''\n__global__ void kernel(in0_type* x, out0_type* y, int len) {{"),
    Change("CUDA 13's CUB lacks Max; its use", 'other/code_softmax.py', 'cub::Max()', 'Larger()'),
    Change("cuDNN 9's libraries have other names", 'compile_extern.py',
           'libs = ["libcudnn_ops_infer.so", "libcudnn_ops_train.so", "libcudnn_cnn_infer.so", "libcudnn_cnn_train.so"]',
           'libs, prefer_version = ["libcudnn_ops.so", "libcudnn_cnn.so"], ("9",)'),
)
# cuDNN 9 lacks the interface of recurrent layers, which Jittor compiles with the others, and which nothing here has.
REMOVED = 'extern/cuda/cudnn/*/cudnn_rnn*'


def misfit(package, version):
    """Why the package `jittor` in this folder cannot be adapted, as one line with the remedy; '' if it can."""
    if version != JITTOR:
        return f'Jittor {version} cannot be adapted to CUDA 13 and cuDNN 9, only {JITTOR} can: pip install -r requirements.txt'
    for change in CHANGES:
        path = Path(package, change.file)
        if not path.is_file() or path.read_text(encoding='utf-8').count(change.text) != change.times:
            return (f'{path} is not that of Jittor {JITTOR} ({change.reason}), and it cannot be adapted to CUDA 13 and cuDNN 9: '
                    f'pip install --force-reinstall --no-deps jittor=={JITTOR}')
    return ''


def adapted_jittor(folder, package):
    """The folder, in Jittor's cache folder, in which the adapted copy is: for sys.path. package: the folder of one without `misfit`.

    Made whole or not at all, once for these changes. UserError if it cannot be.
    """
    which = hashlib.sha256(repr((CHANGES, REMOVED, NOT_COPIED)).encode()).hexdigest()[:DIGEST]
    return made_once(folder / 'adapted' / f'{JITTOR}_{which}', lambda target: _copy(Path(package), target))


def _copy(package, target):
    for part in PARTS:
        for path in sorted((package.parent / part).rglob('*')):
            relative = path.relative_to(package.parent)
            if path.is_file() and not set(relative.parts[:-1]) & set(NOT_COPIED):
                (target / relative).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target / relative)
    for path in target.glob(f'jittor/{REMOVED}'):
        path.unlink()
    for change in CHANGES:
        path = target / 'jittor' / change.file
        path.write_text(path.read_text(encoding='utf-8').replace(change.text, change.replacement), encoding='utf-8')
