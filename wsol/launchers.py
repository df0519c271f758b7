"""What a launcher tells each of the processes that it starts: torchrun, and the steps of Slurm."""

import re
from collections.abc import Mapping

# A batch script and an interactive shell of Slurm run in steps too, whose numbers begin here.
_FIRST_SPECIAL_STEP = 0xFFFFFFF0


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
