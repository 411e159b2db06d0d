"""What all variants share and a plugin could change for them: switches of torch and numpy, signal
handlers, the working directory, functions of the libraries. Compared, and put back.
"""

import decimal
import faulthandler
import gc
import locale
import logging
import os
import random
import signal
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.modules import module as nn_module

from ..data.kept import umask
from .further import FURTHER
from .libraries import Libraries

__all__ = ["SWITCHES", "Surroundings", "Switch"]

TIMERS = (signal.ITIMER_VIRTUAL, signal.ITIMER_PROF) if hasattr(signal, "ITIMER_PROF") else ()
KEPT: list[Any] = []


@dataclass(frozen=True)
class Switch:
    """One state of the process by name: how it is read and how it is set."""

    name: str
    get: Callable[[], Any]
    put: Callable[[Any], Any]


def _device(value: torch.device) -> None:
    torch.set_default_device(None if value.type == "cpu" else value)


def _is_without_denormals() -> bool:
    smallest = torch.tensor(5e-324, dtype=torch.float64)
    return float(smallest * 1.0) == 0.0


def _deterministic() -> tuple[bool, bool]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )


def _put_deterministic(value: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(value[0], warn_only=value[1])


def _cudnn() -> tuple[bool, bool, bool]:
    flags = torch.backends.cudnn
    return flags.enabled, flags.benchmark, flags.deterministic


def _put_cudnn(value: tuple[bool, bool, bool]) -> None:
    flags = torch.backends.cudnn
    flags.enabled, flags.benchmark, flags.deterministic = value


def _hooks_of_modules() -> dict[str, list[Any]]:
    """The hooks that run in every module, by the list that they stand in."""
    return {
        name: list(value)
        for name, value in vars(nn_module).items()
        if name.startswith("_global_") and isinstance(value, dict)
    }


def _put_hooks_of_modules(value: Mapping[str, list[Any]]) -> None:
    for name, known in value.items():
        hooks = vars(nn_module)[name]
        for key in [key for key in hooks if key not in known]:
            del hooks[key]


def _handlers() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


def _put_handlers(value: Mapping[int, Any]) -> None:
    for number, handler in value.items():
        if signal.getsignal(number) is not handler and handler is not None:
            with suppress(OSError, ValueError):  # SIGKILL, or another thread than the first
                signal.signal(number, handler)


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return ""


def _put_environment(value: Mapping[str, str]) -> None:
    for name in os.environ.keys() - value.keys():
        del os.environ[name]
    os.environ.update(value)


def _put_filters(value: list[Any]) -> None:
    warnings.resetwarnings()  # which tells the others that the list is another one
    vars(warnings)["filters"][:] = value


def _streams() -> tuple[Any, ...]:
    hooks = (sys.excepthook, sys.unraisablehook, sys.displayhook)
    return sys.stdin, sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__, *hooks


def _put_streams(value: tuple[Any, ...]) -> None:
    sys.stdin, sys.stdout, sys.stderr = value[:3]
    vars(sys).update(__stdout__=value[3], __stderr__=value[4])
    sys.excepthook, sys.unraisablehook, sys.displayhook = value[5:]


def _paths() -> list[list[Any]]:
    return [list(sys.path), list(sys.meta_path), list(sys.path_hooks)]


def _put_paths(value: list[list[Any]]) -> None:
    sys.path[:], sys.meta_path[:], sys.path_hooks[:] = value


def _put_arguments(value: list[str]) -> None:
    sys.argv[:] = value


def _timers() -> tuple[bool, ...]:
    """Whether they run; that of real time is the guard's own."""
    return tuple(any(signal.getitimer(which)) for which in TIMERS)


def _put_timers(value: tuple[bool, ...]) -> None:
    for which, runs in zip(TIMERS, value, strict=True):
        if not runs:
            signal.setitimer(which, 0.0)


def _logging() -> tuple[Any, ...]:
    root = logging.getLogger()
    return root.level, list(root.handlers), root.manager.disable


def _put_logging(value: tuple[Any, ...]) -> None:
    root = logging.getLogger()
    root.level, root.handlers[:], root.manager.disable = value
    root.manager._clear_cache()  # type: ignore[attr-defined]


def _put_fault_handler(value: bool) -> None:
    (faulthandler.enable if value else faulthandler.disable)()


def _autocast() -> tuple[bool, bool]:
    return torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda")


def _put_autocast(value: tuple[bool, bool]) -> None:
    for device, is_on in zip(("cpu", "cuda"), value, strict=True):
        torch.set_autocast_enabled(device, is_on)


def _put_inference(value: bool) -> None:
    mode = torch.inference_mode(value)
    mode.__enter__()
    KEPT.append(mode)  # it ends with its object


def _modes() -> int:
    return torch._C._len_torch_function_stack()


def _put_modes(value: int) -> None:
    while torch._C._len_torch_function_stack() > value:
        torch._C._pop_torch_function_stack()


def _put_collector(value: bool) -> None:
    (gc.enable if value else gc.disable)()


def _put_callbacks(value: list[Any]) -> None:
    gc.callbacks[:] = value


def _python_state() -> tuple[Any, ...]:
    return random.getstate()


def _numpy_state() -> list[Any]:
    # as words: arrays cannot be compared with ==
    return [part.tolist() if isinstance(part, np.ndarray) else part for part in _legacy()]


def _legacy() -> Any:
    return np.random.get_state()


def _put_numpy_state(value: list[Any]) -> None:
    np.random.set_state(tuple(value))


def _torch_state() -> bytes:
    return torch.random.get_rng_state().numpy().tobytes()


def _put_torch_state(value: bytes) -> None:
    torch.random.set_rng_state(torch.frombuffer(bytearray(value), dtype=torch.uint8))


SWITCHES = (
    # the first: in a mode every other look at torch may be anything
    *(Switch(*each) for each in FURTHER),
    # it is a mode too, and gone with the modes
    Switch("the default device", torch.get_default_device, _device),
    Switch("modes of torch", _modes, _put_modes),
    Switch("the default dtype", torch.get_default_dtype, torch.set_default_dtype),
    Switch("whether gradients are computed", torch.is_grad_enabled, torch._C._set_grad_enabled),
    Switch("determinism", _deterministic, _put_deterministic),
    Switch("the number of threads", torch.get_num_threads, torch.set_num_threads),
    Switch("how small numbers are kept", _is_without_denormals, torch.set_flush_denormal),
    Switch("anomaly detection", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    Switch("cuDNN", _cudnn, _put_cudnn),
    Switch("oneDNN", torch._C._get_mkldnn_enabled, torch._C._set_mkldnn_enabled),
    Switch("autocast", _autocast, _put_autocast),
    Switch("inference mode", torch.is_inference_mode_enabled, _put_inference),
    Switch("hooks of all modules", _hooks_of_modules, _put_hooks_of_modules),
    Switch("numpy's errors", np.geterr, lambda value: np.seterr(**value)),
    Switch("decimal's precision", lambda: decimal.getcontext().prec,
           lambda value: setattr(decimal.getcontext(), "prec", value)),
    Switch("the locale", lambda: locale.setlocale(locale.LC_ALL),
           lambda value: locale.setlocale(locale.LC_ALL, value)),
    Switch("signal handlers", _handlers, _put_handlers),
    Switch("the working directory", _folder, os.chdir),
    Switch("the environment", lambda: dict(os.environ), _put_environment),
    Switch("filters of warnings", lambda: list(warnings.filters), _put_filters),
    Switch("stdout or stderr", _streams, _put_streams),
    Switch("sys.path", _paths, _put_paths),
    Switch("sys.argv", lambda: list(sys.argv), _put_arguments),
    Switch("the mask of new files", umask, os.umask),
    Switch("timers", _timers, _put_timers),
    Switch("logging", _logging, _put_logging),
    Switch("the handler of faults", faulthandler.is_enabled, _put_fault_handler),
    Switch("the limit of recursion", sys.getrecursionlimit, sys.setrecursionlimit),
    Switch("the collector of garbage", gc.isenabled, _put_collector),
    Switch("what is called by the collector", lambda: list(gc.callbacks), _put_callbacks),
    Switch("tracing", sys.gettrace, sys.settrace),
    Switch("profiling", sys.getprofile, sys.setprofile),
    Switch("how often threads take turns", sys.getswitchinterval, sys.setswitchinterval),
    Switch("the global random state", _python_state, random.setstate),
    Switch("the global random state", _numpy_state, _put_numpy_state),
    Switch("the global random state", _torch_state, _put_torch_state),
)  # fmt: skip
NUMBERS = tuple(s for s in SWITCHES if s.name == "the global random state")


class Surroundings:
    """What was, when this was made; of `switches`, and where `with_functions` of what the libraries
    consist of.
    """

    def __init__(self, switches: tuple[Switch, ...] = SWITCHES, with_functions: bool = True):
        self.values = [(switch, switch.get()) for switch in switches]
        self.libraries = Libraries() if with_functions else None

    def put_back(self) -> list[str]:
        """What is another one now, by name; it is put back."""
        changed = []
        for switch, value in self.values:
            if switch.get() != value:
                switch.put(value)
                changed.append(switch.name)
        # some switches have changed a name of torch, and changed it back now
        if self.libraries is not None:
            changed += self.libraries.put_back()
        return list(dict.fromkeys(changed))
