"""The losses of both stages (original: network/loss.py, pytorch_msssim/__init__.py).

A new term: an entry in `autoencoder_losses` or `fusion_losses`, its weight among their arguments, and a setting of the
same name with part='losses' in args_auto.py or args_trans.py. Log, CSV and curves take the names that are there. Means
are taken by `total_mean`, which is exact, and the same in several processes.
"""
import numpy as np

from network.layers import mean_pool2, mse, total_mean
from tools.runtime import jt, nn
from tools.runtime.processes import mean_over_processes

EPSILON = 1e-6
SSIM_WINDOW, SSIM_SIGMA = 11, 1.5
MSSSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # fine to coarse (Wang, Simoncelli & Bovik 2003)
K1, K2 = 0.01, 0.03  # SSIM's constants, relative to the value range
TARGET_WINDOW = 11  # box in which Order_loss compares the brightness of the two images


def infer_value_range(x):
    """The original's guess of the value range of x, a Var of shape (1,): 255 if max > 128 else 1, plus 1 if
    min < −0.5, of the whole batch.

    It jumps as x crosses these bounds, and training with it can give NaN on flat images.
    """
    anywhere = lambda found: mean_over_processes(found.float32()) > 0
    top = jt.ternary(anywhere(x.max() > 128), jt.float32(255), jt.float32(1))
    bottom = jt.ternary(anywhere(x.min() < -0.5), jt.float32(-1), jt.float32(0))
    return (top - bottom).stop_grad()


