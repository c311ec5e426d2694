"""The optimisers: Adam in PyTorch's formula, and Jittor's own."""
from pydoc import locate

import numpy as np

from tools.base.errors import UserError
from tools.runtime import jt
from tools.runtime.processes import mean_over_processes
from tools.training.optimizers import OPTIMIZERS

OTHER_STATE = 'the saved state is of another network, optimiser or version: start a new run'


def new_optimizer(name, parameters, lr, weight_decay):
    """One of OPTIMIZERS for the Vars `parameters`, with `step(loss)`, `lr`, `state()` and `load_state(arrays)`."""
    kind = locate(OPTIMIZERS[name])
    return kind(parameters, lr, weight_decay) if kind is Adam else OfJittor(kind, parameters, lr, weight_decay)


class Adam:
    """Adam with L2 weight decay (added to the gradient), as torch.optim.Adam computes it.

    Jittor's adds eps before the bias correction of the second moment, so that it acts up to 31.6 times larger in the
    first steps. A parameter that the loss does not reach decays here, where PyTorch would leave it alone, since Jittor
    does not tell which these are: networks mark them (network.layers.unread), so that they require no gradient.
    """

    def __init__(self, parameters, lr, weight_decay=0.0, betas=(0.9, 0.999), eps=1e-8):
        """parameters: the Vars to train; those that require no gradient are passed over. TypeError for other things.

        Or groups of them, as in PyTorch: dicts of 'params', and of 'weight_decay' where the group has one of its own.
        """
        parameters = list(parameters)
        groups = parameters if parameters and isinstance(parameters[0], dict) else [{'params': parameters}]
        self.parameters, self.weight_decays = [], []
        for group in groups:
            for parameter in group['params']:
                if not isinstance(parameter, jt.Var):
                    raise TypeError(f'Adam takes a list of Vars, not of {type(parameter).__name__}')
                if parameter.requires_grad:
                    self.parameters.append(parameter)
                    self.weight_decays.append(group.get('weight_decay', weight_decay))
        self.lr, self.betas, self.eps = lr, betas, eps
        self.first_moments = [jt.zeros_like(parameter).stop_grad() for parameter in self.parameters]
        self.second_moments = [jt.zeros_like(parameter).stop_grad() for parameter in self.parameters]
        self.steps = 0

    def step(self, loss):
        """One step down the gradient of `loss`, a Var of one element; if several processes share a
        batch, of the mean of theirs."""
        self.steps += 1
        for i, gradient in enumerate(jt.grad(loss, self.parameters, retain_graph=False)):
            self._update(i, gradient)
        jt.sync(self.parameters + self.first_moments + self.second_moments)

    def _update(self, i, gradient):
        parameter, (beta1, beta2) = self.parameters[i], self.betas
        gradient = mean_over_processes(gradient) + self.weight_decays[i] * parameter
        first = beta1 * self.first_moments[i] + (1 - beta1) * gradient
        second = beta2 * self.second_moments[i] + (1 - beta2) * gradient.sqr()
        deviation = second.sqrt() / (1 - beta2 ** self.steps) ** 0.5 + self.eps
        self.first_moments[i].update(first)
        self.second_moments[i].update(second)
        parameter.update(parameter - self.lr / (1 - beta1 ** self.steps) * first / deviation)

    def state(self):
        """Moments and number of steps as named arrays, to be saved."""
        arrays = {'adam/steps': np.array(self.steps)}
        for i, (first, second) in enumerate(zip(self.first_moments, self.second_moments)):
            arrays[f'adam/first/{i}'], arrays[f'adam/second/{i}'] = first.numpy(), second.numpy()
        return arrays

    def load_state(self, arrays):
        """Take back what `state` gave. UserError if it is of other parameters."""
        shapes = {name: array.shape for name, array in arrays.items() if name.startswith('adam/first/')}
        if shapes != {f'adam/first/{i}': tuple(parameter.shape) for i, parameter in enumerate(self.parameters)}:
            raise UserError(OTHER_STATE)
        self.steps = int(arrays['adam/steps'])
        for i, (first, second) in enumerate(zip(self.first_moments, self.second_moments)):
            first.update(jt.array(arrays[f'adam/first/{i}']))
            second.update(jt.array(arrays[f'adam/second/{i}']))


class OfJittor:
    """An optimiser of jittor.optim, which is resumed as `Adam` is. weight_decay: as it has it, decoupled in AdamW."""

    MOMENTS = 'values', 'm'  # its names for them, in each group of parameters

    def __init__(self, kind, parameters, lr, weight_decay=0.0):
        """kind: its class. parameters: the Vars to train; those that require no gradient are passed over."""
        self.optimizer = kind([parameter for parameter in parameters if parameter.requires_grad], lr,
                              weight_decay=weight_decay)

    @property
    def lr(self):
        return self.optimizer.lr

    @lr.setter
    def lr(self, lr):
        self.optimizer.lr = lr

    def step(self, loss):
        """One step down the gradient of `loss`, a Var of one element."""
        self.optimizer.step(loss)
        jt.sync([*self.optimizer.param_groups[0]['params'], *self._moments().values()])

    def _moments(self):
        group, = self.optimizer.param_groups
        return {f'optimizer/{name}/{i}': moment for name in self.MOMENTS
                for i, moment in enumerate(group.get(name, ()))}

    def state(self):
        """Moments and number of steps as named arrays, to be saved."""
        return {'optimizer/steps': np.array(self.optimizer.n_step),
                **{name: one.numpy() for name, one in self._moments().items()}}

    def load_state(self, arrays):
        """Take back what `state` gave. UserError if it is of another optimiser or other parameters."""
        moments = self._moments()
        shapes = {name: array.shape for name, array in arrays.items() if name.startswith('optimizer/')
                  and name != 'optimizer/steps'}
        if shapes != {name: tuple(moment.shape) for name, moment in moments.items()} or 'optimizer/steps' not in arrays:
            raise UserError(OTHER_STATE)
        self.optimizer.n_step = int(arrays['optimizer/steps'])
        for name, moment in moments.items():
            moment.update(jt.array(arrays[name]))
