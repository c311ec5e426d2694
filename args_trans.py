"""Settings of stage 2, training the fusion network.

Edit the defaults here, or give them on the command line (--epochs 2).
"""
from dataclasses import dataclass
from typing import List, Optional

from network.variants import DEEP_SHARES, VARIANTS
from tools.base.settings import setting
from tools.data.alignment import FOLDER, KINDS
from tools.training.optimizers import OPTIMIZERS

DEEP_STRIDE = 8  # pixels per deep feature
SIZE_STEP = 32   # pixels: a window has an even number of rows and of columns of patches, each of 2×2 deep features


@dataclass
class Args:
    # Data
    path: List[str] = setting(['./database'], 'folders with training pairs, as datasets have them: infrared and visible told by names',
                              may_change=True, is_path=True)
    ir: Optional[str] = setting(None, 'instead of path: a folder of infrared images', may_change=True, is_path=True)
    vi: Optional[str] = setting(None, 'instead of path: a folder of visible images',
                                aliases=('vis',), may_change=True, is_path=True)
    ir_name: Optional[str] = setting(None, 'how infrared files are named if words do not tell, as {}_nir; pairs have {} in common',
                                     may_change=True)
    vi_name: Optional[str] = setting(None, 'the same for visible files, as {}_rgb', aliases=('vis_name',), may_change=True)
    ir_range: Optional[List[str]] = setting(None, 'values of infrared files to be made black and white: auto, each image\'s own '
                                                  '(but for 0.1 % of its pixels at each end), or LOW HIGH; none: as the files have them')
    align: Optional[str] = setting(None, 'move displaced infrared images onto the visible ones: folder (or no word), all alike; affine, '
                                         'with stretch and shear, too; each, each pair by itself, leaving out uncertain ones',
                                   choices=KINDS, alone=FOLDER)
    train_num: int = setting(20000, 'train on at most this many pairs', minimum=1)
    train_num_from: str = setting('first', 'the first train_num pairs, as the original, or spread over all sequences',
                                  choices=('first', 'spread'))
    workers: int = setting(2, 'threads that read images', minimum=1, may_change=True)
    cache: bool = setting(False, 'keep decoded images in memory (64 KB each)', may_change=True)
    cache_features: Optional[str] = setting(None, 'folder for the encoders\' deep features (1 MB a pair), computed once instead of in '
                                                  'each epoch; not with augment', may_change=True, is_path=True)
    augment: bool = setting(False, 'random crops and flips, the same for both images of a pair, which help with few images')

    # Networks: with resume_model_trans, the first four are as its file says unless they are given on the command line.
    size: int = setting(256, 'height and width that images are resized to; their deep features fill one window of CAM',
                        minimum=SIZE_STEP, multiple_of=SIZE_STEP)
    variant: str = setting('standard', 'the paper\'s network, or an ablation: CNN fusion, or without the gradient loss',
                           choices=tuple(VARIANTS))
    deep_start: float = setting(1.0, 'scale of the deep path before training: 1 as the original, or 0, which begins as a '
                                     'fusion of the shallow features and gives good pictures far sooner', choices=(1.0, 0.0),
                                part='network')
    deep_shares: str = setting('signed', 'how deep features are weighed: as the original, or by absolute values, which cannot '
                                         'explode', choices=DEEP_SHARES, part='network')
    resume_model_auto_ir: Optional[str] = setting(None, 'infrared auto-encoder: weights file or run folder; none: the '
                                                        'newest run', is_path=True)
    resume_model_auto_vi: Optional[str] = setting(None, 'visible auto-encoder: weights file or run folder; none: the '
                                                        'newest run', is_path=True)
    save_auto_model: str = setting('./models/autoencoder', 'folder with the runs of stage 1', may_change=True)
    resume_model_trans: Optional[str] = setting(None, 'weights file or run folder of a fusion network to begin with; none: random '
                                                      'weights', is_path=True)

    # Training
    epochs: int = setting(16, 'number of passes through the pairs', minimum=1, may_change=True)
    batch: int = setting(8, 'pairs per step; with resume it may be made smaller, if the run did not fit the memory',
                         minimum=1, may_change=True)
    lr: float = setting(1e-3, 'learning rate of the first `full_rate_epochs`; a tenth of it afterwards', above=0)
    full_rate_epochs: int = setting(2, 'epochs at the full learning rate', minimum=1)
    optimizer: str = setting('adam', 'Adam as the original\'s; AdamW and SGD are Jittor\'s own', choices=tuple(OPTIMIZERS))
    weight_decay: float = setting(0.9, 'L2 weight decay, added to the gradient; of AdamW, decoupled', minimum=0)
    pixel_loss_weight: float = setting(1.0, 'weight of the pixel loss', above=0, part='losses')
    gradient_loss_weight: float = setting(10.0, 'weight of the gradient loss', minimum=0, part='losses')
    seed: int = setting(2024, 'the same seed, data and machine give the same run', minimum=0, below=2 ** 32)
    cuda: bool = setting(True, 'train on the GPU if there is one', may_change=True)
    mixed_precision: bool = setting(False, 'convolutions and matrix products in TF32, on the GPU only')

    # Output
    step: int = setting(10, 'write the losses to the log every so many steps', minimum=1, may_change=True)
    save_minutes: float = setting(10.0, 'save the state to resume from every so many minutes', above=0, may_change=True)
    save_fusion_model: str = setting('./models/transfuse', 'folder in which each run gets a folder of its own', may_change=True)
    tensorboard: bool = setting(False, 'also write TensorBoard files (needs: pip install tensorboardX)', may_change=True)
    resume: Optional[str] = setting(None, 'resume an interrupted run: its folder, or nothing for the newest',
                                    alone='newest')
