"""Draw the figure of a fusion paper: rows of scenes, columns of infrared, visible and each method's fused image.

    python -m tools.evaluation.figure --ir DIR --vi DIR --fused DIR DIR --names A B      the first scenes
    python -m tools.evaluation.figure … --scenes IR5 IR11 --box 120,40,64,48 30,60,64,48 --enlarged corner
    python -m tools.evaluation.figure … --difference vi            and a figure of differences to the visible image

Without boxes, those are enlarged where the methods differ most.
"""
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional

from tools.base.errors import UserError
from tools.base.figures import save_figure, warn_of_missing_glyphs
from tools.base.files import printable
from tools.base.script import run_script
from tools.base.settings import parse_settings, setting
from tools.data.images import read_image
from tools.data.pairing import match_fused, pair_folders
from tools.evaluation.scene_figure import (
    ENLARGED,
    INFRARED,
    REFERENCES,
    VISIBLE,
    Scene,
    choose_boxes,
    comparison_figure,
    difference_figure,
    parse_boxes,
)
from tools.evaluation.scoring import name_methods

DOTS_PER_INCH = 300
FORMATS = 'png', 'pdf'


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


def main(arguments=None):
    settings = parse_settings(Args, __doc__, arguments)
    if not (settings.ir and settings.vi and settings.fused):
        raise UserError('give the folders of the images: --ir DIR --vi DIR --fused DIR DIR')
    methods = name_methods([Path(folder) for folder in settings.fused], settings.names)
    scenes = add_boxes(settings, read_scenes(settings, methods))
    warn_of_missing_glyphs([*methods, *(scene.name for scene in scenes if settings.scene_names)])
    look = dict(width=settings.width, columns=settings.columns, font_size=settings.font_size, scene_names=settings.scene_names)
    figures = {settings.out: comparison_figure(scenes, enlarged=settings.enlarged, **look)}
    if settings.difference:
        figures[f'{settings.out}_difference'] = difference_figure(scenes, settings.difference, **look)
    for path, figure in figures.items():
        for written in save_figure(figure, path, FORMATS, DOTS_PER_INCH):
            print(f'wrote {written}')
    for scene in scenes:
        print(f'{scene.name}: --box {"+".join(",".join(map(str, box)) for box in scene.boxes) or "none"}')


def read_scenes(settings, methods):
    """The scenes that are asked for, or the first that all methods have -> list of Scene."""
    pairs = pair_folders(settings.ir, settings.vi).pairs
    fused = {name: match_fused(pairs, folder).paths for name, folder in methods.items()}
    if settings.scenes:
        named = {name.casefold(): pair for pair in pairs for name in (pair.ir.stem, pair.name)}
        wanted = [Path(name).name for name in settings.scenes]  # a shell may have made paths of a pattern
        unknown = [name for name in wanted if name.casefold() not in named]
        if unknown:
            raise UserError(f'scenes: there is no pair {", ".join(unknown)} in {settings.ir}')
        pairs = [named[name.casefold()] for name in wanted]
    else:
        pairs = [pair for pair in pairs if all(pair.name in paths for paths in fused.values())][:settings.first_scenes]
    missing = [f'{methods[name]} has no fused image of {pair.name}' for pair in pairs for name in methods if pair.name not in fused[name]]
    if missing or not pairs:
        raise UserError('; '.join(missing) or 'there is no scene of which all methods have an image')
    return [read_scene(pair, {name: paths[pair.name] for name, paths in fused.items()}) for pair in pairs]


def read_scene(pair, fused):
    """Read the images of a pair. Raises UserError if one cannot be read or has another size."""
    paths = {INFRARED: pair.ir, VISIBLE: pair.vi, **fused}
    images = {name: read_image(path) for name, path in paths.items()}
    height, width = images[INFRARED].shape[:2]
    for name, image in images.items():
        if image.shape[:2] != (height, width):
            raise UserError(f'{paths[name]} is {image.shape[1]}×{image.shape[0]}, but {pair.ir} is {width}×{height}')
    return Scene(printable(pair.ir.stem), images)


def add_boxes(settings, scenes):
    """The scenes with the boxes that are given, or with chosen ones."""
    if not settings.box:
        return [scene._replace(boxes=choose_boxes(scene, settings.boxes)) for scene in scenes]
    if len(settings.box) not in (1, len(scenes)):
        raise UserError(f'{len(settings.box)} boxes for {len(scenes)} scenes: --box takes one for each scene, or one for all')
    texts = settings.box * len(scenes) if len(settings.box) == 1 else settings.box
    return [scene._replace(boxes=parse_boxes(text, scene)) for scene, text in zip(scenes, texts)]


if __name__ == '__main__':
    run_script(main)
