"""The figure of scenes and methods: what is drawn where, the boxes, the files, and bad input."""
import re
import warnings
import zlib

import numpy as np
import pytest
from scored_folders import SET, picture

from tools.base.errors import UserError
from tools.data.images import read_image, write_image
from tools.evaluation.figure import main
from tools.evaluation.scene_figure import (
    INFRARED,
    VISIBLE,
    Box,
    Scene,
    choose_boxes,
    comparison_figure,
    difference_figure,
    parse_boxes,
)

SOURCES = ['--ir', f'images/{SET}/ir', '--vi', f'images/{SET}/vis', '--out', 'fig/x']


def scene(height=60, width=80, methods=3, channels=None, name='S'):
    images = {INFRARED: picture(1, height, width), VISIBLE: picture(2, height, width, channels)}
    return Scene(name, {**images, **{f'M{k}': picture(10 + k, height, width, channels) for k in range(methods)}})


def shown(figure):
    """The images of a figure with their place: [(left, top, width, height in inches, image)]."""
    figure.draw_without_rendering()
    images = [image for axes in figure.axes for image in axes.get_images()]
    places = [np.divide(image.get_window_extent().extents, figure.dpi) for image in images]
    return [(left, figure.get_figheight() - top, right - left, top - bottom, np.asarray(image.get_array()))
            for image, (left, bottom, right, top) in zip(images, places)]


def titles(figure):
    return [axes.title for axes in figure.axes if axes.get_title()]


def names(figure):
    return [title.get_text() for title in titles(figure)]


@pytest.mark.parametrize('methods', [1, 2, 5, 12])
@pytest.mark.parametrize('enlarged', ['below', 'corner', 'no'])
def test_all_images_are_there_inside_and_undistorted(methods, enlarged):
    scenes = [scene(60, 80, methods), scene(90, 80, methods, 3, 'T')]
    scenes = [one._replace(boxes=[Box(4, 6, 20, 10), Box(40, 30, 20, 20)]) for one in scenes]
    figure = comparison_figure(scenes, 7.16, 7, enlarged)
    assert names(figure) == list(scenes[0].images)
    found = shown(figure)
    assert len(found) == 2 * (methods + 2) * (1 if enlarged == 'no' else 3)
    wide, high = figure.get_size_inches()
    assert wide == 7.16
    for left, top, width, height, image in found:
        assert left > -1e-6 and top > 0 and left + width < wide + 1e-6 and top + height < high + 1e-6
        assert height / width == pytest.approx(image.shape[0] / image.shape[1], rel=0.01)
    pixels = [image for *_, image in found if image.shape[:2] == (60, 80)]
    assert [np.array_equal(image, scenes[0].images[name]) for image, name in zip(pixels, scenes[0].images)] == [True] * (methods + 2)
    if enlarged == 'below':
        cuts = [image for *_, image in found if image.shape[:2] == (10, 20)]
        assert all(np.array_equal(cut, image[6:16, 4:24]) for cut, image in zip(cuts[:7], scenes[0].images.values()))


@pytest.mark.parametrize('right', [False, True])
@pytest.mark.parametrize('low', [False, True])
def test_a_box_is_enlarged_in_the_corner_opposite(right, low):
    one = scene(60, 80, 1)._replace(boxes=[Box(60 if right else 4, 45 if low else 6, 12, 8)])
    whole, enlarged = ((left + width / 2, top + height / 2) for left, top, width, height, _ in
                       shown(comparison_figure([one], 7.16, 7, 'corner'))[:2])
    assert (enlarged[0] > whole[0]) != right and (enlarged[1] > whole[1]) != low


def test_nothing_overlaps_but_what_is_in_a_corner():
    figure = comparison_figure([scene()._replace(boxes=[Box(4, 6, 20, 10), Box(40, 30, 20, 20)]), scene(30, 90)], 3.5, 3)
    rectangles = [place[:4] for place in shown(figure)]
    for index, (left, top, width, height) in enumerate(rectangles):
        for x, y, w, h in rectangles[index + 1:]:
            assert left + width <= x + 1e-6 or x + w <= left + 1e-6 or top + height <= y + 1e-6 or y + h <= top + 1e-6


def test_names_fit_or_are_told():
    images = dict(zip(['Infrared', 'Visible', 'A rather long name', 'B'], scene(methods=2).images.values()))
    figure = comparison_figure([Scene('S', images)], 3.5, 7, scene_names=True)
    sizes = {text.get_text(): text.get_fontsize() for text in titles(figure)}
    assert sizes['B'] == 8 > sizes['A rather long name'] > 4 and figure.axes[0].get_ylabel() == 'S'
    for text in titles(figure):
        assert text.get_window_extent().width / figure.dpi < 0.9
    with pytest.warns(UserWarning, match='the name x{60} is too long'):
        comparison_figure([Scene('S', dict(zip(['Infrared', 'x' * 60], images.values())))], 2, 7)


