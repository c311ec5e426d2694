"""The auto-encoder and its losses against the PyTorch original's numbers (bounds: the table
in the reference's README)."""
import numpy as np
import pytest
from reference_data import assert_digests, digest, filled, filled_weights, load, state_dict_table

from network.loss import msssim
from network.net_autoencoder import Auto_Encoder_single
from tools.runtime import jt
from tools.training.optimizer import Adam

FORWARD = 2e-5  # of the largest value
LOSS, GRADIENT_SAMPLES, MSSSIM = 1e-5, 5e-4, 1e-5
TRAJECTORY = 1e-3


def close(got, expected, bound):
    return np.abs(np.asarray(got) - expected).max() < bound * np.abs(expected).max()


def test_names_shapes_and_counts():
    model = Auto_Encoder_single()
    table = state_dict_table('ae')
    assert {name: tuple(value.shape) for name, value in model.state_dict().items()} == {name: shape for name, (shape, _) in table.items()}
    assert sum(parameter.numel() for parameter in model.parameters()) == 1254529


def test_reference_weights_are_the_same():
    reference = load('filled_weights')
    weights = filled_weights('ae', Auto_Encoder_single())
    assert len(weights) == 26
    for name, array in weights.items():
        assert np.allclose(digest(name, array), reference['ae/' + name], rtol=1e-6, atol=1e-9), name


@pytest.mark.parametrize('size', ['64x64', '75x93', '130x97'])
def test_forward(size):
    reference = load(f'ae_forward_{size}')
    model = filled('ae', Auto_Encoder_single(train_flag=False))
    model.eval()
    image = jt.array(reference['image'].astype(np.float32))
    with jt.no_grad():
        shallow, deep = (features.numpy() for features in model(image))
        reconstruction = model.reconstruct(image)['recons1'].numpy()
    for name, features in (('shallow', shallow), ('deep', deep)):
        got, expected = digest(name, features), reference[name]
        assert abs(got[0] / expected[0] - 1) < FORWARD
        assert np.abs(got[2:] - expected[2:]).max() < FORWARD * np.abs(features).max()
    assert close(shallow[0, 3], reference['shallow_ch3'], FORWARD)
    assert close(deep[0, 5], reference['deep_ch5'], FORWARD)
    assert close(reconstruction, reference['reconstruction'], FORWARD)


@pytest.mark.parametrize('name, val_range', [('ae_loss_range_auto', None), ('ae_loss_range_255', 255.0)])
def test_losses_and_gradients(name, val_range):
    reference = load(name)
    model = filled('ae', Auto_Encoder_single(ssim_val_range=val_range))
    outputs = model.train_module(jt.array(reference['image'].astype(np.float32)))
    assert close(outputs['out'].numpy(), reference['out'], FORWARD)
    for loss in ('recon_loss', 'ssim_loss', 'total_loss'):
        assert abs(outputs[loss].item() / reference[loss] - 1) < LOSS, loss
    parameters = dict(model.named_parameters())
    gradients = dict(zip(parameters, jt.grad(outputs['total_loss'], list(parameters.values()))))
    assert_digests({name: gradient.numpy() for name, gradient in gradients.items()}, reference, 'grad/', GRADIENT_SAMPLES, GRADIENT_SAMPLES)


def test_msssim_in_all_variants():
    reference = load('msssim')
    for key, expected in zip(reference['keys'], reference['values']):
        scale, value_range, normalize = variant(str(key))
        x, y = (jt.array(reference[name].astype(np.float32) / scale) for name in 'xy')
        assert abs(msssim(x, y, value_range, normalize).item() - expected) < MSSSIM, key


def variant(key):
    return (255 if 'unit' in key else 1), (255.0 if '255' in key else None), 'True' in key


def test_training_trajectory():
    reference = load('ae_trajectory')
    images = reference['images'].astype(np.float32)
    model = filled('ae', Auto_Encoder_single(ssim_val_range=255.0))
    optimizer = Adam(model.parameters(), lr=1e-4, weight_decay=0.9)
    for step, expected in enumerate(reference['losses']):
        batch = images[[2 * step % 12, (2 * step + 1) % 12]]
        outputs = model.train_module(jt.array(batch))
        losses = np.array([outputs[name].item() for name in ('recon_loss', 'ssim_loss', 'total_loss')])
        optimizer.step(outputs['total_loss'])
        assert np.abs(losses / expected - 1).max() < TRAJECTORY, f'step {step}: {losses} for {expected}'
    assert_digests({name: value.numpy() for name, value in model.state_dict().items()}, reference, 'param/', 1e-3, 1e-2)
