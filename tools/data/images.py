"""Reading and writing image files, and the colour space the networks fuse in.

Images are numpy arrays: gray H×W or colour H×W×3 in R, G, B order, uint8 (0…255) or uint16 (0…65535).
"""
import io
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from tools.base.errors import UserError
from tools.base.files import whole_file
from tools.data.image_headers import PNG_START, Header, count_pages, read_header, why_unreadable
from tools.data.value_range import stretched

WRITTEN_EXTENSIONS = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff')
IMAGE_EXTENSIONS = (*WRITTEN_EXTENSIONS, '.pgm', '.webp', '.jp2')  # that are read
SIXTEEN_BIT_EXTENSIONS = ('.png', '.tif', '.tiff')
SIXTEEN_TO_EIGHT_BIT = 257  # 65535 / 255

EXIF_ORIENTATION, TURNED_BY_90_DEGREES = 0x0112, (5, 6, 7, 8)
TIFF_SIZE = 256, 257  # the tags of width and height

# OpenCV would print its internal errors on a damaged file beside the message that this module gives.
set_log_level = cv2.setLogLevel if hasattr(cv2, 'setLogLevel') else cv2.utils.logging.setLogLevel  # type: ignore  # OpenCV 4, and 5
set_log_level(0)

PNG_END = b'IEND\xaeB`\x82'
JPEG_2000_STARTS = b'\0\0\0\x0cjP  ', b'\xff\x4f\xff\x51'
PLAIN_NETPBM = b'P1', b'P2', b'P3'
JPEG_START, JPEG_END = b'\xff\xd8', b'\xff\xd9'
# In compressed data 0xff is followed by 0 or a restart marker (d0…d7); anything else begins a new segment.
JPEG_SEGMENT = re.compile(b'\xff[^\x00\xff\xd0-\xd7]')


def natural_key(name):
    """Sorting key by which IR2 comes before IR10, upper and lower case alike."""
    name = str(name)
    return [int(part) if part.isdecimal() else part.casefold() for part in re.split(r'(\d+)', name)], name


def list_images(folder):
    """The image files directly in `folder`, by extension in either case, as a list of Path in natural order.

    Hidden files are skipped. A folder without images gives an empty list; a missing or unreadable one a UserError.
    """
    files = [path for path in _list_folder(folder) if is_image(path.name) and path.is_file()]
    return sorted(files, key=lambda path: natural_key(path.name))


def is_image(name):
    """Whether a file's name is that of an image: by its extension, and not hidden."""
    return name.lower().endswith(IMAGE_EXTENSIONS) and not name.startswith('.')


def other_files(folder):
    """What `list_images` passes over in a folder, as text such as `3 other files (2 .npy, 1 .txt)`; '' if there is nothing."""
    return describe_others(path.name for path in _list_folder(folder) if path.is_file())


def describe_others(names):
    """How many of some files are no images, with their extensions, as text; '' if none. Hidden files do not count."""
    others = Counter(Path(name).suffix.lower() or 'without extension' for name in names
                     if not is_image(name) and not name.startswith('.'))
    count = sum(others.values())
    kinds = ', '.join(f'{number} {extension}' for extension, number in sorted(others.items(), key=lambda kind: (-kind[1], kind[0])))
    return f'{count} other {"file" if count == 1 else "files"} ({kinds})' if others else ''


class Stored(NamedTuple):
    """An image as it is stored: H×W, H×W×3, or with alpha H×W×4, in OpenCV's order; its header; how many pictures the file holds."""
    image: np.ndarray
    header: Header
    pages: int


def read_image(path, value_range=None):
    """Read an image as it is: H×W or H×W×3 RGB, uint8 or uint16.

    Palettes and 1-bit images become 8-bit values, alpha is dropped (a gray PNG with alpha has three equal channels),
    the orientation that a camera noted is applied. value_range: as for `read_gray`. Raises UserError as `read_gray` does.
    """
    image = _decode(path, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH, value_range)
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_as_stored(path) -> Stored:
    """Read an image with all its channels, with the values of the file. Raises UserError as `read_gray` does."""
    data = _read_bytes(path)
    header = read_header(data, path)
    return Stored(_decode_values(path, data, header, cv2.IMREAD_UNCHANGED), header, count_pages(data))


