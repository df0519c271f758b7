"""Several processes at one run, as `torchrun` or a Slurm step starts them.

Each is a rank of one `torch.distributed` group. What they say to each other is little: that all are
there, how far each is, what they have added up. Whatever waits for the others can be interrupted,
and ends when one of them has.
"""

import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from wsol.errors import InputError, ProcessEndedError, ToldElsewhereError
from wsol.files import write_text

if TYPE_CHECKING:
    import torch
    import torch.distributed as dist

Value = TypeVar("Value")

LOOK = 0.05
"""Seconds between two looks for a signal while others are waited for."""
_NOTICED = 10.0
"""Seconds until a file must be seen on all machines that share its folder."""


@dataclass(frozen=True, slots=True)
class Processes:
    """How many processes are at one run, and which of them this is; by default one alone."""

    rank: int = 0
    count: int = 1
    _store: "dist.Store | None" = field(default=None, repr=False, compare=False)

    @property
    def is_first(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    def total(self, values: "torch.Tensor") -> "torch.Tensor":
        """The sum of every process's `values`, in place."""
        if self.count > 1:
            import torch.distributed as dist

            with all_there():
                dist.all_reduce(values)
        return values

    def wait(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Wait until every process is here.

        Args:
            meanwhile: called again and again.

        Raises:
            ProcessEndedError: when one of them has ended instead.
        """
        if self.count == 1:
            return
        import torch
        import torch.distributed as dist

        with all_there():
            # Not to sit in the library, where no signal would be heard.
            work = dist.all_reduce(torch.zeros(1), async_op=True)
            assert work is not None
            while not work.is_completed():
                meanwhile()
                time.sleep(LOOK)
            work.wait()

    def gathered(self, value: Value) -> list[Value]:
        """Every process's value, by rank, in every process."""
        if self.count == 1:
            return [value]
        import torch.distributed as dist

        self.wait()
        values: list[Any] = [None] * self.count
        with all_there():
            dist.all_gather_object(values, value)
        return values

    def collected(self, value: Value) -> list[Value]:
        """Every process's value, by rank, in the first process; nothing in the others."""
        if self.count == 1:
            return [value]
        import torch.distributed as dist

        values: list[Any] | None = [None] * self.count if self.is_first else None
        with all_there():
            dist.gather_object(value, values)
        return values or []

    def of_first(self, make: Callable[[], Value]) -> Value:
        """What `make` returns in the first process, which alone calls it; its error for all."""
        if self.count == 1:
            return make()
        import torch.distributed as dist

        told: list[Any] = [None, None]
        failure: Exception | None = None
        if self.is_first:
            try:
                told[0] = make()
            except Exception as error:
                failure, told[1] = error, str(error)
        self.wait()
        with all_there():
            dist.broadcast_object_list(told)
        if failure is not None:
            raise failure
        if told[1] is not None:
            raise ToldElsewhereError(told[1])
        return told[0]

    def together(self, make: Callable[[], Value]) -> Value:
        """What `make` returns in this process; an error in any of them is one in all."""
        value, failure = None, None
        try:
            value = make()
        except Exception as error:
            if self.count == 1:
                raise
            failure = error
        self.raise_any(failure)
        return value  # type: ignore[return-value]

    def raise_any(self, failure: Exception | None) -> None:
        """Raise what made this process or another one fail, if anything has.

        A failure that several have met is told by the first of them.
        """
        failures = self.gathered(None if failure is None else str(failure))
        first = next((rank for rank, text in enumerate(failures) if text is not None), None)
        if first is None:
            return
        if failure is not None and (first == self.rank or failures[first] != str(failure)):
            raise failure
        raise ToldElsewhereError(str(failures[first]))

    def require_same(self, told: Mapping[str, Any]) -> None:
        """Refuse processes that do not agree, before they work on different things.

        Args:
            told: what decides the result, in plain values, by the names of it.

        Raises:
            InputError: naming what differs and the ranks that have it.
        """
        if self.count == 1:
            return
        first, *others = self.gathered(dict(told))
        for rank, other in enumerate(others, 1):
            names = sorted(
                name for name in first.keys() | other.keys() if first.get(name) != other.get(name)
            )
            if names:
                differing = "; ".join(
                    f"{name} is {first.get(name)!r} and {other.get(name)!r}" for name in names[:4]
                )
                self.refuse(
                    f"The processes 0 and {rank} of this run do not agree: {differing}. Start all "
                    "of them with the same command, data and versions; or set WORLD_SIZE=1, and "
                    "each is a run of its own."
                )

    def require_shared(self, folder: Path) -> None:
        """Refuse a folder that not every process sees, before there is something to lose.

        Raises:
            InputError: naming the machine that does not see it.
        """
        if self.count == 1:
            return
        token = folder / f".seen-by-all-{self.of_first(lambda: secrets.token_hex(8))}"
        self.of_first(lambda: write_text(token, "Whether all processes of a run see this."))
        deadline = time.monotonic() + _NOTICED
        while not token.exists() and time.monotonic() < deadline:
            time.sleep(0.2)
        seen = self.gathered((token.exists(), socket.gethostname()))
        if self.is_first:
            token.unlink(missing_ok=True)
        blind = [f"process {rank} on {host}" for rank, (sees, host) in enumerate(seen) if not sees]
        if blind:
            self.refuse(
                f"{folder}: is not the same folder for all processes of this run (what process 0 "
                f"on {seen[0][1]} writes is not seen by {', '.join(blind[:4])}); name one on a "
                "file system that all machines share."
            )

    def refuse(self, message: str) -> NoReturn:
        """Raise in all processes what all of them know; the first one tells it."""
        raise (InputError if self.is_first else ToldElsewhereError)(message)

    def add(self, name: str, number: int) -> int:
        """Add to a number that all processes share; its sum."""
        assert self._store is not None
        with all_there():
            return int(self._store.add(name, number))


ALONE = Processes()
"""One process that shares its run with no other."""


@contextmanager
def all_there() -> Iterator[None]:
    """Make an error of ours of what the library says when another process has ended."""
    import torch.distributed as dist

    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if not isinstance(error, dist.DistError) and "gloo" not in text.lower():
            raise
        raise ProcessEndedError(
            f"another process of this run has ended ({text.splitlines()[0]})."
        ) from error
