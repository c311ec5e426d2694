"""What the processes of both sides share: the loop in which a side answers commands, and how a stage begins.

The other end of the loop is sides.py. Only the standard library and numpy are imported here: in PyTorch's process,
`tools` and `network` are the original's packages.
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

    The process's only argument is JSON: `replies`, the descriptor to answer on, and the arguments of `side_class`.
    A command is a line of JSON on stdin, [method, arguments]. The answer is one too: {'result', 'seconds' that the
    method took}, or {'error'}.
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
    """Batch number `index` of a file of comparison.inputs: float32 (modality, batch, 1, height, width), 0…255."""
    return np.load(path, mmap_mode='r')[index].astype(np.float32)


def read_pair(path):
    """A test pair that comparison.inputs wrote: float32 (modality, height, width), 0…255."""
    return np.load(path).astype(np.float32)


def process_memory(field):
    """The resident size of this process, in MiB (Linux): 'VmRSS' now, 'VmHWM' the largest so far."""
    with open('/proc/self/status') as file:  # getrusage would count the parent's from before this program was loaded
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(field))


class Trainer:
    """How a stage begins, the same in both frameworks. A subclass has what differs:

    auto_encoder(path, train_flag) and fusion_network(path, train_flag), made with the weights in a file;
    fusion_losses(), L_gra and L_pix; adam(model, lr, weight_decay); no_grad, the framework's context manager.
    """

    def start_autoencoder(self, weights, modality, lr, weight_decay):
        """Stage 1. weights: file of the initial weights. modality: 0 infrared, 1 visible."""
        self.frozen = []
        model = self.auto_encoder(weights, train_flag=True)

        def features(images):
            return dict(zip(('shallow features', 'deep features'), model(images[modality])))

        self._start(model, AUTOENCODER_LOSSES, lr, weight_decay,
                    lambda images: model.train_module(images[modality]), features)

    def start_fusion(self, ir, vi, fusion, lr, weight_decay):
        """Stage 2. ir, vi, fusion: files of weights, of the trained encoders and the initial ones of the network."""
        self.frozen = encoders = self.encoders(ir, vi, train_flag=True)
        model = self.fusion_network(fusion, train_flag=True)
        losses = self.fusion_losses()

        def forward(images):
            with self.no_grad():
                (ir_sh, ir_de), (vi_sh, vi_de) = (encoder(x) for encoder, x in zip(encoders, images))
            return model.train_module(*images, ir_sh, vi_sh, ir_de, vi_de, False, *losses)

        self._start(model, FUSION_LOSSES, lr, weight_decay, forward, features=lambda images: {})

    def encoders(self, ir, vi, train_flag):
        """The encoders of both modalities, frozen."""
        encoders = [self.auto_encoder(path, train_flag) for path in (ir, vi)]
        for encoder in encoders:
            encoder.eval()
        return encoders

    def _start(self, model, losses, lr, weight_decay, forward, features):
        model.train()
        self.model, self.losses, self.lr = model, losses, lr
        self.forward, self.features = forward, features  # of images, one batch per modality: outputs, features by name
        self.optimizer = self.adam(model, lr, weight_decay)
