"""Feeding: what a batch holds, its order, resuming, broken files, and threads that end."""
import subprocess
import sys
import threading
import time

import cv2
import numpy as np
import pytest
from conftest import REPOSITORY, SHARED_DATA

import tools.data.loader
from tools.base.errors import UserError
from tools.data.images import read_gray, write_image
from tools.data.kaist import list_pairs
from tools.data.loader import BATCHES_AHEAD, Batches

SIZE = (16, 24)


def texture(seed):
    return cv2.resize(np.random.RandomState(seed).randint(0, 256, (5, 7)).astype(np.uint8), (40, 30))


def make_pairs(folder, count):
    """Pairs whose visible image is the infrared's negative, so that what belongs together can be seen in a batch."""
    for index in range(count):
        write_image(folder / f'lwir/{index:03d}.png', texture(index))
        write_image(folder / f'visible/{index:03d}.png', 255 - texture(index))
    return [(folder / f'lwir/{index:03d}.png', folder / f'visible/{index:03d}.png') for index in range(count)]


@pytest.fixture
def pairs(tmp_path):
    return make_pairs(tmp_path, 11)


def assert_same(some, others):
    some, others = list(some), list(others)
    assert len(some) == len(others)
    for one, other in zip(some, others):
        assert one.paths == other.paths
        for array, other_array in zip(one.arrays, other.arrays):
            assert np.array_equal(array, other_array)


def pair_sources():
    return ['made'] if SHARED_DATA is None else ['made', SHARED_DATA / 'database']


@pytest.mark.parametrize('source', pair_sources(), ids=str)
@pytest.mark.parametrize('size', [SIZE, (256, 256)])
def test_a_batch_holds_what_the_original_reads(pairs, source, size):
    items = pairs if source == 'made' else list_pairs(source, 12, 'spread').items
    batches = Batches(items, 3, size=size)
    for batch in batches.epoch(0):
        assert len(batch.arrays) == 2 and len(batch.paths) == 3
        for modality, array in enumerate(batch.arrays):
            assert array.shape == (3, 1) + size and array.dtype == np.float32
            for index, paths in enumerate(batch.paths):
                image = cv2.imread(str(paths[modality]), cv2.IMREAD_GRAYSCALE)
                assert np.array_equal(array[index, 0], cv2.resize(image, size[::-1]))


def test_infrared_comes_with_its_own_visible_image(pairs):
    for batch in Batches(pairs, 2, size=(30, 40)).epoch(0):
        infrared, visible = batch.arrays
        assert np.array_equal(infrared, 255 - visible)
        assert not np.array_equal(infrared, visible)


def test_one_modality(pairs):
    batch = next(Batches([pair[:1] for pair in pairs], 4, SIZE).epoch(0))
    assert len(batch.arrays) == 1 and batch.arrays[0].shape == (4, 1) + SIZE


def test_an_epoch_has_each_image_once_and_drops_the_partial_batch(pairs):
    batches = Batches(pairs, 2, SIZE)
    assert len(batches) == 5
    seen = [item for batch in batches.epoch(0) for item in batch.paths]
    assert len(seen) == len(set(seen)) == 10
    assert set(seen) < set(pairs)


def test_order_changes_with_epoch_and_seed_only(pairs):
    def order(seed, epoch, **options):
        return [item for batch in Batches(pairs, 1, SIZE, seed=seed, **options).epoch(epoch) for item in batch.paths]
    assert order(0, 0) == order(0, 0) == order(0, 0, workers=5) == order(0, 0, cache=True, augment=True)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4
    assert order(0, 0) != pairs


@pytest.mark.parametrize('augment', [False, True])
@pytest.mark.parametrize('workers', [1, 2, 5])
@pytest.mark.parametrize('cache', [False, True])
def test_any_number_of_workers_gives_the_same(pairs, augment, workers, cache):
    expected = list(Batches(pairs, 2, SIZE, seed=3, workers=1, augment=augment).epoch(4))
    batches = Batches(pairs, 2, SIZE, seed=3, workers=workers, augment=augment, cache=cache)
    assert_same(batches.epoch(4), expected)
    assert_same(batches.epoch(4), expected)


