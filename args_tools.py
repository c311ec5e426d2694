"""Settings of the smaller scripts. Change the defaults here, or on the command line."""
from dataclasses import dataclass
from typing import List, Optional

from network.variants import DEEP_SHARES
from tools.alignment import FOLDER, KINDS
from tools.scenes.places import MIN_SIZE
from tools.settings import setting


@dataclass
class SceneArgs:
    """make_scenes.py"""
    folder: str = setting('./demo', 'the folder to write into')
    scenes: int = setting(120, 'pairs to train on; 0: only test sets', minimum=0)
    height: int = setting(256, 'height of the pairs to train on', minimum=MIN_SIZE)
    width: int = setting(320, 'width of the pairs to train on', minimum=MIN_SIZE)
    test_pairs: int = setting(6, 'pairs in each of the two test sets', minimum=1)
    seed: int = setting(0, 'the same seed gives the same scenes', minimum=0)


@dataclass
class CurveArgs:
    """plot_loss_curves.py"""
    ir: List[str] = setting([], 'runs that trained the infrared autoencoder')
    vi: List[str] = setting([], 'runs that trained the visible autoencoder')
    fusion: List[str] = setting([], 'runs that trained the fusion network')
    runs: List[str] = setting([], 'any runs, for one figure of all their losses')
    names: List[str] = setting([], 'what to call the runs, in the order of each list')
    figure: str = setting('loss_curves', 'file name of the figure of --runs, without extension')
    models: str = setting('./models', 'where to look for the newest runs if none are named')
    output: str = setting('./results/loss curves', 'the folder to write the figures into, as PNG and SVG')
    per: str = setting('step', 'a point per step, smoothed, the values themselves faint; or the mean of each epoch',
                       choices=['step', 'epoch'])
    scale: str = setting('log', 'the axis of the losses', choices=['log', 'linear'])
    smooth: int = setting(0, 'steps that a point of a smoothed curve averages; 0 for a fiftieth of the run', minimum=0)
    list: bool = setting(False, 'print a table of the mean losses per epoch instead of plotting')


@dataclass
class CostArgs:
    """measure_cost.py"""
    sizes: List[str] = setting(['256x256', '640x480', '1024x768'], 'width x height of the images')
    repeats: int = setting(5, 'how often each is fused; the median counts', minimum=1)
    cuda: bool = setting(True, 'compute on the GPU if there is one')
    out: str = setting('./results/cost', 'the folder for the table')


@dataclass
class ListArgs:
    """training_list.py"""
    action: str = setting('', 'what to do', positional=True, choices=('make', 'check', 'rebuild', 'divide'))
    list: str = setting('', 'the list, a file of tab-separated values', positional=True)
    path: List[str] = setting(['./database'], 'the folder with the images; of several, the list starts from what they have in common')
    sources: Optional[str] = setting(None, 'where the published files are, as OWNER/REPOSITORY/FILE')
    validation: List[str] = setting([], 'folders in the list that are kept for validation')
    unused: List[str] = setting([], 'folders in the list that are not used')


@dataclass
class AlignArgs:
    """align_images.py"""
    ir: str = setting('', 'folder of infrared images, or one file')
    vi: str = setting('', 'folder of visible images, or one file', aliases=('vis',))
    ir_name: Optional[str] = setting(None, 'how infrared files are named if words do not tell, as {}_nir; pairs have {} in common')
    vi_name: Optional[str] = setting(None, 'the same for visible files, as {}_rgb', aliases=('vis_name',))
    align: str = setting(FOLDER, 'one transform for all pairs; affine, with stretch and shear, too; or each pair by itself', choices=KINDS)
    out: str = setting('', 'the folder to write into')


@dataclass
class FlickerArgs:
    """measure_flicker.py"""
    clips: List[str] = setting([], 'folders of clips, each with lwir/ and visible/ in it')
    frames: int = setting(12, 'the first frames of each clip', minimum=2)
    model: Optional[str] = setting(None, 'run folder or weights file of stage 2; none: the newest run, or the shipped weights')
    cuda: bool = setting(True, 'compute on the GPU if there is one')
    out: str = setting('./results/flicker', 'the folder for the table')


@dataclass
class DisplacementArgs:
    """measure_displacement.py"""
    sets: List[str] = setting([], 'folders of pairs, on which it is measured how exactly displacement is found')
    scenes: int = setting(24, 'drawn scenes on which it is measured, too', minimum=0)
    pairs: int = setting(0, 'pairs of each folder, evenly spread; 0: all', minimum=0)
    seed: int = setting(0, 'the same seed displaces alike', minimum=0)
    metrics_of: Optional[str] = setting(None, 'instead: a test set, on which it is measured what metrics make of displacement')
    fused: List[str] = setting([], 'folders of fused images of that test set, one for each method')
    names: List[str] = setting([], 'names of the methods, if not those of their folders')
    metrics: List[str] = setting(['all'], 'metrics to compute, or all')
    shifts: List[float] = setting([0.5, 1., 2., 4., 8.], 'pixels by which the infrared images are displaced', above=0)
    fuse: bool = setting(True, 'fuse displaced pairs, too')
    model: Optional[str] = setting(None, 'run folder or weights file of stage 2; none: the newest run, or the shipped weights')
    cuda: bool = setting(True, 'compute on the GPU if there is one')
    workers: int = setting(0, 'processes that score images; 0: one for each core', minimum=0)
    out: str = setting('./results/displacement', 'the folder for the tables')


@dataclass
class ShipArgs:
    """ship_weights.py"""
    run: str = setting('', 'run folder of train_conv_trans.py; its last epoch is taken', positional=True)
    out: str = setting('', 'the folder to write to', positional=True)
    deep_shares: Optional[str] = setting(None, 'how deep features are weighed when fusing; none: as in training', choices=DEEP_SHARES)
    level: List[str] = setting([], 'folders with training pairs, on some of which the faint grid that the attention adds to every image '
                                   'alike is measured, and taken from the weights; none: it stays')


@dataclass
class ConvertArgs:
    """convert_checkpoint.py"""
    source: str = setting('', 'the weights file to read, in any of the formats', positional=True)
    target: str = setting('', 'the file to write; its extension tells its format: .safetensors, .model, .pth', positional=True)
    deep_shares: Optional[str] = setting(None, 'how the network weighs deep features, for files of other formats, which cannot say it: '
                                               'signed if it is the original\'s', choices=DEEP_SHARES)
    overwrite: bool = setting(False, 'replace the target if it exists')


@dataclass
class CalibrationArgs:
    """calibrate_metrics.py"""
    reference: List[str] = setting(['./tests/reference/metrics.json', './tests/reference/metrics_more.json'],
                                   "files with the toolboxes' values, and the images they are of")
    folder: str = setting('../shared', 'the folder that the paths of these images start from')
    out: str = setting('./results/calibration', 'the folder for the page and the table')
