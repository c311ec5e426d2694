"""What every room stands on: errors, files, settings, tables, figures, threads, what a script prints and how it ends,
the numbers that mpirun gives, the name of the machine. No Jittor.

May use: nothing of ours.
"""
