"""test_conv_trans.py and test_color_image.py: from files to files."""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import REPOSITORY, SHARED_DATA
from fusion_runs import RUN, pair_of

import evaluate_fusion_results
import test_color_image
import test_conv_trans
from tools.base.errors import UserError
from tools.data.images import list_images, luma, read_gray, read_image, write_image
from tools.data.pairing import pair_folders
from tools.data.value_range import stretched
from tools.fusing.folders import find_test_sets
from tools.fusing.pictures import CELL_WIDTH, LABEL_HEIGHT, feature_mosaic
from tools.scenes.places import make_scene
from tools.weights import fusion as fusion_files


@pytest.fixture
def fuse(runs, monkeypatch, tmp_path):
    """Run a script in tmp_path as its command line does -> the exit code."""
    monkeypatch.chdir(tmp_path)

    def run(script, *arguments):
        monkeypatch.setattr(sys, 'argv', ['script', '--cuda', 'false', '--models', str(runs), *map(str, arguments)])
        return script.main()
    return run


def write_set(folder, sizes=((40, 56), (33, 47)), colour=False):
    """A test set of IR1.png, … and VIS1.png, … under folder/ir and folder/vis."""
    for number, (height, width) in enumerate(sizes, 1):
        ir, vi = pair_of(height, width, number)
        write_image(folder / 'ir' / f'IR{number}.png', ir)
        write_image(folder / 'vis' / f'VIS{number}.png', np.stack([vi, vi // 2, vi // 3], axis=2) if colour else vi)
    return folder


def sources():
    """Test sets in gray and in colour: made here and, where the machine has them, real ones."""
    gray, colour = make_scene(3, 48, 60), make_scene(4, 40, 48)
    sets = [('scenes', *gray), ('colour scenes', *colour)]
    if SHARED_DATA:
        for name, number in (('21_pairs_tno', 10), ('M3FD_Fusion', 0)):
            folder = SHARED_DATA / 'images' / name
            pair = pair_folders(folder / 'ir', folder / 'vis').pairs[number]
            corner = slice(0, 90), slice(0, 121)
            sets.append((name, read_gray(pair.ir)[corner], read_image(pair.vi)[corner]))
    return sets


# Results

def test_a_gray_test_set(fuse, fuser, tmp_path, capsys):
    folder = write_set(tmp_path / 'images' / 'some_set')
    assert fuse(test_conv_trans, '--test_set', 'some_set') == 0
    out = tmp_path / 'output' / 'crossfuse_test' / f'some_set_standard_epoch3_{RUN}'
    assert json.loads((out / 'sources.json').read_text())['ir'] == os.path.join('images', 'some_set', 'ir')
    assert sorted(path.name for path in out.iterdir()) == [
        'results_transfuse_IR1.png', 'results_transfuse_IR2.png', 'sources.json']
    for number in (1, 2):
        fused = read_image(out / f'results_transfuse_IR{number}.png')
        expected = fuser(read_gray(folder / 'ir' / f'IR{number}.png'), read_gray(folder / 'vis' / f'VIS{number}.png'))
        assert np.array_equal(fused, expected)
    told = capsys.readouterr().out
    assert 'IR1 ↔ VIS1' in told and 's per image' in told and 's in the network' in told


def test_all_sources_in_both_scripts(fuse, fuser, tmp_path):
    for name, ir, vi in sources():
        folder = tmp_path / name
        write_image(folder / 'ir' / 'a.png', ir)
        write_image(folder / 'vis' / 'a.png', vi)
        folders = '--ir', folder / 'ir', '--vis', folder / 'vis'
        assert fuse(test_conv_trans, *folders, '--out', folder / 'gray') == 0
        assert fuse(test_color_image, *folders, '--out', folder / 'color') == 0
        gray = read_image(folder / 'gray' / 'results_transfuse_a.png')
        color = read_image(folder / 'color' / 'results_crossfuse_a.png')
        assert gray.shape == ir.shape and color.shape == vi.shape
        assert np.array_equal(gray, fuser(ir, read_gray(folder / 'vis' / 'a.png')))
        assert np.array_equal(color, fuser(ir, vi))
        clipped = (color == 0) | (color == 255)
        inside = ~(clipped.any(axis=2) if color.ndim == 3 else clipped)
        assert np.abs(luma(color).astype(int) - fuser(ir, luma(vi)))[inside].max() <= 1


def test_all_sets_and_a_set_that_is_missing(fuse, tmp_path):
    for name in ('one', 'two'):
        write_set(tmp_path / 'images' / name, sizes=((24, 32),))
    assert fuse(test_conv_trans, '--test_set', 'all') == 0
    assert len(list((tmp_path / 'output' / 'crossfuse_test').glob('*/results_transfuse_IR1.png'))) == 2
    with pytest.raises(UserError, match='21_pairs_tno is not in .*images .there: one, two.*vi'):
        fuse(test_conv_trans)
    with pytest.raises(UserError, match='M3FD_Fusion is not in .*docs/data.md, .* has a row for M3FD$'):
        fuse(test_color_image)
    with pytest.raises(UserError, match='both ir and vi,'):
        fuse(test_conv_trans, '--ir', tmp_path / 'images' / 'one' / 'ir')
    with pytest.raises(UserError, match='out is for one test set'):
        fuse(test_conv_trans, '--test_set', 'all', '--out', 'somewhere')
    with pytest.raises(UserError, match='unrecognized argument: --features; it is one of test_color_image.py'):
        fuse(test_conv_trans, '--features')


def test_a_set_as_a_shell_completes_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_set(Path('images/one'), sizes=((24, 32),))
    write_set(Path('images/MSRS/test'), sizes=((24, 32),))
    for spelling in ('one/', 'images/one', './images/one/', str(tmp_path / 'images/one')):
        test_set, = find_test_sets([spelling, 'one'], './images')
        assert (test_set.name, test_set.ir) == ('one', Path('images/one/ir'))
    assert [one.name for one in find_test_sets(['images/MSRS/test/', 'images/one'], 'images')] == ['MSRS_test', 'one']
    write_set(Path('elsewhere'), sizes=((24, 32),))
    for missing in ('elsewhere', 'images/two', 'two/'):
        with pytest.raises(UserError, match=f'test set {missing.strip("/")} is not in images'):
            find_test_sets([missing], 'images')


def test_two_files_of_a_lossy_format(fuse, tmp_path):
    ir, vi = pair_of(32, 40)
    write_image(tmp_path / 'a.jpg', ir)
    write_image(tmp_path / 'b.bmp', vi)
    assert fuse(test_conv_trans, '--ir', 'a.jpg', '--vis', 'b.bmp', '--out', 'out') == 0
    assert [path.name for path in list_images('out')] == ['results_transfuse_a.png']


def test_16_bits_and_alpha(fuse, fuser, tmp_path):
    ir, vi = pair_of(40, 56)
    deep = 3000 + ir.astype(np.uint16)
    write_image(tmp_path / 'ir.png', deep)
    cv2.imwrite(str(tmp_path / 'vis.png'), np.stack([vi, vi // 2, vi // 3, vi], axis=2))  # B, G, R, alpha
    for script, name in ((test_conv_trans, 'results_transfuse_ir.png'), (test_color_image, 'results_crossfuse_ir.png')):
        assert fuse(script, '--ir', 'ir.png', '--vis', 'vis.png', '--out', name[:-4]) == 0
    rgb = np.stack([vi // 3, vi // 2, vi], axis=2)
    assert np.array_equal(read_image(tmp_path / 'results_crossfuse_ir' / 'results_crossfuse_ir.png'), fuser(deep, rgb))
    gray = read_image(tmp_path / 'results_transfuse_ir' / 'results_transfuse_ir.png')
    assert np.array_equal(gray, fuser(deep, read_gray(tmp_path / 'vis.png')))


def test_feature_pictures(fuse, fuser, tmp_path):
    write_set(tmp_path / 'images' / 'M3FD_Fusion', sizes=((50, 68),), colour=True)
    assert fuse(test_color_image, '--features') == 0
    out = tmp_path / 'output' / 'crossfuse_test' / f'M3FD_Fusion_standard_epoch3_{RUN}_color'
    names = [path.name for path in list_images(out / 'features')]
    assert sorted(names) == ['cross_IR1.png', 'irself_IR1.png', 'viself_IR1.png']
    folder = tmp_path / 'images' / 'M3FD_Fusion'
    maps = fuser.fuse(read_image(folder / 'ir' / 'IR1.png'), read_image(folder / 'vis' / 'VIS1.png')).maps
    for name, beginning in (('ir_self', 'irself_'), ('vi_self', 'viself_'), ('cross', 'cross_')):
        picture = read_image(out / 'features' / f'{beginning}IR1.png')
        assert picture.shape == (8 * 6, 8 * 8)  # 50 // 8 and 68 // 8
        assert np.array_equal(picture, feature_mosaic(maps[name]))


def test_mosaic():
    maps = np.zeros((128, 2, 3))
    maps[:, 0, 0] = -4
    maps[:, 1, 2] = 1
    maps[9] = 7  # constant: black
    maps[17, 0, 1] = 2
    mosaic = feature_mosaic(maps)
    assert mosaic.shape == (16, 24) and mosaic.dtype == np.uint8
    assert mosaic[0, 0] == 255 and mosaic[1, 2] == 63 and mosaic[0, 1] == 0  # |−4|, and a quarter truncated
    assert (mosaic[2:4, 3:6] == 0).all()  # channel 9: second column, second row
    assert mosaic[2, 6 + 1] == 127  # channel 17: third column, second row


def test_contact_sheet(fuse, tmp_path):
    write_set(tmp_path / 'images' / 'some', sizes=((40, 360), (20, 360)))
    assert fuse(test_conv_trans, '--test_set', 'some', '--contact_sheet') == 0
    out = tmp_path / 'output' / 'crossfuse_test' / f'some_standard_epoch3_{RUN}'
    sheet = read_image(out / 'contact_sheet' / 'contact_sheet_1.png')
    gap, label = 6, 20
    assert sheet.shape == (label + 40 + label + 20, 3 * 360 + 2 * gap, 3)
    first = sheet[label:label + 40]
    shown = [first[:, start:start + 360, 0] for start in (0, 360 + gap, 2 * (360 + gap))]
    some = tmp_path / 'images' / 'some'
    files = [some / 'ir' / 'IR1.png', some / 'vis' / 'VIS1.png', out / 'results_transfuse_IR1.png']
    for picture, file in zip(shown, files):
        assert np.abs(picture - read_image(file).astype(int)).mean() < 6  # resampled
    assert sheet[:label].min() < 100  # the names


# Test sets as people have them

@pytest.mark.parametrize('ir, vi', [('Ir/00370', 'Vis/00370'), ('infrared/test/7', 'visible/test/7'), ('test/ir/1', 'test/vi/1'),
                                     ('IR_lake_g', 'VIS_lake_r'), ('a/LWIR', 'a/Vis')])
def test_layouts_of_test_sets(fuse, tmp_path, ir, vi):
    images = pair_of(24, 32)
    for name, image in zip((ir, vi), images):
        write_image(tmp_path / 'images' / 'Some_Set' / f'{name}.png', image)
    write_image(tmp_path / 'images' / 'Some_Set' / 'labels' / 'x.png', images[0])
    for chosen in ('Some_Set', 'all'):
        assert fuse(test_conv_trans, '--test_set', chosen, '--overwrite') == 0
    out = tmp_path / 'output' / 'crossfuse_test' / f'Some_Set_standard_epoch3_{RUN}'
    assert [path.name for path in list_images(out)] == [f'results_transfuse_{ir.split("/")[-1]}.png']


def test_a_test_set_within_a_set(fuse, tmp_path):
    for part in ('train', 'test'):
        write_set(tmp_path / 'images' / 'MSRS' / part, sizes=((24, 32),))
    assert fuse(test_conv_trans, '--test_set', 'MSRS/test') == 0
    assert (tmp_path / 'output' / 'crossfuse_test' / f'MSRS_test_standard_epoch3_{RUN}').is_dir()
    with pytest.raises(UserError, match='MSRS holds several pairs of folders: .*test.ir and .*test.vis; .*train'):
        fuse(test_conv_trans, '--test_set', 'MSRS')


def test_what_a_test_set_holds_instead_is_said(fuse, tmp_path):
    (tmp_path / 'images' / 'some' / 'frames').mkdir(parents=True)
    (tmp_path / 'images' / 'some' / 'frames' / '1.npy').write_text('')
    with pytest.raises(UserError, match=r'names do not tell .*some.*there: frames/ with 1 other file \(1 .npy\)'):
        fuse(test_conv_trans, '--test_set', 'some')


def test_names_as_asked_for_and_resizing_are_noted(fuse, tmp_path):
    write_image(tmp_path / 'scene' / '0_nir.tiff', pair_of(48, 64)[0])
    write_image(tmp_path / 'scene' / '0_rgb.tiff', pair_of(24, 32)[1])
    arguments = '--ir', 'scene', '--vi', 'scene', '--out', 'out', '--ir_name', '{}_nir', '--vi_name', '{}_rgb'
    assert fuse(test_conv_trans, *arguments) == 1  # sizes differ
    assert fuse(test_conv_trans, *arguments, '--resize') == 0
    assert fuse(test_conv_trans, *arguments) == 0  # it is there already
    noted = json.loads((tmp_path / 'out' / 'sources.json').read_text())
    assert (noted['ir_name'], noted['vi_name'], noted['resize']) == ('{}_nir', '{}_rgb', True)
    assert evaluate_fusion_results.main(['--fused', 'out', '--ir', 'scene', '--vi', 'scene', '--ir_name', '{}_nir', '--vi_name', '{}_rgb',
                                         '--workers', '1']) == 0


@pytest.mark.parametrize('extension', ['.pgm', '.webp', '.jp2'])
def test_other_formats_are_fused(fuse, tmp_path, extension):
    for folder, image in zip(('ir', 'vis'), pair_of(40, 48)):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / f'1{extension}'), image)
    assert fuse(test_conv_trans, '--ir', 'ir', '--vis', 'vis', '--out', 'out') == 0
    assert [path.name for path in list_images(tmp_path / 'out')] == ['results_transfuse_1.png']


@pytest.mark.parametrize('script', [test_conv_trans, test_color_image])
def test_infrared_of_16_bits_is_stretched_if_asked(fuse, fuser, tmp_path, capsys, script):
    write_set(tmp_path, sizes=((40, 56), (40, 56)))
    for number in (1, 2):
        ir = pair_of(40, 56, number)[0]
        write_image(tmp_path / 'ir' / f'IR{number}.png', (7000 + 5 * ir.astype(int)).astype(np.uint16))
    folders = '--ir', 'ir', '--vi', 'vis'
    assert fuse(script, *folders, '--out', 'plain') == 0
    assert capsys.readouterr().out.count('doubtful: ') == 1
    assert fuse(script, *folders, '--out', 'out', '--ir_range', 'auto', '--contact_sheet') == 0
    assert 'doubtful: ' not in capsys.readouterr().out
    assert json.loads((tmp_path / 'out' / 'sources.json').read_text())['ir_range'] == 'auto'
    expected = fuser(stretched(read_image(tmp_path / 'ir' / 'IR1.png'), 'auto'), read_gray(tmp_path / 'vis' / 'VIS1.png'))
    assert np.array_equal(read_image(list_images(tmp_path / 'out')[0]), expected)
    infrared = read_image(tmp_path / 'out' / 'contact_sheet' / 'contact_sheet_1.png')[LABEL_HEIGHT:, :CELL_WIDTH]
    assert np.ptp(infrared[:CELL_WIDTH // 2]) > 200
    for other in ([], ['--ir_range', '7000', '8000']):
        with pytest.raises(UserError, match='results of other images or settings'):
            fuse(script, *folders, '--out', 'out', *other)
    with pytest.raises(UserError, match='ir_range must be auto, or LOW HIGH'):
        fuse(script, *folders, '--ir_range', '8000', '7000')


# Going wrong

def test_bad_files_are_named_and_the_rest_is_done(fuse, tmp_path, capsys):
    folder = write_set(tmp_path / 'images' / 'some', sizes=((24, 32),) * 7)
    whole = (folder / 'ir' / 'IR2.png').read_bytes()
    (folder / 'ir' / 'IR2.png').write_bytes(whole[:len(whole) // 2])
    (folder / 'vis' / 'VIS3.png').write_text('not an image')
    (folder / 'ir' / 'IR4.png').write_bytes(b'')
    write_image(folder / 'ir' / 'IR5.png', np.zeros((24, 32), np.uint8))
    write_image(folder / 'ir' / 'IR6.png', np.ones((25, 32), np.uint8))
    write_image(folder / 'ir' / 'IR8.png', np.ones((24, 32), np.uint8))
    assert fuse(test_conv_trans, '--test_set', 'some') == 1
    out = tmp_path / 'output' / 'crossfuse_test' / f'some_standard_epoch3_{RUN}'
    assert [path.name for path in list_images(out)] == [f'results_transfuse_IR{number}.png' for number in (1, 5, 7)]
    assert [path.name for path in out.iterdir() if 'partial' in path.name] == []
    told = capsys.readouterr()
    problems = told.err[told.err.index('problems (5)'):]
    for expected in ('IR2.png is cut off', 'VIS3.png is not an image', 'IR4.png is empty',
                     'IR5.png is all black; fused', 'IR6.png is 32×25, ', 'VIS6.png is 32×24 (--resize'):
        assert expected in problems
    assert 'IR8.png' in told.out and '1 without a partner' in told.out


def test_resize_fits_the_infrared_to_the_visible(fuse, tmp_path):
    write_image(tmp_path / 'ir.png', pair_of(60, 90)[0])
    write_image(tmp_path / 'vis.png', pair_of(24, 32)[1])
    files = '--ir', 'ir.png', '--vis', 'vis.png', '--out', 'out'
    assert fuse(test_conv_trans, *files) == 1
    assert fuse(test_conv_trans, *files, '--resize') == 0
    assert read_image(tmp_path / 'out' / 'results_transfuse_ir.png').shape == (24, 32)


def test_constant_pairs(fuse, tmp_path):
    for name, value in (('ir', 0), ('vis', 70)):
        write_image(tmp_path / name / 'a.png', np.full((24, 32), value, np.uint8))
    assert fuse(test_conv_trans, '--ir', 'ir', '--vis', 'vis', '--out', 'out') == 1
    assert (read_image(tmp_path / 'out' / 'results_transfuse_a.png') == 70).all()


def test_existing_results_stay_unless_asked(fuse, tmp_path, capsys):
    write_set(tmp_path / 'images' / 'some')
    assert fuse(test_conv_trans, '--test_set', 'some', '--out', 'out') == 0
    first, second = list_images(tmp_path / 'out')
    right = first.read_bytes()
    first.write_bytes(b'precious')
    second.unlink()
    assert fuse(test_conv_trans, '--test_set', 'some', '--out', 'out') == 0
    assert first.read_bytes() == b'precious' and second.exists()
    assert '1 result kept' in capsys.readouterr().out
    assert fuse(test_conv_trans, '--test_set', 'some', '--out', 'out', '--overwrite') == 0
    assert first.read_bytes() == right


def test_results_of_other_images_are_not_mixed(fuse, tmp_path):
    for name in ('one', 'two'):
        write_set(tmp_path / 'images' / name, sizes=((24, 32),))
    assert fuse(test_conv_trans, '--test_set', 'one', '--out', 'out') == 0
    for script, test_set in ((test_conv_trans, 'two'), (test_color_image, 'one')):
        with pytest.raises(UserError, match='results of other images or settings'):
            fuse(script, '--test_set', test_set, '--out', 'out')


def test_a_doubtful_picture_is_written_and_named_with_the_option(fuse, tmp_path, capsys, monkeypatch):
    write_set(tmp_path / 'images' / 'some', sizes=((24, 32),))
    monkeypatch.setattr('tools.fusing.fuser.MOST', -1)  # any picture's brightest and darkest pixels take more
    assert fuse(test_conv_trans, '--test_set', 'some', '--out', 'out') == 1
    errors = capsys.readouterr().err
    assert re.search(r'problems \(1\):\n  IR1.png is doubtful: 2 ‰ of the pixels.*--deep_shares bounded', errors)
    assert (tmp_path / 'out' / 'results_transfuse_IR1.png').is_file()
    assert fuse(test_conv_trans, '--test_set', 'some', '--out', 'other', '--deep_shares', 'bounded') == 0


def test_nothing_paired_is_a_problem(fuse, tmp_path, capsys):
    write_image(tmp_path / 'ir' / 'a.png', pair_of(24, 32)[0])
    write_image(tmp_path / 'vis' / 'b.png', pair_of(24, 32)[1])
    assert fuse(test_conv_trans, '--ir', 'ir', '--vis', 'vis') == 1
    assert 'no infrared image in ir' in capsys.readouterr().err
    assert not (tmp_path / 'output').exists()


def test_results_that_cannot_be_written(fuse, tmp_path):
    write_set(tmp_path / 'images' / 'some', sizes=((24, 32),))
    (tmp_path / 'out').write_text('a file in the way')
    with pytest.raises(UserError, match='cannot write'):
        fuse(test_conv_trans, '--test_set', 'some', '--out', 'out')


def test_without_weights(fuse, tmp_path, monkeypatch):
    monkeypatch.setattr(fusion_files, 'SHIPPED', tmp_path / 'weights')
    write_set(tmp_path / 'images' / 'some', sizes=((24, 32),))
    with pytest.raises(UserError, match='no trained weights .*make demo'):
        fuse(test_conv_trans, '--test_set', 'some', '--models', tmp_path / 'none')


@pytest.mark.parametrize('script', ['test_conv_trans.py', 'test_color_image.py'])
def test_the_command_line(script, tmp_path):
    def run(*arguments):
        command = [sys.executable, str(REPOSITORY / script), *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    wrong = run('--ir', 'nowhere', '--vis', 'nowhere', '--model', 'nowhere')
    assert wrong.returncode == 1
    last_line = wrong.stderr.strip().splitlines()[-1]
    assert last_line == 'error: model nowhere does not exist: give a run folder or a weights file'
    assert 'Traceback' not in wrong.stderr
    unknown = run('--modle', 'x')
    assert unknown.returncode == 1 and '--modle' in unknown.stderr
    assert '--contact_sheet' in run('--help').stdout


# The same images, however their paths are spelled

def test_results_of_the_same_images_from_another_folder(fuse, tmp_path, monkeypatch):
    folder = write_set(tmp_path / 'images' / 'some')
    assert fuse(test_conv_trans, '--test_set', 'some', '--out', 'out') == 0
    list_images(tmp_path / 'out')[0].unlink()
    (tmp_path / 'link').symlink_to(folder / 'vis')
    assert fuse(test_conv_trans, '--ir', folder / 'ir', '--vi', 'link', '--out', 'out') == 0
    assert len(list_images(tmp_path / 'out')) == 2
    monkeypatch.chdir(tmp_path / 'images')
    assert fuse(test_conv_trans, '--ir', 'some/ir', '--vi', './some/vis', '--out', '../out') == 0
    assert evaluate_fusion_results.main(['--fused', '../out', '--workers', '1']) == 0


def test_single_files_one_after_another(fuse, tmp_path, monkeypatch):
    write_set(tmp_path)
    (tmp_path / 'vis' / 'VIS2.png').rename(tmp_path / 'right.png')  # in another folder, of a name that tells nothing
    for _ in range(2):  # the second time all is there already
        for ir, vi in (('ir/IR1.png', 'vis/VIS1.png'), (tmp_path / 'ir' / 'IR2.png', 'right.png')):
            assert fuse(test_conv_trans, '--ir', ir, '--vi', vi, '--out', 'out') == 0
    assert [path.name for path in list_images(tmp_path / 'out')] == ['results_transfuse_IR1.png', 'results_transfuse_IR2.png']
    (tmp_path / 'elsewhere').mkdir()
    monkeypatch.chdir(tmp_path / 'elsewhere')
    assert evaluate_fusion_results.main(['--fused', '../out', '--out', 'scores', '--workers', '1']) == 0
    rows = (tmp_path / 'elsewhere' / 'scores' / 'scores.csv').read_text().splitlines()
    assert [row.split(',')[1] for row in rows] == ['image', 'IR1.png', 'IR2.png']


def test_single_files_of_one_name_are_not_mixed(fuse, tmp_path):
    for name in ('one', 'two'):
        write_set(tmp_path / name, sizes=((24, 32),))
    assert fuse(test_conv_trans, '--ir', 'one/ir/IR1.png', '--vi', 'one/vis/VIS1.png', '--out', 'out') == 0
    for ir, vi in (('two/ir/IR1.png', 'two/vis/VIS1.png'), ('one/ir/IR1.png', 'two/vis/VIS1.png'), ('one/ir', 'one/vis')):
        with pytest.raises(UserError, match='results of other images or settings'):
            fuse(test_conv_trans, '--ir', ir, '--vi', vi, '--out', 'out', '--overwrite')


def test_results_go_on_after_everything_moved(fuse, tmp_path, monkeypatch):
    write_set(tmp_path / 'project' / 'images' / 'some')
    monkeypatch.chdir(tmp_path / 'project')
    assert fuse(test_conv_trans, '--test_set', 'some', '--out', 'out') == 0
    (tmp_path / 'project').rename(tmp_path / 'moved')
    monkeypatch.chdir(tmp_path / 'moved')
    assert fuse(test_conv_trans, '--test_set', 'some', '--out', 'out') == 0
    assert evaluate_fusion_results.main(['--fused', 'out', '--workers', '1']) == 0
