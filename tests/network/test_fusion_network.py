"""The fusion network and its losses against the PyTorch original's numbers (bounds: the table
in the reference's README)."""
import numpy as np
import pytest
from gradients import reached_by
from reference_data import assert_digests, crc_random, digest, filled, filled_weights, load, state_dict_table

from network.layers import dispensable
from network.loss import Gradient_loss, Order_loss
from network.net_autoencoder import Auto_Encoder_single
from network.net_conv_trans import Trans_FuseNet
from network.variants import DEEP_SHARES, VARIANTS
from tools.base.errors import UserError
from tools.runtime import jt
from tools.training.optimizer import Adam
from tools.weights.networks import build_fusion

CAM = 2e-5  # of the largest value
LOSS_ALONE, LOSS_ALONE_GRADIENT = 1e-5, 1e-4
OUTPUT_MAX, OUTPUT_MEAN = 0.006, 0.0012  # gray levels
STEP_LOSSES = {'pix_loss': 1e-4, 'gra_loss': 2e-5, 'total_loss': 3e-5}
GRADIENT_NORM, GRADIENT_SAMPLES = 2e-4, 1e-2
NEGLIGIBLE_GRADIENT, ZERO_GRADIENT = 1e-6, 1e-5  # of the total gradient's norm
STATISTICS = 1e-5
FUSED_MAX, FUSED_MEAN = 0.005, 0.001
TRAJECTORY = 3e-3
ORDER_OF_SUMS = 1e-5


def equal(one, other):
    """Whether two results of the same computation are: a GPU adds up in an order that varies."""
    return np.abs(one - other).max() <= (ORDER_OF_SUMS * np.abs(other).max() if jt.flags.use_cuda else 0)


def image(array):
    return jt.array(np.asarray(array, np.float32))


def encoders(train_flag=True):
    models = [filled(tag, Auto_Encoder_single(train_flag=train_flag)) for tag in ('ae_deep', 'ae2_deep')]
    for model in models:
        model.eval()
    return models


def features(models, ir, vi):
    """(ir_sh, ir_de, vi_sh, vi_de) of a batch."""
    with jt.no_grad():
        return (*models[0](ir), *models[1](vi))


def train_module(model, models, ir, vi):
    ir_sh, ir_de, vi_sh, vi_de = features(models, ir, vi)
    return model.train_module(ir, vi, ir_sh, vi_sh, ir_de, vi_de, False, Gradient_loss(1), Order_loss(1))


def test_names_shapes_and_counts():
    model = Trans_FuseNet()
    table = state_dict_table('fuse')
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    scalar = {name: () for name in shapes if name.endswith('num_batches_tracked')}  # Jittor has no shape ()
    assert {**shapes, **scalar} == {name: shape for name, (shape, _) in table.items()}
    trained = {name for name, value in model.named_parameters() if value.requires_grad}
    requires_grad = {name for name, (_, kind) in table.items() if kind == 'trained'}
    # The original's optimiser never touches these
    assert trained < requires_grad and len(requires_grad - trained) == 13
    weights = [name for name, (_, kind) in table.items() if kind != 'buffer']
    assert sum(model.state_dict()[name].numel() for name in weights) == 20801123


def test_reference_weights_are_the_same():
    reference = load('filled_weights')
    weights = filled_weights('fuse', Trans_FuseNet())
    assert len(weights) == 134 - 3 - 5  # without conv_gra, conv_sh, conv_de and the five counters
    for name, array in weights.items():
        assert np.allclose(digest(name, array), reference['fuse/' + name], rtol=1e-6, atol=1e-9), name


@pytest.mark.parametrize('shift', [False, True])
def test_cross_attention_module(shift):
    reference = load(f'cam_shift_{shift}')
    model = filled('fuse', Trans_FuseNet())
    model.eval()
    ir, vi = windows_of_features()
    with jt.no_grad():
        maps = [result.numpy() for result in model.cross_atten_block(ir, vi, shift)]
    assert len(maps) == 7
    for name, result in zip(('fused', 'ir_self', 'vi_self', 'ir_roll', 'vi_roll', 'cross_a', 'cross_b'), maps):
        got, expected = digest(name, result), reference[name]
        assert abs(got[0] / expected[0] - 1) < CAM, name
        assert np.abs(got[2:] - expected[2:]).max() < CAM * np.abs(result).max(), name
    assert np.abs(maps[0][:, 7] - reference['fused_ch7']).max() < CAM * np.abs(maps[0]).max()


def windows_of_features():
    return (image(1.5 * crc_random(f'feat:{name}').uniform(-1, 1, (2, 128, 32, 32))) for name in ('ir', 'vi'))


def test_rolling_the_window_changes_nothing_but_rounding():
    """Attention without positions does not see in which order its tokens come."""
    model = filled('fuse', Trans_FuseNet())
    model.eval()
    ir, vi = windows_of_features()
    with jt.no_grad():
        rolled, whole = ([result.numpy() for result in model.cross_atten_block(ir, vi, shift)] for shift in (True, False))
    for one, other in zip(rolled, whole):
        assert np.abs(one - other).max() < CAM * np.abs(other).max()


