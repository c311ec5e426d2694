"""Lists of training images: made, checked, rebuilt from; and test images found among training images."""
import hashlib
import re
import shutil
import sys

import cv2
import numpy as np
import pytest
from conftest import REPOSITORY, SHARED_DATA

from tools.base.errors import UserError
from tools.data import lists as training_list
from tools.data.images import write_image
from tools.data.rebuilding import Clips, rebuild
from tools.data.test_images import (
    ALIKE_PAIR,
    MODALITIES,
    SHA_DIGITS,
    distances,
    find_test_images,
    known_test_images,
    perceptual_hash,
    warning_of,
    warnings_of,
)
from tools.data.training_list import SOURCES, check_list, divide, entry_of, make_list, read_list, write_list

SHIPPED = REPOSITORY / 'results' / 'models' / 'training_list.tsv'
COMMIT = 'a' * 40
REPOSITORY_NAME = 'someone/images'


def texture(seed, shape=(96, 128)):
    return cv2.resize(np.random.RandomState(seed).randint(0, 256, (9, 12)).astype(np.uint8), shape[::-1], interpolation=cv2.INTER_CUBIC)


def pair_files(folder, name):
    return folder / f'lwir/{name}', folder / f'visible/{name}'


@pytest.fixture
def folder(tmp_path):
    """Three pairs in KAIST's layout."""
    for seed in range(3):
        for shift, path in enumerate(pair_files(tmp_path / 'database' / 'set00' / 'V000', f'I{seed}.png')):
            write_image(path, texture(2 * seed + shift))
    return tmp_path / 'database'


@pytest.fixture
def entries(folder):
    return make_list([folder])[0]


def run(*arguments):
    """The script's exit code."""
    sys.argv = ['training_list', *map(str, arguments)]
    return training_list.main()


# ---- lists

