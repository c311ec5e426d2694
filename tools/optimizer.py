"""Adam in PyTorch's formula."""
import re

import numpy as np

from tools.runtime import jt


def reached_by(loss, parameters):
    """Which of the parameters the gradient of `loss` reaches, a list of bool (in PyTorch, whose `.grad` is not None).

    Jittor does not tell: it gives zeros for the others. So this walks its graph backward from the loss.
    """
    graph = jt.dump_all_graphs()
    variables = {}  # id of a Var → its place in the graph's lists
    for place, node in enumerate(graph.nodes_info):
        if node.startswith('Var('):
            variables[_id(node)] = place
    stops = {place for place in variables.values() if graph.nodes_info[place].split(',')[0].endswith(':g0')}
    targets = {variables.get(_id(parameter.debug_msg())): index for index, parameter in enumerate(parameters)}
    seen, stack = set(), [variables[_id(loss.debug_msg())]]
    while stack:
        place = stack.pop()
        if place not in seen and (place not in stops or place in targets):
            seen.add(place)
            stack += graph.inputs[place]
    return [variables.get(_id(parameter.debug_msg())) in seen for parameter in parameters]


def _id(node):
    return re.match(r'Var\((\d+)', node).group(1)


class Adam:
    """Adam with L2 weight decay (added to the gradient), as torch.optim.Adam computes it.

    Jittor's adds eps before the bias correction of the second moment, so that it acts up to 31.6 times larger in the
    first steps, and lets weights decay that the loss does not reach; here, as in PyTorch, those are left alone.
    """

    def __init__(self, parameters, lr, weight_decay=0.0, betas=(0.9, 0.999), eps=1e-8):
        """parameters: the Vars to train; those that require no gradient are passed over. TypeError for other things."""
        parameters = list(parameters)
        for parameter in parameters:
            if not isinstance(parameter, jt.Var):
                raise TypeError(f'Adam takes a list of Vars, not of {type(parameter).__name__}')
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self.lr, self.weight_decay, self.betas, self.eps = lr, weight_decay, betas, eps
        self.first_moments = [jt.zeros_like(parameter).stop_grad() for parameter in self.parameters]
        self.second_moments = [jt.zeros_like(parameter).stop_grad() for parameter in self.parameters]
        self.steps = 0
        self.reached = None  # places of the parameters that the loss reaches: up to the network, so found out once

    def step(self, loss):
        """One step down the gradient of `loss`, a Var of one element, the same function of the parameters each time."""
        if self.reached is None:
            self.reached = [i for i, yes in enumerate(reached_by(loss, self.parameters)) if yes]
        self.steps += 1
        gradients = jt.grad(loss, [self.parameters[i] for i in self.reached], retain_graph=False)
        for i, gradient in zip(self.reached, gradients):
            self._update(i, gradient)
        jt.sync(self.parameters + self.first_moments + self.second_moments)

    def _update(self, i, gradient):
        parameter, (beta1, beta2) = self.parameters[i], self.betas
        gradient = gradient + self.weight_decay * parameter
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
        """Take back what `state` gave."""
        self.steps = int(arrays['adam/steps'])
        for i, (first, second) in enumerate(zip(self.first_moments, self.second_moments)):
            first.update(jt.array(arrays[f'adam/first/{i}']))
            second.update(jt.array(arrays[f'adam/second/{i}']))
