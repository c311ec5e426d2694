"""Stage 1: the auto-encoder that learns the features of one modality (original: network/net_autoencoder.py)."""
from network.layers import ConvLayer, MaxPool2, Network, Upsample2
from network.loss import autoencoder_losses
from network.padding import pad_to
from tools.runtime import nn

MAX_VALUE = 255  # images enter and leave with values 0…255


def to_unit_range(x):
    """0…255 → 0…1, rounded as a division is.

    In float32 the compiler multiplies by 1/255 instead, which puts half of the 256 gray levels off by one bit.
    """
    return (x.float64() / MAX_VALUE).float32()


class Dense_Block(nn.Module):
    """num_layers densely connected convolutions, then one to dense_out channels: (N, in, H, W) → (N, dense_out, H, W).

    Each convolution takes the input of the one before it and, behind that, its output.
    """

    def __init__(self, num_layers, in_channels, out_channels, dense_out):
        self.num_layers = num_layers
        for i in range(num_layers):
            setattr(self, f'dense_conv{i}', ConvLayer(in_channels + i * out_channels, out_channels))
        self.adjust_conv = ConvLayer(in_channels + num_layers * out_channels, dense_out)

    def execute(self, x):
        maps = [x]  # of in + i · out channels together
        for i in range(self.num_layers):
            maps.append(getattr(self, f'dense_conv{i}')(maps))
        return self.adjust_conv(maps)


class Encoder(nn.Module):
    """(N, 1, H, W) in 0…1 → shallow features (N, 32, H, W) and deep features (N, 128, H//8, W//8)."""

    def __init__(self, in_channels, out_channels1, out_channels, num_layers, dense_out):
        self.conv1 = ConvLayer(in_channels, out_channels1)
        self.pool = MaxPool2()
        self.dense_blocks = nn.Sequential(
            Dense_Block(num_layers, out_channels1, out_channels, dense_out), MaxPool2(),
            Dense_Block(num_layers, dense_out, out_channels, dense_out), MaxPool2())

    def execute(self, x):
        shallow = self.conv1(x)
        return shallow, self.dense_blocks(self.pool(shallow))


class Decoder_rec(nn.Module):
    """Shallow (N, 32, H, W) and deep features (N, 128, H//8, W//8) → image (N, 1, H, W) in 0…1."""

    def __init__(self, in_channels, out_channels, train_flag):
        self.train_flag = train_flag
        self.conv1 = ConvLayer(in_channels, in_channels // 2)
        self.up = Upsample2()
        self.conv_block = nn.Sequential(
            ConvLayer(in_channels // 2, in_channels // 2), Upsample2(),
            ConvLayer(in_channels // 2, in_channels // 4), Upsample2())
        self.conv_last = ConvLayer(in_channels // 4, out_channels, kernel_size=1)

    def execute(self, shallow, deep):
        out = self.conv_block(self.up(self.conv1(deep)))  # (N, 32, 8 * (H//8), 8 * (W//8))
        if not self.train_flag:
            out = pad_to(out, *shallow.shape[2:])
        return self.conv_last(out + shallow)


class Auto_Encoder_single(Network):
    """The auto-encoder of one modality. Images are (N, 1, H, W) with values 0…255.

    train_flag: True expects sides that are multiples of 8; False pads the decoder's output back to any size.
    part_out: channels that the decoder takes, those that the encoder gives (dense_out).
    loss_weights, ssim_val_range: for `train_module` alone, see network.loss.autoencoder_losses.
    """
    of_training, in_strips = ('train_flag', 'loss_weights', 'ssim_val_range'), 'fea_encoder1'

    def __init__(self, in_channels=1, out_channels=1, en_out_channels1=32, en_out_channels=64, num_layers=3,
                 dense_out=128, part_out=128, train_flag=True, loss_weights=(1.0, 10000.0), ssim_val_range=255.0):
        self.loss_weights, self.ssim_val_range = loss_weights, ssim_val_range
        self.fea_encoder1 = Encoder(in_channels, en_out_channels1, en_out_channels, num_layers, dense_out)
        self.recon_decoder1 = Decoder_rec(part_out, out_channels, train_flag)
        # The features do not need it
        self.recon_decoder1.for_training = [name for name, _ in self.recon_decoder1.named_parameters()]

    def execute(self, x):
        """Features of x: shallow (N, 32, H, W) and deep (N, 128, H//8, W//8)."""
        return self.fea_encoder1(to_unit_range(x))

    def shallow(self, x):
        """The shallow features alone."""
        return self.fea_encoder1.conv1(to_unit_range(x))

    def reconstruct(self, x):
        """{'recons1': the reconstruction (N, 1, H, W) of x, 0…255}."""
        return {'recons1': self.recon_decoder1(*self(x)) * MAX_VALUE}

    reconsturce = reconstruct  # the original's spelling

    def train_module(self, x):
        """The reconstruction 'out' of x (N, 1, H, W), and its losses as `autoencoder_losses` gives them."""
        out = self.reconstruct(x)['recons1']
        return {'out': out, **autoencoder_losses(out, x, *self.loss_weights, self.ssim_val_range)}
