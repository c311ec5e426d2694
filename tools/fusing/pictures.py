"""Pictures beside the fused images: contact sheets, and mosaics of feature maps."""
from pathlib import Path
from typing import List, NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tools.base.figures import font_for, warn_of_missing_glyphs
from tools.base.files import printable
from tools.data.images import read_image, write_image
from tools.data.reading import AS_THEY_ARE, Reading

MOSAIC = 8  # channels down and across
CELL_WIDTH, GAP, LABEL_HEIGHT = 360, 6, 20  # pixels of a contact sheet
ROWS_PER_SHEET = 25
FONT_SIZE = 12
INK, PAPER = 0, 255


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
    paths = []
    warn_of_missing_glyphs(printable(file.name) for row in rows for file in (row.ir, row.vi))
    for first in range(0, len(rows), ROWS_PER_SHEET):
        lines = [_line(row) for row in rows[first:first + ROWS_PER_SHEET]]
        paths.append(Path(folder) / f'contact_sheet_{len(paths) + 1}.png')
        write_image(paths[-1], np.concatenate(lines))
    return paths


def _line(row):
    """The three images of a row with their names above them: H×W×3 uint8."""
    ir, vi, fused = row.reading.shown(row.ir, row.vi), read_image(row.vi), read_image(row.fused)
    height, width = vi.shape[:2]
    labels = f'infrared: {printable(row.ir.name)}', f'visible: {printable(row.vi.name)}  {width}×{height}', 'fused'
    cell_height = max(round(CELL_WIDTH * height / width), 1)
    cells = [_cell(image, cell_height, label) for image, label in zip((ir, vi, fused), labels)]
    gap = np.full((cells[0].shape[0], GAP, 3), PAPER, np.uint8)
    return np.concatenate([cells[0], gap, cells[1], gap, cells[2]], axis=1)


def _cell(image, height, label):
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    shrinks = image.shape[1] > CELL_WIDTH
    image = cv2.resize(image, (CELL_WIDTH, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    strip = Image.new('RGB', (CELL_WIDTH, LABEL_HEIGHT), (PAPER,) * 3)
    ImageDraw.Draw(strip).text((2, 2), label, fill=(INK,) * 3, font=ImageFont.truetype(font_for(label), FONT_SIZE))
    return np.concatenate([np.asarray(strip), image])
