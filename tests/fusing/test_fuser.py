"""Finding weights, and fusing arrays: against the reference, of any size and kind, in bounded memory."""
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import REPOSITORY
from fusion_runs import encoder_weights, fusion_weights, pair_of, write_run
from reference_data import filled, load

import tools.fusing.fuser
import tools.runtime.loading
from network import strips
from network.layers import ConvLayer, MaxPool2, Upsample2, reach
from network.net_autoencoder import Auto_Encoder_single
from network.net_conv_trans import Decoder_fusion, Trans_FuseNet
from network.strips import fuse_pair
from network.variants import VARIANTS
from tools.base.errors import UserError
from tools.data.images import luma, rgb_to_ycrcb
from tools.fusing.fuser import load_fuser
from tools.runtime import jt, nn
from tools.weights import fusion as fusion_files
from tools.weights.checkpoint import load_weights, save_weights
from tools.weights.fusion import find_files, load_fusion_model
from tools.weights.networks import build_fusion
from tools.weights.torch_file import write_torch

GIB = 1024 ** 2  # in the kB of /proc
SAME = 0.01  # gray levels: rounding only


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp('models') / 'fuse_20261122_101500')


@pytest.fixture(scope='module')
def fuser(run):
    return load_fuser(run)


# Fusing arrays

@pytest.mark.parametrize('size', ['256x256', '270x361', '300x520'])
def test_the_reference_images(fuser, size):
    reference = load(f'fuse_image_{size}')
    fused = fuser(reference['ir'][0, 0], reference['vi'][0, 0])
    assert fused.dtype == np.uint8
    assert np.abs(fused.astype(int) - reference['fused'][0, 0].astype(np.uint8)).max() <= 1


def test_attention_of_all_windows(fuser, tmp_path):
    reference = load('fuse_image_270x361')
    maps = fuser.attention(reference['ir'][0, 0], reference['vi'][0, 0])
    assert list(maps) == ['ir', 'vi']
    for weights in maps.values():
        assert weights.shape == (4, 16, 256, 256)  # two rows of two windows
        assert np.abs(weights.sum(axis=3) - 1).max() < 1e-5
    assert np.abs(maps['ir'] - maps['vi'].transpose(0, 1, 3, 2)).max() > 1e-4, 'each looks by its own weights'
    without = load_fuser(write_run(tmp_path / 'fuse_20261122_101501', variant='cnn'))
    with pytest.raises(UserError, match='no cross-attention'):
        without.attention(reference['ir'][0, 0], reference['vi'][0, 0])


