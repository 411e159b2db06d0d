"""Handing an array of jobs to Slurm, by submitit."""

import os
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ....hooks import ExecutorError
from .batch import Batch
from .job import Job

# submitit's USR2 asks a job to stop in time. Slurm sends it up to a minute early, and it kills a
# job whose Python has not begun: submitit's own 90 s kill one of two minutes before that.
WARNING = 30
SHORTEST = 3  # minutes: the warning, Slurm's minute, and a minute and a half to begin

# What sbatch says where the controller is away for a while.
AWAY = ("contact", "connect", "timed out", "communication", "temporarily", "try again")


@dataclass(frozen=True)
class Wishes:
    """What jobs ask Slurm for."""

    jobs: int  # side by side
    threads: int
    partition: str
    account: str
    qos: str
    minutes: int
    memory: float
    gpus: int
    at_once: int
    requeue: int
    setup: str
    sbatch: str

    def parameters(self, batch: Batch) -> dict[str, Any]:
        """Those of submitit."""
        cpus = self.threads * self.at_once
        wanted: dict[str, Any] = {
            "job_name": batch.job_name,
            "time": self.minutes,
            "partition": self.partition,
            "account": self.account,
            "qos": self.qos,
            "mem_gb": self.memory,
            "gpus_per_node": self.gpus,
            "setup": [self.setup] if self.setup else None,
            "additional_parameters": _flags(self.sbatch),
        }
        given = {key: value for key, value in wanted.items() if value}
        return given | {
            "cpus_per_task": cpus,
            "srun_args": [f"--cpus-per-task={cpus}"],  # srun has not read sbatch's since 22.05
            "array_parallelism": self.jobs,
            "signal_delay_s": WARNING,
            "stderr_to_stdout": True,
        }


def _flags(text: str) -> dict[str, Any]:
    """ "--exclude=n1 --exclusive" -> {"exclude": "n1", "exclusive": True}."""
    pairs = [word.lstrip("-").partition("=") for word in shlex.split(text)]
    return {name: value if equals else True for name, equals, value in pairs}


def must_be_here() -> None:
    """Raises: ExecutorError where submitit or Slurm is not here."""
    try:
        import submitit  # noqa: F401
    except ImportError:
        raise ExecutorError(
            "the executor slurm needs submitit: pip install 'vaezoo[slurm]'"
        ) from None
    for command in ("sbatch", "squeue", "scancel", "srun"):
        if shutil.which(command) is None:
            raise ExecutorError(
                f"the executor slurm needs the command {command}, which is not on the path here"
            )


def send(batch: Batch, count: int, wishes: Wishes) -> str:
    """Submits `count` jobs as one array; "" or why the controller could not be asked now.

    Raises: ExecutorError where Slurm refuses them.
    """
    import submitit

    executor = submitit.SlurmExecutor(batch.folder, max_num_timeout=wishes.requeue)
    jobs = [
        Job(
            out=str(batch.out),
            batch=batch.name,
            index=index,
            at_once=wishes.at_once,
            threads=wishes.threads,
            minutes=wishes.minutes,
        )
        for index in range(count)
    ]
    try:
        executor.update_parameters(**wishes.parameters(batch))
        with _no_job_of_its_own(), executor.batch():
            for job in jobs:
                executor.submit(job)
    except submitit.core.utils.FailedJobError as error:
        return _refused(str(error))
    return ""


@contextmanager
def _no_job_of_its_own() -> Iterator[None]:
    """A driver that is a job itself hands none of that job's settings on; where the cluster's
    configuration lies is no such setting.
    """
    from submitit.helpers import clean_env

    kept = {name: os.environ[name] for name in ("SLURM_CONF",) if name in os.environ}
    with clean_env():
        os.environ.update(kept)
        yield


def _refused(said: str) -> str:
    """What sbatch said, where it may say otherwise in a while."""
    sentence = " ".join(said.split())
    if any(word in sentence.lower() for word in AWAY):
        return sentence
    raise ExecutorError(f"Slurm refuses the jobs: {sentence}")
