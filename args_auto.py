"""Settings of stage 1, training an auto-encoder.

Edit the defaults here, or give them on the command line (--epochs 2).
"""
from dataclasses import dataclass
from typing import List, Optional

from tools.base.settings import setting
from tools.training.optimizers import OPTIMIZERS

DEEP_STRIDE = 8  # pixels per deep feature


@dataclass
class Args:
    # Data
    path: List[str] = setting(['./database'], 'folders with training images, as datasets have them: infrared and visible told by names',
                              may_change=True, is_path=True)
    ir: Optional[str] = setting(None, 'instead of path: a folder of infrared images', may_change=True, is_path=True)
    vi: Optional[str] = setting(None, 'instead of path: a folder of visible images',
                                aliases=('vis',), may_change=True, is_path=True)
    ir_name: Optional[str] = setting(None, 'how infrared files are named if words do not tell, as {}_nir; pairs have {} in common',
                                     may_change=True)
    vi_name: Optional[str] = setting(None, 'the same for visible files, as {}_rgb', aliases=('vis_name',), may_change=True)
    type_flag: str = setting('ir', 'modality: infrared or visible', choices=('ir', 'vi'))
    ir_range: Optional[List[str]] = setting(None, 'values of infrared files to be made black and white: auto, each image\'s own '
                                                  '(but for 0.1 % of its pixels at each end), or LOW HIGH; none: as the files have them')
    train_num: int = setting(40000, 'train on at most this many images', minimum=1)
    train_num_from: str = setting('first', 'the first train_num images, as the original, or spread over all sequences',
                                  choices=('first', 'spread'))
    Height: int = setting(256, 'height that images are resized to', minimum=16, multiple_of=DEEP_STRIDE)
    Width: int = setting(256, 'width that images are resized to', minimum=16, multiple_of=DEEP_STRIDE)
    workers: int = setting(2, 'threads that read images', minimum=1, may_change=True)
    cache: bool = setting(False, 'keep decoded images in memory (64 KB each)', may_change=True)
    augment: bool = setting(False, 'random crops and flips, which help with few images')

    resume_model_auto: Optional[str] = setting(None, 'weights file or run folder of an auto-encoder to begin with; none: random '
                                                     'weights', is_path=True)
    new_decoder: bool = setting(False, 'begin with a random decoder where the file has none, as the shipped files')

    # Training
    epochs: int = setting(4, 'number of passes through the images', minimum=1, may_change=True)
    batch: int = setting(2, 'images per step; with resume it may be made smaller, if the run did not fit the memory',
                         minimum=1, may_change=True)
    lr: float = setting(1e-4, 'learning rate of the first `full_rate_epochs`; a tenth of it afterwards', above=0)
    full_rate_epochs: int = setting(2, 'epochs at the full learning rate', minimum=1)
    optimizer: str = setting('adam', 'Adam as the original\'s; AdamW and SGD are Jittor\'s own', choices=tuple(OPTIMIZERS))
    weight_decay: float = setting(0.9, 'L2 weight decay, added to the gradient; of AdamW, decoupled', minimum=0)
    recon_loss_weight: float = setting(1.0, 'weight of the mean squared error', minimum=0, part='losses')
    ssim_loss_weight: float = setting(10000.0, 'weight of 1 − MS-SSIM', minimum=0, part='losses')
    ssim_val_range: Optional[float] = setting(255.0, 'value range in SSIM; none: inferred as in the original, which '
                                                     'can give NaN', above=0, part='losses')
    seed: int = setting(2024, 'the same seed, data and machine give the same run', minimum=0, below=2 ** 32)
    cuda: bool = setting(True, 'train on the GPU if there is one', may_change=True)
    mixed_precision: bool = setting(False, 'convolutions and matrix products in TF32, on the GPU only')

    # Output
    step: int = setting(10, 'write the losses to the log every so many steps', minimum=1, may_change=True)
    save_minutes: float = setting(10.0, 'save the state to resume from every so many minutes', above=0, may_change=True)
    save_auto_model: str = setting('./models/autoencoder', 'folder in which each run gets a folder of its own', may_change=True)
    tensorboard: bool = setting(False, 'also write TensorBoard files (needs: pip install tensorboardX)', may_change=True)
    resume: Optional[str] = setting(None, 'resume an interrupted run: its folder, or nothing for the newest',
                                    alone='newest')