def test_attention_goes_to_what_does_not_correlate():
    cross = filled('fuse', Trans_FuseNet()).cross_atten_block.cross_atten_block.cross_atten1
    a, b = (image(crc_random(f'tokens:{name}').uniform(-1, 1, (1, 256, 512))) for name in 'ab')
    block = cross.blocks[0]
    with jt.no_grad():
        weights = cross.attention(a, b).numpy()
        q, k = (tokens.numpy().astype(np.float64).reshape(256, 16, 32).transpose(1, 0, 2) for tokens in (
            block.attn.q_linear(block.norm1(a)), block.attn.k_linear(block.norm1(b))))
    expected = np.exp(-q @ k.transpose(0, 2, 1) / np.sqrt(32))
    expected /= expected.sum(axis=2, keepdims=True)
    assert weights.shape == (1, 16, 256, 256)
    assert np.abs(weights[0] - expected).max() < CAM * expected.max()


@pytest.mark.parametrize('loss_class, name', [(Gradient_loss, 'gradient'), (Order_loss, 'pixel')])
def test_fusion_losses_alone(loss_class, name):
    reference = load('fusion_losses')
    fused = image(reference['fused'])
    loss, target = loss_class(1)(fused, image(reference['ir']), image(reference['vi']))
    gradient = jt.grad(loss, fused).numpy()
    assert abs(loss.item() / reference[f'{name}_loss'] - 1) < LOSS_ALONE
    expected = reference[f'{name}_loss_grad']
    assert np.abs(gradient - expected).max() < LOSS_ALONE_GRADIENT * np.abs(expected).max()
    if name == 'pixel':
        assert np.array_equal(target.numpy(), reference['pixel_target'])


def test_where_both_are_as_bright_the_pixel_target_is_the_visible_image():
    """Two bright pixels each, at other places of an image that the window covers whole."""
    ir, vi = np.zeros((2, 1, 1, 6, 6))
    ir[..., 0, 0] = ir[..., 5, 5] = vi[..., 0, 5] = vi[..., 5, 0] = 121
    _, target = Order_loss()(image(ir), image(ir), image(vi))
    assert np.array_equal(target.numpy(), vi)


def test_one_training_step():
    reference = load('fuse_step')
    model = filled('fuse', Trans_FuseNet())
    outputs = train_module(model, encoders(), image(reference['ir']), image(reference['vi']))
    difference = np.abs(outputs['out'].numpy() - reference['out'])
    assert difference.max() < OUTPUT_MAX and difference.mean() < OUTPUT_MEAN
    for name, bound in STEP_LOSSES.items():
        assert abs(outputs[name].item() / reference[name] - 1) < bound, name
    assert_gradients(model, outputs['total_loss'], reference)
    statistics = {name: value.numpy() for name, value in model.state_dict().items() if 'running_' in name}
    assert len(statistics) == 10
    for name, value in statistics.items():
        expected = reference['stat/' + name]
        assert np.abs(value - expected).max() < STATISTICS * np.abs(expected).max(), name


def assert_gradients(model, loss, reference):
    parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
    reached = set(parameters)
    assert reached == {key[len('grad/'):] for key in reference if key.startswith('grad/')}
    gradients = {name: value.numpy() for name, value in zip(reached, jt.grad(loss, [parameters[name] for name in reached]))}
    total = np.sqrt(sum(reference['grad/' + name][0] ** 2 for name in reached))
    negligible = {name for name in reached if reference['grad/' + name][0] < NEGLIGIBLE_GRADIENT * total}
    for name in negligible:
        assert np.linalg.norm(gradients[name]) < ZERO_GRADIENT * total, name
    assert_digests({name: gradients[name] for name in reached - negligible}, reference, 'grad/', GRADIENT_NORM, GRADIENT_SAMPLES)


@pytest.mark.parametrize('variant', VARIANTS)
def test_the_loss_reaches_all_that_is_trained_and_no_more(variant):
    model = build_fusion(variant, img_size=4)
    ir, vi = (jt.array(np.random.RandomState(i).uniform(0, 255, (1, 1, 32, 32)).astype(np.float32)) for i in range(2))
    loss = train_module(model, encoders(), ir, vi)['total_loss']
    parameters = dict(model.named_parameters())
    reached = {name for name, yes in zip(parameters, reached_by(loss, list(parameters.values()))) if yes}
    assert reached == {name for name, value in parameters.items() if value.requires_grad}


@pytest.mark.parametrize('size', ['256x256', '270x361', '300x520'])
def test_fused_image(size):
    reference = load(f'fuse_image_{size}')
    model = filled('fuse', Trans_FuseNet(train_flag=False))
    model.eval()
    models = encoders(train_flag=False)
    with jt.no_grad():
        ir_sh, ir_de, vi_sh, vi_de = features(models, image(reference['ir']), image(reference['vi']))
        fused = model(ir_de, ir_sh, vi_de, vi_sh, True)['out'].numpy()
    difference = np.abs(fused - reference['fused'])
    assert difference.max() < FUSED_MAX and difference.mean() < FUSED_MEAN
    assert np.abs(fused.astype(np.uint8).astype(int) - reference['fused'].astype(np.uint8)).max() <= 1