class OtherDecoder(Decoder_fusion):
    """Deeper, with another kernel, another merge, and a last convolution that looks around."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.conv1 = nn.Sequential(ConvLayer(128, 96, 5, batch_norm=True), ConvLayer(96, 64))
        self.conv_last = ConvLayer(32, 1, 3, batch_norm=True)

    def merge_shallow(self, ir_sh, vi_sh):
        return 0.7 * super().merge_shallow(ir_sh, vi_sh)


class OtherNetwork(Trans_FuseNet):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.decoder_fusion = OtherDecoder(128, 1, train_flag=False)

    def attend(self, *arguments):
        return {name: 0.5 * maps for name, maps in super().attend(*arguments).items()}

    def execute(self, *arguments):
        outputs = super().execute(*arguments)
        return {**outputs, 'out': 255 - outputs['out']}


@pytest.mark.parametrize('network', [*VARIANTS, OtherNetwork])
@pytest.mark.parametrize('height, width', [(271, 61), (192, 75), (129, 300)])
def test_strips_give_what_the_whole_image_gives(network, height, width, monkeypatch):
    monkeypatch.setattr(strips, 'WINDOWS', 1)
    encoders = [filled(tag, Auto_Encoder_single(train_flag=False)) for tag in ('ae_deep', 'ae2_deep')]
    fusion = filled('fuse', build_fusion(network, train_flag=False) if network in VARIANTS else network(train_flag=False))
    networks = strips.Networks(*encoders, fusion)
    for one in networks:
        one.eval()
    ir, vi = pair_of(height, width)
    expected, result = fuse_pair(networks, ir, vi), fuse_pair(networks, ir, vi, fits=64 * width)  # odd rest, rest of no deep row, …
    assert expected['out'].std() > 5
    assert np.abs(result['out'] - expected['out']).max() < SAME
    for name in ('cross', 'ir_self', 'vi_self'):
        assert np.abs(result[name] - expected[name]).max() < 2e-5 * np.abs(expected[name]).max()


def test_an_image_that_does_not_fit_goes_in_strips(fuser, monkeypatch):
    monkeypatch.setattr(strips, 'FITS', 64 * 64)
    compute, in_strips = strips._deep_features, []

    def recorded(encoder, image, fits):
        in_strips.append((image.shape, fits))
        return compute(encoder, image, fits)
    monkeypatch.setattr(strips, '_deep_features', recorded)
    for height, width in ((64, 64), (64, 65)):
        fuse_pair(fuser.model.networks, *pair_of(height, width))
    assert in_strips == 2 * [((64, 65), 64 * 64)]


def test_a_layer_that_does_not_say_its_reach_is_refused():
    class Blur(nn.Module):
        def execute(self, x):
            return nn.avg_pool2d(x, 3, 1, 1)
    assert reach(nn.Sequential(ConvLayer(1, 1), MaxPool2(), ConvLayer(1, 1, 5), Upsample2())) == (5, 1)
    with pytest.raises(TypeError, match='Blur .1. does not say how many rows'):
        reach(nn.Sequential(ConvLayer(1, 1), Blur()))


@pytest.mark.parametrize('height, width', [(8, 8), (9, 15), (16, 8), (23, 131), (135, 40)])
def test_any_size(fuser, height, width):
    ir, vi = pair_of(height, width)
    fused = fuser(ir, vi)
    assert fused.shape == (height, width) and fused.dtype == np.uint8
    assert fused.min() == 0 and fused.max() >= 254  # normalised over the whole image


def test_too_small_or_different_sizes(fuser):
    with pytest.raises(UserError, match='infrared image is 9×7: at least 8×8'):
        fuser(*pair_of(7, 9))
    with pytest.raises(UserError, match='infrared image is 30×20, the visible one 20×30'):
        fuser(np.zeros((20, 30), np.uint8), np.zeros((30, 20), np.uint8))


def test_depths_give_the_same(fuser):
    ir, vi = pair_of(40, 56)
    fused = fuser(ir, vi)
    assert np.array_equal(fuser(ir.astype(np.uint16) * 257, vi.astype(np.float64)), fused)
    assert np.array_equal(fuser(np.stack([ir] * 3, axis=2), vi.astype(np.float16)), fused)


def test_a_few_pixels_that_take_the_range_are_doubted(run, monkeypatch):
    def spoilt(networks, ir, vi):
        """A fused image, normalised, with `spots` pixels far above the others."""
        image = np.linspace(0, 100, ir.size, dtype=np.float32).reshape(ir.shape)
        image.flat[:spots] = 255
        return {'out': image}
    monkeypatch.setattr('tools.fusing.fuser.fuse_pair', spoilt)
    pair = pair_of(100, 100)
    signed, bounded = load_fuser(run), load_fuser(run, deep_shares='bounded')
    for spots in (1, 8):  # noqa: B007, `spoilt` reads it
        assert '2 ‰ of the pixels take' in signed.fuse(*pair).doubt and '--deep_shares bounded' in signed.fuse(*pair).doubt
        assert bounded.fuse(*pair).doubt == ''
    spots = 100  # 10 ‰ are no few pixels
    assert signed.fuse(*pair).doubt == ''


def test_eager_execution_of_the_users_own_does_not_reach_the_network(run, monkeypatch):
    seen = []

    def fuse_pair(networks, ir, vi):
        seen.append(jt.flags.lazy_execution)
        return {'out': ir}
    monkeypatch.setattr(tools.fusing.fuser, 'fuse_pair', fuse_pair)
    monkeypatch.setattr(jt.flags, 'lazy_execution', 0)
    load_fuser(run)(*np.random.RandomState(0).randint(0, 256, (2, 16, 16)).astype(np.uint8))
    assert (seen, jt.flags.lazy_execution) == ([1], 0)


def test_a_fork_of_the_process_that_loaded_it_is_refused(fuser, run, monkeypatch):
    monkeypatch.setattr(tools.runtime.loading, 'LOADED_BY', os.getppid())
    for compute in (lambda: load_fuser(run), lambda: fuser(*np.random.RandomState(0).randint(0, 256, (2, 16, 16)).astype(np.uint8))):
        with pytest.raises(UserError, match='in a fork'):
            compute()


@pytest.mark.parametrize('error', [
    RuntimeError('Wrong inputs arguments\n[e cuda_device_allocator.cc:31] Unable to alloc cuda device memory for size[i8] 137438953472'),
    MemoryError()])
def test_memory_that_does_not_suffice_is_one_line(run, monkeypatch, error):
    def fail(*_):
        raise error
    monkeypatch.setattr('tools.fusing.fuser.fuse_pair', fail)
    with pytest.raises(UserError, match='^there is not enough memory for 56×40 pixels [^\n]*$'):
        load_fuser(run)(*pair_of(40, 56))
    error = RuntimeError('another')
    with pytest.raises(RuntimeError, match='another'):
        load_fuser(run)(*pair_of(40, 56))


def test_shares_are_those_of_the_training_or_as_asked_for(run, tmp_path):
    arrays, _ = load_weights(run / 'fusetrans_epoch_3.safetensors')
    metadata = {'kind': 'fusion', 'variant': 'standard', 'epoch': 3, 'run': 'run'}
    encoders = [tmp_path / 'ir.safetensors', tmp_path / 'vi.safetensors']
    for path, tag in zip(encoders, ('ae', 'ae2')):  # whose sums have either sign
        save_weights(path, encoder_weights(tag), {'kind': 'auto_encoder', 'modality': path.stem})
    pair, results = pair_of(72, 96), {}
    for trained in ('signed', 'bounded'):
        path = tmp_path / f'{trained}.safetensors'
        save_weights(path, arrays, {**metadata, 'options': {'deep_shares': trained}})
        for asked in (None, 'signed', 'bounded'):
            fuser = load_fuser(path, *encoders, deep_shares=asked)
            assert fuser.model.deep_shares == (asked or trained)
            assert f'deep shares {asked or trained}' in fuser.model.describe()
            assert fuser.model.name.endswith(f'_{asked}') == (asked not in (None, trained))  # results in folders of their own
            results.setdefault(asked or trained, []).append(fuser(*pair))
    for same in results.values():
        assert all(np.array_equal(one, same[0]) for one in same)
    assert not np.array_equal(results['signed'][0], results['bounded'][0])


def test_a_network_is_built_as_it_was_saved(run, tmp_path):
    arrays, metadata = load_weights(run / 'fusetrans_epoch_3.safetensors')
    encoders, path = [run / f'auto_encoder_{modality}.safetensors' for modality in ('ir', 'vi')], tmp_path / 'fusion.safetensors'
    fused = {}
    for heads in (8, 16):  # the weights have the same shapes
        save_weights(path, arrays, {**metadata, 'options': build_fusion(n_heads=heads).options})
        fuser = load_fuser(path, *encoders)
        assert fuser.model.networks.fusion.options['n_heads'] == heads
        fused[heads] = fuser.fuse(*pair_of(72, 96)).maps['cross']
    assert not np.array_equal(fused[8], fused[16])
    assert np.array_equal(fused[16], load_fuser(run).fuse(*pair_of(72, 96)).maps['cross'])


@pytest.mark.parametrize('options, message', [
    ({'deep_shares': 'squared'}, "deep_shares must be one of signed, bounded, not 'squared'"), ({'temperature': 2}, 'temperature'),
    ({'n_heads': 0}, 'zero'), ({'img_size': 'large'}, 'damaged'), ({'patch_size': 4}, 'do not fit'), ([16], 'damaged')], ids=str)
def test_options_that_no_network_can_be_built_with(run, tmp_path, options, message):
    arrays, metadata = load_weights(run / 'fusetrans_epoch_3.safetensors')
    save_weights(tmp_path / 'fusion.safetensors', arrays, {**metadata, 'options': options})
    with pytest.raises(UserError, match=f'fusion.safetensors.*{message}'):
        load_fuser(tmp_path / 'fusion.safetensors', *(run / f'auto_encoder_{modality}.safetensors' for modality in ('ir', 'vi')))


def test_16_bits_are_not_cut_to_8(fuser):
    ir, vi = pair_of(40, 56)
    faint = 3000 + ir.astype(np.uint16)  # one gray level at 8 bits
    assert not np.array_equal(fuser(faint, vi), fuser(faint // 257 * 257, vi))


@pytest.mark.parametrize('image, message', [
    (np.zeros((20, 20, 4), np.uint8), 'H×W or H×W×3'), (np.zeros(20, np.uint8), 'H×W or H×W×3'),
    (np.zeros((20, 20), np.int32), 'int32'), (np.full((20, 20), np.nan), 'nan'), (np.full((20, 20), 300.), '300'),
    (np.linspace(0, 1, 400).reshape(20, 20), 'multiply them by 255')])
def test_arrays_that_are_no_images_are_refused(fuser, image, message):
    good = np.zeros((20, 20), np.uint8)
    with pytest.raises(UserError, match=f'infrared.*{message}'):
        fuser(image, good)
    with pytest.raises(UserError, match=f'visible.*{message}'):
        fuser(good, image)


def colour_of(gray):
    """A reddish RGB image, mild enough that no channel is clipped when the luma changes a little."""
    return np.stack([gray // 2 + 90, gray // 2 + 60, gray // 2 + 50], axis=2).astype(np.uint8)


@pytest.mark.parametrize('depth', [np.uint8, np.uint16, np.float32])
def test_colour_keeps_chroma_and_fuses_luma(fuser, depth):
    ir, vi = pair_of(48, 64)
    vi = colour_of(vi)
    given = vi.astype(depth) * (257 if depth == np.uint16 else 1)
    fused = fuser(ir, given)
    assert fused.shape == vi.shape and fused.dtype == np.uint8
    expected_luma = fuser(ir, luma(given))
    unclipped = (fused > 0).all(axis=2) & (fused < 255).all(axis=2)
    assert unclipped.mean() > 0.5
    difference = rgb_to_ycrcb(fused).astype(int) - rgb_to_ycrcb(vi)
    assert np.abs(luma(fused).astype(int) - expected_luma)[unclipped].max() <= 1
    assert np.abs(difference[:, :, 1:])[unclipped].max() <= 1
    assert fused[:, :, 0].mean() > fused[:, :, 2].mean() + 20  # red stays red


def test_gray_in_three_channels_stays_gray(fuser):
    ir, vi = pair_of(40, 40)
    fused = fuser(ir, np.stack([vi] * 3, axis=2))
    assert np.array_equal(fused, np.stack([fuser(ir, vi)] * 3, axis=2))


def test_constant_pairs_give_the_brighter_value(fuser):
    black, gray = np.zeros((30, 40), np.uint8), np.full((30, 40), 90, np.uint8)
    assert np.array_equal(fuser(black, black), black)
    assert np.array_equal(fuser(gray, black), gray)
    assert np.array_equal(fuser(black, gray), gray)


def test_one_constant_image_is_fused(fuser):
    _, vi = pair_of(40, 40)
    for constant in (0, 255):
        fused = fuser(np.full((40, 40), constant, np.uint8), vi)
        assert fused.min() == 0 and fused.max() >= 254


def test_bad_weights_never_give_an_image(tmp_path):
    fuser = load_fuser(write_run(tmp_path / 'bad', spoil='fea_encoder1.conv1.conv2d.0.bias'))
    with pytest.raises(UserError, match='not numbers'):
        fuser(*pair_of(32, 32))


# Memory and compilation, each in a process of its own

def in_new_process(run, code):
    """Run `code`, which finds `fuser`, `pair_of`, `status(name)` of /proc and `libraries()`, and prints JSON."""
    start = f'''
import json, re, sys
sys.path[:0] = [{str(REPOSITORY)!r}, {str(REPOSITORY / 'tests')!r}]
import numpy as np
from fusion_runs import pair_of
from tools.fusing.fuser import load_fuser
fuser = load_fuser({str(run)!r})
def status(name):
    return int(re.search(name + r':\\s+(\\d+)', open('/proc/self/status').read()).group(1))
def libraries():
    return len(set(re.findall(r'/jit/\\S+\\.so', open('/proc/self/maps').read())))
'''
    done = subprocess.run([sys.executable, '-c', start + code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_many_sizes_compile_once_and_do_not_grow_the_process(run):
    result = in_new_process(run, '''
loaded, memory = [], []
for i, (height, width) in enumerate(np.random.RandomState(5).randint(17, 300, (20, 2))):
    fuser(*pair_of(height, width, i))
    loaded.append(libraries())
    memory.append(status('VmRSS'))
print(json.dumps({'loaded': loaded, 'memory': memory}))
''')
    loaded, memory = result['loaded'], result['memory']
    assert loaded[1] > 20
    assert loaded[1:] == [loaded[1]] * 19  # one library for each operator that Jittor compiled or found in its cache
    assert memory[-1] - memory[2] < 0.15 * GIB


def test_warming_up_compiles_all_that_fusing_needs(run):
    before, after = in_new_process(run, '''
from network.strips import fuse_pair
from tools.fusing import warm_up
from tools.weights.fusion import SHIPPED
warm_up.main()
before = libraries()
fuser = load_fuser(SHIPPED)
ir, vi = pair_of(200, 90)
for fits in (200 * 90, 64 * 90):
    fuse_pair(fuser.model.networks, ir, vi, fits)
fuser(ir, vi)
print(json.dumps([before, libraries()]))
''')
    assert before == after > 20


def test_memory_at_1024x768(run):
    assert in_new_process(run, '''
fuser(*pair_of(768, 1024))
print(json.dumps(status('VmHWM')))
''') < 1.5 * GIB


# Weights

@pytest.fixture(scope='module')
def torch_files(tmp_path_factory):
    """The original's three files, as PyTorch writes them."""
    folder = tmp_path_factory.mktemp('original')
    files = [folder / name for name in ('fusetrans_epoch_32_bs_8_s1_c1.model', 'auto_encoder_epoch_4_ir.model',
                                        'auto_encoder_epoch_4_vi.model')]
    for path, arrays in zip(files, (fusion_weights(), encoder_weights('ae_deep'), encoder_weights('ae2_deep'))):
        write_torch(path, arrays)
    return files


