"""How a training run is stopped: Ctrl-C lets it end the step in progress."""
import contextlib
import os
import signal

from tools.base.mpi import FIRST

STDERR = 2
# SIGUSR1: of batch systems, before the time is up; mpirun forwards it to each of several processes, and
# answers the others by killing them.
STOP_SIGNALS = signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1
STOPPING = b'\nstopping after this step (Ctrl-C again: at once, back to the last saved state)\n'


class Stopping:
    """Between `heed` and `release` a first Ctrl-C, or another signal of STOP_SIGNALS, only sets `asked`; a
    second one ends all at once."""

    def __init__(self):
        self.asked = False

    def heed(self):
        heeded = [number for number in STOP_SIGNALS if number != signal.SIGHUP
                  or signal.getsignal(number) != signal.SIG_IGN]  # nohup
        self.previous_handlers = {number: signal.signal(number, self._interrupt) for number in heeded}

    def release(self):
        for number, handler in self.previous_handlers.items():
            signal.signal(number, handler)

    def _interrupt(self, number, frame):
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        if FIRST:
            with contextlib.suppress(OSError):  # of a terminal that was closed
                os.write(STDERR, STOPPING)  # not print, which this may have interrupted
