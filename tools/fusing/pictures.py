"""Pictures beside the fused images: contact sheets, and mosaics of feature maps."""
from itertools import chain
from pathlib import Path
from typing import List, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from mpl_toolkits.axes_grid1 import ImageGrid

from tools.base.figures import figure_style, fit_text, save_figure, warn_of_missing_glyphs
from tools.base.files import printable
from tools.data.images import read_image
from tools.data.reading import AS_THEY_ARE, Reading

MOSAIC = 8  # channels down and across
DOTS_PER_INCH = 100  # of a contact sheet
CELL_WIDTH, GAP, LABEL_HEIGHT = 360, 6, 20  # pixels there
ROWS_PER_SHEET = 25
FONT_SIZE = 8


class Row(NamedTuple):
    """The files shown in one row of a contact sheet."""
    ir: Path
    vi: Path
    fused: Path
    reading: Reading = AS_THEY_ARE


def feature_mosaic(maps):
    """The first 64 channels of feature maps (C, h, w), each as |values| from its minimum (0) to its maximum (255).

    uint8 (8h, 8w); the channel index runs down the columns, as in the original. A constant channel is black.
    """
    values = np.abs(maps[:MOSAIC ** 2])
    values = values - values.min(axis=(1, 2), keepdims=True)
    highest = values.max(axis=(1, 2), keepdims=True)
    values = (255 * values / np.where(highest > 0, highest, 1)).astype(np.uint8)
    columns = values.reshape(MOSAIC, MOSAIC, *values.shape[1:])  # (column, row, h, w)
    return np.concatenate([np.concatenate(list(column)) for column in columns], axis=1)


def write_contact_sheets(folder, rows: List[Row]) -> List[Path]:
    """Write infrared | visible | fused of each row, small and named, as contact_sheet_1.png, …, 25 rows each.

    Returns the files. Raises UserError for an image that cannot be read.
    """
    warn_of_missing_glyphs(printable(file.name) for row in rows for file in (row.ir, row.vi))
    starts = range(0, len(rows), ROWS_PER_SHEET)
    return [path for number, start in enumerate(starts, 1)
            for path in save_figure(_sheet(rows[start:start + ROWS_PER_SHEET]), Path(folder, f'contact_sheet_{number}'),
                                    ['png'], DOTS_PER_INCH)]


def _sheet(rows):
    """A figure with the three images of each row, their names above them."""
    images = [_images(row) for row in rows]
    names = [(f'infrared: {printable(row.ir.name)}',
              f'visible: {printable(row.vi.name)}  {vi.shape[1]}×{vi.shape[0]}', 'fused')
             for row, (_, vi, _) in zip(rows, images)]
    heights = [image.shape[0] / image.shape[1] for _, image, _ in images]  # of images of width 1
    cell, gap, label = (pixels / DOTS_PER_INCH for pixels in (CELL_WIDTH, GAP, LABEL_HEIGHT))
    width, height = 3 * cell + 2 * gap, cell * sum(heights) + label * len(rows)
    with figure_style('paper', chain(*names)):
        figure = Figure(figsize=(width, height))
        grid = ImageGrid(figure, (0, 0, 1, 1 - label / height), (len(rows), 3), axes_pad=(gap, label))
        for of_row, texts, tall, row in zip(images, names, heights, grid.axes_row):
            for image, text, axes in zip(of_row, texts, row):
                axes.imshow(image, cmap='gray', vmin=0, vmax=255, extent=(0, 1, tall, 0))
                fit_text(axes.set_title(text, fontsize=FONT_SIZE, loc='left', pad=3), cell)
                axes.axis('off')
    return figure


def _images(row):
    """Infrared, visible and fused image of a row, of at most 8 bits."""
    images = row.reading.shown(row.ir, row.vi), read_image(row.vi), read_image(row.fused)
    return [(image >> 8).astype(np.uint8) if image.dtype == np.uint16 else image for image in images]