def link(folder, *files):
    """A folder that holds `files` under their own names, or (file, name) under that name."""
    folder.mkdir(parents=True)
    for file in files:
        source, name = file if isinstance(file, tuple) else (file, file.name)
        os.link(source, folder / name)
    return folder


def test_a_run_folder(run, fuser):
    model = fuser.model
    assert (model.variant, model.epoch, model.run, model.checked) == ('standard', '3', run.name, True)
    assert model.name == f'standard_epoch3_{run.name}'
    assert load_fusion_model(run / 'fusetrans_epoch_3.safetensors').files == model.files


def test_the_originals_files(torch_files, fuser):
    fusion, ir, vi = torch_files
    original = load_fuser(fusion, ir, vi)
    assert original.model.name == 'standard_epoch32_fusetrans_epoch_32_bs_8_s1_c1'
    assert not original.model.checked and 'make sure' in original.model.describe()
    assert 'since its file does not say' in original.model.describe() and 'since its file' not in fuser.model.describe()
    assert 'since its file' not in load_fusion_model(fusion, ir, vi, deep_shares='signed').describe()
    pair = pair_of(40, 40)
    assert np.array_equal(original(*pair), fuser(*pair))


@pytest.mark.parametrize('variant', ['cnn', 'no_gradient_loss'])
def test_the_ablations_are_recognised(tmp_path, variant, fuser):
    ablation = load_fuser(write_run(tmp_path / 'run', variant))
    assert ablation.model.variant == variant
    pair = pair_of(40, 40)
    assert np.array_equal(ablation(*pair), fuser(*pair)) == (variant == 'no_gradient_loss')


