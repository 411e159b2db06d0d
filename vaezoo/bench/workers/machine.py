"""What a trial runs on, and what it uses of it."""

import platform
import resource
import time
from collections.abc import Callable

import torch

from ..trial import Json, Trial

Clock = Callable[[], float]


def machine(device: str = "cpu") -> Json:
    """What the numbers were computed on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name(device)
        if device.startswith("cuda") and torch.cuda.is_available()
        else platform.processor() or "cpu",
    }


def clock_of(trial: Trial) -> Clock:
    """What the seconds of a trial are counted by: the processor's where one thread does the work,
    so that a busy machine does not count; else the clock's.
    """
    is_alone = trial.device == "cpu" and trial.threads == 1
    return time.process_time if is_alone else time.perf_counter


def peak_bytes() -> int:
    """The most memory that this process has held."""
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