def gaussian_blur(x, size):
    """Gaussian of size×size taps, σ 1.5, without padding:
    (N, C, H, W) → (N, C, H−size+1, W−size+1); rows, then columns."""
    taps = np.exp(-(np.arange(size) - size // 2) ** 2 / (2 * SSIM_SIGMA ** 2))
    taps = jt.array((taps / taps.sum()).astype(np.float32))
    n, c, h, w = x.shape
    x = (x.reindex([n, c, h - size + 1, w, size], ['i0', 'i1', 'i2+i4', 'i3']) * taps).sum(4)
    return (x.reindex([n, c, h - size + 1, w - size + 1, size], ['i0', 'i1', 'i2', 'i3+i4']) * taps).sum(4)


def ssim_and_contrast(x, y, val_range=None):
    """Mean SSIM and mean contrast term of two (N, 1, H, W), each a Var of shape (1,). val_range: as for `msssim`."""
    value_range = infer_value_range(x) if val_range is None else val_range
    c1, c2 = (K1 * value_range) ** 2, (K2 * value_range) ** 2
    size = min(SSIM_WINDOW, *x.shape[2:])
    mean_x, mean_y, xx, yy, xy = (gaussian_blur(image, size) for image in (x, y, x * x, y * y, x * y))
    var_x, var_y, cov = xx - mean_x.sqr(), yy - mean_y.sqr(), xy - mean_x * mean_y
    contrast = (2 * cov + c2) / (var_x + var_y + c2)
    ssim = (2 * mean_x * mean_y + c1) / (mean_x.sqr() + mean_y.sqr() + c1) * contrast
    return total_mean(ssim), total_mean(contrast)


def msssim(x, y, val_range=None, normalize=False):
    """Multi-scale SSIM of two (N, 1, H, W) as the original computes it, a Var of shape (1,).

    val_range: the range L of the values; None infers it at every scale from x, as the original does.
    normalize: maps both terms of each scale from −1…1 to 0…1, which keeps the fractional powers real.
    The last scale's SSIM enters once for each of the four finer scales: not Wang's formula, but
    what the original trains with.
    """
    ssims, contrasts = [], []
    for _ in MSSSIM_WEIGHTS:
        ssim, contrast = ssim_and_contrast(x, y, val_range)
        ssims.append((ssim + 1) / 2 if normalize else ssim)
        contrasts.append((contrast + 1) / 2 if normalize else contrast)
        x, y = mean_pool2(x), mean_pool2(y)
    *fine_weights, coarse_weight = MSSSIM_WEIGHTS
    result = (ssims[-1] ** coarse_weight) ** len(fine_weights)
    for contrast, weight in zip(contrasts, fine_weights):
        result = result * contrast ** weight
    return result


class Gradient_loss(nn.Module):
    """L_gra: the fused image keeps the stronger edge of the two sources, r(·) = relu of the 3×3 Laplacian.

    (fused, ir, vi), each (N, 1, H, W) in 0…255 → (loss, target): MSE(r(fused), max(r(ir), r(vi))), and that maximum.
    """

    def __init__(self, channels=1):
        self.channels = channels  # the original's argument; the filter works on each channel alone

    def edges(self, x):
        """relu of [0 1 0; 1 −4 1; 0 1 0], zeros outside."""
        n, c, h, w = x.shape
        shifted = [x.reindex([n, c, h, w], ['i0', 'i1', f'i2+{dy}', f'i3+{dx}'])
                   for dy, dx in ((-1, 0), (0, -1), (0, 1), (1, 0))]
        return nn.relu(sum(shifted) - 4 * x)

    def execute(self, fused, ir, vi):
        with jt.no_grad():
            target = jt.maximum(self.edges(ir), self.edges(vi)).stop_grad()
        return mse(self.edges(fused), target), target


class Order_loss(nn.Module):
    """L_pix: each pixel of the fused image follows the source that is brighter around it.

    (fused, ir, vi), each (N, 1, H, W) in 0…255 → (loss, target): MSE(fused, target), and the target.
    """

    def __init__(self, channels=1):
        self.channels = channels  # the original's argument; the filter works on each channel alone

    def local_mean(self, x):
        """11×11 mean, zeros outside. A convolution as in the original, since its rounding decides
        where both means are equal."""
        n, c, h, w = x.shape
        box = jt.ones((1, 1, TARGET_WINDOW, TARGET_WINDOW)) / TARGET_WINDOW ** 2
        return nn.conv2d(x.reshape(n * c, 1, h, w), box, padding=TARGET_WINDOW // 2).reshape(x.shape)

    def execute(self, fused, ir, vi):
        with jt.no_grad():
            mean_ir, mean_vi = self.local_mean(ir), self.local_mean(vi)
            total = mean_ir + mean_vi + EPSILON
            target = jt.ternary(mean_ir / total > mean_vi / total, ir, vi).stop_grad()
            # Fused into the backward pass, the comparison would be made again, with another rounding at ties
            target.sync()
        return mse(fused, target), target


def autoencoder_losses(out, x, recon_loss_weight=1.0, ssim_loss_weight=10000.0, ssim_val_range=255.0):
    """The weighted losses of stage 1, {name: Var of one element}, and their sum 'total_loss'; out
    and x are (N, 1, H, W) in 0…255.

    ssim_val_range: the value range in msssim; None infers it as the original does, which can give NaN on
    flat images early in training.
    """
    return _with_total({'recon_loss': recon_loss_weight * mse(out, x),
                        'ssim_loss': ssim_loss_weight * (1 - msssim(out, x, ssim_val_range, normalize=True))})


ORDER_LOSS, GRADIENT_LOSS = Order_loss(), Gradient_loss()


def fusion_losses(out, ir, vi, pixel_loss_weight=1.0, gradient_loss_weight=10.0, pixel_loss=ORDER_LOSS,
                  gradient_loss=GRADIENT_LOSS):
    """The weighted losses of stage 2, {name: Var of one element}, and their sum 'total_loss'; out, ir
    and vi are (N, 1, H, W) in 0…255.

    A term of weight 0 is left out, and not computed.
    """
    terms = {'pix_loss': (pixel_loss_weight, pixel_loss), 'gra_loss': (gradient_loss_weight, gradient_loss)}
    return _with_total({name: weight * loss(out, ir, vi)[0] for name, (weight, loss) in terms.items() if weight})


def _with_total(losses):
    return {**losses, 'total_loss': sum(losses.values())}
