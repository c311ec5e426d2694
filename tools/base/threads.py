"""Work done in threads, handed out in order."""
import contextlib
import sys
from _thread import start_new_thread
from queue import Empty, SimpleQueue

END = None  # as a task: end the thread; as a result: a thread has ended


def in_order(function, items, workers=1, ahead=1):
    """Yield function(item) of each item, in the items' order; threads compute up to `ahead` of them early.

    `items` is read in the caller's thread, so that one such generator can feed another. What `function` or `items`
    raises is raised here. However the loop is left, what was not begun is dropped, and the threads have ended then.

    Not concurrent.futures and threading.Thread: Ctrl-C can come while their own code in Python holds a lock, and then
    the program waits for ever. The calls here are single ones, interrupted as a whole or not at all.
    """
    tasks, results, done = SimpleQueue(), SimpleQueue(), {}

    def work():
        for number, item in iter(tasks.get, END):
            try:
                results.put((number, function(item), None))
            except BaseException as error:
                results.put((number, None, error))
        results.put(END)

    def result_of(number):
        while number not in done:
            finished, value, error = results.get()
            done[finished] = value, error
        value, error = done.pop(number)
        if error is not None:
            raise error
        return value

    running = given = taken = 0
    try:
        for _ in range(workers):
            start_new_thread(work, ())
            running += 1
        for item in items:
            tasks.put((given, item))
            given += 1
            if given - taken > ahead:
                yield result_of(taken)
                taken += 1
        while taken < given:
            yield result_of(taken)
            taken += 1
    finally:
        with contextlib.suppress(Empty):
            while True:
                tasks.get_nowait()
        for _ in range(workers):
            tasks.put(END)
        while running and not sys.is_finalizing():  # then no thread but this one runs any more
            running -= results.get() is END
