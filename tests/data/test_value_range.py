"""Values of doubtful meaning, and `--ir_range`, which stretches those of infrared images."""
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from tools.base.errors import UserError
from tools.data.doubts import value_doubts
from tools.data.images import read_gray, write_image
from tools.data.loader import Batches
from tools.data.reading import Reading
from tools.data.value_range import parse_range, range_text, stretched


def smooth(height=40, width=56, seed=0):
    """A picture of float values 0…1, both included."""
    picture = cv2.resize(np.random.RandomState(seed).rand(5, 7), (width, height))
    return (picture - picture.min()) / np.ptp(picture)


def thermal(low=7000, high=8300, seed=0):
    return np.rint(low + smooth(seed=seed) * (high - low)).astype(np.uint16)


# ---- stretching

@pytest.mark.parametrize('words, expected', [
    (None, None), (['auto'], 'auto'), (['20000', '24000.5'], (20000, 24000.5)), (['-1', '255'], (-1, 255))])
def test_what_can_be_asked_for(words, expected):
    assert parse_range(words) == expected
    assert expected is None or parse_range(range_text(expected).split()) == expected


@pytest.mark.parametrize('words', [[], ['AUTO 1'], ['1'], ['2', '1'], ['1', '1'], ['1', '2', '3'], ['nan', '1'], ['0', 'inf'],
                                   ['a', 'b']], ids=str)
