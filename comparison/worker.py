"""What the processes of both sides share: the loop in which a side answers commands (its other end is sides.py).

Only the standard library and numpy are imported: in PyTorch's process `tools` and `network` are the original's packages.
"""
import json
import os
import sys
import time
import traceback

import numpy as np

AUTOENCODER_LOSSES = ('total_loss', 'recon_loss', 'ssim_loss')
FUSION_LOSSES = ('total_loss', 'pix_loss', 'gra_loss')
MIB = 2 ** 20


def serve(side_class):
    """Make a side and answer commands until the parent closes its end of the pipe.

    The process's only argument is JSON: `replies`, the descriptor to answer on, and the arguments of `side_class`. A command
    is a line of JSON on stdin, [method, arguments]; the answer {'result', 'seconds' that the method took}, or {'error'}.
    """
    arguments = json.loads(sys.argv[1])
    replies = arguments.pop('replies')
    os.set_inheritable(replies, False)  # else a compiler that this process starts would keep it open
    side = side_class(**arguments)
    with os.fdopen(replies, 'w') as out:
        for line in sys.stdin:
            method, arguments = json.loads(line)
            start = time.perf_counter()
            try:
                result = getattr(side, method)(**arguments)
                answer = {'result': result, 'seconds': time.perf_counter() - start}
            except Exception as error:  # the parent decides what a failure means, for example of one test image
                traceback.print_exc()
                answer = {'error': f'{type(error).__name__}: {error}'}
            out.write(json.dumps(answer) + '\n')
            out.flush()


def read_batch(path, index):
    """Batch number `index` of a file that comparison.inputs wrote: float32 (modality, batch, 1, height, width), 0…255."""
    return np.load(path, mmap_mode='r')[index].astype(np.float32)


def read_pair(path):
    """A test pair that comparison.inputs wrote: float32 (modality, 1, 1, height, width), 0…255."""
    return np.load(path)[:, None, None].astype(np.float32)


def process_peak_memory():
    """The largest resident size of this process so far, in MiB."""
    with open('/proc/self/status') as file:  # getrusage would count the parent's from before this program was loaded
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith('VmHWM'))