@pytest.mark.parametrize('augment', [False, True])
@pytest.mark.parametrize('start', [0, 1, 3, 5])
def test_resuming_within_an_epoch_is_exact(pairs, augment, start):
    whole = list(Batches(pairs, 2, SIZE, seed=7, augment=augment).epoch(2))
    assert_same(Batches(pairs, 2, SIZE, seed=7, augment=augment, workers=3).epoch(2, start=start), whole[start:])


def test_augment_varies_both_of_a_pair_alike(pairs):
    plain = {batch.paths[0]: batch.arrays[0][0] for batch in Batches(pairs, 1, SIZE).epoch(0)}
    batches = Batches(pairs, 1, SIZE, augment=True)
    epochs = [{batch.paths[0]: batch.arrays for batch in batches.epoch(epoch)} for epoch in (0, 1)]
    for item in pairs:
        for varied in epochs:
            infrared, visible = varied[item]
            assert infrared.shape == (1, 1) + SIZE
            assert np.abs(infrared - (255 - visible)).max() <= 1  # rounding in the resizing
    # A crop of nearly the whole small image may leave it as it was; most must differ.
    assert sum(np.array_equal(epochs[0][item][0][0], plain[item]) for item in pairs) < 3
    assert sum(np.array_equal(epochs[0][item][0], epochs[1][item][0]) for item in pairs) < 3


def test_augment_crops_inside_the_image_and_flips(tmp_path):
    """On a ramp from left to right, a crop is a part of the ramp, rising, or falling where flipped."""
    ramp = np.tile(np.arange(0, 250, 2, dtype=np.uint8), (40, 1))
    write_image(tmp_path / 'ramp.png', ramp)
    directions, widths = set(), []
    for epoch in range(40):
        row = next(Batches([(tmp_path / 'ramp.png',)], 1, SIZE, augment=True).epoch(epoch)).arrays[0][0, 0, 0]
        rises = np.diff(row)
        assert (rises >= 0).all() or (rises <= 0).all()
        directions.add(np.sign(rises.sum()))
        widths.append((row.max() - row.min()) / (ramp.max() - ramp.min()))
    assert directions == {-1, 1}
    assert 0.5 < min(widths) < 0.7 and 0.9 < max(widths) <= 1


def count_reading(monkeypatch):
    read = []

    def counting(path, value_range):
        read.append(path)
        return read_gray(path, value_range)
    monkeypatch.setattr(tools.data.loader, 'read_gray', counting)
    return read


@pytest.mark.parametrize('augment', [False, True])
def test_the_cache_reads_each_file_once(pairs, monkeypatch, augment):
    read = count_reading(monkeypatch)
    batches = Batches(pairs, 1, SIZE, cache=True, augment=augment)
    list(batches.epoch(0))
    list(batches.epoch(1))
    assert sorted(read) == sorted(path for pair in pairs for path in pair)


def test_reading_ahead_is_bounded(tmp_path, monkeypatch):
    pairs = make_pairs(tmp_path, 60)
    read = count_reading(monkeypatch)
    epoch = Batches(pairs, 1, SIZE, workers=2).epoch(0)
    next(epoch)
    time.sleep(0.3)  # time enough to read everything, were it not bounded
    assert len(read) <= 2 * (1 + BATCHES_AHEAD * 2)
    epoch.close()


