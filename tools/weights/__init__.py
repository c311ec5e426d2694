"""Weights files, the original's and ours, and the networks built from them.

May use: base, runtime, data, network.
"""
