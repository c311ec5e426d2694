"""The networks and losses, under the original's names, and the operators they are made of.

May use: base, runtime.
"""
