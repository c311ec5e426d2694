"""Listing training data: layouts, order, selection, and what is left out."""
import os

import numpy as np
import pytest
from conftest import SHARED_DATA

from tools.base.errors import UserError
from tools.data.images import write_image
from tools.data.kaist import list_images_of, list_pairs


def make(folder, names, size=(8, 10)):
    for name in names:
        write_image(folder / name, np.zeros(size, np.uint8))


def make_pairs(folder, sequence, count, **options):
    for kind in ('lwir', 'visible'):
        make(folder, [f'{sequence}/{kind}/I{index:05d}.jpg' for index in range(count)], **options)


def relative(listing, root):
    return [tuple(path.relative_to(root).as_posix() for path in item) for item in listing.items]


@pytest.mark.parametrize('sequence', ['set00/V000', '.', 'a/b/c/d/e', 'lwir_of_visible/visible_lwir'])
def test_layouts_at_any_depth(tmp_path, sequence):
    root = tmp_path / 'database'
    make_pairs(root, sequence, 3)
    prefix = '' if sequence == '.' else sequence + '/'
    ir = [f'{prefix}lwir/I{index:05d}.jpg' for index in range(3)]
    vi = [f'{prefix}visible/I{index:05d}.jpg' for index in range(3)]
    assert relative(list_images_of(root, 'ir'), root) == [(name,) for name in ir]
    assert relative(list_images_of(str(root), 'vi'), root) == [(name,) for name in vi]
    assert relative(list_pairs([root]), root) == list(zip(ir, vi))


def pair_roots():
    return ['made'] if SHARED_DATA is None else ['made', SHARED_DATA / 'database']


@pytest.mark.parametrize('root', pair_roots(), ids=str)
def test_a_pair_is_one_frame_of_both_and_modalities_never_mix(tmp_path, root):
    if root == 'made':
        root = tmp_path
        for sequence in ('set00/V000', 'set00/V001', 'set01/V000'):
            make_pairs(root, sequence, 4)
    ir, vi, pairs = list_images_of(root, 'ir'), list_images_of(root, 'vi'), list_pairs(root)
    assert {path.parent.name for path, in ir.items} == {'lwir'}
    assert {path.parent.name for path, in vi.items} == {'visible'}
    assert len(pairs.items) == len(ir.items) == len(vi.items) > 0
    for infrared, visible in pairs.items:
        assert infrared.parent.name == 'lwir' and visible.parent.name == 'visible'
        assert infrared.parent.parent == visible.parent.parent and infrared.stem == visible.stem
        assert not infrared.samefile(visible)
    assert pairs.items == sorted(pairs.items)


def test_formats_in_either_case_and_other_files(tmp_path):
    make(tmp_path, ['lwir/a.jpg', 'lwir/b.PNG', 'lwir/c.Bmp', 'lwir/d.TIF', 'LWIR2/x.png', 'other/y.png',
                    'visible/a.png', 'visible/b.JPG', 'visible/c.bmp', 'visible/d.tiff'])
    for name in ('lwir/notes.txt', 'lwir/._a.jpg', 'visible/Thumbs.db'):
        (tmp_path / name).write_bytes(b'x')
    assert relative(list_pairs(tmp_path), tmp_path) == [
        ('lwir/a.jpg', 'visible/a.png'), ('lwir/b.PNG', 'visible/b.JPG'), ('lwir/c.Bmp', 'visible/c.bmp'),
        ('lwir/d.TIF', 'visible/d.tiff')]


def test_nothing_is_listed_twice(tmp_path):
    make_pairs(tmp_path, 'set00/V000', 2)
    for name in ('circle', 'another'):  # two, since following them would take for ever
        os.symlink(tmp_path, tmp_path / 'set00' / name)
    listing = list_images_of([tmp_path, tmp_path / 'set00', tmp_path], 'ir')
    assert relative(listing, tmp_path) == [('set00/V000/lwir/I00000.jpg',), ('set00/V000/lwir/I00001.jpg',)]


def test_linked_folders_are_followed(tmp_path):
    make_pairs(tmp_path / 'disk', 'V000', 2)
    (tmp_path / 'database').mkdir()
    os.symlink(tmp_path / 'disk', tmp_path / 'database' / 'set00')
    assert len(list_pairs(tmp_path / 'database').items) == 2


def test_order_does_not_depend_on_the_file_system(tmp_path, monkeypatch):
    make_pairs(tmp_path, 'V000', 5)
    make_pairs(tmp_path, 'V001', 5)
    expected = list_pairs(tmp_path).items
    walk = os.walk

    def backwards(*args, **options):
        for folder, subfolders, files in walk(*args, **options):
            subfolders.reverse()
            yield folder, subfolders, files[::-1]
    monkeypatch.setattr(os, 'walk', backwards)
    assert list_pairs(tmp_path).items == expected == sorted(expected)


@pytest.mark.parametrize('size, used', [((100, 151), True), ((50, 75), True), ((100, 153), False), ((100, 147), False)])
def test_shapes_may_differ_by_a_pixel_in_a_hundred(tmp_path, size, used):
    make(tmp_path, ['lwir/0.png', 'lwir/1.png', 'visible/1.png'], size=(100, 150))
    make(tmp_path, ['visible/0.png'], size=size)
    assert [infrared.stem for infrared, _ in list_pairs(tmp_path).items] == ['0', '1'][not used:]


