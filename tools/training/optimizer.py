"""Adam in PyTorch's formula."""
import numpy as np

from tools.base.errors import UserError
from tools.runtime import jt
from tools.runtime.processes import mean_over_processes


class Adam:
    """Adam with L2 weight decay (added to the gradient), as torch.optim.Adam computes it.

    Jittor's adds eps before the bias correction of the second moment, so that it acts up to 31.6 times larger in the
    first steps. A parameter that the loss does not reach decays here, where PyTorch would leave it alone, since Jittor does not tell
    which these are: networks mark them (network.layers.unread), so that they require no gradient.
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
        """One step down the gradient of `loss`, a Var of one element; if several processes share a batch, of the mean of theirs."""
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
            raise UserError('the saved state is of another network or version: start a new run')
        self.steps = int(arrays['adam/steps'])
        for i, (first, second) in enumerate(zip(self.first_moments, self.second_moments)):
            first.update(jt.array(arrays[f'adam/first/{i}']))
            second.update(jt.array(arrays[f'adam/second/{i}']))
