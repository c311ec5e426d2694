"""Settings of compare_with_pytorch.py. Change the defaults here, or on the command line."""
from dataclasses import dataclass
from typing import List, Optional

from comparison.report import PARTS
from comparison.sides import FLOORS, JITTORS
from comparison.training import ENCODERS, STAGES
from tools.settings import setting

SMALL = {'steps': 4, 'batch_2': 1, 'repeats': 2}  # a trial of everything, in minutes
SMALL_TEST_PAIRS = 2


@dataclass
class Args:
    original: Optional[str] = setting(None, 'a checkout of github.com/hli1221/CrossFuse', is_path=True)
    parts: List[str] = setting(list(PARTS), 'which parts to do', choices=PARTS, may_change=True)
    data: List[str] = setting(['./database'], 'folders with training images in KAIST\'s layout', is_path=True)
    train_num: int = setting(20000, 'number of pairs to train on, spread over all sequences; fewer if there are not as '
                                    'many', minimum=1)
    test: str = setting('./images/21_pairs_tno', 'a folder with the test images, in ir/ and vi/ (or vis/)', may_change=True)
    steps: int = setting(300, 'training steps of each network', minimum=1)
    batch_1: int = setting(2, 'images per step of stage 1', minimum=1)
    batch_2: int = setting(8, 'pairs per step of stage 2', minimum=1)
    lr_2: float = setting(STAGES['stage_2'].lr, 'learning rate of the first two epochs of stage 2; a tenth of '
                          'it afterwards', above=0)
    weight_decay_2: float = setting(STAGES['stage_2'].weight_decay, 'L2 weight decay of stage 2', minimum=0)
    deep_start: float = setting(1.0, 'scale of the fusion network\'s deep path before training, the same on all sides: 1 as '
                                     'the original, or 0', choices=(1.0, 0.0))
    encoders: str = setting('shared', 'the encoders of stage 2: PyTorch\'s on all sides, so that its losses show that '
                            'stage alone, or each side\'s own', choices=tuple(ENCODERS))
    floors: int = setting(1, 'how many further runs of PyTorch, which round otherwise, are trained beside: the '
                             'more, the better is their spread known', choices=tuple(range(1, len(FLOORS) + 1)), may_change=True)
    jittors: int = setting(1, 'how many runs of Jittor are trained; the further ones begin with weights that differ '
                              'in the last bit', choices=tuple(range(1, len(JITTORS) + 1)), may_change=True)
    resume: bool = setting(False, 'training goes on after the networks that an interrupted run has finished; more '
                                  'floors and runs of Jittor can be added', may_change=True)
    # Inferred, the range is 1 for dark images of 0…127, and the original's SSIM divides by differences that are mere
    # rounding there: at the start of training its gradient can be thousands of times the one that float64 gives.
    ssim_val_range: Optional[float] = setting(255.0, 'value range in SSIM, on all sides; none: inferred, as the original '
                                              'calls it', above=0)
    metrics: List[str] = setting(['all'], 'metrics of the results, by their names', may_change=True)
    repeats: int = setting(10, 'rounds that are timed', minimum=1, may_change=True)
    small: bool = setting(False, 'a short trial: ' + ', '.join(f'{name} {value}' for name, value in SMALL.items()) +
                          f', {SMALL_TEST_PAIRS} test pairs', may_change=True)
    seed: int = setting(2024, 'of the initial weights and of the order of the images', minimum=0)
    cuda: bool = setting(False, 'compute on the GPU, both sides')
    threads: int = setting(0, 'threads of each side while it works alone; in training, where all work at once, it has '
                           'half of them; 0: one for each core', minimum=0)
    out: str = setting('./results/comparison', 'the folder for tables and figures', is_path=True)
    work: str = setting('./output/comparison', 'the folder for what passes between the processes, and for fused images', may_change=True)