def test_the_last_epoch_or_the_one_asked_for(run, tmp_path):
    encoders = [run / f'auto_encoder_{modality}.safetensors' for modality in ('ir', 'vi')]
    names = [f'fusetrans_epoch_{epoch}.safetensors' for epoch in (2, 9, 10)]
    folder = link(tmp_path / 'run', *encoders, *[(run / 'fusetrans_epoch_3.safetensors', name) for name in names])
    assert find_files(folder, None, None, None, '').fusion.name == 'fusetrans_epoch_10.safetensors'
    assert find_files(folder, None, None, 2, '').fusion.name == 'fusetrans_epoch_2.safetensors'
    with pytest.raises(UserError, match='epoch 3, only of 2, 9, 10'):
        find_files(folder, None, None, 3, '')
    with pytest.raises(UserError, match='epoch is for run folders'):
        find_files(folder / names[0], None, None, 2, '')


def test_without_settings_the_newest_run_else_what_is_shipped(run, tmp_path, monkeypatch):
    files = sorted(run.iterdir())
    shipped = link(tmp_path / 'weights', *files)
    monkeypatch.setattr(fusion_files, 'SHIPPED', shipped)
    runs = tmp_path / 'models'
    assert find_files(None, None, None, None, runs).fusion.parent == shipped
    for name, age in (('fuse_b', 100), ('fuse_c', 200)):
        folder = write_bytes_of(files, runs / name)
        for path in folder.iterdir():
            os.utime(path, (10 ** 9 - age, 10 ** 9 - age))
    (runs / 'fuse_d').mkdir()  # a run that has not finished an epoch
    assert find_files(None, None, None, None, runs).fusion.parent == runs / 'fuse_b'


