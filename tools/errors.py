"""Errors that the user can mend, and how a script shows them."""
import sys

INTERRUPTED = 130  # the shell's exit code for Ctrl-C


class UserError(Exception):
    """A bad file, setting or machine. The message says what is wrong, where, and what to do; it is shown without a traceback."""


def run_script(main):
    """Run `main()` as a script: its return value (None or an int) is the exit code, a UserError becomes one line and exit code 1."""
    try:
        code = main()
    except UserError as error:
        print(f'error: {error}', file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print('stopped', file=sys.stderr)
        code = INTERRUPTED
    sys.exit(code)
