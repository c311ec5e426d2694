"""The figure of a fusion paper: rows of scenes, columns of infrared, visible and fused images, with parts enlarged."""
import warnings
from itertools import cycle, zip_longest
from typing import Dict, List, NamedTuple, Sequence

import cv2
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from mpl_toolkits.axes_grid1 import ImageGrid

from tools.base.errors import UserError
from tools.base.figures import figure_style, fit_text
from tools.data.images import SIXTEEN_TO_EIGHT_BIT, luma

INFRARED, VISIBLE = 'Infrared', 'Visible'
ENLARGED = 'below', 'corner', 'no'
REFERENCES = {'ir': INFRARED, 'vi': VISIBLE, 'first': None}  # what differences are taken to
BOX_COLOURS = ('#e6001a', '#00b050', '#ffc000', '#00b0f0')  # seen on gray, told apart by most colour-blind readers
LINE_WIDTH, FRAME_WIDTH = 0.8, 1.2  # points: of a box in the image, and around it enlarged
GAP = 0.03          # inches between images
STRIP_GAP = 0.025   # of the width of an image, between what is enlarged below it
BOX_SHARE = 0.22    # of the width and height of a scene that a chosen box takes
CORNER_SHARE = 0.4  # of the width of an image that a box enlarged in its corner takes
SMALLEST_FONT = 4   # points that can be read
LINE_HEIGHT = 1.5 / 72  # inches a line of text takes per point of its size
BAR_WIDTH = 0.1     # inches of the colour bar
BAR_GAP, BAR_TEXT = 0.08, 5.5  # inches before it; what its labels take, in heights of a letter


class Box(NamedTuple):
    """A part of an image, in pixels."""
    x: int
    y: int
    width: int
    height: int

    def cut(self, image):
        return image[self.y:self.y + self.height, self.x:self.x + self.width]


class Scene(NamedTuple):
    """Images of one size, H×W or H×W×3 RGB, uint8 or uint16."""
    name: str
    images: Dict[str, np.ndarray]  # the two sources as INFRARED and VISIBLE, then the methods by their names
    boxes: Sequence[Box] = ()

    @property
    def methods(self):
        return [name for name in self.images if name not in (INFRARED, VISIBLE)]


def parse_boxes(text, scene):
    """'x,y,w,h' or several with + between them -> list of Box. Raises UserError for other texts and for
    what is not inside the scene."""
    height, width = scene.images[INFRARED].shape[:2]
    boxes = []
    for part in text.split('+'):
        try:
            box = Box(*map(int, part.split(',')))
        except (TypeError, ValueError):
            raise UserError(f'a box is x,y,w,h in whole pixels, such as 120,40,64,48, not {part!r}') from None
        x, y, wide, high = box
        if x < 0 or y < 0 or min(wide, high) < 2 or x + wide > width or y + high > height:
            raise UserError(f'the box {part} is not inside {scene.name} ({width}×{height}), or smaller than 2×2')
        boxes.append(box)
    return boxes


def choose_boxes(scene, number):
    """Boxes where the methods differ most in detail, none over another -> list of Box.

    The mean over the box of the standard deviation between methods is the largest there, of images without
    what is coarser than a box: a sky that one method shows brighter says little. A single method is
    compared with the mean of its sources.
    """
    images = [_levels(luma(scene.images[name])) for name in scene.methods]
    if len(images) == 1:
        images.append((_levels(luma(scene.images[INFRARED])) + _levels(luma(scene.images[VISIBLE]))) / 2)
    height, width = images[0].shape
    box_width, box_height = max(2, round(BOX_SHARE * width)), max(2, round(BOX_SHARE * height))
    spread = np.std([image - cv2.blur(image, (box_width, box_height)) for image in images], axis=0)
    # At each pixel, the mean over the box whose upper left corner it is.
    means = cv2.blur(spread, (box_width, box_height), anchor=(0, 0))[:height - box_height + 1, :width - box_width + 1]
    boxes = []
    for _ in range(number):
        if means.max() < 0:
            break
        y, x = map(int, np.unravel_index(means.argmax(), means.shape))
        boxes.append(Box(x, y, box_width, box_height))
        means[max(0, y - box_height + 1):y + box_height, max(0, x - box_width + 1):x + box_width] = -1
    return boxes


def comparison_figure(scenes: List[Scene], width, columns, enlarged='below', font_size=8, scene_names=False):
    """All images of the scenes. width: of the figure in inches. columns: images side by side.
    Returns a matplotlib figure."""
    return _grids(scenes, width, columns, enlarged, font_size, scene_names, dict(cmap='gray', vmin=0, vmax=255))


def difference_figure(scenes: List[Scene], reference, width, columns, font_size=8, scene_names=False):
    """Absolute differences of the methods' luma to a source or to the first method, all in the same colours.

    reference: a key of REFERENCES.
    """
    methods = scenes[0].methods
    base = REFERENCES[reference] or methods[0]
    differences = [scene._replace(boxes=(), images={
        name: np.abs(_levels(luma(scene.images[name])) - _levels(luma(scene.images[base])))
        for name in methods if name != base}) for scene in scenes]
    if not differences[0].images:
        raise UserError('differences to the first method need a second one')
    largest = max(image.max() for scene in differences for image in scene.images.values())
    return _grids(differences, width, columns, 'no', font_size, scene_names,
                  dict(cmap='inferno', vmin=0, vmax=max(largest, 1)), f'absolute difference to {base} (gray levels)')


