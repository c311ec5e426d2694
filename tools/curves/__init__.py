"""Loss curves: logs of any kind are read, and drawn. No Jittor.

May use: base, data.
"""
