"""Which weights a loss reaches, by a walk over Jittor's graph: the proof of what the networks say of themselves."""
import re

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