def write_bytes_of(files, folder):
    """Empty files with the names of `files`: their times can differ, unlike those of links."""
    folder.mkdir(parents=True)
    for file in files:
        (folder / file.name).write_bytes(b'')
    return folder


def test_no_weights_anywhere_says_how_to_get_some(tmp_path, monkeypatch):
    monkeypatch.setattr(fusion_files, 'SHIPPED', tmp_path / 'weights')
    with pytest.raises(UserError, match='make demo-train.*train_conv_trans.py.*--auto_ir'):
        load_fuser(runs=tmp_path)
    with pytest.raises(UserError, match='no weights of a fusion network'):
        load_fuser(tmp_path)


def test_files_that_are_missing_or_of_another_kind(run, tmp_path):
    encoder = run / 'auto_encoder_ir.safetensors'
    with pytest.raises(UserError, match='nowhere does not exist'):
        load_fuser(tmp_path / 'nowhere')
    with pytest.raises(UserError, match='holds an auto-encoder'):
        load_fuser(encoder)
    with pytest.raises(UserError, match='auto_ir .*none.model does not exist'):
        load_fuser(run, auto_ir=tmp_path / 'none.model')
    with pytest.raises(UserError, match='without model'):
        load_fuser(auto_ir=encoder)
    alone = link(tmp_path / 'alone', run / 'fusetrans_epoch_3.safetensors')
    with pytest.raises(UserError, match='auto_encoder_ir.safetensors.*does not exist.*auto_ir'):
        load_fuser(alone)
    with pytest.raises(UserError, match='fusion network; an auto-encoder is needed'):
        load_fuser(run, auto_ir=run / 'fusetrans_epoch_3.safetensors')


