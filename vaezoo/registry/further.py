"""Further switches that a plugin could set for all: of the process, of how others are started, of
what torch chooses its kernels by, and how figures look.
"""

import multiprocessing
import os
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing import spawn
from typing import Any

import torch
from torch.distributions import kl
from torch.utils._python_dispatch import _pop_mode

__all__ = ["FURTHER", "hard_limits"]

Get = Callable[[], Any]
Put = Callable[[Any], Any]
OPT_EINSUM = torch.backends.opt_einsum
# of attention: what chooses among them gives other last digits
ATTENTION = ("flash_sdp", "mem_efficient_sdp", "math_sdp", "cudnn_sdp")
# backends and operations whose precision has a name of its own, in newer versions of torch
PRODUCTS = [("generic", "all")]
PRODUCTS += [(of, what) for of in ("cuda", "mkldnn") for what in ("all", "matmul", "conv", "rnn")]
PRODUCTS = PRODUCTS if hasattr(torch._C, "_get_fp32_precision_getter") else []


def _limits() -> dict[int, tuple[int, int]]:
    """Soft and hard limits of the process, where the system has them."""
    try:
        import resource
    except ImportError:  # Windows
        return {}
    numbers = (getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_"))
    return {number: resource.getrlimit(number) for number in numbers}


def _put_limits(value: Mapping[int, tuple[int, int]]) -> None:
    import resource

    for number, (soft, hard) in value.items():
        now = resource.getrlimit(number)[1]
        for limits in ((soft, hard), (min(soft, now) if now >= 0 else soft, now)):
            with suppress(OSError, ValueError):  # only root may raise a hard limit again
                resource.setrlimit(number, limits)
                break


def hard_limits() -> tuple[int, ...]:
    """What nobody but root may raise again."""
    return tuple(hard for _, hard in _limits().values())


def _standing() -> tuple[Any, ...]:
    """Group of processes, priority and processors."""
    if not hasattr(os, "getpgrp"):
        return ()
    processors = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    return os.getpgrp(), os.getpriority(os.PRIO_PROCESS, 0), processors


def _put_standing(value: tuple[Any, ...]) -> None:
    group, priority, processors = value
    with suppress(OSError):
        os.setpgid(0, group)
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, priority)
    if processors is not None:
        with suppress(OSError):
            os.sched_setaffinity(0, processors)


def _starting() -> tuple[Any, ...]:
    return multiprocessing.get_start_method(allow_none=True), spawn.get_executable()


def _put_starting(value: tuple[Any, ...]) -> None:
    multiprocessing.set_start_method(value[0], force=True)
    spawn.set_executable(value[1])


def _of_threads() -> tuple[Any, ...]:
    return threading.gettrace(), threading.getprofile(), threading.stack_size()


def _put_of_threads(value: tuple[Any, ...]) -> None:
    threading.settrace(value[0])
    threading.setprofile(value[1])
    threading.stack_size(value[2])


def _dispatch_modes() -> int:
    return torch._C._len_torch_dispatch_stack()


def _put_dispatch_modes(value: int) -> None:
    while torch._C._len_torch_dispatch_stack() > value:
        _pop_mode()


def _hooks_of_tensors() -> Any:
    return torch._C._autograd._top_saved_tensors_default_hooks(True)


def _put_hooks_of_tensors(value: Any) -> None:
    while _hooks_of_tensors() not in (value, None):
        torch._C._autograd._pop_saved_tensors_default_hooks()


def _kernels() -> tuple[Any, ...]:
    cuda = torch.backends.cuda
    attention = [getattr(cuda, f"{name}_enabled")() for name in ATTENTION]
    einsum = (OPT_EINSUM.enabled, OPT_EINSUM.strategy)
    return *attention, *einsum, torch._C._get_nnpack_enabled()


def _put_kernels(value: tuple[Any, ...]) -> None:
    cuda = torch.backends.cuda
    for name, is_on in zip(ATTENTION, value, strict=False):
        getattr(cuda, f"enable_{name}")(is_on)
    enabled, strategy, nnpack = value[len(ATTENTION) :]
    OPT_EINSUM.enabled = enabled
    if strategy is not None:
        OPT_EINSUM.strategy = strategy
    torch._C._set_nnpack_enabled(nnpack)


def _precision() -> tuple[str, list[str]]:
    """As torch's old name has it, and by backend and operation as the new names have it."""
    try:
        overall = torch.get_float32_matmul_precision()
    except RuntimeError:  # both were used, and torch no longer answers
        overall = ""
    return overall, [torch._C._get_fp32_precision_getter(*place) for place in PRODUCTS]


def _put_precision(value: tuple[str, list[str]]) -> None:
    overall, each = value
    if overall:
        torch.set_float32_matmul_precision(overall)
    for place, precision in zip(PRODUCTS, each, strict=True):
        torch._C._set_fp32_precision_setter(*place, precision)


def _divergences() -> dict[Any, Any]:
    """KL(p ‖ q) of pairs that are torch's own; a plugin may add those of its own laws."""
    return {
        pair: function
        for pair, function in kl._KL_REGISTRY.items()
        if all(law.__module__.startswith(("torch.", "vaezoo.")) for law in pair)
    }


def _put_divergences(value: Mapping[Any, Any]) -> None:
    for pair in _divergences():
        if pair not in value:
            del kl._KL_REGISTRY[pair]
    kl._KL_REGISTRY.update(value)
    kl._KL_MEMOIZE.clear()


def _looks() -> dict[str, Any]:
    """What is not as matplotlib has it by itself; nothing where it is not there yet."""
    matplotlib: Any = sys.modules.get("matplotlib")
    if not hasattr(matplotlib, "rcParamsOrig"):
        return {}
    usual = dict.items(matplotlib.rcParamsOrig)
    return {name: one for name, one in dict.items(matplotlib.rcParams) if (name, one) not in usual}


def _put_looks(value: Mapping[str, Any]) -> None:
    matplotlib: Any = sys.modules.get("matplotlib")
    if matplotlib is not None:
        dict.update(matplotlib.rcParams, {**matplotlib.rcParamsOrig, **value})


def _executable() -> tuple[Any, ...]:
    return sys.executable, sys.prefix, sys.dont_write_bytecode, sys.get_int_max_str_digits()


def _put_executable(value: tuple[Any, ...]) -> None:
    sys.executable, sys.prefix, sys.dont_write_bytecode = value[:3]
    sys.set_int_max_str_digits(value[3])


# name, how it is read, how it is set
FURTHER: tuple[tuple[str, Get, Put], ...] = (
    ("modes of torch", _dispatch_modes, _put_dispatch_modes),
    ("the precision of products", _precision, _put_precision),
    ("limits of the process", _limits, _put_limits),
    ("group or priority of the process", _standing, _put_standing),
    ("how processes are started", _starting, _put_starting),
    ("how threads are started", _of_threads, _put_of_threads),
    ("how long a connection is waited for", socket.getdefaulttimeout, socket.setdefaulttimeout),
    ("hooks of saved tensors", _hooks_of_tensors, _put_hooks_of_tensors),
    ("kernels of torch", _kernels, _put_kernels),
    ("divergences of torch's laws", _divergences, _put_divergences),
    ("how figures look", _looks, _put_looks),
    ("sys.executable", _executable, _put_executable),
)
