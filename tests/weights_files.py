"""Weights and files of them, for the tests of weights files."""
import ast

import numpy as np
from conftest import REFERENCE

TINY_FILES = [REFERENCE / 'tiny_zip.model', REFERENCE / 'tiny_legacy.model']


def state_dict(model):
    """Random arrays with the names and shapes of the original's auto-encoder ('ae') or fusion network ('fuse')."""
    generator = np.random.default_rng(5)
    rows = [line.split('\t') for line in (REFERENCE / 'state_dict.tsv').read_text().splitlines()]
    shapes = {name: ast.literal_eval(shape) for row_model, name, shape, _ in rows if row_model == model}
    return {name: np.array(41, np.int64) if name.endswith('num_batches_tracked')
            else generator.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape, name
        np.testing.assert_array_equal(found[name], array, err_msg=name)


FOUR = np.float32([1, 2, 3, 4])