def test_files_that_do_not_belong_together(run, torch_files, tmp_path):
    fusion, ir, vi = torch_files
    with pytest.raises(UserError, match='trained on modality vi'):
        load_fuser(run, run / 'auto_encoder_vi.safetensors', run / 'auto_encoder_ir.safetensors')
    other = tmp_path / 'other_ir.safetensors'
    save_weights(other, encoder_weights('ae3'), {'modality': 'ir'})
    with pytest.raises(UserError, match='another encoder of ir than .*other_ir'):
        load_fuser(run, auto_ir=other)
    with pytest.raises(UserError, match='_vi.model is by its name of modality vi; the one of ir is needed: are the two swapped'):
        load_fuser(fusion, vi, ir)
    twice = link(tmp_path / 'twice', (ir, 'a.model'), (ir, 'b.model'))
    with pytest.raises(UserError, match='the same weights'):
        load_fuser(fusion, twice / 'a.model', twice / 'b.model')
    assert load_fusion_model(run, ir, vi).checked  # the same weights in another format


def test_metadata_of_a_stranger(run, tmp_path):
    arrays, metadata = load_weights(run / 'fusetrans_epoch_3.safetensors')
    path = tmp_path / 'fusion.safetensors'
    encoders = [run / f'auto_encoder_{modality}.safetensors' for modality in ('ir', 'vi')]
    save_weights(path, arrays, {**metadata, 'run': '../../x y', 'epoch': '/etc'})
    assert load_fusion_model(path, *encoders).name == 'standard_epoch-etc_..-..-x-y'
    for wrong in ({'variant': 'cnn'}, {'variant': ['standard']}, {'encoders': 'x'}):
        save_weights(path, arrays, {**metadata, **wrong})
        with pytest.raises(UserError, match='fusion.safetensors'):
            load_fusion_model(path, *encoders)
