"""All functions of the metrics' package by their names."""
from types import SimpleNamespace

from tools.evaluation.metrics import features, information, perception, phase, similarity

m = SimpleNamespace(**{name: value for module in (features, information, perception, phase, similarity)
                       for name, value in vars(module).items()})
