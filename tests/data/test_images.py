"""Reading and writing images: formats, bit depths, colour order, and files that are broken."""
import contextlib
import io

import cv2
import numpy as np
import pytest
import tifffile
from conftest import SHARED_DATA
from PIL import Image

from tools.base.errors import UserError
from tools.data.images import (
    describe_others,
    fitted,
    image_size,
    list_images,
    luma,
    other_files,
    read_gray,
    read_image,
    rgb_to_ycrcb,
    write_image,
    ycrcb_to_rgb,
)


def picture(height=40, width=60, channels=3, dtype=np.uint8, seed=0):
    """A smooth random picture that JPEG keeps well enough."""
    small = np.random.RandomState(seed).randint(0, np.iinfo(dtype).max, (5, 6, channels)).astype(dtype)
    return cv2.resize(small, (width, height)).reshape(height, width, channels).squeeze()


def encoded(image, extension):
    return cv2.imencode(extension, image)[1].tobytes()


def example_images():
    """A name for a picture made here, and files of the real data where it is."""
    if SHARED_DATA is None:
        return ['made.png', 'made.jpg']
    return ['made.png', 'made.jpg'] + [SHARED_DATA / name for name in (
        'images/21_pairs_tno/ir/IR1.png', 'images/M3FD_Fusion/vis/00370.png',
        'database/set00/V000/visible/I00000.jpg', 'database/set00/V000/lwir/I00000.jpg')]


@pytest.mark.parametrize('extension', ['.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff'])
@pytest.mark.parametrize('channels', [1, 3])
def test_gray_is_what_opencv_reads(tmp_path, extension, channels):
    path = tmp_path / f'image{extension}'
    write_image(path, picture(channels=channels))
    assert np.array_equal(read_gray(path), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))


