"""load_fuser, under the name by which earlier versions had it."""
from tools.fusing.fuser import load_fuser

__all__ = ['load_fuser']