def break_file(path):
    data = path.read_bytes()
    path.write_bytes(data[:len(data) // 2])


@pytest.mark.parametrize('modality', [0, 1])
def test_a_broken_file_is_named_left_out_and_counted(pairs, modality):
    before = [batch.paths[0] for batch in Batches(pairs, 1, SIZE).epoch(0)]
    broken = before[3]
    break_file(broken[modality])
    lines = []
    batches = Batches(pairs, 1, SIZE, report=lines.append)
    after = [batch.paths[0] for batch in batches.epoch(0)]
    assert after == before[:3] + [before[4]] + before[4:]
    list(batches.epoch(1))
    assert list(batches.broken) == [broken[modality]]
    assert 'cut off' in batches.broken[broken[modality]]
    assert len(lines) == 1 and str(broken[modality]) in lines[0]


def test_broken_files_keep_batches_full_and_everything_exact(pairs):
    order = [item for batch in Batches(pairs, 1, SIZE, seed=5).epoch(0) for item in batch.paths]
    break_file(order[2][0])
    order[3][1].unlink()
    order[9][0].write_bytes(b'')
    options = {'batch_size': 2, 'size': SIZE, 'seed': 5, 'augment': True, 'report': lambda line: None}
    whole = list(Batches(pairs, workers=1, **options).epoch(0))
    assert [len(batch.paths) for batch in whole] == [2] * 5
    assert whole[1].paths == [order[4], order[4]]
    assert whole[4].paths == [order[8], order[10]]
    batches = Batches(pairs, workers=4, **options)
    assert_same(batches.epoch(0), whole)
    assert set(batches.broken) == {order[2][0], order[3][1], order[9][0]}
    assert_same(Batches(pairs, workers=2, **options).epoch(0, start=2), whole[2:])


def test_nothing_readable_ends_training_with_an_error(pairs):
    for pair in pairs:
        pair[1].unlink()
    with pytest.raises(UserError, match='none of the training images can be read any more'):
        list(Batches(pairs, 2, SIZE, report=lambda line: None).epoch(0))


def test_too_few_images(pairs):
    with pytest.raises(UserError, match='11 .* batch of 12'):
        Batches(pairs, 12)
    assert len(Batches(pairs, 11)) == 1


def test_an_exception_in_a_thread_is_raised_in_the_loop(pairs, monkeypatch):
    def fail(path, value_range):
        if path == pairs[4][0]:
            raise ZeroDivisionError('a bug')
        return read_gray(path, value_range)
    monkeypatch.setattr(tools.data.loader, 'read_gray', fail)
    with pytest.raises(ZeroDivisionError, match='a bug'):
        list(Batches(pairs, 1, SIZE).epoch(0))


def test_leaving_the_loop_ends_the_threads_and_the_next_epoch_starts_at_its_beginning(pairs, monkeypatch):
    read = count_reading(monkeypatch)
    batches = Batches(pairs, 1, SIZE)
    expected = list(Batches(pairs, 1, SIZE).epoch(1))
    read.clear()
    for _ in batches.epoch(0):
        break
    assert len(read) <= 2 * (1 + BATCHES_AHEAD * batches.workers)
    assert_same(batches.epoch(1), expected)
    with pytest.raises(RuntimeError, match='of the loop'):
        for _ in batches.epoch(0):
            raise RuntimeError('in the body of the loop')


def test_leaving_the_loop_drops_what_was_not_begun(pairs, monkeypatch):
    gate, begun = threading.Event(), []

    def wait_at_the_gate(path, value_range):
        begun.append(path)
        if len(begun) > 1:
            gate.wait(timeout=60)
        return read_gray(path, value_range)
    monkeypatch.setattr(tools.data.loader, 'read_gray', wait_at_the_gate)
    epoch = Batches([(pair[0],) for pair in pairs], 1, SIZE, workers=2).epoch(0)
    next(epoch)
    threading.Timer(0.3, gate.set).start()  # while close() waits for the two threads that are at the gate
    epoch.close()
    assert len(begun) <= 1 + 2


def test_feeding_does_not_need_jittor():
    code = 'import sys, tools.data.loader, tools.data.kaist, tools.data.pairing; sys.exit("jittor" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], cwd=REPOSITORY, check=False).returncode == 0