def test_a_list_is_written_read_and_holds_for_its_folder(tmp_path, folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', sys.argv)
    assert run('make', tmp_path / 'list.tsv', '--path', folder) == 0
    first, *_ = entries = read_list(tmp_path / 'list.tsv')
    assert len(entries) == 3 and first['infrared'] == 'set00/V000/lwir/I0.png' and first['visible'] == 'set00/V000/visible/I0.png'
    assert first['sha256 visible'] == hashlib.sha256((folder / first['visible']).read_bytes()).hexdigest()
    assert run('check', tmp_path / 'list.tsv', '--path', folder) == 0
    (folder / first['visible']).unlink()
    assert run('check', tmp_path / 'list.tsv', '--path', folder) == 1
    assert '1 missing' in capsys.readouterr().out


def test_a_list_of_one_modality(folder):
    shutil.rmtree(folder / 'set00/V000/visible')
    entries, _ = make_list([folder])
    assert [entry['visible'] for entry in entries] == [''] * 3 and not check_list(entries, folder)


def test_what_differs_from_a_list_is_named(folder, entries):
    assert check_list(entries, folder) == []
    ir, vi = (pair_files(folder / 'set00/V000', f'I{seed}.png') for seed in (0, 1))
    ir[0].unlink()
    write_image(vi[1], texture(99))
    write_image(folder / 'set00/V000/lwir/new.png', texture(98))
    again = {**entries[2], 'infrared': 'copy.png'}
    shutil.copy(folder / entries[2]['infrared'], folder / 'copy.png')
    lines = check_list([*entries, again], folder)
    expected = [('missing', ir[0]), ('changed', vi[1]), ('not in the list', folder / 'set00/V000/lwir/new.png'),
                ('the same as an image before', folder / 'copy.png')]
    assert lines == [f'1 {how}: {path}' for how, path in expected]


@pytest.mark.parametrize('damage, message', [
    (lambda text: text.replace('I1.png', 'I0.png'), 'line 3: set00/V000/lwir/I0.png is there twice, in line 2 too'),
    (lambda text: text.replace('set00/V000/lwir/I1', '../I1'), 'line 3: ../I1.png is outside'),
    (lambda text: text[:-150], 'line 4 is damaged or cut off'),
    (lambda text: text.replace('sha256 visible', 'sum'), 'it has no column sha256 visible'),
    (lambda text: text.splitlines()[0] + '\n', 'is empty'),
    (lambda text: re.sub('[0-9a-f]{64}', 'x', text, count=1), 'line 2 is damaged or cut off'),
], ids=['duplicate', 'outside', 'cut off', 'column', 'empty', 'no hash'])
def test_a_damaged_list_is_refused(tmp_path, entries, damage, message):
    write_list(tmp_path / 'list.tsv', entries)
    text = (tmp_path / 'list.tsv').read_text()
    (tmp_path / 'list.tsv').write_text(damage(text))
    with pytest.raises(UserError, match=re.escape(message)):
        read_list(tmp_path / 'list.tsv')


def test_parts(entries):
    divide(entries, ['set00/V000/lwir/I0.png'], ['set00/V000/lwir/I1.png/'])
    assert [entry['part'] for entry in entries] == ['validation', 'not used', 'training']
    with pytest.raises(UserError, match='no image of the list is below set0'):
        divide(entries, ['set0'])


# ---- rebuilding

def sourced(entry, sources, files, transformation, commit=COMMIT):
    """An entry whose files are to be rebuilt from those of a repository."""
    shas = [hashlib.sha256((sources / REPOSITORY_NAME / name).read_bytes()).hexdigest() for name in files]
    return {**entry, **dict(zip(SOURCES, (REPOSITORY_NAME, commit, *files, *shas, transformation)))}


TRANSFORMATIONS = {
    'gray; resized to 64x48; JPEG 92': lambda ir, vi: (ir, vi),
    'right half infrared, left half visible; gray; resized to 64x48; JPEG 92': lambda ir, vi: (ir[:, 64:], ir[:, :64]),
    'visible warped onto the infrared grid by x=1.00000u+0.00000v+0.00, y=0.00000u+1.00000v+0.00, 4 px cut off all round; gray; '
    'resized to 64x48; JPEG 92': lambda ir, vi: (ir[4:-4, 4:-4], cv2.GaussianBlur(vi, (0, 0), 0.5)[4:-4, 4:-4]),
}


def as_rebuilt(image):
    larger = image.size < 64 * 48
    small = cv2.resize(image, (64, 48), interpolation=cv2.INTER_CUBIC if larger else cv2.INTER_AREA)
    return cv2.imencode('.jpg', small, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()


@pytest.fixture(params=TRANSFORMATIONS, ids=['resized', 'halves', 'warped'])
def published(request, tmp_path):
    """(entries of two pairs, the folder of their sources, the bytes that their files shall have)"""
    sources, entries, wanted = tmp_path / 'sources', [], {}
    for number in range(2):
        ir, vi = texture(2 * number), texture(2 * number + 1)
        names = [f'{number}_ir.png', f'{number}_vi.png']
        for name, image in zip(names, (ir, vi)):
            write_image(sources / REPOSITORY_NAME / name, image)
        if 'halves' in request.node.callspec.id:
            names[1] = names[0]
        targets = [tmp_path / 'made' / f'{number}_{modality}.jpg' for modality in MODALITIES]
        for path, image in zip(targets, TRANSFORMATIONS[request.param](ir, vi)):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(as_rebuilt(image))
            wanted[path.name] = path.read_bytes()
        entries.append(sourced(entry_of(targets, tmp_path / 'made'), sources, names, request.param))
    return entries, sources, wanted


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.glob('*')}


def test_files_are_rebuilt_bit_for_bit(tmp_path, published, capsys):
    entries, sources, wanted = published
    assert rebuild(entries, sources, tmp_path / 'again') == []
    assert contents(tmp_path / 'again') == wanted and '2 of 2 pairs made' in capsys.readouterr().out
    assert rebuild(entries, sources, tmp_path / 'again') == [] and '0 of 2 pairs made' in capsys.readouterr().out


def test_half_downloaded_sources_and_another_commit_are_named_and_gone_on_with(tmp_path, published):
    entries, sources, wanted = published
    missing, changed = (sources / REPOSITORY_NAME / entry['source visible'] for entry in entries)
    kept = missing.read_bytes(), changed.read_bytes()
    missing.unlink()
    changed.write_bytes(kept[0])
    lines = rebuild(entries, sources, tmp_path / 'again')
    assert not contents(tmp_path / 'again')
    assert f'{REPOSITORY_NAME}, 1 files missing: {missing}' in lines[0]
    assert f'1 files changed, or of another commit: {changed}' in lines[1] and f'checkout {COMMIT}' in lines[1]
    missing.write_bytes(kept[0])
    assert len(rebuild(entries, sources, tmp_path / 'again')) == 1 and len(contents(tmp_path / 'again')) == 2
    changed.write_bytes(kept[1])
    assert rebuild(entries, sources, tmp_path / 'again') == [] and contents(tmp_path / 'again') == wanted


def test_another_picture_in_the_place_of_one_stays(tmp_path, published):
    entries, sources, _ = published
    write_image(tmp_path / 'again' / entries[0]['visible'], texture(50))
    before = contents(tmp_path / 'again')
    line, = rebuild(entries, sources, tmp_path / 'again')
    assert 'another picture is there already' in line and str(tmp_path / 'again' / entries[0]['visible']) in line
    after = contents(tmp_path / 'again')
    assert len(after) == 3 and before.items() <= after.items()


@pytest.mark.parametrize('change, message', [
    ({'transformation': 'turned by 3 degrees; resized to 64x48; JPEG 92'}, 'it is not known how to do'),
    ({'transformation': 'gray'}, 'does not say in what size'),
    ({'repository': ''}, 'only a list with sources'),
], ids=['unknown step', 'no size', 'no sources'])
def test_what_cannot_be_rebuilt_is_refused_before_anything_is_written(tmp_path, published, change, message):
    entries, sources, _ = published
    entries[1].update(change)
    with pytest.raises(UserError, match=message):
        rebuild(entries, sources, tmp_path / 'again')
    assert not (tmp_path / 'again').exists()


def test_two_commits_of_a_repository_are_refused(tmp_path, published):
    entries, *_ = published
    entries[1]['commit'] = 'b' * 40
    write_list(tmp_path / 'list.tsv', entries)
    with pytest.raises(UserError, match=f'line 3: {REPOSITORY_NAME} is taken at commit bbb'):
        read_list(tmp_path / 'list.tsv')


def test_frames_of_a_clip(tmp_path):
    path = tmp_path / 'clip.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 5, (64, 48))
    for level in (20, 80, 140, 200):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    clips = Clips()
    assert [round(clips.frame(path, number).mean() / 60) for number in (1, 2, 0, 3)] == [1, 2, 0, 3]
    with pytest.raises(UserError, match='clip.avi cannot be read as far as frame 4'):
        clips.frame(path, 4)


# ---- test images

def known_entry(name, **changes):
    """A training pair that is a known test pair, told by its files if nothing is changed."""
    one = next(one for one in known_test_images() if one['set'] == name)
    return {**{f'{kind} {modality}': one[f'{kind} {modality}'] for kind in ('sha256', 'hash') for modality in MODALITIES}, **changes}


def other_entry(seed):
    return {**{f'sha256 {modality}': f'{seed:064x}' for modality in MODALITIES},
            **{f'hash {modality}': perceptual_hash(texture(seed + 100 * place)) for place, modality in enumerate(MODALITIES)}}


def test_shipped_list_holds_no_test_image():
    entries = read_list(SHIPPED)
    assert len(entries) == 1867 and warning_of(entries) == ''
    assert not any(find_test_images(entries))
    sources = {entry[f'source sha256 {modality}'][:SHA_DIGITS] for entry in entries for modality in MODALITIES}
    assert not sources & {one[f'sha256 {modality}'] for one in known_test_images() for modality in MODALITIES}


def test_test_images_are_known_by_their_files_and_by_their_looks():
    by_file = known_entry('TNO', **{f'hash {modality}': '' for modality in MODALITIES})
    by_looks = known_entry('MSRS', **{f'sha256 {modality}': 'f' * 64 for modality in MODALITIES})
    single = {**by_looks, 'hash infrared': '', 'sha256 infrared': ''}
    assert find_test_images([other_entry(1), by_file, by_looks, single]) == [set(), {'TNO'}, {'MSRS'}, {'MSRS'}]
    assert warning_of([other_entry(seed) for seed in range(20)]) == ''


def test_warning_is_one_line():
    entries = [known_entry('MSRS')] * 2 + [known_entry('TNO'), other_entry(1)]
    assert warning_of(entries) == ("warning: 2 of these pairs are MSRS's test images, 1 TNO's test images: "
                                   'do not report MSRS, TNO with these weights')


def test_a_test_split_among_the_training_images_is_said():
    at = lambda folder, seed: {**other_entry(seed), **{modality: f'LLVIP/{modality}/{folder}/{seed}.jpg' for modality in MODALITIES}}
    train = [at('train', seed) for seed in range(3)]
    assert warnings_of(train) == [] == warnings_of([{**train[0], 'infrared': 'a/test.jpg', 'visible': ''}])
    line, = warnings_of(train + [at('test', 3)])
    assert line.startswith('warning: 1 of these pairs lie in folders named test: give the folders to train on alone')


def test_perceptual_hash_survives_size_and_jpeg_and_tells_pictures_apart():
    image = texture(1, (300, 400))
    small = cv2.resize(image, (256, 256), interpolation=cv2.INTER_AREA)
    small = cv2.imdecode(cv2.imencode('.jpg', small, [cv2.IMWRITE_JPEG_QUALITY, 50])[1], cv2.IMREAD_GRAYSCALE)
    same, other = distances([perceptual_hash(image)], [perceptual_hash(small), perceptual_hash(texture(2))])[0]
    assert same <= 2 and other > ALIKE_PAIR
    assert distances([''], ['0' * 16])[0, 0] == 64


@pytest.mark.skipif(SHARED_DATA is None, reason='no real images here')
def test_one_test_pair_in_a_training_folder_is_found(folder):
    source = SHARED_DATA / 'images' / '21_pairs_tno'
    for path, file in zip(pair_files(folder / 'set00/V000', 'I9.jpg'), (source / 'ir/IR3.png', source / 'vis/VIS3.png')):
        write_image(path, cv2.resize(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE), (256, 256), interpolation=cv2.INTER_AREA))
    entries, _ = make_list([folder])
    assert warning_of(entries) == "warning: 1 of these pairs are TNO's test images: do not report TNO with these weights"


@pytest.mark.skipif(SHARED_DATA is None or not (SHARED_DATA / 'trainset').is_dir(), reason='no real images here')
def test_shipped_list_is_of_these_files():
    for entry in read_list(SHIPPED)[::100]:
        item = [SHARED_DATA / 'trainset' / 'database' / entry[modality] for modality in MODALITIES]
        assert {**entry, **entry_of(item, SHARED_DATA / 'trainset' / 'database'), 'part': entry['part']} == entry
