"""Joining the processes that a launcher has started: torchrun, or a step of Slurm."""

import os
import re
import secrets
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from wsol.errors import InputError
from wsol.processes import ALONE, LOOK, Processes, all_there

if TYPE_CHECKING:
    import torch.distributed as dist

# All are started at once, but a file system may take its time to give each the libraries.
_ARRIVAL = timedelta(minutes=30)
# One rank may work alone, or have much more to do, while the others wait for it.
_PATIENCE = timedelta(hours=48)
# A batch script and an interactive shell of Slurm run in steps too, whose numbers begin here.
_FIRST_SPECIAL_STEP = 0xFFFFFFF0


def _met() -> "tuple[dist.Store, int, int]":
    """The store of this attempt of a run, this process's rank, and their number.

    Raises:
        InputError: when some do not come.
    """
    import torch.distributed as dist

    found: list[Any] = []

    def meet() -> None:
        try:
            store, rank, count = next(dist.rendezvous("env://", timeout=_ARRIVAL))
            found.append((dist.PrefixStore(_attempt(store, rank, count), store), rank, count))
        except Exception as error:
            found.append(error)

    # In a thread, because the library hears no signal while it waits.
    thread = threading.Thread(target=meet, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(LOOK)
    if isinstance(found[0], Exception):
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise InputError(
            f"The {os.environ['WORLD_SIZE']} processes of this run have not met at {where} "
            f"({str(found[0]).splitlines()[0]}); see that all are started and reach that "
            "address, or set MASTER_ADDR and MASTER_PORT; or set WORLD_SIZE=1, and each is a run "
            "of its own."
        ) from found[0]
    store, rank, count = found[0]
    store.set_timeout(_PATIENCE)
    return store, rank, count


def _attempt(store: "dist.Store", rank: int, count: int) -> str:
    """A name for what the processes of now say to each other in a store.

    After a restart `torchrun` offers the store in which the killed processes have left theirs, and
    how often it has restarted is not the same number on all machines. So the first process makes a
    name up, and each other one takes a name only when its own answer to it comes back.
    """
    own = secrets.token_hex(8)
    if rank == 0:
        store.set("attempt", own)
        for other in range(1, count):
            store.set(f"{own}/heard/{other}", store.get(f"{own}/{other}").decode())
        return own
    deadline = time.monotonic() + _ARRIVAL.total_seconds()
    while time.monotonic() < deadline:
        if store.check(["attempt"]):
            name = store.get("attempt").decode()
            store.set(f"{name}/{rank}", own)
            heard = f"{name}/heard/{rank}"
            if store.check([heard]) and store.get(heard).decode() == own:
                return name
        time.sleep(LOOK)
    raise TimeoutError("the first process does not answer")


@contextmanager
def joined(device: str, *, training: bool = False) -> Iterator[tuple[Processes, str]]:
    """Join the processes that `torchrun` or a Slurm step has started, if one has.

    Args:
        device: as `wsol.models.device.usable_device` tells it; `cuda` is shared out.
        training: each process needs a GPU of its own.

    Yields:
        The processes and this one's device.

    Raises:
        InputError: when there are more processes than GPUs to train on, or they were started with
            different options.
    """
    started = of_torchrun(os.environ) or of_slurm(os.environ)
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
    store, rank, count = _met()
    try:
        with all_there():
            dist.init_process_group(
                backend, store=store, rank=rank, world_size=count, timeout=_PATIENCE
            )
            processes = Processes(rank, count, dist.PrefixStore("wsol", store))
            # Which ones there are decides what the processes say to each other, and when.
            processes.require_same(dict.fromkeys(_flags(sys.argv[1:]), "given"))
            yield processes, device
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
        for name in added:
            del os.environ[name]


def _flags(arguments: list[str]) -> list[str]:
    """The options of a command line, without their values, which may differ as a folder does."""
    return [word.partition("=")[0] for word in arguments if word.startswith("--")]


def of_torchrun(variables: Mapping[str, str]) -> dict[str, str] | None:
    """The variables of `torchrun`, where it has started several processes."""
    if "WORLD_SIZE" not in variables or int(variables["WORLD_SIZE"]) == 1:
        return None
    return {"LOCAL_RANK": "0"} | dict(variables)


def of_slurm(variables: Mapping[str, str]) -> dict[str, str] | None:
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
