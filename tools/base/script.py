"""What a script prints, and how it ends."""
import contextlib
import io
import os
import sys
import warnings

from tools.base.errors import ESCAPED, EXPLAINERS, INTERRUPTED, UserError
from tools.base.mpi import together


class Output:
    """A text stream to which writing does not fail, since what a script does matters more than what it says of it.

    Characters that the stream cannot encode are written as escapes. Where the reader is gone (`| head`), the terminal
    was closed or the disk is full, the rest is dropped; `error` is the reason then, else None.
    """

    def __init__(self, stream):
        self.stream = stream or open(os.devnull, 'w', errors=ESCAPED)  # None if the script was started with it closed
        self.error = None
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ESCAPED)

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def write(self, text):
        with self._dropping():
            self.stream.write(text)
        return len(text)

    def flush(self):
        with self._dropping():
            self.stream.flush()

    @contextlib.contextmanager
    def _dropping(self):
        try:
            yield
        except OSError as error:
            self.error = error
            with open(os.devnull, 'w') as nowhere:  # where the stream's buffer goes, too, which could not be written
                os.dup2(nowhere.fileno(), self.stream.fileno())


def run_script(main, shared=False):
    """Run `main()` as a script, and end the program.

    shared: whether several processes, started by mpirun, can share its work; if not, it refuses to be several.
    The exit code is what it returns (None is 0); 1 after a UserError, printed as `error: …`, and where memory
    has run out, or the disk for what is printed; 130 after Ctrl-C. Warnings are printed as `warning: …`, without
    the line of code that gives them.
    """
    warnings.formatwarning = lambda message, *_, **__: f'warning: {message}\n'
    output = Output(sys.stdout)
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(Output(sys.stderr)):  # type: ignore  # as good as streams
        try:
            with together(shared):
                code = main()
        except SystemExit as end:
            code = end.code
        except UserError as error:
            print(f'error: {error}', file=sys.stderr)
            code = 1
        except MemoryError as error:
            print(f'error: there was not enough memory ({error or "no details are known"})', file=sys.stderr)
            code = 1
        except RuntimeError as error:
            reason = next(filter(None, (explain(error) for explain in EXPLAINERS)), None)
            if reason is None:
                raise
            print(f'error: {reason}', file=sys.stderr)
            code = 1
        except KeyboardInterrupt:
            # What Ctrl-C left half made, such as a progress bar, may fail as it is thrown away
            sys.unraisablehook = lambda _: None
            print('stopped', file=sys.stderr)
            code = INTERRUPTED
        output.flush()
        if output.error and not isinstance(output.error, BrokenPipeError):
            print(f'error: a part of the output is lost: {output.error.strerror}', file=sys.stderr)
            code = code or 1
    sys.exit(code)
