"""Several processes at one run, as `torchrun` or a Slurm step starts them.

Each is a rank of one `torch.distributed` group. What they say to each other is little: that all are
there, how far each is, what they have added up. Whatever waits for the others can be interrupted,
and ends when one of them has.
"""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from wsol.errors import InputError, ProcessEndedError, ToldElsewhereError

if TYPE_CHECKING:
    import torch
    import torch.distributed as dist

Value = TypeVar("Value")

# A batch script and an interactive shell of Slurm run in steps too, whose numbers begin here.
_FIRST_SPECIAL_STEP = 0xFFFFFFF0
# One rank may work alone, or have much more to do, while the others wait for it.
_PATIENCE = timedelta(hours=48)
_LOOK = 0.05


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

            with _all_there():
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

        with _all_there():
            # Not to sit in the library, where no signal would be heard.
            work = dist.all_reduce(torch.zeros(1), async_op=True)
            assert work is not None
            while not work.is_completed():
                meanwhile()
                time.sleep(_LOOK)
            work.wait()

    def gathered(self, value: Value) -> list[Value]:
        """Every process's value, by rank, in every process."""
        if self.count == 1:
            return [value]
        import torch.distributed as dist

        self.wait()
        values: list[Any] = [None] * self.count
        with _all_there():
            dist.all_gather_object(values, value)
        return values

    def collected(self, value: Value) -> list[Value]:
        """Every process's value, by rank, in the first process; nothing in the others."""
        if self.count == 1:
            return [value]
        import torch.distributed as dist

        values: list[Any] | None = [None] * self.count if self.is_first else None
        with _all_there():
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
        with _all_there():
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

    def refuse(self, message: str) -> NoReturn:
        """Raise in all processes what all of them know; the first one tells it."""
        raise (InputError if self.is_first else ToldElsewhereError)(message)

    def add(self, name: str, number: int) -> int:
        """Add to a number that all processes share; its sum."""
        assert self._store is not None
        with _all_there():
            return int(self._store.add(name, number))


ALONE = Processes()
"""One process that shares its run with no other."""


@contextmanager
def _all_there() -> Iterator[None]:
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


@contextmanager
def joined(device: str, *, training: bool = False) -> Iterator[tuple[Processes, str]]:
    """Join the processes that `torchrun` or a Slurm step has started, if one has.

    Args:
        device: as `wsol.models.device.usable_device` tells it; `cuda` is shared out.
        training: each process needs a GPU of its own.

    Yields:
        The processes and this one's device.

    Raises:
        InputError: when there are more processes than GPUs to train on.
    """
    started = _of_torchrun(os.environ) or _of_slurm(os.environ)
    if started is None:
        yield ALONE, device
        return
    import torch
    import torch.distributed as dist

    added = started.keys() - os.environ.keys()
    os.environ.update({name: started[name] for name in added})
    if "OMP_NUM_THREADS" not in os.environ:  # as torchrun sets it
        torch.set_num_threads(int(os.environ.get("SLURM_CPUS_PER_TASK", "1")))
    backend = "gloo"
    if device == "cuda":
        local, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if training and local >= there:
            raise InputError(
                f"Process {local} of this machine has no GPU of its own; there are {there}: start "
                "as many with --nproc-per-node or --ntasks-per-node."
            )
        device = f"cuda:{local % there}"
        torch.cuda.set_device(local % there)
        backend = "cpu:gloo,cuda:nccl"
    store, rank, count = next(dist.rendezvous("env://", timeout=_PATIENCE))
    dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=_PATIENCE)
    try:
        with _all_there():
            yield Processes(rank, count, dist.PrefixStore("wsol", store)), device
    finally:
        dist.destroy_process_group()
        for name in added:
            del os.environ[name]


def _of_torchrun(variables: Mapping[str, str]) -> dict[str, str] | None:
    """The variables of `torchrun`, where it has started several processes."""
    if "WORLD_SIZE" not in variables or int(variables["WORLD_SIZE"]) == 1:
        return None
    return {"LOCAL_RANK": "0"} | dict(variables)


def _of_slurm(variables: Mapping[str, str]) -> dict[str, str] | None:
    """What `torchrun` would have set for a process of a Slurm step of several.

    A batch script has the variables of its job without being a step, and waits for nobody.
    """
    step = variables.get("SLURM_STEP_ID", "")
    if "WORLD_SIZE" in variables or not step.isdigit() or int(step) >= _FIRST_SPECIAL_STEP:
        return None
    count = variables.get("SLURM_STEP_NUM_TASKS") or variables.get("SLURM_NTASKS", "1")
    if int(count) == 1:
        return None
    nodes = variables.get("SLURM_STEP_NODELIST") or variables.get("SLURM_NODELIST", "localhost")
    # Of one job's steps, each has a port of its own, below those that a system gives away.
    port = 10240 + (31 * int(variables.get("SLURM_JOB_ID", "0")) + int(step)) % 20000
    of_torchrun = {
        "RANK": variables["SLURM_PROCID"],
        "WORLD_SIZE": count,
        "LOCAL_RANK": variables["SLURM_LOCALID"],
        "MASTER_ADDR": _first_node(nodes),
        "MASTER_PORT": str(port),
    }
    if "SLURM_CPUS_PER_TASK" not in variables:  # else Slurm has shared out the cores
        of_torchrun["LOCAL_WORLD_SIZE"] = _tasks_of_a_node(variables)
    return of_torchrun | {
        name: variables[name] for name in ("MASTER_ADDR", "MASTER_PORT") if name in variables
    }


def _first_node(nodes: str) -> str:
    """The first of a list as Slurm writes it: `gpu[003-006,9],login` begins with `gpu003`."""
    match = re.match(r"([^\[,]*)(?:\[(\w+)[^\]]*\])?([^\[,]*)", nodes)
    assert match is not None
    return f"{match[1]}{match[2] or ''}{match[3]}"


def _tasks_of_a_node(variables: Mapping[str, str]) -> str:
    """The number of tasks on a node: the first of `8(x4)` or `8(x3),4`."""
    told = variables.get("SLURM_STEP_TASKS_PER_NODE") or variables.get("SLURM_TASKS_PER_NODE", "1")
    match = re.match(r"\d+", told)
    return match[0] if match else "1"
