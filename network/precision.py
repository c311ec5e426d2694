"""Mixed precision: convolutions and matrix products compute in float16, all else stays float32.

Those two take nearly all the time, and take float16 well. What does not never meets a float16 value, since results are
converted back at once: min–max normalisation, divisions by sums (1e-6 is zero in float16), losses, SSIM (squares
overflow beyond 65504), means and variances, the optimiser. Nor do the weights, which are converted for each use.
The switch is Jittor's own flag.
"""
from tools.runtime import jt, nn
from network.cpu_convolution import CPUConvolution, computes_on_cpu

OFF = 0
# Jittor's flag amp_level: float16 stays float16, nothing else becomes it, and a gradient has the type of its value.
# (At 4 to 6 Jittor itself turns float32 into float16, losses and optimiser included, but not the weights, so that the
# operands of a convolution differ in type, which it cannot compute.)
MIXED = 3


def use_mixed_precision(wanted, device):
    """Switch mixed precision on if `wanted` and the device is 'cuda', else off."""
    if wanted and device != 'cuda':
        print('mixed_precision = True is for the GPU; on the CPU it is ignored')
    jt.flags.amp_level = MIXED if wanted and device == 'cuda' else OFF


def in_float16(operation, *operands):
    """The float32 result of an operation on float32 Vars, under mixed precision computed in float16."""
    if jt.flags.amp_level != MIXED:
        return operation(*operands)
    return operation(*(operand.float16() for operand in operands)).float32()


class Conv2d(nn.Conv2d):
    """nn.Conv2d that follows mixed precision; with stride 1 and bias, without groups or dilation."""

    def execute(self, x):
        if computes_on_cpu() and jt.flags.amp_level != MIXED:
            return CPUConvolution(self.padding)(x, self.weight, self.bias)
        out = in_float16(lambda *operands: nn.conv2d(*operands, padding=self.padding), x, self.weight)
        return out + self.bias.broadcast(out.shape, [0, 2, 3])


class Linear(nn.Linear):
    """nn.Linear that follows mixed precision."""

    def execute(self, x):
        out = in_float16(nn.matmul_transpose, x, self.weight)
        return out if self.bias is None else out + self.bias