@pytest.mark.parametrize('extension, channels', [('.pgm', 1), ('.webp', 3), ('.jp2', 1), ('.jp2', 3)])
def test_formats_that_are_read_only(tmp_path, extension, channels):
    path = tmp_path / f'image{extension.upper()}'
    data = encoded(picture(channels=channels), extension)
    path.write_bytes(data)
    assert list_images(tmp_path) == [path]
    assert image_size(path) == read_image(path).shape[:2] == (40, 60)
    image = read_image(path)
    assert np.array_equal(image[..., ::-1] if channels == 3 else image, cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
    difference = read_gray(path).astype(int) - cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert np.abs(difference).max() <= (1 if channels == 3 else 0)
    for kept in (0.3, 0.9, 0.99):
        path.write_bytes(data[:int(len(data) * kept)])
        for read in (read_image, read_gray):
            with pytest.raises(UserError, match='not an image, or damaged'):
                read(path)
    with pytest.raises(UserError, match='extension'):
        write_image(path, picture())


@pytest.mark.parametrize('extension', ['.pgm', '.jp2'])
def test_sixteen_bits_of_formats_that_are_read_only(tmp_path, extension):
    image = picture(channels=1, dtype=np.uint16)
    path = tmp_path / f'image{extension}'
    path.write_bytes(cv2.imencode(extension, image, [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])[1].tobytes())
    assert read_image(path).dtype == np.uint16 and np.abs(read_image(path).astype(int) - image).max() <= 1
    assert np.abs(read_gray(path) - image / 257).max() <= 0.51


def test_the_orientation_of_a_webp_image(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture(40, 60)).save(tmp_path / 'a.webp', exif=exif)
    assert image_size(tmp_path / 'a.webp') == read_image(tmp_path / 'a.webp').shape[:2]


def test_other_files_are_counted(tmp_path):
    for name in ('1.npy', '2.NPY', 'a.txt', 'README', '.hidden', 'b.png'):
        (tmp_path / name).touch()
    assert other_files(tmp_path) == '4 other files (2 .npy, 1 .txt, 1 without extension)'
    assert describe_others(['a.png']) == ''


@pytest.mark.parametrize('name', example_images(), ids=str)
def test_images_are_what_opencv_reads(tmp_path, name):
    path = tmp_path / name  # the name alone where it is a whole path
    if path.parent == tmp_path:
        write_image(path, picture())
    assert np.array_equal(read_gray(path), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    image = read_image(path)
    assert np.array_equal(image[..., ::-1] if image.ndim == 3 else image, cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
    assert image_size(path) == image.shape[:2]


@pytest.mark.parametrize('extension', ['.png', '.bmp', '.tif'])
def test_colours_are_rgb_and_survive_writing(tmp_path, extension):
    image = picture()
    path = tmp_path / f'image{extension}'
    write_image(path, image)
    assert np.array_equal(read_image(path), image)
    with Image.open(path) as other_reader:
        assert np.array_equal(np.asarray(other_reader), image)


@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('extension', ['.png', '.tif'])
def test_sixteen_bits_are_kept_and_scaled_for_gray(tmp_path, extension, channels):
    image = picture(channels=channels, dtype=np.uint16)
    image.flat[:2 * channels] = [0] * channels + [65535] * channels
    path = tmp_path / f'image{extension}'
    write_image(path, image)
    assert read_image(path).dtype == np.uint16
    assert np.array_equal(read_image(path), image)
    gray = read_gray(path)
    assert gray.dtype == np.uint8
    expected = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    assert np.array_equal(gray, np.round(expected / 257.0))
    assert (gray[0, 0], gray[0, 1]) == (0, 255)


@pytest.mark.parametrize('mode, shape', [('1', (40, 60)), ('L', (40, 60)), ('P', (40, 60, 3)), ('RGBA', (40, 60, 3)),
                                         ('LA', (40, 60, 3)), ('RGB', (40, 60, 3))])
def test_any_kind_of_png(tmp_path, mode, shape):
    """Palette and 1-bit images become ordinary ones, alpha is dropped without being blended in."""
    image = Image.fromarray(picture()).convert(mode)
    if mode in ('LA', 'RGBA'):
        image.putalpha(0)
    path = tmp_path / 'image.png'
    image.save(path)
    read = read_image(path)
    assert read.shape == shape and read.dtype == np.uint8
    expected = np.asarray(image.convert('L' if len(shape) == 2 else 'RGB'))
    assert np.array_equal(read, expected)
    assert read_gray(path).shape == shape[:2]
    assert image_size(path) == shape[:2]


def test_camera_orientation_is_applied_alike_everywhere(tmp_path):
    path = tmp_path / 'phone.jpg'
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    Image.fromarray(picture(40, 60)).save(path, exif=exif)
    assert image_size(path) == (60, 40)
    assert read_image(path).shape == (60, 40, 3)
    assert read_gray(path).shape == (60, 40)
    for dtype in (np.uint8, np.uint16):
        path = tiff(tmp_path / 'turned.tif', picture(40, 60, channels=1, dtype=dtype), extratags=[(0x0112, 'H', 1, 6, True)])
        assert image_size(path) == read_image(path).shape == (60, 40)


def test_a_broken_exif_header_ends_nothing(tmp_path):
    path = tmp_path / 'frame.jpg'
    exif = Image.Exif()
    exif[0x0112] = 1
    exif.get_ifd(0x8769)[0x9000] = b'0232'
    Image.fromarray(picture(40, 60)).save(path, exif=exif)
    data = path.read_bytes()
    start = data.index(b'Exif\0\0') + 6
    for broken in (data[:start] + b'??' + data[start + 2:], data[:start + 4] + b'\xff' * 4 + data[start + 8:]):
        path.write_bytes(broken)
        assert image_size(path) == read_image(path).shape[:2] == (40, 60)


@pytest.mark.parametrize('extension', ['.jpg', '.png', '.tif', '.bmp', '.pgm', '.webp', '.jp2'])
@pytest.mark.filterwarnings('ignore')
def test_changed_headers_raise_nothing_of_other_libraries(tmp_path, extension):
    path = tmp_path / f'image{extension}'
    image = Image.fromarray(picture(40, 48, channels=1 if extension == '.pgm' else 3))
    exif = Image.Exif()
    exif[0x0112], exif[0x010f] = 6, 'maker'
    options = {'exif': exif} if extension in ('.jpg', '.png', '.webp') else {}
    image.save(path, {'.pgm': 'PPM', '.jp2': 'JPEG2000'}.get(extension), **options)
    data, random, read = path.read_bytes(), np.random.RandomState(0), 0
    for _ in range(300):
        changed = bytearray(data)
        for position in random.randint(0, min(len(data), 200), random.randint(1, 4)):
            changed[position] = random.randint(256)
        path.write_bytes(changed)
        try:
            read_gray(path)
        except UserError:
            with contextlib.suppress(UserError):
                image_size(path)
        else:
            read += 1
            assert len(image_size(path)) == 2
    assert read > 0


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_fitting_a_smaller_size_takes_the_mean_of_what_a_pixel_covers(dtype):
    noise = np.random.RandomState(0).randint(0, np.iinfo(dtype).max + 1, (40, 60)).astype(dtype)
    means = noise.reshape(10, 4, 15, 4).mean(axis=(1, 3))
    assert np.abs(fitted(noise, (10, 15)) - means).max() <= 0.5
    assert fitted(noise, (40, 60)) is noise
    larger = fitted(noise, (80, 120, 3)).astype(float)  # between its neighbours
    assert larger.shape == (80, 120) and np.abs(larger[1:-1, 1:-1].mean() - noise.mean()) < 0.02 * noise.mean()


def test_names_beyond_ascii(tmp_path):
    path = tmp_path / '红外 图像' / 'Bäume №1.png'
    image = picture()
    write_image(path, image)
    assert np.array_equal(read_image(path), image)
    assert image_size(path) == (40, 60)
    assert list_images(path.parent) == [path]


READERS = [read_image, read_gray, image_size]


@pytest.mark.parametrize('read', READERS)
def test_files_that_are_no_images(tmp_path, read):
    cases = {'missing.png': (None, 'No such file'), 'empty.png': (b'', 'empty'),
             'text.png': (b'hello ' * 50, 'not an image'),
             'one_byte.jpg': (b'\xff', 'not an image'), 'zeros.bmp': (b'BM' + bytes(100), 'not an image')}
    for name, (content, problem) in cases.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UserError) as error:
            read(path)
        assert name in str(error.value) and problem in str(error.value)
    with pytest.raises(UserError, match=tmp_path.name):
        read(tmp_path)


@pytest.mark.parametrize('extension', ['.jpg', '.png', '.tif', '.bmp'])
@pytest.mark.parametrize('kept', [0.3, 0.6, 0.9, 0.999])
def test_a_file_that_is_cut_off(tmp_path, extension, kept):
    """OpenCV fills what is missing of a JPEG with gray and says nothing."""
    data = encoded(picture(200, 300), extension)
    path = tmp_path / f'half{extension}'
    path.write_bytes(data[:int(len(data) * kept)])
    for read in (read_image, read_gray):
        with pytest.raises(UserError, match=f'half{extension}'):
            read(path)


@pytest.mark.parametrize('options', [{}, {'progressive': True}, {'restart_marker_rows': 1}, {'quality': 100}], ids=str)
def test_where_a_jpeg_ends(tmp_path, options):
    """A thumbnail's end mark in the header is not the image's, and data after the end does not matter."""
    thumbnail = encoded(picture(16, 24), '.jpg')
    buffer = io.BytesIO()
    Image.fromarray(picture(200, 300)).save(buffer, 'JPEG', exif=b'Exif\0\0' + thumbnail, **options)
    data = buffer.getvalue()
    path = tmp_path / 'image.jpg'
    for appended in (b'', b'\0' * 7, b'trailer \xff\xda \xff\xe1\x00\x20 of a phone'):
        path.write_bytes(data + appended)
        assert read_image(path).shape == (200, 300, 3)
    for missing in (2, 50, len(data) // 2):
        path.write_bytes(data[:-missing])
        with pytest.raises(UserError, match='cut off'):
            read_image(path)


def test_broken_files_print_nothing_of_their_own(tmp_path, capfd):
    for extension in ('.jpg', '.png', '.tif', '.bmp'):
        data = encoded(picture(200, 300), extension)
        path = tmp_path / f'half{extension}'
        path.write_bytes(data[:len(data) // 2])
        with pytest.raises(UserError):
            read_image(path)
    captured = capfd.readouterr()
    assert captured.out == '' and captured.err == ''


def test_a_damaged_png(tmp_path):
    data = bytearray(encoded(picture(200, 300), '.png'))
    data[len(data) // 2] ^= 0xFF
    path = tmp_path / 'damaged.png'
    path.write_bytes(data)
    with pytest.raises(UserError, match='damaged.png'):
        read_gray(path)


def test_float_values_are_refused(tmp_path):
    path = tmp_path / 'kelvin.tif'
    cv2.imwrite(str(path), np.full((10, 10), 300, np.float32))
    for read in (read_image, read_gray):
        with pytest.raises(UserError, match='kelvin.tif has float32 values'):
            read(path)


# ---- what headers say of the values

def refused(path):
    """What both readers say of a file that they do not read."""
    messages = set()
    for read in (read_image, read_gray):
        with pytest.raises(UserError) as error:
            read(path)
        messages.add(str(error.value))
    message, = messages
    assert 'damaged' not in message and str(path) in message
    return message


def tiff(path, image, **header):
    tifffile.imwrite(path, image, **{'photometric': 'minisblack', **header})
    return path


def packed_tiff(path, image, bits):
    """A gray TIFF file whose values have `bits` bits each, side by side."""
    rows = np.packbits((image[..., None] >> np.arange(bits)[::-1] & 1).reshape(len(image), -1).astype(np.uint8), axis=1)
    with tifffile.TiffFile(tiff(path, rows, metadata=None), mode='r+') as file:
        file.pages[0].tags['ImageWidth'].overwrite(image.shape[1])
        file.pages[0].tags['BitsPerSample'].overwrite(bits)
    return path


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('header', [{}, {'byteorder': '>'}, {'bigtiff': True}, {'tile': (16, 16)}, {'compression': 'zlib'}], ids=str)
def test_a_tiff_in_which_zero_is_white(tmp_path, dtype, header):
    image = picture(channels=1, dtype=dtype)
    path = tiff(tmp_path / 'a.tif', image, photometric='miniswhite', **header)
    assert np.array_equal(read_image(path), np.iinfo(dtype).max - image)
    assert np.abs(read_gray(path) + image * (255 / np.iinfo(dtype).max) - 255).max() <= 0.5
    assert np.array_equal(read_image(path, (100, 200)), read_image(tiff(tmp_path / 'b.tif', np.iinfo(dtype).max - image), (100, 200)))


def test_a_tiff_whose_channels_follow_one_another(tmp_path):
    for dtype in (np.uint8, np.uint16):
        image = picture(dtype=dtype)
        path = tiff(tmp_path / 'planes.tif', image.transpose(2, 0, 1), photometric='rgb', planarconfig='separate')
        if dtype == np.uint8:
            assert np.array_equal(read_image(path), image)
        else:
            assert 'channels one after another' in refused(path)


def test_the_alpha_of_a_tiff_is_dropped_and_not_blended_in(tmp_path):
    image, alpha = picture(), picture(channels=1, seed=1)
    path = tiff(tmp_path / 'rgba.tif', np.dstack([image, alpha]), photometric='rgb', extrasamples=['unassalpha'])
    assert np.array_equal(read_image(path), image)
    path = tiff(tmp_path / 'la.tif', np.dstack([image[..., 0], alpha]), planarconfig='contig', extrasamples=['unassalpha'])
    assert np.array_equal(read_image(path), image[..., 0]) and np.array_equal(read_gray(path), image[..., 0])


@pytest.mark.parametrize('bits', [1, 10, 12, 14])
def test_a_tiff_of_other_bit_depths(tmp_path, bits):
    values = picture(channels=1, dtype=np.uint16) >> (16 - bits)
    image = read_image(packed_tiff(tmp_path / 'a.tif', values, bits))
    top = np.iinfo(image.dtype).max
    assert np.abs(image / top - values / (2 ** bits - 1)).max() < 2 ** -bits


@pytest.mark.parametrize('maximum', [1, 100, 255, 256, 1023, 4095, 65535])
@pytest.mark.parametrize('magic', ['P5', 'P2', 'P6'])
def test_the_maximum_of_a_pgm_file_is_white(tmp_path, magic, maximum):
    shape = (4, 6, 3) if magic == 'P6' else (4, 6)
    values = np.linspace(0, maximum, np.prod(shape)).round().astype(int).reshape(shape)
    content = ' '.join(map(str, values.ravel())).encode() if magic == 'P2' else values.astype('>u2' if maximum > 255 else 'u1').tobytes()
    path = tmp_path / 'a.pgm'
    path.write_bytes(f'{magic}\n# a comment\n6 4\n{maximum}\n'.encode() + content)
    image = read_image(path)
    assert image.shape == shape and np.abs(image / np.iinfo(image.dtype).max - values / maximum).max() <= 1 / 255
    if magic != 'P6':
        assert np.abs(read_gray(path) / 255.0 - values / maximum).max() <= 1 / 255
    if maximum > 255:  # the user's range is of the file's values
        half = read_image(path, (0, maximum / 2))
        assert np.abs(half / 65535 - np.minimum(1, 2 * values / maximum)).max() <= 1 / 255


def test_of_an_animated_webp_the_first_picture(tmp_path):
    first, second = (Image.fromarray(picture(seed=seed)) for seed in range(2))
    first.save(tmp_path / 'a.webp', save_all=True, append_images=[second], lossless=True)
    assert np.array_equal(read_image(tmp_path / 'a.webp'), picture())


@pytest.mark.parametrize('dtype', [np.int8, np.int16, np.int32, np.uint32, np.uint64, np.float16, np.float64, np.complex64])
def test_a_tiff_of_other_numbers_is_refused_by_their_name(tmp_path, dtype):
    assert f'has {np.dtype(dtype)} values' in refused(tiff(tmp_path / 'a.tif', picture(channels=1).astype(dtype)))


def test_a_tiff_of_other_depths_is_refused(tmp_path):
    for bits in (2, 4, 6):
        assert f'values of {bits} bits' in refused(packed_tiff(tmp_path / 'a.tif', picture(channels=1) >> (8 - bits), bits))


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('bands', [2, 3, 4, 5])
def test_a_tiff_of_bands_without_meaning_is_refused(tmp_path, dtype, bands):
    image = np.dstack([picture(channels=1, dtype=dtype, seed=seed) for seed in range(bands)])
    assert f'has {bands} bands' in refused(tiff(tmp_path / 'a.tif', image, planarconfig='contig'))
    assert f'has {bands} bands' in refused(tiff(tmp_path / 'b.tif', image.transpose(2, 0, 1), planarconfig='separate'))


def test_a_tiff_of_another_interpretation_is_refused_by_its_name(tmp_path):
    image = picture(dtype=np.uint16)
    assert 'interpretation CIELAB' in refused(tiff(tmp_path / 'a.tif', image, photometric='cielab'))
    assert 'interpretation SEPARATED' in refused(tiff(tmp_path / 'b.tif', np.dstack([image, image[..., 0]]), photometric='separated'))
    assert 'interpretation CFA' in refused(tiff(tmp_path / 'c.tif', image[..., 0], photometric='cfa'))
    with tifffile.TiffFile(tiff(tmp_path / 'd.tif', image[..., 0]), mode='r+') as file:
        file.pages[0].tags['Compression'].overwrite(50002)
    assert 'compressed by JPEGXL' in refused(tmp_path / 'd.tif')


def test_images_of_formats_that_are_not_read_are_named(tmp_path):
    path = tmp_path / 'a.png'
    for name in ('GIF', 'TGA', 'ICO', 'PCX'):
        Image.fromarray(picture()).save(path, name)
        assert f'is {name}, which is not read' in refused(path)
    for name, content in {'HEIF or AVIF': b'\0\0\0\x18ftypheic', 'JPEG XL': b'\xff\x0a', 'OpenEXR': b'v/1\x01', 'PAM': b'P7\nWIDTH 3',
                          'Radiance HDR': b'#?RADIANCE\n'}.items():
        path.write_bytes(content + bytes(50))
        assert f'is {name}, which is not read' in refused(path)
    path.write_bytes(b'version https://git-lfs.github.com/spec/v1\n')
    assert 'is not an image, but a Git LFS pointer' in refused(path)
    path.write_bytes(b'<!DOCTYPE html>')
    assert 'is not an image, but a saved HTML page' in refused(path)
    data = bytearray(encoded(picture(), '.jpg'))
    data[data.index(b'\xff\xc0') + 4] = 12
    path.write_bytes(data)
    assert 'is a JPEG of 12 bits' in refused(path)


def test_listing_is_natural_and_takes_images_only(tmp_path):
    for name in ('IR10.png', 'IR2.PNG', 'ir1.Jpg', 'IR3.tif', 'IR4.bmp', 'IR5.jpeg', 'IR6.TIFF', 'a.txt', '._IR1.png'):
        (tmp_path / name).write_bytes(b'x')
    (tmp_path / 'folder.png').mkdir()
    assert [path.name for path in list_images(tmp_path)] == [
        'ir1.Jpg', 'IR2.PNG', 'IR3.tif', 'IR4.bmp', 'IR5.jpeg', 'IR6.TIFF', 'IR10.png']
    with pytest.raises(UserError, match='nowhere'):
        list_images(tmp_path / 'nowhere')
    with pytest.raises(UserError, match='a.txt'):
        list_images(tmp_path / 'a.txt')


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(UserError, match='extension'):
        write_image(tmp_path / 'image.gif', picture())
    for extension in ('.jpg', '.bmp'):
        with pytest.raises(UserError, match='8 bits only'):
            write_image(tmp_path / f'image{extension}', picture(dtype=np.uint16))
    with pytest.raises(TypeError, match='float64'):
        write_image(tmp_path / 'image.png', picture().astype(float))
    (tmp_path / 'file').write_bytes(b'x')
    with pytest.raises(UserError, match='cannot write'):
        write_image(tmp_path / 'file' / 'image.png', picture())
    assert [path.name for path in tmp_path.iterdir()] == ['file']


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_luma_and_chroma(dtype):
    image = picture(dtype=dtype)
    weighted = image.astype(float) @ [0.299, 0.587, 0.114]
    assert luma(image).dtype == dtype
    assert np.abs(luma(image) - weighted).max() < 0.51 + np.iinfo(dtype).max * 1e-4
    assert np.array_equal(luma(image), rgb_to_ycrcb(image)[..., 0])
    gray = picture(channels=1, dtype=dtype)
    assert luma(gray) is gray
    restored = ycrcb_to_rgb(rgb_to_ycrcb(image)).astype(int)
    assert np.abs(restored - image).max() <= np.iinfo(dtype).max * 0.01
    pure_red = np.zeros((1, 1, 3), np.uint8)
    pure_red[..., 0] = 255
    assert luma(pure_red)[0, 0] == 76  # 0.299 · 255; blue would give 29


def test_equal_channels_keep_their_value():
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(luma(np.dstack([gray] * 3)), gray)
    assert np.array_equal(ycrcb_to_rgb(rgb_to_ycrcb(np.dstack([gray] * 3))), np.dstack([gray] * 3))
