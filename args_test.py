"""Settings of test_conv_trans.py and test_color_image.py. Change the defaults here or on the command line."""
from dataclasses import dataclass
from typing import List, Optional

from network.variants import DEEP_SHARES
from tools.base.settings import setting
from tools.data.alignment import FOLDER, KINDS


@dataclass
class Args:
    # Images
    test_set: List[str] = setting(['21_pairs_tno'], 'folders in `images` to fuse: 21_pairs_tno, MSRS/test, …, or all')
    images: str = setting('./images', 'folder of the test sets, each with folders such as ir/ and vi/')
    ir: Optional[str] = setting(None, 'instead of a test set: a folder of infrared images, or one file')
    vi: Optional[str] = setting(None, 'instead of a test set: a folder of visible images, or one file', aliases=('vis',))
    ir_name: Optional[str] = setting(None, 'how infrared files are named if words do not tell, as {}_nir; pairs have {} in common')
    vi_name: Optional[str] = setting(None, 'the same for visible files, as {}_rgb', aliases=('vis_name',))
    ir_range: Optional[List[str]] = setting(None, 'values of infrared files to be made black and white: auto, each image\'s own '
                                                  '(but for 0.1 % of its pixels at each end), or LOW HIGH; none: as the files have them')
    align: Optional[str] = setting(None, 'move displaced infrared images onto the visible ones: folder (or no word), all alike; affine, '
                                         'with stretch and shear, too; each, each pair by itself, leaving out uncertain ones',
                                   choices=KINDS, alone=FOLDER)
    sequence: bool = setting(False, 'the pairs are frames of a video: one range of values for all, so that it does not flicker')
    resize: bool = setting(False, 'make infrared images of another size fit; without this, such pairs are left out')

    # Network
    model: Optional[str] = setting(None, 'run folder or weights file of stage 2; none: the newest run in `models`')
    epoch: Optional[int] = setting(None, 'epoch of the run folder; none: the last', minimum=1)
    deep_shares: Optional[str] = setting(None, 'how deep features are weighed, signed (as the original) or bounded, which mends '
                                               'gray pictures with spots; none: as the weights file says', choices=DEEP_SHARES)
    auto_ir: Optional[str] = setting(None, 'weights of the infrared encoder; none: those beside the fusion network')
    auto_vi: Optional[str] = setting(None, 'weights of the visible encoder; none: those beside the fusion network')
    models: str = setting('./models/transfuse', 'folder of the runs of train_conv_trans.py')
    cuda: bool = setting(True, 'compute on the GPU if there is one')

    # Results
    output: str = setting('./output', 'results go to `output`/crossfuse_test/SET_VARIANT_epochK_RUN')
    out: Optional[str] = setting(None, 'folder for the results, in place of the one in `output`')
    overwrite: bool = setting(False, 'replace results that already exist')
    contact_sheet: bool = setting(False, 'also write infrared, visible and fused images side by side, all in one picture')


@dataclass
class ColorArgs(Args):
    test_set: List[str] = setting(['M3FD_Fusion'], 'folders in `images` to fuse, such as M3FD_Fusion, or all')
    features: bool = setting(False, 'also pictures of the attention\'s feature maps, for each image')
