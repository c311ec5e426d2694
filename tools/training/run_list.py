"""The list of the images of a run, made beside the training: to hash 20,000 pairs takes minutes,
which it need not wait for."""
import contextlib
from _thread import start_new_thread  # not threading.Thread: see tools/base/threads.py
from queue import SimpleQueue

from tools.base.errors import UserError
from tools.data.test_images import warnings_of
from tools.data.training_list import entry_of, write_list

RUN_LIST = 'training_list.tsv'  # in a run's folder


class RunList:
    """A thread that writes the list of a run's items, and then says if test images are among them.

    Files that cannot be read are left out, as in training. If it is closed before its end, nothing is written, and the
    run begins the list anew when it goes on.
    """

    def __init__(self, path, items, folder, modality=None):
        """path: of the list. items, folder, modality: as for tools.data.training_list.entry_of."""
        self.path, self.items, self.folder, self.modality = path, items, folder, modality
        self.closing, self.error, self.lines, self.ended = False, None, [], SimpleQueue()
        start_new_thread(self._work, ())

    def _work(self):
        try:
            entries = []
            for item in self.items:
                if self.closing:
                    return
                with contextlib.suppress(UserError):
                    entries.append(entry_of(item, self.folder, self.modality))
            write_list(self.path, entries)
            self.lines = warnings_of(entries)
        except BaseException as error:
            self.error = error
        finally:
            self.ended.put(None)

    def news(self):
        """The lines to show, once there are some; they are given once. Raises what went wrong."""
        if self.error is not None:
            raise self.error
        lines, self.lines = self.lines, []
        return lines

    def wait(self):
        """Until the list is written."""
        self.ended.put(self.ended.get())

    def close(self):
        """End the thread, and with it the list unless it is written."""
        self.closing = True
        self.wait()
