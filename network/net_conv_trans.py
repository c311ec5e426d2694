"""Stage 2: the fusion network (original: network/net_conv_trans.py)."""
import numpy as np

from network.cnn_fusion import CNN_fusion
from network.layers import ConvLayer, Network, UniformFilter, Upsample2, unread
from network.loss import fusion_losses
from network.padding import pad_to_indices, reflection_pad, take
from network.transformer_cam import cross_encoder
from network.variants import DEEP_SHARES
from tools.base.errors import UserError
from tools.runtime import jt, nn

EPSILON = 1e-6
MAX_VALUE = 255
IR_SHALLOW_SHARE = 0.5  # the infrared shallow features enter with half their weight


def to_windows(x, size):
    """Cut (N, C, H, W) into size×size windows, row by row: (N * rows * columns, C, size, size).

    Reflection-pads right and bottom up to a multiple of size.
    """
    n, c, h, w = x.shape
    rows, columns = -(-h // size), -(-w // size)
    x = reflection_pad(x, right=columns * size - w, bottom=rows * size - h)
    x = x.reshape(n, c, rows, size, columns, size).transpose(0, 2, 4, 1, 3, 5)  # (N, rows, columns, C, size, size)
    return x.reshape(n * rows * columns, c, size, size)


def from_windows(windows, shape):
    """Put the windows of `to_windows` together again to `shape` (N, C, H, W), and crop the padding."""
    n, c, h, w = shape
    size = windows.shape[2]
    rows, columns = -(-h // size), -(-w // size)
    # (N, C, rows, size, columns, size)
    x = windows.reshape(n, rows, columns, c, size, size).transpose(0, 3, 1, 4, 2, 5)
    return x.reshape(n, c, rows * size, columns * size)[:, :, :h, :w]


def normalize_tensor(x):
    """Min–max normalise each image of (N, C, H, W) over its own pixels to 0…1.

    Minimum and maximum carry gradient, to one pixel each, as in PyTorch (Jittor's max and
    min give it to every tied pixel).
    """
    flat = x.reshape(x.shape[0], -1)
    low, high = jt.argmin(flat, 1)[1], jt.argmax(flat, 1)[1]
    low, high = low.reshape(-1, 1, 1, 1), high.reshape(-1, 1, 1, 1)
    return (x - low) / (high - low + EPSILON)


class Weight(nn.Module):
    """Fusion weights of the two modalities, from features (N, C, H, W) of each. They carry no gradient.

    deep_shares: one of DEEP_SHARES. 'signed', the original's: g_ir / (g_ir + g_vi) of sums that may be negative, which
    explodes where they cancel. 'bounded', a departure: |g_ir| / (|g_ir| + |g_vi|), in 0…1.
    """

    def __init__(self, channels_shallow, channels_deep, deep_shares='signed'):
        if deep_shares not in DEEP_SHARES:
            raise ValueError(f'deep_shares must be one of {", ".join(DEEP_SHARES)}, not {deep_shares!r}')
        self.deep_shares = deep_shares
        self.conv_sh = UniformFilter(channels_shallow)
        self.conv_de = UniformFilter(channels_deep)

    def for_sh(self, ir, vi):
        """By detail, |x − local mean|: two (N, C, H, W)."""
        return self._shares((ir - self.conv_sh(ir)).abs(), (vi - self.conv_sh(vi)).abs())

    def for_de(self, ir, vi):
        """By the local sum of the features: two (N, 1, H, W).

        The sums can cancel, which multiplies their rounding error: any other order of adding up (float64 too) gives
        visibly other batch statistics than the original's.
        """
        sums = self.conv_de.as_convolution(ir), self.conv_de.as_convolution(vi)
        return self._shares(*sums) if self.deep_shares == 'signed' else self._shares(*(g.abs() for g in sums))

    @staticmethod
    def _shares(ir, vi):
        total = ir + vi + EPSILON
        return (ir / total).stop_grad(), (vi / total).stop_grad()


class Decoder_fusion(nn.Module):
    """Merged deep features (N, 128, H//8, W//8) and both modalities' shallow ones (N, 32, H, W) → the fused image
    (N, 1, H, W), not yet normalised.
    """

    def __init__(self, in_channels, out_channels, train_flag, deep_start=1.0, deep_shares='signed'):
        self.train_flag = train_flag
        half, quarter = in_channels // 2, in_channels // 4
        self.conv1 = ConvLayer(in_channels, half, batch_norm=True)
        self.up = Upsample2()
        self.conv_block = nn.Sequential(
            ConvLayer(half, half, batch_norm=True), Upsample2(),
            ConvLayer(half, quarter, batch_norm=True), Upsample2(),
            ConvLayer(quarter, quarter, batch_norm=True, scale=deep_start))
        self.conv_last = ConvLayer(quarter, out_channels, kernel_size=1, batch_norm=True)
        self.weight = Weight(quarter, in_channels, deep_shares)

    def merge_deep(self, ir_de, vi_de, cam):
        """The deep features that are decoded, (N, 128, h, w) as all three arguments."""
        w_ir, w_vi = self.weight.for_de(ir_de, vi_de)
        return cam + w_ir * ir_de + w_vi * vi_de

    def merge_shallow(self, ir_sh, vi_sh):
        """What the shallow features (N, 32, H, W) of both modalities add to the upsampled deep ones: their shape."""
        w_ir, w_vi = self.weight.for_sh(ir_sh, vi_sh)
        return IR_SHALLOW_SHARE * w_ir * ir_sh + w_vi * vi_sh

    def execute(self, deep, ir_sh, vi_sh, rows=None):
        """rows: which row of the upsampled deep features stands at each row of the image; None:
        as `pad_to_indices` has it."""
        up = self.conv_block(self.up(self.conv1(deep)))  # (N, 32, 8h, 8w)
        if not self.train_flag:
            height, width = ir_sh.shape[2:]
            rows = pad_to_indices(up.shape[2], height) if rows is None else rows
            up = take(up, rows, pad_to_indices(up.shape[3], width))
        return self.conv_last(up + self.merge_shallow(ir_sh, vi_sh))


class Trans_FuseNet(Network):
    """The fusion network: the encoders' features of an infrared and a visible image → the fused image.

    img_size: rows and columns of a window of CAM, in deep features of 8×8 pixels; a multiple of 4, for rolling by half.
    train_flag: True expects one window, images of 8 * img_size pixels a side; False takes any size.
    gradient_loss_weight: for `train_module` alone, see network.loss.fusion_losses.
    deep_start: what the last batch norm of the deep path multiplies with before training. At 1, the
    original's, the untrained deep features drown the shallow ones; at 0 the network begins as a fusion of the
    shallow features and lets the deep ones in as training finds use for them (as residual branches that start
    at zero, in ResNet trainings and DiT).
    deep_shares: how the deep features are weighed, one of DEEP_SHARES (see `Weight`).
    attention: further options of `network.transformer_cam.Attention`.
    """
    of_training, in_strips = ('train_flag', 'gradient_loss_weight', 'deep_start'), 'decoder_fusion'

    def __init__(self, en_out_channels1=32, out_channels=1, part_out=128, train_flag=True, img_size=32, patch_size=2,
                 depth_self=1, depth_cross=1, n_heads=16, qkv_bias=True, mlp_ratio=4, p=0., attn_p=0.,
                 gradient_loss_weight=10.0, deep_start=1.0, deep_shares='signed', **attention):
        self.img_size, self.gradient_loss_weight = img_size, gradient_loss_weight
        self.cross_atten_block = cross_encoder(img_size, patch_size, part_out * patch_size ** 2, depth_self,
                                               depth_cross, n_heads, mlp_ratio, qkv_bias, p, attn_p,
                                               self.fusion_module(part_out, img_size, patch_size), **attention)
        laplacian = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float32)
        self.conv_gra = unread(nn.Conv2d(en_out_channels1, en_out_channels1, 3, padding=1, bias=False))
        self.conv_gra.weight.assign(np.tile(laplacian, (en_out_channels1, en_out_channels1, 1, 1)))
        self.decoder_fusion = Decoder_fusion(part_out, out_channels, train_flag, deep_start, deep_shares)

    def fusion_module(self, channels, img_size, patch_size):
        """What merges the modalities inside CAM; None: the paper's cross-attention."""
        return None

    def load_parameters(self, params):
        """As any module's, but refuses (UserError) fixed filters that are not uniform: they could
        not be computed as box sums."""
        for name in ('decoder_fusion.weight.conv_sh.weight', 'decoder_fusion.weight.conv_de.weight'):
            if name in params:
                values = np.asarray(params[name])
                if values.min() != values.max():
                    raise UserError(f'{name} in these weights is not uniform ({values.min():g} to {values.max():g}): '
                                    'they are not weights of CrossFuse, whose filter there is a plain mean')
        super().load_parameters(params)

    def attend(self, ir_de, vi_de, shift_flag):
        """CAM's maps of the deep features (N, 128, h, w), each of their shape: 'cross', the fused
        one, 'ir_self' and 'vi_self'."""
        windows = self.cross_atten_block(to_windows(ir_de, self.img_size), to_windows(vi_de, self.img_size), shift_flag)
        return {name: from_windows(maps, ir_de.shape) for name, maps in zip(('cross', 'ir_self', 'vi_self'), windows)}

    def execute(self, ir_de, ir_sh, vi_de, vi_sh, shift_flag=True, normalize=True):
        """Deep (N, 128, H//8, W//8) and shallow features (N, 32, H, W) of both modalities → {'out': …}, the fused image
        (N, 1, H, W) in 0…255, and CAM's maps 'ir_self', 'vi_self' and 'cross', each like the deep features.

        normalize: False leaves 'out' as the decoder gives it, with values of any size, for frames that share a range.
        """
        maps = self.attend(ir_de, vi_de, shift_flag)
        deep = self.decoder_fusion.merge_deep(ir_de, vi_de, maps['cross'])
        out = self.decoder_fusion(deep, ir_sh, vi_sh)
        return {'out': normalize_tensor(out) * MAX_VALUE if normalize else out, **maps}

    def train_module(self, x_ir, x_vi, ir_sh, vi_sh, ir_de, vi_de, shift_flag, gra_loss, order_loss):
        """The fused image 'out' of x_ir and x_vi (N, 1, H, W), whose features are given, and its losses
        as `fusion_losses` gives them.
        gra_loss, order_loss: network.loss.Gradient_loss and Order_loss. (The original's way to train;
        ours is train_conv_trans.py's.)"""
        out = self(ir_de, ir_sh, vi_de, vi_sh, shift_flag)['out']
        return {'out': out, **fusion_losses(out, x_ir, x_vi, gradient_loss_weight=self.gradient_loss_weight,
                                            pixel_loss=order_loss, gradient_loss=gra_loss)}


class Trans_FuseNet_CNN(Trans_FuseNet):
    """The ablation with convolutions in place of the cross-attention; the self-attention stays."""

    def fusion_module(self, channels, img_size, patch_size):
        return CNN_fusion(channels, img_size, patch_size)