def test_training_trajectory():
    reference = load('fuse_trajectory')
    model, models = filled('fuse', Trans_FuseNet()), encoders()
    parameters = dict(model.named_parameters())
    without_gradient = ('conv_gra.weight', 'cross_atten_block.self_atten_block1.self_atten1.norm.weight')
    before = {name: parameters[name].numpy() for name in without_gradient}
    optimizer = Adam(model.parameters(), lr=1e-3, weight_decay=0.9)
    for step, expected in enumerate(reference['losses']):
        pairs = [2 * step % 4, (2 * step + 1) % 4]
        outputs = train_module(model, models, image(reference['ir'][pairs]), image(reference['vi'][pairs]))
        losses = np.array([outputs[name].item() for name in ('pix_loss', 'gra_loss', 'total_loss')])
        optimizer.step(outputs['total_loss'])
        assert np.abs(losses / expected - 1).max() < TRAJECTORY, f'step {step}: {losses} for {expected}'
    for name in without_gradient:
        assert np.array_equal(parameters[name].numpy(), before[name]), f'{name} has no gradient and must not decay'


@pytest.mark.parametrize('option', ['p', 'attn_p'])
def test_dropout_is_refused(option):
    with pytest.raises(ValueError, match='there is no dropout here'):
        build_fusion(**{option: 0.1})


def test_a_deep_path_started_at_0_begins_as_a_fusion_of_the_shallow_features():
    image_of = lambda *shape: jt.array(np.random.RandomState(sum(shape)).rand(*shape).astype(np.float32))
    shallow, deep = (image_of(2, 32, 256, 256), image_of(2, 32, 256, 256)), (image_of(2, 128, 32, 32), image_of(2, 128, 32, 32))
    decoder = Trans_FuseNet(deep_start=0.0).decoder_fusion
    out, other = (decoder(one, *shallow).numpy() for one in deep)
    assert equal(out, other) and out.std() > 0.1
    started = Trans_FuseNet(deep_start=0.0).decoder_fusion
    assert not equal(Trans_FuseNet().decoder_fusion(deep[0], *shallow).numpy(), out)
    gradient = jt.grad(started(deep[0], *shallow).sqr().sum(), started.conv_block[4].conv2d[1].weight).numpy()
    assert np.abs(gradient).min() > 0  # training can let it in


def test_shares_of_absolute_values_are_bounded():
    ir = np.random.RandomState(0).randn(1, 128, 20, 30).astype(np.float32)
    vi = np.random.RandomState(1).randn(1, 128, 20, 30).astype(np.float32)
    signed, bounded = (Trans_FuseNet(deep_shares=shares).decoder_fusion.weight.for_de(jt.array(ir), jt.array(vi))
                       for shares in DEEP_SHARES)
    assert max(np.abs(share.numpy()).max() for share in signed) > 2
    g_ir, g_vi = (signed[i].numpy() / (signed[0].numpy() + signed[1].numpy()) for i in (0, 1))
    for share, g in zip(bounded, (g_ir, g_vi)):
        assert np.allclose(share.numpy(), np.abs(g) / (np.abs(g_ir) + np.abs(g_vi)), atol=1e-4)
        assert share.numpy().min() >= 0 and share.numpy().max() <= 1


def test_what_a_file_for_fusing_can_do_without_changes_no_result():
    for model in (Trans_FuseNet(train_flag=False), Auto_Encoder_single(train_flag=False)):
        filled('fuse', model).eval()
        if isinstance(model, Trans_FuseNet):
            inputs = [jt.array(np.random.RandomState(i).rand(1, *shape).astype(np.float32))
                      for i, shape in enumerate([(128, 9, 9), (32, 72, 72)] * 2)]
            result = lambda: [value.numpy() for value in model(*inputs).values()]
        else:
            inputs = jt.array(255 * np.random.RandomState(0).rand(1, 1, 72, 72).astype(np.float32))
            result = lambda: [value.numpy() for value in model(inputs)]
        expected = result()
        names = dispensable(model)
        assert names <= set(model.state_dict())
        for name, value in model.state_dict().items():
            fixed = '.conv_sh.' in name or '.conv_de.' in name
            if name in names and not fixed:
                value.assign(value + 1)
        assert all(map(equal, result(), expected))
        assert len(names) == (1 + 2 + 8 + 4 + 5 if isinstance(model, Trans_FuseNet) else 8)
        assert dispensable(model, training=True) == (names if isinstance(model, Trans_FuseNet) else set())


def test_filters_that_are_not_uniform_are_refused():
    model = Trans_FuseNet()
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    weights['decoder_fusion.weight.conv_de.weight'][3, 5, 1, 1] = 0.5
    with pytest.raises(UserError, match='conv_de.*not uniform'):
        model.load_state_dict(weights)