def read_gray(path, value_range=None):
    """Read an image as H×W uint8 gray, exactly as the original does: OpenCV's IMREAD_GRAYSCALE.

    Only 16-bit files differ, whose whole range is scaled to 0…255 and rounded, and those whose header says what OpenCV does not heed.
    value_range: of the file's values, to be stretched to all gray levels, as from `tools.data.value_range.parse_range`.
    Raises UserError for a file that is missing, empty, no image, cut off, or has other than 8 or 16 bits per channel.
    """
    image = _decode(path, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH, value_range)
    if image.dtype == np.uint16:
        image = ((image.astype(np.uint32) + SIXTEEN_TO_EIGHT_BIT // 2) // SIXTEEN_TO_EIGHT_BIT).astype(np.uint8)
    return image


def image_size(path):
    """(height, width) from the file's header, without decoding it: some 50 µs.

    An unsound header may still be one that OpenCV reads: then it is decoded. UserError if that fails too.
    """
    try:
        with Image.open(path) as image:
            # Of a TIFF, newer versions of Pillow give the size as it is after turning.
            width, height = (image.tag_v2[tag] for tag in TIFF_SIZE) if image.format == 'TIFF' else image.size  # type: ignore  # it has
            # OpenCV turns them back, but not in this format.
            lies_on_its_side = image.format != 'WEBP' and image.getexif().get(EXIF_ORIENTATION) in TURNED_BY_90_DEGREES
    except Exception:  # Pillow raises whatever a damaged header leads it to
        return read_gray(path).shape
    return (width, height) if lies_on_its_side else (height, width)


def fitted(image, shape):
    """An image resized to (height, width), as fusing and scoring make an infrared image fit a visible one; the same if it fits."""
    if image.shape[:2] == tuple(shape[:2]):
        return image
    shrinks = image.shape[0] * image.shape[1] > shape[0] * shape[1]
    return cv2.resize(image, tuple(shape[1::-1]), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def write_image(path, image):
    """Write H×W or H×W×3 RGB, uint8 or uint16, in the format that the extension names; whole or not at all.

    Raises UserError for an unknown extension, for uint16 in a format of 8 bits, and where the file cannot be written.
    """
    path = Path(path)
    extension = path.suffix.lower()
    if extension not in WRITTEN_EXTENSIONS:
        raise UserError(f'cannot write {path}: the extension must be one of {" ".join(WRITTEN_EXTENSIONS)}')
    if image.dtype not in (np.uint8, np.uint16):
        raise TypeError(f'an image to write must be uint8 or uint16, not {image.dtype}')
    if image.dtype == np.uint16 and extension not in SIXTEEN_BIT_EXTENSIONS:
        raise UserError(f'cannot write {path}: {extension} holds 8 bits only, use {" ".join(SIXTEEN_BIT_EXTENSIONS)}')
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(extension, image)
    with whole_file(path) as temporary:
        temporary.write_bytes(data.tobytes())


def rgb_to_ycrcb(image):
    """H×W×3 RGB to Y, Cr, Cb of BT.601, full range, dtype kept (uint8, uint16, or float32 with chroma around 0.5)."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)


def ycrcb_to_rgb(image):
    """The inverse of `rgb_to_ycrcb`; integers are rounded and clipped."""
    return cv2.cvtColor(image, cv2.COLOR_YCrCb2RGB)


def luma(image):
    """H×W luma of a gray or RGB image, dtype kept: 0.299 R + 0.587 G + 0.114 B (BT.601); gray is returned as it is."""
    return image if image.ndim == 2 else rgb_to_ycrcb(image)[:, :, 0]


def _list_folder(folder):
    try:
        return list(Path(folder).iterdir())
    except OSError as error:
        raise UserError(f'cannot read the folder {folder}: {error.strerror}') from error


def _read_bytes(path):
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f'cannot read {path}: {error.strerror}') from error
    if not data:
        raise UserError(f'{path} is empty (0 bytes)')
    return data


def _is_cut_off(data):
    """Whether a PNG or JPEG file lacks its end, which OpenCV passes over in a JPEG: the rest of the image is gray."""
    if data.startswith(PNG_START):
        return PNG_END not in data
    if not data.startswith(JPEG_START):
        return False
    # Segment by segment: a thumbnail in the header has an end mark of its own, and phones append data after the end.
    position = len(JPEG_START)
    while True:
        segment = JPEG_SEGMENT.search(data, position)
        if segment is None:
            return True
        if segment.group() == JPEG_END:
            return False
        length = int.from_bytes(data[segment.end():segment.end() + 2], 'big')
        position = segment.end() + length


def _decode(path, flags, value_range=None):
    """The image as cv2.imdecode with these flags gives it, with white where the range or the header says."""
    data = _read_bytes(path)
    header = read_header(data, path)
    image = _decode_values(path, data, header, flags)
    value_range = value_range or header.white and (0, header.white)
    return stretched(image, value_range) if value_range else image


def _decode_values(path, data, header, flags):
    # Not cv2.imread: it cannot open names outside the system's code page on Windows.
    if _is_cut_off(data):
        raise UserError(f'{path} is cut off: the end of the file is missing; copy it again')
    if header.by_pillow or data.startswith(JPEG_2000_STARTS):
        image = _decode_by_pillow(path, data, flags)
    else:
        try:  # of text, it wants something behind the last number
            image = cv2.imdecode(np.frombuffer(data + b'\n' * data.startswith(PLAIN_NETPBM), np.uint8), flags)
        except cv2.error:
            image = None
    if image is None or image.size == 0:
        raise UserError(f'{path} {why_unreadable(data)}')
    if image.dtype not in (np.uint8, np.uint16):
        raise UserError(f'{path} has {image.dtype} values; only 8 and 16 bits per channel are read')
    return np.iinfo(image.dtype).max - image if header.inverted else image


def _decode_by_pillow(path, data, flags):
    """As cv2.imdecode, which crashes on some cut files of JPEG 2000 (OpenCV 4.10); colour has 8 bits."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            image = np.asarray(picture if picture.mode in ('L', 'I;16') else picture.convert('L' if picture.mode == 'LA' else 'RGB'))
    except Exception as error:  # Pillow raises whatever a damaged file leads it to
        raise UserError(f'{path} is not an image, or damaged') from error
    if image.ndim == 2:
        return image
    return cv2.cvtColor(image, cv2.COLOR_RGB2BGR if flags & cv2.IMREAD_ANYCOLOR else cv2.COLOR_RGB2GRAY)
