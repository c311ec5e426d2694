"""The figure of a fusion paper: rows of scenes, columns of infrared, visible and fused images, with parts enlarged."""
import warnings
from typing import Dict, List, NamedTuple, Sequence

import cv2
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tools.base.errors import UserError
from tools.base.figures import figure_style
from tools.data.images import SIXTEEN_TO_EIGHT_BIT, luma

INFRARED, VISIBLE = 'Infrared', 'Visible'
ENLARGED = 'below', 'corner', 'no'
REFERENCES = {'ir': INFRARED, 'vi': VISIBLE, 'first': None}  # what differences are taken to
BOX_COLOURS = ('#e6001a', '#00b050', '#ffc000', '#00b0f0')  # seen on gray, told apart by most colour-blind readers
LINE_WIDTH, FRAME_WIDTH = 0.8, 1.2  # points: of a box in the image, and around it enlarged
GAP = 0.03          # inches between images
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
    """'x,y,w,h' or several with + between them -> list of Box. Raises UserError for other texts and for what is not inside the scene."""
    height, width = scene.images[INFRARED].shape[:2]
    boxes = []
    for part in text.split('+'):
        try:
            box = Box(*map(int, part.split(',')))
        except (TypeError, ValueError):
            raise UserError(f'a box is x,y,w,h in whole pixels, such as 120,40,64,48, not {part!r}') from None
        if box.x < 0 or box.y < 0 or min(box.width, box.height) < 2 or box.x + box.width > width or box.y + box.height > height:
            raise UserError(f'the box {part} is not inside {scene.name}, which is {width}×{height}, or smaller than 2×2')
        boxes.append(box)
    return boxes