def test_boxes_are_chosen_where_details_differ():
    images = {INFRARED: np.full((100, 100), 90, np.uint8), VISIBLE: np.full((100, 100), 90, np.uint8)}
    # Another brightness is no other detail
    images.update(a=picture(1, 100, 100) // 4, b=picture(1, 100, 100) // 4 + 100)
    images['b'][60:70, 20:30] = 255
    images['b'][10:16, 70:76] = 255
    first, second = choose_boxes(Scene('S', images), 2)
    assert first.x <= 20 and first.x + first.width >= 30 and first.y <= 60 and first.y + first.height >= 70
    assert second.x <= 70 and second.x + second.width >= 76 and second.y <= 10 and second.y + second.height >= 16
    many = choose_boxes(Scene('S', images), 50)
    assert 2 < len(many) < 30
    for index, one in enumerate(many):
        for other in many[index + 1:]:
            assert abs(one.x - other.x) >= one.width or abs(one.y - other.y) >= one.height
    single, = choose_boxes(Scene('S', {name: images[name] for name in (INFRARED, VISIBLE, 'b')}), 1)
    assert single.x <= 20 and single.x + single.width >= 30 and single.y <= 60 and single.y + single.height >= 70


@pytest.mark.parametrize('reference, base', [('ir', INFRARED), ('vi', VISIBLE), ('first', 'M0')])
def test_differences(reference, base):
    one = scene()
    figure = difference_figure([one, scene(40, 50)], reference, 5, 7)
    methods = [name for name in ('M0', 'M1', 'M2') if name != base]
    assert names(figure) == methods
    for (*_, image), name in zip(shown(figure), methods):
        assert np.array_equal(image, np.abs(one.images[name].astype(int) - one.images[base]))
    limits = {axes.images[0].get_clim() for axes in figure.axes if axes.images}
    assert len(limits) == 1  # one colour bar for all
    assert f'absolute difference to {base} (gray levels)' in [axes.get_ylabel() for axes in figure.axes]


def test_differences_to_the_first_need_a_second():
    with pytest.raises(UserError, match='need a second one'):
        difference_figure([scene(methods=1)], 'first', 5, 7)


def test_files(data, capsys):
    assert main([*SOURCES, '--fused', 'a', 'b', '--names', 'Method A', '$b$', '--scenes', 'ir2', 'IR5.png', '--box', '1,2,20,10',
                 '3,4,10,10+30,10,20,20', '--difference', 'vi']) is None
    assert sorted(path.name for path in (data / 'fig').iterdir()) == ['x.pdf', 'x.png', 'x_difference.pdf', 'x_difference.png']
    assert abs(read_image(data / 'fig/x.png').shape[1] - 7.16 * 300) <= 1
    content = (data / 'fig/x.pdf').read_bytes()
    assert b'/Type0' in content or b'/TrueType' in content  # text, not outlines
    streams = [zlib.decompress(part) for part in re.findall(rb'stream\r?\n(.*?)endstream', content, re.DOTALL) if part[:1] == b'x']
    assert any(b'BT' in part and b'Tf' in part for part in streams)
    assert 'IR5: --box 3,4,10,10+30,10,20,20' in capsys.readouterr().out
    first = (data / 'fig/x.png').read_bytes()
    main([*SOURCES, '--fused', 'a', 'b', '--names', 'Method A', '$b$', '--scenes', 'ir2', 'made/by/a/pattern/IR5.png', '--box', '1,2,20,10',
          '3,4,10,10+30,10,20,20'])
    assert (data / 'fig/x.png').read_bytes() == first and (data / 'fig/x.pdf').read_bytes() == content


def test_colour_and_sixteen_bits_and_any_language(data):
    for i in range(1, 7):
        write_image(data / f'd/IR{i}.png', picture(200 + i, channels=3))
        write_image(data / f'e/IR{i}.png', picture(200 + i, dtype=np.uint16))
    with warnings.catch_warnings(record=True) as given:  # a font may be missing, which is one warning
        warnings.simplefilter('always')
        main([*SOURCES, '--fused', 'd', 'e', '--names', '融合', '다른', '--first_scenes', '2', '--enlarged', 'corner',
              '--difference', 'first'])
    assert sum('Glyph' in str(one.message) or 'no font' in str(one.message) for one in given) <= 1
    assert (data / 'fig/x.pdf').stat().st_size > 5000


def test_scenes_that_all_methods_have_are_drawn(data, capsys):
    (data / 'a/results_transfuse_IR1.png').unlink()
    (data / 'b/IR3.png').unlink()
    main([*SOURCES, '--fused', 'a', 'b', '--first_scenes', '2', '--boxes', '0'])
    assert [line for line in capsys.readouterr().out.splitlines() if '--box' in line] == ['IR2: --box none', 'IR4: --box none']


@pytest.mark.parametrize('arguments, message', [
    (['--fused', 'a', '--scenes', 'IR9'], 'there is no pair IR9 in images'),
    (['--fused', 'a', 'b', '--scenes', 'IR3', 'IR1'], 'b has no fused image of IR3.png$'),
    (['--fused', 'a', '--box', '1,2,3'], 'a box is x,y,w,h in whole pixels, such as 120,40,64,48, not .1,2,3.'),
    (['--fused', 'a', '--box', '1,2,3,4+x'], "not 'x'"),
    (['--fused', 'a', '--box', '40,2,30,10'], 'the box 40,2,30,10 is not inside IR1 .56×48'),
    (['--fused', 'a', '--box', '0,0,9,9', '1,1,9,9'], '2 boxes for 4 scenes'),
    (['--fused', 'a', '--scenes', 'IR5'], 'a/results_transfuse_IR5.png is 56×47, but images/.*IR5.png is 56×48'),
    (['--fused', 'a', 'b', '--names', 'x'], '1 names for 2 fused folders'),
    ([], 'give the folders of the images'),
])
def test_bad_settings(data, arguments, message):
    (data / 'b/IR3.png').unlink()
    write_image(data / 'a/results_transfuse_IR5.png', picture(5)[:-1])
    with pytest.raises(UserError, match=message):
        main([*SOURCES, *arguments])
    assert not (data / 'fig').exists()


def test_parse_boxes():
    assert parse_boxes('1,2,3,4+5,6,7,8', scene()) == [Box(1, 2, 3, 4), Box(5, 6, 7, 8)]
    with pytest.raises(UserError, match='or smaller than 2×2'):
        parse_boxes('1,2,1,4', scene())
