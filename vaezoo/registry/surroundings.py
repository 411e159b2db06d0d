"""What all variants share and a plugin could change for them: switches of torch and numpy, signal
handlers, the working directory, functions of the libraries. Compared, and put back.
"""

import decimal
import gc
import locale
import os
import random
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TextIO

import numpy as np
import torch
from torch.nn.modules import module as nn_module

__all__ = ["Surroundings", "descriptors_aside"]

# Modules and classes whose functions are others' too; vaezoo's own are added.
SHARED: tuple[Any, ...] = (
    torch, torch.nn, torch.nn.functional, torch.nn.init, torch.optim, torch.linalg, torch.special,
    torch.Tensor, torch.nn.Module, torch.nn.Linear, torch.nn.Parameter, torch.optim.Adam,
    np, np.random, random, os, sys, signal, __import__("builtins"), __import__("json"),
    __import__("math"), __import__("time"),
)  # fmt: skip


MOST_SAID = 10_000  # bytes of what is printed that are kept


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
    return sys.stdin, sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__, sys.excepthook


def _put_streams(value: tuple[Any, ...]) -> None:
    sys.stdin, sys.stdout, sys.stderr = value[:3]
    vars(sys).update(__stdout__=value[3], __stderr__=value[4], excepthook=value[5])


def _put_path(value: list[str]) -> None:
    sys.path[:] = value


def _put_collector(value: bool) -> None:
    (gc.enable if value else gc.disable)()


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
    Switch("the default dtype", torch.get_default_dtype, torch.set_default_dtype),
    Switch("the default device", torch.get_default_device, _device),
    Switch("whether gradients are computed", torch.is_grad_enabled, torch._C._set_grad_enabled),
    Switch("determinism", _deterministic, _put_deterministic),
    Switch("the number of threads", torch.get_num_threads, torch.set_num_threads),
    Switch("the precision of products", torch.get_float32_matmul_precision,
           torch.set_float32_matmul_precision),
    Switch("how small numbers are kept", _is_without_denormals, torch.set_flush_denormal),
    Switch("anomaly detection", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    Switch("cuDNN", _cudnn, _put_cudnn),
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
    Switch("sys.path", lambda: list(sys.path), _put_path),
    Switch("the limit of recursion", sys.getrecursionlimit, sys.setrecursionlimit),
    Switch("the collector of garbage", gc.isenabled, _put_collector),
    Switch("tracing", sys.gettrace, sys.settrace),
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
        owners = _owners() if with_functions else ()
        self.functions = [(owner, _functions(owner)) for owner in owners]

    def put_back(self) -> list[str]:
        """What is another one now, by name; it is put back."""
        changed = []
        for switch, value in self.values:
            if switch.get() != value:
                switch.put(value)
                changed.append(switch.name)
        # some switches have changed a name of torch, and changed it back now
        for owner, before in self.functions:
            changed += _restored(owner, before)
        return list(dict.fromkeys(changed))


def _owners() -> Iterator[Any]:
    yield from SHARED
    for name, module in list(sys.modules.items()):
        if name.startswith("vaezoo.") and module is not None:
            yield module
            yield from (
                thing
                for thing in list(vars(module).values())
                if isinstance(thing, type) and thing.__module__ == name
            )


def _functions(owner: Any) -> dict[str, Any]:
    """name -> what can be called, of a module or a class."""
    return {
        name: value
        for name, value in list(vars(owner).items())
        if callable(value) or isinstance(value, property | classmethod | staticmethod)
    }


def _restored(owner: Any, before: Mapping[str, Any]) -> Iterator[str]:
    now = vars(owner)
    for name, value in before.items():
        if now.get(name) is not value:
            setattr(owner, name, value)
            yield f"{owner.__name__}.{name}"
    for name in _overriding(owner, before):
        delattr(owner, name)
        yield f"{owner.__name__}.{name}"


def _overriding(owner: Any, before: Mapping[str, Any]) -> list[str]:
    """What a class has got since then in place of what it inherits."""
    if not isinstance(owner, type):
        return []
    inherited = {name for base in owner.__mro__[1:] for name in vars(base)}
    return [name for name in _functions(owner) if name not in before and name in inherited]


@contextmanager
def descriptors_aside(said: TextIO) -> Iterator[None]:
    """Inside the block, what is written to the descriptors 1 and 2 goes to a file; afterwards 0, 1
    and 2 are what they were, and `said` has it too.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {number: _copy(number) for number in (0, 1, 2)}
    with tempfile.TemporaryFile() as file:
        try:
            for stream in (sys.__stdout__, sys.__stderr__):
                with suppress(Exception):  # it may be closed, or none
                    stream.flush()  # type: ignore[union-attr]
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            yield
        finally:
            for number, copy in kept.items():
                if copy is not None:
                    os.dup2(copy, number)
                    os.close(copy)
            file.seek(0)
            said.write(file.read(MOST_SAID).decode(errors="replace"))


def _copy(number: int) -> int | None:
    try:
        return os.dup(number)
    except OSError:  # it is closed
        return None
