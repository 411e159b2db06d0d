"""The executor `ray`: each trial a task of a Ray cluster, several on one GPU where each asks for a
part of it.

A trial belongs to its driver: Ray ends what a dead driver has begun, and the same command begins it
again.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...hooks import Executor, ExecutorError, hookimpl
from ...hyperparameters import NonNegative
from ..store import PID
from .server import THREAD_VARIABLES

GIGABYTE = 1024**3


def train(task: str, gpus: float) -> dict[str, Any]:
    """The trial of this file, in a worker of Ray. Of a GPU it takes the share that it asked for."""
    from .task import run_task

    if 0 < gpus < 1:
        import torch

        torch.cuda.set_per_process_memory_fraction(gpus)
    return run_task(task)


class Running:
    """One trial in Ray."""

    def __init__(self, task: Path, reference: Any, limit: float | None) -> None:
        self.reference = reference
        self.limit = limit  # seconds
        self.pid_file = Path(json.loads(task.read_text(encoding="utf-8"))["folder"]) / PID
        self.began: float | None = None  # when it was first seen to run

    def is_late(self) -> bool:
        """Whether it has run for longer than its limit; the time in Ray's queue is none of it."""
        if self.limit is None or not self.pid_file.exists():
            return False
        self.began = self.began or time.monotonic()
        return time.monotonic() - self.began > self.limit


class Ray:
    """Tasks of a Ray cluster, connected during a run."""

    def __init__(self, address: str, gpus: float, mem: float) -> None:
        self.address = address
        self.gpus = gpus
        self.mem = mem
        self.task: Any = None

    @contextmanager
    def session(self, jobs: int, threads: int) -> Iterator[None]:
        ray = _ray()
        variables = dict.fromkeys(THREAD_VARIABLES, str(threads))
        try:
            ray.init(
                address=self.address or None,
                num_cpus=None if self.address else jobs * threads,
                runtime_env={"env_vars": variables},
                log_to_driver=False,
                include_dashboard=None if self.address else False,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ExecutorError(f"Ray cannot be reached: {' '.join(str(error).split())}") from None

        # A process for each trial, and none that Ray begins again: that is for --retries to say.
        self.task = ray.remote(max_calls=1, max_retries=0)(train).options(
            num_cpus=threads,
            num_gpus=self.gpus,
            memory=int(self.mem * GIGABYTE) or None,
        )
        try:
            yield
        finally:
            ray.shutdown()

    def submit(self, task: Path, timeout: float | None) -> Running:
        """Each trial a task of a Ray cluster, --jobs of them at a time."""
        return Running(task, self.task.remote(str(task), self.gpus), timeout)

    def poll(self, running: Running) -> dict[str, Any] | None:
        ready, _ = _ray().wait([running.reference], timeout=0)
        if ready:
            return _answer(running.reference)
        if running.is_late():
            self.cancel(running)
            return {"status": "timeout", "error": f"ran past its limit of {running.limit:g} s"}
        return None

    def cancel(self, running: Running) -> None:
        _ray().cancel(running.reference, force=True)


def _ray() -> Any:
    """The module. Raises: ExecutorError where it is not installed."""
    try:
        import ray
    except ImportError:
        raise ExecutorError(
            "the executor ray needs Ray 2.10 or later: pip install 'vaezoo[ray]'"
        ) from None
    return ray


def _answer(reference: Any) -> dict[str, Any]:
    """What the trial answered, or what its worker died of."""
    ray = _ray()
    try:
        return ray.get(reference)
    except ray.exceptions.TaskCancelledError:
        return {"status": "cancelled", "error": "its task was cancelled in Ray"}
    except ray.exceptions.OutOfMemoryError as error:
        return {"status": "oom", "error": _first_line(error)}
    except Exception as error:
        return {"status": "failed", "error": f"{type(error).__name__}: {_first_line(error)}"}


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def ray(address: str = "", gpus: NonNegative = 0.0, mem: NonNegative = 0.0) -> Executor:
    """Each trial a task of a Ray cluster, --jobs of them at a time.

    `address` is the cluster's, or "auto"; without one Ray starts on this machine. A trial takes
    `gpus` GPUs, such as 0.25 for four on one, and `mem` GB of memory.
    """
    one = Ray(address, gpus, mem)
    return Executor("ray", one.submit, one.poll, one.cancel, one.session)


@hookimpl
def vaezoo_executors() -> list[Callable[..., Executor]]:
    return [ray]
