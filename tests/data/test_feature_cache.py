"""Deep features that are computed once: the same bits, shared, and never those of something else."""
import os
from types import SimpleNamespace

import numpy as np
import pytest
from reference_data import filled

from network.net_autoencoder import Auto_Encoder_single
from tools.base.errors import UserError
from tools.data.feature_cache import FeatureCache
from tools.data.reading import AS_THEY_ARE, Reading
from tools.runtime import jt

SIZE = (64, 80)


@pytest.fixture(scope='module')
def encoder():
    model = filled('ae', Auto_Encoder_single())
    model.eval()
    return SimpleNamespace(model=model, fingerprint='a')


@pytest.fixture
def paths(tmp_path):
    paths = [tmp_path / f'{i}.png' for i in range(4)]
    for path in paths:
        path.write_bytes(b'')
    return paths


@pytest.fixture(scope='module')
def images():
    return np.random.RandomState(0).randint(0, 256, (4, 1, *SIZE)).astype(np.float32)


def batch(cache, images, paths, places):
    return cache.deep(jt.array(images[places]), [paths[i] for i in places]).numpy()


def test_the_same_bits_in_any_batches(tmp_path, encoder, paths, images):
    with jt.no_grad():
        expected = encoder.model(jt.array(images[[2, 0]]))[1].numpy()
    cache = FeatureCache(tmp_path / 'cache', encoder, paths, SIZE)
    assert '0 of 4' in cache.describe()
    assert np.array_equal(batch(cache, images, paths, [2, 0]), expected)
    assert np.array_equal(batch(cache, images, paths, [0, 3])[0], expected[1])
    assert '3 of 4' in cache.describe()
    again = FeatureCache(tmp_path / 'cache', SimpleNamespace(model=lambda x: encoder.model(jt.zeros((1, 1, *SIZE))), fingerprint='a'),
                         paths, SIZE)  # which could not compute them
    assert np.array_equal(batch(again, images, paths, [0, 2]), expected[::-1])


def test_a_file_system_without_locks_keeps_them_with_one_warning(tmp_path, encoder, paths, images, no_locks):
    with pytest.warns(UserWarning, match='has no locks') as given:
        for _ in range(2):
            FeatureCache(tmp_path / 'cache', encoder, paths, SIZE).deep(jt.array(images), paths)
    assert len(given) == 1 and '4 of 4' in FeatureCache(tmp_path / 'cache', encoder, paths, SIZE).describe()


@pytest.mark.parametrize('change', ['encoder', 'image', 'order', 'size', 'range'])
def test_of_other_encoders_or_images_nothing_is_taken(tmp_path, encoder, paths, images, change):
    FeatureCache(tmp_path / 'cache', encoder, paths, SIZE).deep(jt.array(images), paths)
    if change == 'image':
        os.utime(paths[1], (1, 1))
    others = {'encoder': SimpleNamespace(model=encoder.model, fingerprint='b'), 'order': paths[::-1], 'size': (72, 80),
              'range': Reading(ir_range='auto')}
    given = {'encoder': encoder, 'order': paths, 'size': SIZE, 'range': AS_THEY_ARE, change: others.get(change)}
    given.pop('image', None)
    assert '0 of 4' in FeatureCache(tmp_path / 'cache', *given.values()).describe()


def test_a_file_that_cannot_be_made_is_named(tmp_path, encoder, paths):
    (tmp_path / 'cache').write_bytes(b'')
    with pytest.raises(UserError, match='cannot keep deep features in .*cache'):
        FeatureCache(tmp_path / 'cache', encoder, paths, SIZE)
