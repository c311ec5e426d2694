"""Which files belong together, what is in them, and how they come as batches: lists, pairs, images, value ranges, kept features.

May use: base, runtime.
"""
