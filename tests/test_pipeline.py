"""Order, bound and error behaviour of the thread pipeline."""

import subprocess
import sys
import threading
import time

import pytest

from wsol.pipeline import Pipeline


def test_results_come_in_order_and_in_flight_is_bounded():
    running, peak, lock = 0, 0, threading.Lock()

    def job(number):
        def run():
            nonlocal running, peak
            with lock:
                running += 1
                peak = max(peak, running)
            time.sleep(0.002 * (number % 3))
            with lock:
                running -= 1
            return number

        return run

    results = []
    with Pipeline(3, in_flight=5) as pipeline:
        for number in range(50):
            results += pipeline.submit(job(number))
            assert number + 1 - len(results) <= 5
        results += pipeline.drain()
    assert results == list(range(50))
    assert 1 < peak <= 3


def test_an_error_comes_at_its_place_after_the_results_before_it():
    def job(number):
        def run():
            if number == 3:
                raise ValueError("three")
            return number

        return run

    results = []
    with pytest.raises(ValueError, match="three"), Pipeline(2, in_flight=2) as pipeline:
        for number in range(10):
            for result in pipeline.submit(job(number)):
                results.append(result)
    assert results == [0, 1, 2]


def test_busy_counts_processor_time():
    def burn():
        end = time.thread_time() + 0.05
        while time.thread_time() < end:
            pass

    with Pipeline(2) as pipeline:
        list(pipeline.submit(burn))
        list(pipeline.submit(burn))
        list(pipeline.drain())
    assert 0.1 <= pipeline.busy < 0.5


def test_a_worker_does_not_tell_that_its_parent_has_gone():
    script = (
        "import sys\n"
        "from wsol.pipeline import begin_worker\n"
        "begin_worker()\n"
        "for error in (ConnectionResetError('gone'), ValueError('told')):\n"
        "    sys.excepthook(type(error), error, None)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stderr.strip() == "ValueError: told"
