"""Fusing: arrays, folders, and the pictures beside the results.

May use: base, runtime, data, network, weights, scenes, evaluation.
"""
