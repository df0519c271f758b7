"""Work handed to threads with a bound on what is in flight, and what workers share."""

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


def usable_cores() -> int:
    """Cores this process may run on; its share, where several processes of a run have them."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def loader_processes(workers: int | None, device: str) -> int:
    """How many processes decode images: `workers`, or where nobody said, what suits the device."""
    if workers is not None:
        return workers
    # On a GPU the loaders are the bottleneck; on a CPU they compete with the network.
    return min(8, usable_cores()) if device.startswith("cuda") else min(4, usable_cores() // 2)


def begin_worker(number: int = 0) -> None:
    """Begin a worker process, which leaves it to its parent to say that a run is interrupted.

    Of a Ctrl-C the parent is told, and ends it. Where a scheduler tells every process of a job to
    end, it goes quietly: its parent is saving, and should not hear of a failed worker meanwhile.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda number, frame: os._exit(0))
    told = sys.excepthook

    def tell(kind: Any, error: Any, traceback: Any) -> None:
        # A parent that ended while a batch was on its way to it, as multiprocessing notices.
        if not issubclass(kind, ConnectionError):
            told(kind, error, traceback)

    sys.excepthook = tell


class Pipeline(Generic[Result]):
    """Runs jobs on threads and hands their results back in the order of submission.

    At most `in_flight` jobs are waiting or running, so memory stays flat however long the input
    is. `busy` adds up the processor seconds spent inside jobs, over all threads.
    """

    def __init__(self, threads: int, in_flight: int | None = None) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="wsol")
        self._limit = in_flight or 4 * threads
        self._jobs: deque[Future[tuple[Result, float]]] = deque()
        self.busy = 0.0

    def submit(self, job: Callable[[], Result]) -> Iterator[Result]:
        """Queue `job`; yield results that had to be waited for to make room for it.

        An exception of a job is raised here or in `drain`, at its place in the order.
        """
        while len(self._jobs) >= self._limit:
            yield self._next()
        self._jobs.append(self._pool.submit(_timed, job))

    def drain(self) -> Iterator[Result]:
        """Yield the results of all jobs still queued."""
        while self._jobs:
            yield self._next()

    def _next(self) -> Result:
        result, seconds = self._jobs.popleft().result()
        self.busy += seconds
        return result

    def __enter__(self) -> "Pipeline[Result]":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # After an error or Ctrl-C, jobs that have not begun are dropped.
        self._pool.shutdown(wait=True, cancel_futures=True)


def _timed(job: Callable[[], Result]) -> tuple[Result, float]:
    start = time.thread_time()
    result = job()
    return result, time.thread_time() - start
