"""The comparison with the PyTorch original: the sides, in processes of their own, and the parts. May use all of ours.

The PyTorch side imports none of it: there `network` and `tools` are the original's.
"""
