"""Settings of the smaller scripts. Change the defaults here, or on the command line."""
from dataclasses import dataclass
from typing import List, Optional

from network.variants import DEEP_SHARES
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
