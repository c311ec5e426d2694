"""Drawn scenes, to train and to test on where no data set is at hand. No Jittor.

May use: base, data.
"""