def _grids(scenes, width, columns, enlarged, font_size, scene_names, shown, bar=''):
    """The images in rows of scenes, in blocks of so many columns that lie below each other, each under its names.

    bar: the text at a colour bar of each block; '' for none. Within a cell, lengths are in widths of an image.
    """
    names = list(scenes[0].images)
    blocks = [names[start:start + columns] for start in range(0, len(names), columns)]
    line = font_size * LINE_HEIGHT
    left, right = line * scene_names, BAR_TEXT * font_size / 72 * bool(bar)
    cell = (width - left - right - (BAR_GAP + BAR_WIDTH) * bool(bar) - GAP * (len(blocks[0]) - 1)) / len(blocks[0])
    tall = [_image_height(scene) + _strip_height(scene, enlarged) for scene in scenes]
    below = font_size / 2 / 72 if bar else GAP  # half of it is the lowest number's
    grid_height = cell * sum(tall) + GAP * (len(scenes) - 1)
    block_height = line + grid_height + below
    height = len(blocks) * block_height
    with figure_style('paper', [*names, *(scene.name for scene in scenes)]):
        figure = Figure(figsize=(width, height))
        for number, block in enumerate(blocks, 1):
            place = left, height - number * block_height + below, width - left - right, grid_height
            grid = ImageGrid(figure, np.divide(place, (width, height) * 2), (len(scenes), len(blocks[0])), axes_pad=GAP,
                             cbar_mode='single' if bar else None, cbar_size=BAR_WIDTH, cbar_pad=BAR_GAP)
            for scene, high, row in zip(scenes, tall, grid.axes_row):
                for axes, name in zip_longest(row, block):
                    if name:
                        _draw_cell(axes, scene, scene.images[name], enlarged, shown)
                    axes.set(xlim=(0, 1), ylim=(high, 0), xticks=[], yticks=[], frame_on=False)
                    axes.grid(False)
                if scene_names:
                    _fit(row[0].set_ylabel(scene.name, fontsize=font_size, labelpad=2), cell * high, 'height')
            for axes, name in zip(grid.axes_row[0], block):
                _fit(axes.set_title(name, fontsize=font_size, pad=0.3 * font_size), cell)
            if bar:
                grid.cbar_axes[0].colorbar(grid[0].images[0])
                grid.cbar_axes[0].tick_params(labelsize=font_size, width=0.5, length=2, pad=1)
                grid.cbar_axes[0].set_ylabel(bar, fontsize=font_size)
    return figure


def _image_height(scene):
    height, width = next(iter(scene.images.values())).shape[:2]
    return height / width


def _strip_height(scene, enlarged):
    """Of the enlarged boxes side by side below an image: as high as lets them fill its width, with a gap above."""
    if not scene.boxes or enlarged != 'below':
        return 0
    return STRIP_GAP + (1 - STRIP_GAP * (len(scene.boxes) - 1)) / sum(box.width / box.height for box in scene.boxes)


def _draw_cell(axes, scene, image, enlarged, shown):
    """An image, its boxes, and these enlarged in its corners or below it."""
    image = _levels(image)
    image = np.rint(image).astype(np.uint8) if image.ndim == 3 else image
    height, width = image.shape[:2]
    tall, strip, x = height / width, _strip_height(scene, enlarged) - STRIP_GAP, 0
    axes.imshow(image, extent=(0, 1, tall, 0), **shown)
    for index, (box, colour) in enumerate(zip(scene.boxes, cycle(BOX_COLOURS))):
        axes.add_patch(Rectangle((box.x / width, box.y / width), box.width / width, box.height / width, fill=False,
                                 edgecolor=colour, linewidth=LINE_WIDTH))
        if enlarged == 'below':
            wide = strip * box.width / box.height
            _draw_enlarged(axes, box.cut(image), x, tall + STRIP_GAP, wide, strip, colour, shown)
            x += wide + STRIP_GAP
        elif enlarged == 'corner':
            high = CORNER_SHARE * box.height / box.width
            right, low = _corner(scene.boxes, index, width, height)
            _draw_enlarged(axes, box.cut(image), right * (1 - CORNER_SHARE), low * (tall - high), CORNER_SHARE, high,
                           colour, shown)


def _draw_enlarged(axes, image, left, top, wide, high, colour, shown):
    """An image at a place in axes, in a frame."""
    axes.imshow(image, extent=(left, left + wide, top + high, top), **shown)
    frame = axes.add_patch(Rectangle((left, top), wide, high, fill=False, edgecolor=colour, linewidth=2 * FRAME_WIDTH))
    frame.set_clip_path(frame)  # the half of the line that lies inside


def _corner(boxes, index, width, height):
    """Which corner shows a box enlarged, as (0 left or 1 right, 0 top or 1 bottom): the farthest from all boxes that is
    not taken yet."""
    corners = [(1, 1), (0, 1), (1, 0), (0, 0)]
    centres = np.array([((box.x + box.width / 2) / width, (box.y + box.height / 2) / height) for box in boxes])
    distance = lambda corner: np.linalg.norm(centres - corner, axis=1).min()
    return sorted(corners, key=distance, reverse=True)[index % len(corners)]


def _fit(text, room, side='width'):
    """Reduce the size of a text until it fits so many inches; a warning if it would be illegible."""
    fit_text(text, room, side)
    if text.get_fontsize() < SMALLEST_FONT:
        warnings.warn(f'the name {text.get_text()} is too long to be read at its size: give a shorter one with --names',
                      stacklevel=2)


def _levels(image):
    """As float on 0…255."""
    return image / SIXTEEN_TO_EIGHT_BIT if image.dtype == np.uint16 else image.astype(float)
