"""What is doubtful about the values of images: they can be read, but may not mean what they are taken for."""
from collections import defaultdict

import numpy as np

from tools.base.errors import UserError
from tools.data.images import read_as_stored
from tools.data.reading import AS_THEY_ARE
from tools.data.value_range import AUTO, limits

LOOKED_AT = 64  # files of each modality, evenly spread: a training has thousands
ENOUGH = 512  # rows or columns: of larger images only some are looked at
LEVELS = 256
FEW_LEVELS = 64  # left of 256: what 14 bits in a container of 16 leave
FALSE_COLOUR = 8  # gray levels by which the channels of an image differ on average; what JPEG does to gray is less than 2
ALPHA_VALUES, ALPHA_BETWEEN = 32, 0.5  # an alpha channel that is a mask has few values, or most of its pixels at an end of the range


def value_doubts(ir_files, vi_files, reading=AS_THEY_ARE):
    """Lines to show, one for each kind of doubt about infrared and about visible files.

    Of many files some are looked at. Those that cannot be read are passed over: whoever uses them names them.
    """
    lines = []
    for modality, files in (('infrared', list(ir_files)), ('visible', list(vi_files))):
        found = defaultdict(list)
        looked_at = [files[index * len(files) // LOOKED_AT] for index in range(LOOKED_AT)] if len(files) > LOOKED_AT else files
        for path in looked_at:
            try:
                stored = read_as_stored(path)
            except UserError:
                continue
            for doubt, detail in _doubts(stored, modality, reading.ir_range):
                found[doubt].append(f'{path}{detail}')
        for doubt, examples in found.items():
            of = f', as in {len(examples)} of {len(looked_at)} {modality} images' if len(looked_at) > 1 else ''
            lines.append(f'doubtful: {examples[0]}{of}: {doubt}')
    return lines


def _doubts(stored, modality, ir_range):
    """(what is doubtful, what to say of this image) for each doubt about an image as it is stored."""
    image, header, pages = stored
    step = max(1, min(image.shape[:2]) // ENOUGH)
    image = image[::step, ::step]
    gray = image if image.ndim == 2 else image[:, :, :3].mean(axis=2)
    low, high = limits(gray)
    largest = header.white or np.iinfo(image.dtype).max
    levels = round((high - low) / largest * LEVELS)
    infrared = modality == 'infrared'
    remedy = '--ir_range auto stretches them, or --ir_range LOW HIGH' if infrared else 'stretch them before'
    given = infrared and ir_range
    if header.largest and image.max() <= header.largest and not given:
        yield 'by its header the values end far below what is taken for white, and they do; ' + remedy, (
            f' ({header.largest} of {largest})')
    elif image.dtype == np.uint16 and low < high and levels <= FEW_LEVELS and not given:
        yield f'a small part of 16 bits is used, as by a camera of 14 bits or fewer; of 256 gray levels few are left; {remedy}', (
            f' ({low:.0f}…{high:.0f} of {largest}, {max(levels, 1)} gray levels)')
    if pages > 1:
        yield 'it holds several pictures, of which the first is used: save the one that is meant as a file of its own', f' ({pages})'
    if header.bands:
        yield 'it has more bands than colours, and only the colours are used: save what is meant as a file of its own', f' ({header.bands})'
    if infrared and ir_range not in (None, AUTO) and np.mean((gray < ir_range[0]) | (gray > ir_range[1])) > 0.5:
        yield 'more than half of the pixels lie outside of ir_range, and become black or white', f' ({low:.0f}…{high:.0f})'
    if infrared and image.ndim == 3 and np.ptp(image[:, :, :3].astype(int), axis=2).mean() > FALSE_COLOUR * largest / 255:
        yield ('it is in colours, of which the brightness counts: in false colours that is not the order of heat (JET turns hot dark); '
               'give gray images'), ''
    if image.ndim == 3 and image.shape[2] == 4 and _is_picture(image[:, :, 3]):
        yield 'a picture is in the alpha channel, which is not used, perhaps the other modality: save it as a file of its own', ''


def _is_picture(alpha):
    between = (alpha > 0) & (alpha < np.iinfo(alpha.dtype).max)
    return between.mean() > ALPHA_BETWEEN and len(np.unique(alpha)) >= ALPHA_VALUES