def test_what_cannot(words):
    with pytest.raises(UserError, match='ir_range must be auto, or LOW HIGH'):
        parse_range(words)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_two_values_become_black_and_white(dtype):
    top = np.iinfo(dtype).max
    image = np.array([[0, 49, 50, 60, 100, 101, top]], dtype)
    assert stretched(image, (50.0, 100.0)).tolist() == [[0, 0, 0, top // 5, top, top, top]]
    assert stretched(image, (50.0, 100.0)).dtype == dtype


def test_auto_takes_each_images_own_values_but_for_dead_pixels():
    image = thermal()
    expected = (image - 7000.0) / 1300 * 65535
    image[3, 4], image[20, 30] = 0, 65535
    found = stretched(image, 'auto')
    assert (found[3, 4], found[20, 30]) == (0, 65535)
    expected[3, 4], expected[20, 30] = 0, 65535
    assert np.abs(found - expected).max() < 0.02 * 65535


@pytest.mark.parametrize('image', [np.full((8, 8), 7000, np.uint16), np.zeros((8, 8), np.uint8)])
def test_auto_leaves_a_single_value(image):
    assert np.array_equal(stretched(image, 'auto'), image)


def test_auto_of_a_few_bright_pixels_on_a_single_value():
    image = np.full((100, 100), 5, np.uint8)
    image[:2, :2] = 9
    assert np.unique(stretched(image, 'auto')).tolist() == [0, 255]


def test_gray_levels_that_were_lost_are_there(tmp_path):
    write_image(tmp_path / 'a.png', thermal())
    assert len(np.unique(read_gray(tmp_path / 'a.png'))) <= 7
    for value_range in ('auto', (7000.0, 8300.0)):
        image = read_gray(tmp_path / 'a.png', value_range)
        assert image.dtype == np.uint8 and len(np.unique(image)) > 200 and np.ptp(image) == 255


def test_training_reads_the_infrared_file_of_a_pair_so(tmp_path):
    items = [(tmp_path / f'ir/{index}.png', tmp_path / f'vi/{index}.png') for index in range(2)]
    for index, (ir, vi) in enumerate(items):
        write_image(ir, thermal(seed=index))
        write_image(vi, thermal(seed=index))
    batch, = Batches(items, 2, (40, 56), reading=Reading(ir_range='auto')).epoch(0)
    for arrays, value_range in zip(batch.arrays, ('auto', None)):
        for image, paths in zip(arrays[:, 0], batch.paths):
            assert np.array_equal(image, read_gray(paths[0], value_range))


# ---- doubts

def doubts(tmp_path, *images, modality='infrared', extension='.png', ir_range=None):
    """The doubts about files with these images, which OpenCV writes."""
    paths = [tmp_path / f'{index}{extension}' for index in range(len(images))]
    for path, image in zip(paths, images):
        cv2.imwrite(str(path), image)
    return value_doubts(*((paths, []) if modality == 'infrared' else ([], paths)), Reading(ir_range=ir_range))


@pytest.mark.parametrize('low, high', [(7000, 8300), (0, 16383), (0, 4095), (30000, 40000)])
def test_a_small_part_of_16_bits(tmp_path, low, high):
    line, = doubts(tmp_path, thermal(low, high))
    assert line.startswith(f'doubtful: {tmp_path / "0.png"} (') and 'small part of 16 bits' in line and '--ir_range auto' in line
    assert doubts(tmp_path, thermal(low, high), ir_range='auto') == []
    line, = doubts(tmp_path, thermal(low, high), modality='visible')
    assert 'small part of 16 bits' in line and 'ir_range' not in line


def test_a_dead_pixel_does_not_hide_it(tmp_path):
    image = thermal()
    image[0, 0] = 65535
    assert len(doubts(tmp_path, image)) == 1


def test_a_range_beside_the_values(tmp_path):
    line, = doubts(tmp_path, thermal(), ir_range=(20000.0, 30000.0))
    assert 'outside of ir_range' in line
    assert doubts(tmp_path, thermal(), ir_range=(7000.0, 8000.0)) == []


def jet(seed=0):
    return cv2.applyColorMap(np.rint(255 * smooth(seed=seed)).astype(np.uint8), cv2.COLORMAP_JET)


@pytest.mark.parametrize('extension', ['.png', '.jpg', '.bmp', '.webp'])
def test_false_colours(tmp_path, extension):
    line, = doubts(tmp_path, jet(), extension=extension)
    assert 'in colours' in line
    assert doubts(tmp_path, jet(), modality='visible', extension=extension) == []
    gray = np.repeat(np.rint(255 * smooth()).astype(np.uint8)[:, :, None], 3, 2)
    assert doubts(tmp_path, gray, extension=extension) == []


@pytest.mark.parametrize('difference, doubted', [(4, False), (12, True)])
def test_how_faint_colours_may_be(tmp_path, difference, doubted):
    """JPEG puts 2 gray levels between the channels of a gray image; faint false colours are some 20."""
    gray = np.rint(40 + 150 * smooth()).astype(np.uint8)
    found = doubts(tmp_path, np.dstack([gray, gray, gray + difference]))
    assert len(found) == doubted and all('in colours' in line for line in found)


@pytest.mark.parametrize('modality', ['infrared', 'visible'])
def test_a_picture_in_the_alpha_channel(tmp_path, modality):
    gray = np.rint(255 * smooth()).astype(np.uint8)
    line, = doubts(tmp_path, np.dstack([gray] * 3 + [255 - gray]), modality=modality)
    assert 'in the alpha channel' in line
    soft = cv2.GaussianBlur(np.where(np.arange(56) < 28, 255, 0).astype(np.uint8)[None].repeat(40, 0), (0, 0), 3)
    for mask in (np.full_like(gray, 255), np.zeros_like(gray), np.full_like(gray, 128), soft):
        assert doubts(tmp_path, np.dstack([gray] * 3 + [mask]), modality=modality) == []


def test_a_maximum_that_only_the_header_knows(tmp_path):
    image = thermal(0, 4095)
    tifffile.imwrite(tmp_path / 'a.tif', image, extratags=[(281, 'H', 1, 4095, True)])
    png = cv2.imencode('.png', image)[1].tobytes()
    chunk = b'sBIT' + bytes([12])
    (tmp_path / 'b.png').write_bytes(png[:33] + struct.pack('>I', 1) + chunk + struct.pack('>I', zlib.crc32(chunk)) + png[33:])
    for path in (tmp_path / 'a.tif', tmp_path / 'b.png'):
        line, = value_doubts([path], [])
        assert '(4095 of 65535)' in line and 'by its header' in line and '--ir_range' in line
        assert value_doubts([path], [], Reading(ir_range='auto')) == []
        line, = value_doubts([], [path])
        assert 'by its header' in line and '--ir_range' not in line
    tifffile.imwrite(tmp_path / 'a.tif', thermal(0, 65535), extratags=[(281, 'H', 1, 4095, True)])
    assert value_doubts([tmp_path / 'a.tif'], []) == []  # it is wrong


def test_a_pgm_file_that_says_what_is_white(tmp_path):
    for white, found in ((4095, 0), (65535, 1)):
        (tmp_path / 'a.pgm').write_bytes(f'P5 56 40 {white}\n'.encode() + thermal(0, 4095).astype('>u2').tobytes())
        assert len(value_doubts([tmp_path / 'a.pgm'], [])) == found


@pytest.mark.parametrize('name', ['a.tif', 'a.png', 'a.webp', 'a.jpg'])
def test_several_pictures_in_a_file(tmp_path, name):
    first, second = (Image.fromarray(np.rint(255 * smooth(seed=seed)).astype(np.uint8)) for seed in range(2))
    first.save(tmp_path / name, 'MPO' if name == 'a.jpg' else None, save_all=True, append_images=[second])
    line, = value_doubts([], [tmp_path / name])
    assert f'{name} (2): it holds several pictures, of which the first is used' in line


def test_a_smaller_version_in_a_tiff_is_no_picture_of_its_own(tmp_path):
    with tifffile.TiffWriter(tmp_path / 'a.tif') as file:
        for step in (1, 2):
            file.write(thermal(0, 65535)[::step, ::step], subfiletype=step - 1)
    assert value_doubts([tmp_path / 'a.tif'], []) == []


def test_bands_beyond_the_colours(tmp_path):
    flat = np.full((40, 56), 255, np.uint8)
    colours = np.dstack([*(np.rint(255 * smooth(seed=seed)).astype(np.uint8) for seed in range(3)), flat])
    for kind, found in (('unspecified', 1), ('unassalpha', 0)):
        tifffile.imwrite(tmp_path / 'a.tif', colours, photometric='rgb', extrasamples=[kind])
        lines = value_doubts([], [tmp_path / 'a.tif'])
        assert len(lines) == found and all('(4): it has more bands than colours' in line for line in lines)


def test_sound_images_raise_no_doubt(tmp_path):
    gray = np.rint(255 * smooth()).astype(np.uint8)
    dark = np.rint(20 + 15 * smooth()).astype(np.uint8)
    assert doubts(tmp_path, gray, dark, thermal(0, 65535), thermal(20000, 52000), np.full((9, 9), 300, np.uint16)) == []


def test_a_doubt_is_voiced_once_for_many_files(tmp_path):
    (tmp_path / '9.png').write_text('broken')
    line, = doubts(tmp_path, *(thermal(seed=seed) for seed in range(3)), np.rint(255 * smooth()).astype(np.uint8))
    assert 'in 3 of 4 infrared images' in line
    assert value_doubts([tmp_path / '9.png', tmp_path / 'gone.png'], []) == []
    line, = value_doubts([tmp_path / '0.png'] * 1000 + [tmp_path / '3.png'] * 1000, [])
    assert 'in 32 of 64 infrared images' in line
