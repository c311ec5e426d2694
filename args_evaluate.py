"""Settings of evaluate_fusion_results.py. Change the defaults here, or on the command line: --metrics all"""
from dataclasses import dataclass
from typing import List, Optional

from tools.evaluation.protocols import ALL_PROTOCOLS, DEFAULT_PROTOCOL, FIRST_METRICS, PROTOCOLS
from tools.settings import setting


@dataclass
class Args:
    ir: Optional[str] = setting(None, 'folder of infrared images', aliases=('ir_dir',))
    vi: Optional[str] = setting(None, 'folder of visible images', aliases=('vis', 'vi_dir'))
    ir_name: Optional[str] = setting(None, 'how infrared files are named if words do not tell, as {}_nir; pairs have {} in common')
    vi_name: Optional[str] = setting(None, 'the same for visible files, as {}_rgb', aliases=('vis_name',))
    fused: List[str] = setting([], 'folders of fused images, one for each method; without any, those under `output`',
                               aliases=('fused_dir',))
    names: List[str] = setting([], 'names of the methods, if not those of their folders')
    test_set: Optional[str] = setting(None, 'a folder in `images`: score all under `output` that was fused from it')
    check_against: Optional[str] = setting(None, 'only compare the fused folder with this one, image by image')
    explain: List[str] = setting([], "only tell which definition or known mistake gives a printed number, such as SD=73.47")
    lint: List[str] = setting([], 'only check printed tables (.csv, .md, .tex) for numbers that cannot be, or need another definition')

    metrics: List[str] = setting(list(FIRST_METRICS), 'metrics to compute; all: the common ones; every: all that there are')
    protocol: str = setting(DEFAULT_PROTOCOL, "whose definitions: ours, a toolbox's with its mistakes, or all side by side",
                            choices=[*PROTOCOLS, ALL_PROTOCOLS])
    channels: bool = setting(False, 'score each colour channel and average, instead of the luma')

    resize: bool = setting(False, 'make infrared images of another size fit the visible ones, as in fusing; --resize there is noted')
    ir_range: Optional[List[str]] = setting(None, 'values of infrared files to be made black and white: auto, each image\'s own '
                                                  '(but for 0.1 % of its pixels at each end), or LOW HIGH; none: as noted in fusing')
    images: str = setting('images', 'folder of the test sets, each with folders such as ir/ and vi/')
    output: str = setting('output', 'folder below which fused folders are looked for')
    out: Optional[str] = setting(None, 'folder for the results; by default a new one in `output`/metrics')
    output_csv: Optional[str] = setting(None, 'write the scores of all images to this file, too')
    html: bool = setting(False, 'write a page with all images to flip through, to open in a browser')
    workers: int = setting(0, 'processes that score images; 0: one for each core', minimum=0)
