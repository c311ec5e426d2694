"""Settings of stage 1, training an auto-encoder.

Edit the defaults here, or give them on the command line (--epochs 2).
"""
from dataclasses import dataclass
from typing import List, Optional

from tools.settings import setting


@dataclass
class Args:
    # Data
    path: List[str] = setting(['./database'], 'folders with training images in KAIST\'s layout')
    type_flag: str = setting('ir', 'modality: infrared or visible', choices=('ir', 'vi'))
    train_num: int = setting(40000, 'number of images to train on, fewer if there are not as many', minimum=1)
    train_num_from: str = setting('first', 'the first train_num images, as the original, or spread over all sequences',
                                  choices=('first', 'spread'))
    Height: int = setting(256, 'height that images are resized to, a multiple of 8', minimum=16)
    Width: int = setting(256, 'width that images are resized to, a multiple of 8', minimum=16)
    workers: int = setting(2, 'threads that read images', minimum=1)
    cache: bool = setting(False, 'keep decoded images in memory (64 KB each)')
    augment: bool = setting(False, 'random crop and flip, for those with few images')

    # Training
    epochs: int = setting(4, 'how often to go through the images', minimum=1)
    batch: int = setting(2, 'images per step', minimum=1)
    lr: float = setting(1e-4, 'learning rate of the first `full_rate_epochs`; a tenth of it afterwards', above=0)
    full_rate_epochs: int = setting(2, 'epochs at the full learning rate', minimum=1)
    weight_decay: float = setting(0.9, 'L2 weight decay, added to the gradient', minimum=0)
    w: List[float] = setting([1.0, 10000.0], 'weights of the reconstruction and of the SSIM loss', minimum=0)
    ssim_val_range: Optional[float] = setting(255.0, 'value range in SSIM; none: inferred as in the original, which '
                                                     'can give NaN', above=0)
    seed: int = setting(2024, 'the same seed, data and machine give the same run', minimum=0)
    cuda: bool = setting(True, 'train on the GPU if there is one')
    mixed_precision: bool = setting(False, 'float16 where it is safe, on the GPU only')

    # Output
    step: int = setting(10, 'write the losses to the log every so many steps', minimum=1)
    save_minutes: float = setting(10.0, 'save the state to resume from every so many minutes', above=0)
    save_auto_model: str = setting('./models/autoencoder', 'folder for the folders of the runs')
    tensorboard: bool = setting(False, 'also write TensorBoard files (needs: pip install tensorboardX)')
    resume: Optional[str] = setting(None, 'go on with an interrupted run: its folder, or nothing for the newest',
                                    alone='newest')
