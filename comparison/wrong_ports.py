"""Deliberately wrong ports: the Jittor side with one mistake each. A comparison that cannot tell them
from the original is too weak."""
from comparison.jittor_side import JittorSide
from comparison.worker import serve
from network.variants import DEEP_SHARES
from tools.runtime import nn
from tools.training.optimizer import Adam
from tools.weights.checkpoint import load_weights
from tools.weights.networks import build_fusion

SIGNED, BOUNDED = DEEP_SHARES


class JittorsAdam(nn.Adam):
    """Jittor's own Adam, which adds eps before the bias correction of the second moment; its state as that of ours."""

    def __init__(self, parameters, lr, weight_decay):
        super().__init__(parameters, lr, weight_decay=weight_decay)
        group, = self.param_groups
        self.parameters, self.first_moments, self.second_moments = group['params'], group['m'], group['values']

    def state(self):
        self.steps = self.n_step
        return Adam.state(self)

    def load_state(self, arrays):
        Adam.load_state(self, arrays)
        self.n_step = self.steps


class OwnAdam(JittorSide):
    """Trains with Jittor's Adam, as a port would that takes it for PyTorch's."""

    def adam(self, model, lr, weight_decay):
        return JittorsAdam([parameter for parameter in model.parameters() if parameter.requires_grad], lr, weight_decay)


class AbsoluteShares(JittorSide):
    """Trains with absolute values where the original weighs deep features by sums with their signs."""

    def fusion_network(self, path, train_flag):
        return build_fusion(arrays=load_weights(path).arrays, path=path, train_flag=train_flag, deep_shares=BOUNDED)


MISTAKES = {'own_adam': OwnAdam, 'absolute_shares': AbsoluteShares}  # as comparison.sides.WRONG names them


def with_mistake(mistake, **arguments):
    """The side that makes one of MISTAKES."""
    return MISTAKES[mistake](**arguments)


if __name__ == '__main__':
    serve(with_mistake)