def test_what_is_left_out_is_counted_and_named(tmp_path):
    make_pairs(tmp_path, 'V000', 9)
    folder = tmp_path / 'V000'
    (folder / 'visible/I00001.jpg').unlink()
    (folder / 'lwir/I00002.jpg').unlink()
    (folder / 'lwir/I00003.jpg').write_bytes(b'')
    (folder / 'visible/I00004.jpg').write_bytes(b'no image at all')
    make(folder, ['visible/I00005.jpg'], size=(20, 30))
    make(folder, ['visible/I00006.png'])
    listing = list_pairs(tmp_path)
    assert [infrared.stem for infrared, _ in listing.items] == ['I00000', 'I00007', 'I00008']
    report = listing.report
    assert '8 infrared images in 1 folder lwir/, 9 visible images in 1 folder visible/' in report
    assert '6 pairs, 3 used' in report
    assert 'no partner: 2' in report and 'I00001.jpg' in report and 'I00002.jpg' in report
    assert 'unreadable: 2' in report and 'I00003.jpg is empty' in report and 'I00004.jpg is not an image' in report
    assert 'shapes differ: 1' in report and '10×8' in report and '30×20' in report
    assert 'two files for one frame: 3' in report and 'I00006.png' in report

    infrared = list_images_of(tmp_path, 'ir')
    assert len(infrared.items) == 7 and 'partner' not in infrared.report and 'visible' not in infrared.report


def test_a_long_list_of_broken_files_is_shortened(tmp_path):
    make_pairs(tmp_path, 'V000', 12)
    for index in range(11):
        (tmp_path / f'V000/lwir/I{index:05d}.jpg').write_bytes(b'')
    report = list_pairs(tmp_path).report
    assert 'unreadable: 11' in report and 'and 6 more' in report and len(report.splitlines()) < 12


def test_train_num_takes_the_first(tmp_path):
    make_pairs(tmp_path, 'V000', 4)
    make_pairs(tmp_path, 'V001', 4)
    everything = list_pairs(tmp_path).items
    assert list_pairs(tmp_path, train_num=5).items == everything[:5]
    assert '8 pairs, 5 used, the first ones' in list_pairs(tmp_path, train_num=5).report
    assert list_images_of(tmp_path, 'vi', train_num=3).items == [(visible,) for _, visible in everything[:3]]
    more = list_pairs(tmp_path, train_num=100)
    assert more.items == everything and '100 asked for' in more.report


def counts(listing, root):
    found = [item[0].relative_to(root).parts[0] for item in listing.items]
    return {sequence: found.count(sequence) for sequence in sorted(set(found))}


def test_train_num_spread_over_sequences(tmp_path):
    for sequence, length in (('V000', 12), ('V001', 2), ('V002', 12), ('V003', 12)):
        make_pairs(tmp_path, sequence, length)
    listing = list_pairs(tmp_path, 11, 'spread')
    assert counts(listing, tmp_path) == {'V000': 3, 'V001': 2, 'V002': 3, 'V003': 3}
    assert [int(item[0].stem[1:]) for item in listing.items[:3]] == [2, 6, 10]
    assert listing.items == sorted(listing.items) and len(set(listing.items)) == 11
    assert 'spread over all sequences' in listing.report
    assert list_pairs(tmp_path, 38, 'spread').items == list_pairs(tmp_path).items
    assert counts(list_images_of(tmp_path, 'ir', 4, 'spread'), tmp_path) == {'V000': 1, 'V001': 1, 'V002': 1, 'V003': 1}
    for number in range(1, 39):
        assert len(set(list_images_of(tmp_path, 'ir', number, 'spread').items)) == number


@pytest.mark.parametrize('how', ['first', 'spread'])
def test_broken_files_do_not_count_towards_train_num(tmp_path, how):
    make_pairs(tmp_path, 'V000', 6)
    make_pairs(tmp_path, 'V001', 6)
    for index in (0, 1, 3):
        (tmp_path / f'V000/visible/I{index:05d}.jpg').write_bytes(b'')
    listing = list_pairs(tmp_path, 6, how)
    assert len(listing.items) == 6
    assert counts(listing, tmp_path) == {'V000': 3, 'V001': 3}
    assert [item[0].stem for item in listing.items[:3]] == ['I00002', 'I00004', 'I00005']


def test_nothing_left_is_an_error_that_says_what_was_found(tmp_path):
    with pytest.raises(UserError, match='there is no folder .*nowhere'):
        list_pairs(tmp_path / 'nowhere')
    with pytest.raises(UserError, match='set00/V000/lwir/I00000.jpg and set00/V000/visible/I00000.jpg'):
        list_pairs(tmp_path)
    make(tmp_path, ['lwir/a.png', 'visible/b.png'])
    with pytest.raises(UserError, match='no partner: 2'):
        list_pairs(tmp_path)
    (tmp_path / 'lwir/a.png').write_bytes(b'')
    with pytest.raises(UserError, match='unreadable: 1'):
        list_images_of(tmp_path, 'ir')
    assert len(list_images_of(tmp_path, 'vi').items) == 1


def test_an_unreadable_folder_is_an_error(tmp_path, monkeypatch):
    make_pairs(tmp_path, 'V000', 1)
    scandir = os.scandir

    def refuse(path='.'):
        if os.fspath(path).endswith('V000'):
            raise PermissionError(13, 'Permission denied', os.fspath(path))
        return scandir(path)
    monkeypatch.setattr(os, 'scandir', refuse)
    with pytest.raises(UserError, match='V000: Permission denied'):
        list_pairs(tmp_path)


def test_checking_reads_no_pixels(tmp_path, monkeypatch):
    """40,000 files are checked before training: only headers may be read."""
    make_pairs(tmp_path, 'V000', 3)

    def refuse(*_):
        raise AssertionError('decoded')
    monkeypatch.setattr('cv2.imdecode', refuse)
    monkeypatch.setattr('PIL.ImageFile.ImageFile.load', refuse)
    assert len(list_pairs(tmp_path).items) == 3
