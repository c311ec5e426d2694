"""CAM, the cross-attention module of the paper (original: network/transformer_cam.py).

It works on windows of the deep features of both modalities. Inside, a window is a grid of 2×2 patches, and each patch a
token whose values are ordered channel, row, column: (N, 128, 32, 32) ↔ (N, 256, 512).
"""
from network.layers import LayerNorm, Linear, unread
from network.operators import batched_matmul, softmax
from tools.runtime import nn


def to_tokens(x, patch_size):
    """(N, C, H, W) → tokens (N, H/p * W/p, C*p*p)."""
    n, c, h, w = x.shape
    p = patch_size
    x = x.reshape(n, c, h // p, p, w // p, p).transpose(0, 2, 4, 1, 3, 5)  # (N, H/p, W/p, C, p, p)
    return x.reshape(n, (h // p) * (w // p), c * p * p)


def to_map(tokens, size, patch_size):
    """Tokens of a size×size window, (N, (size/p)², C*p*p), → (N, C, size, size)."""
    n, _, dim = tokens.shape
    p, grid = patch_size, size // patch_size
    x = tokens.reshape(n, grid, grid, dim // (p * p), p, p).transpose(0, 3, 1, 4, 2, 5)  # (N, C, grid, p, grid, p)
    return x.reshape(n, dim // (p * p), size, size)


class MLP(nn.Module):
    """Two linear layers with exact (erf) GELU between them."""

    def __init__(self, in_features, hidden_features, out_features):
        self.fc1 = Linear(in_features, hidden_features)
        self.fc2 = Linear(hidden_features, out_features)

    def execute(self, x):
        return self.fc2(nn.gelu(self.fc1(x)))


class Attention(nn.Module):
    """Multi-head attention. Self: (x) → (N, T, D). Cross: (query, key, value) → (N, T, D), with softmax(−q·kᵀ·scale):

    a token attends to what does *not* correlate with it, the point of the paper (its equation of the cross attention).
    """

    def __init__(self, dim, n_heads, qkv_bias, cross):
        self.n_heads, self.cross = n_heads, cross
        self.scale = (dim // n_heads) ** -0.5
        self.qkv = Linear(dim, dim * 3, bias=qkv_bias)
        if cross:
            unread(self.qkv)
            self.q_linear = Linear(dim, dim, bias=qkv_bias)
            self.k_linear = Linear(dim, dim, bias=qkv_bias)
            self.v_linear = Linear(dim, dim, bias=qkv_bias)
        self.proj = Linear(dim, dim)

    def execute(self, query, key=None, value=None):
        n, t, dim = query.shape
        if self.cross:
            q, k, v = self.q_linear(query), self.k_linear(key), self.v_linear(value)
        else:
            qkv = self.qkv(query)  # (N, T, 3*D)
            q, k, v = (qkv[:, :, i * dim:(i + 1) * dim] for i in range(3))
        out = batched_matmul(self.weights(q, k), self.heads(v)).transpose(0, 2, 1, 3).reshape(n, t, dim)
        return self.proj(out)

    def heads(self, x):
        """(N, T, D) → (N, heads, T, D/heads)."""
        n, t, dim = x.shape
        return x.reshape(n, t, self.n_heads, dim // self.n_heads).transpose(0, 2, 1, 3)

    def weights(self, q, k):
        """How much each token of q takes from each of k, (N, T, D) both → (N, heads, T, T), whose rows sum to 1."""
        return softmax(batched_matmul(self.heads(q), self.heads(k), -self.scale if self.cross else self.scale,
                                      b_swapped=True))


class Block(nn.Module):
    """A pre-norm transformer block. Self: x → x. Cross: (query, key, value) → the same three for the next block.

    attention: options of `Attention`. They and mlp_ratio are handed down to here from `Trans_FuseNet`, as `block`.
    """

    def __init__(self, dim, mlp_ratio, cross=False, **attention):
        self.cross = cross
        self.norm1 = LayerNorm(dim)
        self.attn = Attention(dim, cross=cross, **attention)
        self.norm2 = LayerNorm(dim)
        self.mlp = MLP(dim, int(dim * mlp_ratio), dim)

    def execute(self, x):
        if not self.cross:
            x = x + self.attn(self.norm1(x))
            return x + self.mlp(self.norm2(x))
        query, key, value = x
        normed_query = self.norm1(query)
        out = value + self.attn(normed_query, self.norm1(key), self.norm1(value))
        out = out + self.mlp(self.norm2(out))
        return normed_query, out, out


class self_atten_module(nn.Module):
    """Self-attention blocks on the tokens of one modality."""

    def __init__(self, embed_dim, depth, **block):
        self.blocks = nn.ModuleList([Block(embed_dim, **block) for _ in range(depth)])
        self.norm = unread(LayerNorm(embed_dim))  # the original does not apply it

    def execute(self, tokens):
        for block in self.blocks:
            tokens = block(tokens)
        return tokens


class cross_atten_module(nn.Module):
    """Cross-attention blocks: tokens of a look at tokens of b, (a, b) → the tokens that b is replaced by."""

    def __init__(self, embed_dim, depth, **block):
        self.blocks = nn.ModuleList([Block(embed_dim, cross=True, **block) for _ in range(depth)])
        self.norm = LayerNorm(embed_dim)

    def attention(self, a, b):
        """How much each token of a takes from each of b in the first block: (N, heads, T, T), whose rows sum to 1."""
        first = self.blocks[0]
        return first.attn.weights(first.attn.q_linear(first.norm1(a)), first.attn.k_linear(first.norm1(b)))

    def execute(self, a, b):
        x = (a, b, b)
        for block in self.blocks:
            query, key, value = block(x)
            x = (query, key, self.norm(value))
        return x[2]


class self_atten(nn.Module):
    """The self-attention of both modalities, each with its own weights."""

    def __init__(self, embed_dim, depth, **block):
        self.self_atten1 = self_atten_module(embed_dim, depth, **block)
        self.self_atten2 = self_atten_module(embed_dim, depth, **block)

    def execute(self, ir, vi):
        return self.self_atten1(ir), self.self_atten2(vi)


class cross_atten(nn.Module):
    """The cross-attention in both directions: (ir, vi) → (their sum, ir looking at vi, vi looking at ir)."""

    def __init__(self, embed_dim, depth, **block):
        self.cross_atten1 = cross_atten_module(embed_dim, depth, **block)
        self.cross_atten2 = cross_atten_module(embed_dim, depth, **block)

    def execute(self, ir, vi):
        cross1, cross2 = self.cross_atten1(ir, vi), self.cross_atten2(vi, ir)
        return cross1 + cross2, cross1, cross2


class cross_encoder(nn.Module):
    """CAM: self-attention in each modality, again on the window rolled by half its size, then cross-attention.

    fusion: the module that merges the two token sets, (ir, vi) → (fused, ir part, vi part); None
    for the paper's `cross_atten`.
    p, attn_p: the original's dropout, which it leaves at 0. ValueError for others: a run that
    goes on would not repeat them.
    """

    def __init__(self, img_size=32, patch_size=2, embed_dim=512, depth_self=1, depth_cross=1, n_heads=16, mlp_ratio=4.,
                 qkv_bias=True, p=0., attn_p=0., fusion=None, **attention):
        if p or attn_p:
            raise ValueError(f'there is no dropout here: p and attn_p must be 0, not {p} and {attn_p}')
        self.img_size, self.patch_size = img_size, patch_size
        block = dict(n_heads=n_heads, mlp_ratio=mlp_ratio, qkv_bias=qkv_bias, **attention)
        self.self_atten_block1 = self_atten(embed_dim, depth_self, **block)
        self.self_atten_block2 = self_atten(embed_dim, depth_self, **block)
        self.cross_atten_block = fusion or cross_atten(embed_dim, depth_cross, **block)

    def roll_half(self, tokens):
        """Roll the window by half its height and width; doing it twice gives the window back."""
        n, t, dim = tokens.shape
        grid, half = self.img_size // self.patch_size, self.img_size // self.patch_size // 2
        tokens = tokens.reshape(n, grid, grid, dim)
        rolled = tokens.reindex(tokens.shape, ['i0', f'(i1+{half})%{grid}', f'(i2+{half})%{grid}', 'i3'])
        return rolled.reshape(n, t, dim)

    def attention(self, ir, vi):
        """Where the cross-attention looks, for windows (N, 128, 32, 32): infrared tokens at visible ones, and visible
        ones at infrared ones, each (N, heads, 256, 256) as `cross_atten_module.attention` gives them."""
        _, _, _, ir2, vi2, *_ = self(ir, vi)
        ir2, vi2 = to_tokens(ir2, self.patch_size), to_tokens(vi2, self.patch_size)
        cross = self.cross_atten_block
        return cross.cross_atten1.attention(ir2, vi2), cross.cross_atten2.attention(vi2, ir2)

    def execute(self, ir, vi, shift_flag=True):
        """Windows (N, 128, 32, 32) of both modalities → seven maps of that shape:

        the fused one; infrared and visible after the first and after the second
        self-attention; the two cross-attentions.
        """
        ir1, vi1 = self.self_atten_block1(to_tokens(ir, self.patch_size), to_tokens(vi, self.patch_size))
        if shift_flag:
            rolled = self.self_atten_block2(self.roll_half(ir1), self.roll_half(vi1))
            ir2, vi2 = self.roll_half(rolled[0]), self.roll_half(rolled[1])
        else:
            ir2, vi2 = self.self_atten_block2(ir1, vi1)
        fused, cross1, cross2 = self.cross_atten_block(ir2, vi2)
        return tuple(to_map(tokens, self.img_size, self.patch_size)
                     for tokens in (fused, ir1, vi1, ir2, vi2, cross1, cross2))
