"""What a network costs: parameters, multiply–adds, time.

May use: base, runtime, network, weights.
"""
