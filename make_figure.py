"""Draw the figure of a fusion paper: rows of scenes, columns of infrared, visible and each method's fused image.

python make_figure.py --ir DIR --vi DIR --fused DIR DIR --names A B                     the first scenes, boxes where A and B differ most
python make_figure.py … --scenes IR5 IR11 --box 120,40,64,48 30,60,64,48 --enlarged corner
python make_figure.py … --difference vi                                                 and a figure of differences to the visible image
"""
from pathlib import Path

from args_figure import Args
from tools.data.pairing import match_fused, pair_folders
from tools.errors import UserError, run_script
from tools.evaluation.scene_figure import INFRARED, VISIBLE, Scene, choose_boxes, comparison_figure, difference_figure, parse_boxes
from tools.evaluation.scoring import name_methods
from tools.figures import save_figure, warn_of_missing_glyphs
from tools.files import printable
from tools.images import read_image
from tools.settings import parse_settings

DOTS_PER_INCH = 300
FORMATS = 'png', 'pdf'


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
    paths = {INFRARED: pair.ir, VISIBLE: pair.vis, **fused}
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
