"""What the headers of image files say about the meaning of their values, as far as OpenCV passes over it or gets it wrong."""
import io
import logging
import re
from typing import NamedTuple, Optional

from PIL import Image

from tools.base.errors import UserError
from tools.base.files import mistaken_for

READ = 'PNG, JPEG, BMP, TIFF, PGM, WebP and JPEG 2000 are'
FORMATS = 'PNG', 'JPEG', 'MPO', 'BMP', 'TIFF', 'PPM', 'WEBP', 'JPEG2000'  # the same, as Pillow calls them
OTHER_FORMATS = {'HEIF or AVIF': re.compile(rb'....ftyp', re.DOTALL), 'JPEG XL': re.compile(rb'\xff\x0a|....JXL ', re.DOTALL),
                 'OpenEXR': re.compile(rb'v/1\x01'), 'Radiance HDR': re.compile(rb'#\?RADIANCE|#\?RGBE'), 'PAM': re.compile(rb'P7\s')}
JPEG_PRECISION = re.compile(rb'\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf]..(.)', re.DOTALL)  # in the segment that begins a frame

PNG_START, TIFF_STARTS, NETPBM = b'\x89PNG', (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+'), re.compile(rb'P[1-6]\s')
PNG_DEPTH, PNG_KIND, PNG_PALETTE, PNG_SIGNIFICANT = 24, 25, 3, b'sBIT'
PNG_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
ANIMATED_WEBP = re.compile(rb'RIFF....WEBPVP8X.{14}.*?ANIM', re.DOTALL)

TIFF_UNSIGNED = 1, 4  # sample formats; 4 is "undefined"
TIFF_BITS = 1, 8, 10, 12, 14, 16
TIFF_COLOURS = {'MINISWHITE': 1, 'MINISBLACK': 1, 'PALETTE': 1, 'RGB': 3, 'YCBCR': 3, 'SEPARATED': 4, 'CIELAB': 3}
TIFF_OF_MORE_THAN_8_BITS = 'MINISWHITE', 'MINISBLACK', 'RGB'
TIFF_COMPRESSIONS = 1, 2, 3, 4, 5, 7, 8, 32773, 32946  # none, fax, LZW, JPEG, deflate, PackBits
TIFF_PREMULTIPLIED, TIFF_STRAIGHT = 1, 2  # alpha, among the extra samples
TIFF_PLANES = 2  # the planar configuration in which the channels follow one another
TIFF_SMALLEST_TILE = 32  # pixels, of 8 bits, that OpenCV reads
TIFF_LARGEST_VALUE = 281  # the tag MaxSampleValue

logging.getLogger('tifffile').setLevel(logging.CRITICAL)  # what it says about damaged files, we say


class Header(NamedTuple):
    """What has to be done about a file's values, and what of them is doubtful.

    inverted: zero is white, which OpenCV does not heed. white: the value that is white, if it is not the largest of its type.
    largest: the value that the header calls the largest, which need not mean that it is white. bands: their number, if some are
    not used. by_pillow: OpenCV does not read the file, or not right, and Pillow does.
    """
    inverted: bool = False
    white: Optional[int] = None
    largest: Optional[int] = None
    bands: Optional[int] = None
    by_pillow: bool = False


def read_header(data: bytes, path) -> Header:
    """The header of an image file with this content. UserError if it says that OpenCV cannot read the file, or not as it is meant."""
    if data.startswith(TIFF_STARTS):
        return _read_tiff(data, path)
    if data.startswith(PNG_START):
        return _read_png(data)
    if NETPBM.match(data):
        return _read_netpbm(data)
    return Header(by_pillow=bool(ANIMATED_WEBP.match(data[:64])))


def count_pages(data: bytes) -> int:
    """How many pictures a file with this content holds; smaller versions of another one do not count."""
    try:
        if data.startswith(TIFF_STARTS):
            with _tiff_file(data) as file:
                return sum(not page.is_reduced for page in file.pages)
        with Image.open(io.BytesIO(data)) as image:
            return getattr(image, 'n_frames', 1)
    except Exception:  # both raise whatever a damaged header leads them to; whoever decodes the file says so
        return 1


def why_unreadable(data: bytes) -> str:
    """What to say, after its name, of a file that no decoder reads."""
    mistaken = mistaken_for(data)
    if mistaken:
        return f'is not an image, but {mistaken}'
    found = next((name for name, beginning in OTHER_FORMATS.items() if beginning.match(data)), None)
    if found is None and not data.startswith(TIFF_STARTS):  # of which Pillow would print what it finds wrong
        try:
            with Image.open(io.BytesIO(data)) as image:
                found = image.format
        except Exception:  # as in count_pages
            precision = JPEG_PRECISION.search(data) if data.startswith(b'\xff\xd8') else None
            if precision and precision.group(1) != b'\x08':
                return f'is a JPEG of {precision.group(1)[0]} bits, of which only those of 8 are read'
    return 'is not an image, or damaged' if found in (None, *FORMATS) else f'is {found}, which is not read; {READ}: convert it'


def _tiff_file(data):
    from tifffile import TiffFile  # here, since it takes a tenth of a second to load, and most images are of other formats
    return TiffFile(io.BytesIO(data))


def _read_tiff(data, path):
    try:
        with _tiff_file(data) as file:
            page = file.pages[0]
            kind, bits, samples = getattr(page.photometric, 'name', str(page.photometric)), page.bitspersample, page.samplesperpixel
            compression, alpha, largest = page.compression, list(map(int, page.extrasamples)), page.tags.valueof(TIFF_LARGEST_VALUE)
            sample_format, dtype, in_planes = page.sampleformat, page.dtype, page.planarconfig == TIFF_PLANES
            has_small_tiles = page.is_tiled and min(page.tilewidth, page.tilelength) < TIFF_SMALLEST_TILE
    except Exception:  # tifffile raises whatever a damaged header leads it to; OpenCV has the last word
        return Header()
    if sample_format not in TIFF_UNSIGNED or bits not in TIFF_BITS:
        raise UserError(f'{path} has {dtype or "unknown"} values of {bits} bits; only 8 and 16 bits per channel, without sign, are read: '
                        'convert it, and say by that which value is black and which white')
    if compression not in TIFF_COMPRESSIONS:
        raise UserError(f'{path} is compressed by {getattr(compression, "name", compression)}, which is not read: save it without')
    colours = TIFF_COLOURS.get(kind)
    if colours is None or bits > 8 and kind not in TIFF_OF_MORE_THAN_8_BITS:
        raise UserError(f'{path} has the photometric interpretation {kind} with {bits} bits, which is not read: save it as gray or RGB')
    has_alpha = samples == colours + 1 and alpha and alpha[0] in (TIFF_PREMULTIPLIED, TIFF_STRAIGHT)
    if samples > colours + 1 or colours == 1 and samples == 2 and not (has_alpha and bits == 8):
        raise UserError(f'{path} has {samples} bands{" of 16 bits" if has_alpha else ""}, and its header says of {colours} what it '
                        f'{"is" if colours == 1 else "are"}: save what is to be used as a file of its own')
    if in_planes and colours > 1 and bits > 8:
        raise UserError(f'{path} has its channels one after another (planar configuration {TIFF_PLANES}), which is not read with {bits} '
                        'bits: save it with the channels of each pixel together')
    largest = max(largest) if isinstance(largest, tuple) else largest
    is_multiplied = has_alpha and alpha[0] == TIFF_STRAIGHT  # by OpenCV: the colours by alpha
    return Header(
        inverted=kind == 'MINISWHITE' and bits > 8, largest=largest if isinstance(largest, int) and 0 < largest < 2 ** bits - 1 else None,
        bands=samples if samples > colours and not has_alpha else None, by_pillow=bits == 8 and bool(is_multiplied or has_small_tiles))


def _read_png(data):
    """sBIT: how many bits of each value are significant. They are to be the upper ones, but some cameras' files have the lower ones."""
    start, channels = data.find(PNG_SIGNIFICANT, 0, data.find(b'IDAT')), PNG_CHANNELS.get(data[PNG_KIND] if len(data) > PNG_KIND else None)
    if start < 0 or channels is None:
        return Header()
    start += len(PNG_SIGNIFICANT)
    bits = max(data[start:start + channels], default=0)
    return Header(largest=2 ** bits - 1 if 0 < bits < data[PNG_DEPTH] else None)


def _read_netpbm(data):
    try:
        with Image.open(io.BytesIO(data)) as image:
            decoder, _, _, arguments = image.tile[0]
    except Exception:  # as in _read_tiff
        return Header()
    white = arguments[1] if decoder.startswith('ppm') and isinstance(arguments, tuple) else None
    heeded = white is None or white == 65535 or decoder == 'ppm_plain' and white < 256  # by OpenCV
    return Header(white=None if heeded else white)
