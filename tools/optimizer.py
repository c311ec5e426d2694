"""Adam, under the name by which other programs import it."""
from tools.training.optimizer import Adam

__all__ = ['Adam']
