"""Work in threads: order, errors, how far ahead, and that Ctrl-C at any moment ends it."""
import random
import signal
import subprocess
import sys
import threading
import time

import pytest
from conftest import REPOSITORY, assert_end, threads

from tools.base.threads import in_order

SECONDS = 60  # until something is taken to hang


@pytest.mark.parametrize('workers, ahead', [(1, 0), (1, 3), (4, 1), (4, 20)])
def test_results_come_in_the_order_of_the_items(workers, ahead):
    def slow_at_times(item):
        time.sleep(0.005 * (item % 3))
        return item ** 2
    before = threads()
    assert list(in_order(slow_at_times, iter(range(20)), workers, ahead)) == [item ** 2 for item in range(20)]
    assert list(in_order(slow_at_times, [], workers, ahead)) == []
    assert_end(threads() - before)


def test_the_work_is_done_in_other_threads_at_once():
    meeting = threading.Barrier(3, timeout=SECONDS)  # broken unless three come

    def meet(_):
        meeting.wait()
        return threading.get_ident()
    assert len({*in_order(meet, range(3), workers=3, ahead=3), threading.get_ident()}) == 4


def test_one_feeds_another_in_the_callers_thread():
    caller = threading.get_ident()

    def doubled(numbers):
        for number in numbers:
            assert threading.get_ident() == caller
            yield 2 * number
    assert list(in_order(str, doubled(in_order(int, '12345', ahead=2)), ahead=2)) == ['2', '4', '6', '8', '10']


def test_no_more_than_said_is_computed_ahead():
    begun = []
    for taken, _ in enumerate(in_order(begun.append, range(20), workers=2, ahead=3), 1):
        time.sleep(0.01)  # in which the threads could run ahead
        assert len(begun) <= taken + 3
    assert len(begun) == 20


@pytest.mark.parametrize('where', ['function', 'items'])
def test_an_error_is_raised_in_the_loop_where_its_result_would_come(where):
    def fail_at_4(item):
        if item == 4:
            raise ZeroDivisionError('a bug')
        return item
    before, seen = threads(), []
    with pytest.raises(ZeroDivisionError, match='a bug'):
        for item in in_order(*((fail_at_4, range(9)) if where == 'function' else (abs, map(fail_at_4, range(9)))), 3, 2):
            seen.append(item)
    assert seen == [0, 1, 2, 3][:len(seen)] and (where == 'items' or len(seen) == 4)
    assert_end(threads() - before)


def test_leaving_the_loop_ends_the_threads():
    before = threads()
    for _ in in_order(time.sleep, [0.01] * 1000, 3, 900):
        break
    assert_end(threads() - before)


def test_a_loop_that_was_left_open_does_not_keep_the_program_from_ending():
    code = 'from tools.base.threads import in_order; loop = in_order(abs, range(9)); next(loop)'
    subprocess.run([sys.executable, '-c', code], cwd=REPOSITORY, check=True, timeout=SECONDS)


def test_ctrl_c_at_any_moment_ends_it():
    """Python's own pool fails here or hangs, once in some hundred times. In a process of
    its own, which can be ended."""
    subprocess.run([sys.executable, '-c', 'from tests.base.test_threads import interrupt_often; interrupt_often()'],
                   cwd=REPOSITORY, env={'PYTHONPATH': f'{REPOSITORY}:{REPOSITORY / "tests"}'}, check=True, timeout=5 * SECONDS)


def interrupt_often(times=1500):
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    for _ in range(times):
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-4, 5e-3))
            while True:
                list(in_order(abs, range(5), workers=2, ahead=4))
        except KeyboardInterrupt:
            continue
