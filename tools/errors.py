"""Errors that the user can mend, and how a script shows them."""
import sys
import warnings

from tools.processes import together

INTERRUPTED = 130  # the shell's exit code for Ctrl-C


class UserError(Exception):
    """A bad file, setting or machine. The message says what is wrong, where, and what to do; no traceback is shown."""


def run_script(main, shared=False):
    """Run `main()` as a script, and end the program.

    shared: whether several processes, started by mpirun, can share its work; if not, it refuses to be several.
    The exit code is what it returns (None is 0); 1 after a UserError, printed as `error: …`; 130 after Ctrl-C. Warnings
    are printed as `warning: …`, without the line of code that gives them.
    """
    warnings.formatwarning = lambda message, *_, **__: f'warning: {message}\n'
    try:
        with together(shared):
            code = main()
    except UserError as error:
        print(f'error: {error}', file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print('stopped', file=sys.stderr)
        code = INTERRUPTED
    sys.exit(code)
