"""The ablation that merges the modalities by convolutions instead of cross-attention."""
from network.layers import Conv2d
from network.transformer_cam import to_map, to_tokens
from tools.runtime import jt, nn


class CNN_fusion(nn.Module):
    """Two zero-padded 3×3 convolutions on both modalities' windows, in place of `cross_atten`.

    Tokens (N, T, D) of both modalities → (their fusion, twice more the same: there are no two directions here).
    """

    def __init__(self, channels=128, img_size=32, patch_size=2):
        self.img_size, self.patch_size = img_size, patch_size
        self.conv1 = Conv2d(2 * channels, channels, 3, padding=1)
        self.conv2 = Conv2d(channels, channels, 3, padding=1)

    def execute(self, ir, vi):
        maps = [to_map(tokens, self.img_size, self.patch_size) for tokens in (ir, vi)]
        fused = self.conv2(nn.relu(self.conv1(jt.concat(maps, dim=1))))
        tokens = to_tokens(fused, self.patch_size)
        return tokens, tokens, tokens
