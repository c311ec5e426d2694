"""The cost table: parameters as counted in papers, multiply–adds by hand for one size, and its files."""
import csv

import pytest

from network.strips import Networks
from tools.base.errors import UserError
from tools.cost import __main__ as measure_cost
from tools.cost import counting as cost
from tools.weights.networks import build_auto_encoder, build_fusion


@pytest.fixture(scope='module')
def networks():
    networks = Networks(build_auto_encoder(train_flag=False), build_auto_encoder(train_flag=False), build_fusion(train_flag=False))
    for network in networks:
        network.eval()
    return networks


def test_parameters():
    encoder = build_auto_encoder()
    parts = [cost.trained_parameters(part) for part in (encoder.fea_encoder1, encoder.recon_decoder1)]
    assert sum(parts) == 1_254_529 and all(parts)
    assert cost.trained_parameters(build_fusion()) == 20_801_123 - (32 * 32 + 128 * 128) * 9  # the fixed filters


def test_multiply_adds_of_one_window(networks):
    encoders, fusion = cost.multiply_adds(networks, 256, 256)
    dense = [32 * 64, 96 * 64, 160 * 64, 224 * 128], [128 * 64, 192 * 64, 256 * 64, 320 * 128]
    assert encoders == 2 * 9 * (256 ** 2 * 32 + 128 ** 2 * sum(dense[0]) + 64 ** 2 * sum(dense[1]))
    tokens, dim = 256, 512
    # Qkv and proj, products, MLP
    self_attention = tokens * dim * 4 * dim + 2 * tokens ** 2 * dim + tokens * 2 * dim * 4 * dim
    # Twice for each modality, and both directions, whose q, k, v are as large
    attention = 4 * self_attention + 2 * self_attention
    decoder = 9 * (32 ** 2 * 128 * 64 + 64 ** 2 * 64 * 64 + 128 ** 2 * 64 * 32 + 256 ** 2 * 32 * 32) + 256 ** 2 * 32
    assert fusion == attention + decoder
    assert cost.multiply_adds(networks, 256, 256) == [encoders, fusion]  # no hook is left that would count twice


def test_table(tmp_path, monkeypatch):
    monkeypatch.setattr('sys.argv', ['measure_cost', '--sizes', '64x48', '--repeats', '1', '--cuda', 'false', '--out', str(tmp_path)])
    measure_cost.main()
    with open(tmp_path / 'cost.csv', newline='', encoding='utf-8-sig') as file:
        head, encoders, fusion, total, seconds = csv.reader(file)
    assert head == ['network', 'parameters', 'multiply–adds 64x48']
    assert [int(cell) for cell in total[1:]] == [int(a) + int(b) for a, b in zip(encoders[1:], fusion[1:])]
    assert float(seconds[2]) > 0
    assert '| fusion network | 20.64 M |' in (tmp_path / 'README.md').read_text(encoding='utf-8')


@pytest.mark.parametrize('text', ['640', '640x', 'axb', '640x480x3', '-1x2'])
def test_sizes_that_are_none(text):
    with pytest.raises(UserError, match='is not WIDTHxHEIGHT'):
        measure_cost.read_size(text)
