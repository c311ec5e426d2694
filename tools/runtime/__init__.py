"""Jittor and what it needs: the machine checked and set up, the import, several processes.

May use: base.

`from tools.runtime import jt, nn` is how every file gets Jittor. It is imported then, and not with this room: what checks the machine
(`python -m tools.runtime.setup`) comes before, and evaluation shares its work among processes without Jittor.
"""
import importlib

OF_JITTOR = 'jt', 'nn', 'usual_jittor', 'use_device', 'ran_out_of_memory', 'set_seed'


def __getattr__(name):
    if name not in OF_JITTOR:
        raise AttributeError(f'module {__name__} has no attribute {name}')
    return getattr(importlib.import_module('tools.runtime.loading'), name)