def choose_boxes(scene, number):
    """Boxes where the methods differ most in detail, none over another -> list of Box.

    The mean over the box of the standard deviation between methods is the largest there, of images without what is
    coarser than a box: a sky that one method shows brighter says little. A single method is compared with the mean of its sources.
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
    """All images of the scenes. width: of the figure in inches. columns: images side by side. Returns a matplotlib figure."""
    return _grid(scenes, list(scenes[0].images), width, columns, enlarged, font_size, scene_names, dict(cmap='gray', vmin=0, vmax=255))


def difference_figure(scenes: List[Scene], reference, width, columns, font_size=8, scene_names=False):
    """Absolute differences of the methods' luma to a source or to the first method, with one colour bar for all.

    reference: a key of REFERENCES.
    """
    methods = scenes[0].methods
    base = REFERENCES[reference] or methods[0]
    differences = [scene._replace(boxes=(), images={
        name: np.abs(_levels(luma(scene.images[name])) - _levels(luma(scene.images[base]))) for name in methods if name != base})
        for scene in scenes]
    if not differences[0].images:
        raise UserError('differences to the first method need a second one')
    largest = max(image.max() for scene in differences for image in scene.images.values())
    bar_room = BAR_GAP + BAR_WIDTH + BAR_TEXT * font_size / 72
    figure = _grid(differences, list(differences[0].images), width, columns, 'no', font_size, scene_names,
                   dict(cmap='inferno', vmin=0, vmax=max(largest, 1)), room_right=bar_room)
    height = figure.get_figheight()
    below = font_size / 72  # half of it is the lowest number's
    bar = figure.add_axes([1 - (bar_room - BAR_GAP) / width, below / height, BAR_WIDTH / width,
                           1 - (font_size * LINE_HEIGHT + below) / height])
    figure.colorbar(figure.axes[0].images[0], cax=bar)
    bar.tick_params(labelsize=font_size, width=0.5, length=2, pad=1)
    bar.set_ylabel(f'absolute difference to {base} (gray levels)', fontsize=font_size)
    return figure


def _grid(scenes, names, width, columns, enlarged, font_size, scene_names, shown, room_right=0.0):
    """The images in rows of scenes, in blocks of so many columns that lie below each other, each under its names."""
    blocks = [names[start:start + columns] for start in range(0, len(names), columns)]
    label = font_size * LINE_HEIGHT
    left = label if scene_names else 0.0
    cell = (width - left - room_right - GAP * (len(blocks[0]) - 1)) / len(blocks[0])
    heights = [_cell_height(scene, cell, enlarged) for scene in scenes]
    height = len(blocks) * (label + sum(heights) + GAP * len(heights))
    with figure_style('paper'):
        figure = Figure(figsize=(width, height))
        top = height
        for block in blocks:
            for column, name in enumerate(block):
                x = left + column * (cell + GAP) + cell / 2
                _fit(figure.text(x / width, (top - 0.7 * label) / height, name, fontsize=font_size, ha='center', va='baseline'), cell)
            top -= label
            for scene, tall in zip(scenes, heights):
                if scene_names:
                    _fit(figure.text(0.4 * label / width, (top - tall / 2) / height, scene.name, fontsize=font_size, rotation=90,
                                     ha='center', va='center'), tall, 'height')
                for column, name in enumerate(block):
                    _draw_cell(figure, scene, scene.images[name], left + column * (cell + GAP), top, cell, enlarged, shown)
                top -= tall + GAP
    return figure


def _cell_height(scene, cell, enlarged):
    """Inches that an image and what is enlarged below it take."""
    height, width = next(iter(scene.images.values())).shape[:2]
    tall = cell * height / width
    return tall + GAP + _strip_height(scene.boxes, cell) if scene.boxes and enlarged == 'below' else tall


def _strip_height(boxes, cell):
    """Inches of the enlarged boxes side by side: as high as the flattest of them allows, so that all fit the width."""
    return (cell - GAP * (len(boxes) - 1)) / sum(box.width / box.height for box in boxes)


def _draw_cell(figure, scene, image, left, top, cell, enlarged, shown):
    """An image with its upper left corner at (left, top) inches, its boxes and the enlarged parts."""
    image = _levels(image)
    image = np.rint(image).astype(np.uint8) if image.ndim == 3 else image
    height, width = image.shape[:2]
    tall = cell * height / width
    axes = _show(figure, image, left, top, cell, tall, shown)
    if enlarged == 'below' and scene.boxes:
        strip, x = _strip_height(scene.boxes, cell), left
    for index, box in enumerate(scene.boxes):
        colour = BOX_COLOURS[index % len(BOX_COLOURS)]
        axes.add_patch(Rectangle((box.x - 0.5, box.y - 0.5), box.width, box.height, fill=False, edgecolor=colour, linewidth=LINE_WIDTH))
        if enlarged == 'below':
            wide = strip * box.width / box.height
            _show(figure, box.cut(image), x, top - tall - GAP, wide, strip, shown, colour)
            x += wide + GAP
        elif enlarged == 'corner':
            wide = CORNER_SHARE * cell
            high = wide * box.height / box.width
            x, y = _corner(scene.boxes, index, width, height)
            _show(figure, box.cut(image), left + x * (cell - wide), top - y * (tall - high), wide, high, shown, colour)


def _corner(boxes, index, width, height):
    """Which corner shows a box enlarged, as (0 left or 1 right, 0 top or 1 bottom): the farthest from all boxes that is not taken yet."""
    corners = [(1, 1), (0, 1), (1, 0), (0, 0)]
    distance = lambda corner: min(np.hypot(corner[0] - (box.x + box.width / 2) / width, corner[1] - (box.y + box.height / 2) / height)
                                  for box in boxes)
    return sorted(corners, key=distance, reverse=True)[index % len(corners)]


def _show(figure, image, left, top, wide, high, shown, colour=None):
    """An image in axes of its own, framed if there is a colour; all lengths in inches. Returns the axes."""
    width, height = figure.get_size_inches()
    if colour:  # the frame lies inside
        inset = FRAME_WIDTH / 72 / 2
        left, top, wide, high = left + inset, top - inset, wide - 2 * inset, high - 2 * inset
    axes = figure.add_axes([left / width, (top - high) / height, wide / width, high / height])
    axes.imshow(image, aspect='auto', **shown)
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set(visible=colour is not None, edgecolor=colour, linewidth=FRAME_WIDTH)
    return axes


def _fit(text, room, side='width'):
    """Reduce the size of a text until it fits so many inches; a warning if it would be illegible."""
    needed = getattr(text.get_window_extent(), side) / text.figure.dpi
    if needed > room:
        text.set_fontsize(text.get_fontsize() * room / needed)
    if text.get_fontsize() < SMALLEST_FONT:
        warnings.warn(f'the name {text.get_text()} is too long to be read at its size: give a shorter one with --names', stacklevel=2)


def _levels(image):
    """As float on 0…255."""
    return image / SIXTEEN_TO_EIGHT_BIT if image.dtype == np.uint16 else image.astype(float)
