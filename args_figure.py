"""Settings of make_figure.py. Change the defaults here, or on the command line: --scenes IR5 IR11"""
from dataclasses import dataclass
from typing import List, Optional

from tools.evaluation.scene_figure import ENLARGED, REFERENCES
from tools.settings import setting


@dataclass
class Args:
    ir: str = setting('', 'folder of infrared images')
    vi: str = setting('', 'folder of visible images', aliases=('vis',))
    fused: List[str] = setting([], 'folders of fused images, one for each method')
    names: List[str] = setting([], 'names of the methods, if not those of their folders')
    scenes: List[str] = setting([], 'names of infrared images, with or without extension; without any, the first that all methods have')
    first_scenes: int = setting(4, 'how many are drawn if none are named', minimum=1)

    box: List[str] = setting([], 'what is enlarged, x,y,w,h in pixels: one for each scene, or one for all; several with + between them')
    boxes: int = setting(1, 'boxes a scene if none are given, chosen where the methods differ most', minimum=0)
    enlarged: str = setting('below', 'where the boxes are shown enlarged', choices=list(ENLARGED))
    scene_names: bool = setting(False, 'write the names of the scenes beside the rows')

    width: float = setting(7.16, 'width of the figure in inches: 7.16 over two columns of a page, 3.5 over one', above=1)
    columns: int = setting(7, 'images side by side; further methods follow in a block below', minimum=2)
    font_size: float = setting(8, 'of the names, in points; less where a name needs it', above=3)
    difference: Optional[str] = setting(None, 'draw a second figure: absolute differences to a source, or to the first method',
                                        choices=list(REFERENCES))
    out: str = setting('./output/figures/comparison', 'the files to write, without extension: a PNG of 300 dpi and a PDF')
