"""Which values of infrared images are to mean black and white: `--ir_range auto`, or two values of the files."""
import math

import numpy as np

from tools.base.errors import UserError

AUTO = 'auto'
# Of each image by itself, so that it does not matter which others are there: fusing one frame, a training and the scoring read it alike.
# Not from the smallest to the largest value: a dead pixel, as most thermal cameras have some, would take the range for itself.
PERCENTILES = 0.1, 99.9


def parse_range(texts):
    """'auto', (low, high), or None for None, from the words of a setting. UserError if they are neither of these."""
    if texts is None or texts == [AUTO]:
        return texts and AUTO
    try:
        low, high = map(float, texts)
    except ValueError:
        low = high = math.nan
    if not -math.inf < low < high < math.inf:
        raise UserError(f'ir_range must be {AUTO}, or LOW HIGH, two values of the infrared files that are to be black and white, '
                        f'not {" ".join(map(str, texts)) or "nothing"}')
    return low, high


def range_text(value_range):
    """The words of a range, which `parse_range` takes when they are split."""
    return AUTO if value_range == AUTO else ' '.join(map(str, value_range))


def stretched(image, value_range):
    """An H×W image, uint8 or uint16, with a range of its values spread over all that its type holds; what lies outside is clipped.

    value_range: from `parse_range`. 'auto' leaves an image of a single value as it is.
    """
    low, high = limits(image) if value_range == AUTO else value_range
    if low == high:
        return image
    top = np.iinfo(image.dtype).max
    return np.rint(((image - low) * (top / (high - low))).clip(0, top)).astype(image.dtype)


def limits(image):
    """(low, high): the values that an image uses, but for a few pixels; all if the others have a single value."""
    low, high = np.percentile(image, PERCENTILES)
    return (float(low), float(high)) if low < high else (float(image.min()), float(image.max()))
