"""Errors that the user can mend."""

INTERRUPTED = 130  # the shell's exit code for Ctrl-C
# How text is written that an encoding cannot hold, as parts of file names in another one: \udce9
ESCAPED = 'backslashreplace'
# Functions of a RuntimeError that a library raised: what the user can do about it, or None if it is not theirs to
# explain. Whoever loads the library enters one.
EXPLAINERS = []


class UserError(Exception):
    """A bad file, setting or machine. The message says what is wrong, where, and what to do; no traceback is shown."""
