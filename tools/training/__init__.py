"""A training run: its folder, what it writes, how it stops and goes on; the optimiser.

May use: base, runtime, data, weights.
"""
