"""Several real processes at one command, as torchrun and a Slurm step start them."""

import os
import subprocess
import sys
from itertools import count

_JOBS = count(1 + os.getpid() % 30_000)  # of which a step's port is made


def torchrun(place, processes, *arguments, code=0, restarts=0):
    """Run `wsol ARGUMENTS` in the folder `place` under torchrun; what it printed."""
    done = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node",
            str(processes), "--max-restarts", str(restarts), "-m", "wsol", *map(str, arguments),
        ],
        cwd=place,
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done


def begin_step(place, tasks, *arguments, last=(), environment=None):
    """Start `wsol ARGUMENTS` in the folder `place` as each task of a Slurm step on one node.

    `last` are further arguments of the last task alone; `environment` takes the variables' place.
    """
    job = str(next(_JOBS))
    return [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "wsol",
                *map(str, arguments),
                *(last if rank == tasks - 1 else ()),
            ],
            cwd=place,
            env=os.environ | (environment or step_variables(rank, tasks, job)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(tasks)
    ]


def step_variables(rank, tasks, job):
    """What Slurm sets for a task of a step on one node, as far as it matters here."""
    return {
        "SLURM_JOB_ID": job,
        "SLURM_STEP_ID": "0",
        "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": str(rank),
        "SLURM_NTASKS": str(tasks),
        "SLURM_STEP_NUM_TASKS": str(tasks),
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_STEP_TASKS_PER_NODE": str(tasks),
    }


def ended(processes, timeout=120):
    """(exit code, stdout, stderr) of each process, by rank."""
    told = [process.communicate(timeout=timeout) for process in processes]
    return [
        (process.returncode, out, err) for process, (out, err) in zip(processes, told, strict=True)
    ]


def slurm_step(place, tasks, *arguments, code=0, last=()):
    """Run a step to its end; (stdout, stderr) of each task, by rank."""
    found = ended(begin_step(place, tasks, *arguments, last=last))
    assert [exit_code for exit_code, _, _ in found] == [code] * tasks, found
    return [(out, err) for _, out, err in found]
