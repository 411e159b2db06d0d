"""What the libraries consist of, and a plugin could change for all: functions of torch, numpy and
Python, functions and constants of ours, modules by their names. Compared, and put back.
"""

import os
import random
import signal
import sys
from collections.abc import Iterator
from functools import cache
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import distributions, nn, optim

__all__ = ["SHARED", "Libraries"]

# Modules and classes whose functions are others' too; all classes of `FAMILIES`, vaezoo's own and
# what these name are added.
SHARED: tuple[Any, ...] = (
    torch, torch.nn, torch.nn.functional, torch.nn.init, torch.optim, torch.linalg, torch.special,
    torch.autograd, torch.distributions.kl, torch.distributions.utils, torch.fft, torch.random,
    torch.nn.utils, np.linalg,
    torch.Tensor, torch.nn.Module, torch.nn.Linear, torch.nn.Parameter, torch.optim.Adam,
    np, np.random, random, os, sys, signal, __import__("builtins"), __import__("json"),
    __import__("math"), __import__("time"),
)  # fmt: skip
FAMILIES = (nn, optim, distributions)
# what a constant is: lists and dictionaries are filled as plugins come in
PLAIN = (int, float, str, bytes, tuple, frozenset)
OURS = "vaezoo"

Parts = dict[str, Any]


class Libraries:
    """What was, when this was made."""

    def __init__(self) -> None:
        self.modules = dict(sys.modules)
        self.parts = [(owner, dict(vars(owner))) for owner in _owners()]
        self.insides = [
            (value, value.__code__, value.__defaults__, value.__kwdefaults__)
            for _, parts in self.parts
            for value in parts.values()
            if type(value) is FunctionType
        ]
        self.by_keyword = {
            id(values): dict(values) for *_, values in self.insides if values is not None
        }

    def put_back(self) -> list[str]:
        """What is another one now, by name; it is put back."""
        changed = []
        for name, module in self.modules.items():
            if sys.modules.get(name) is not module:
                sys.modules[name] = module
                changed.append(f"the module {name}")
        for owner, before in self.parts:
            changed += _restored(owner, before)
        for function, code, defaults, by_keyword in self.insides:
            values = self.by_keyword.get(id(by_keyword))
            if (
                function.__code__ is not code
                or function.__defaults__ is not defaults
                or function.__kwdefaults__ != values
            ):
                function.__code__ = code
                function.__defaults__ = defaults
                function.__kwdefaults__ = values
                changed.append(f"{function.__module__}.{function.__qualname__}")
        return changed


@cache
def _classes() -> tuple[type, ...]:
    things = (thing for family in FAMILIES for thing in vars(family).values())
    return tuple(dict.fromkeys(thing for thing in things if isinstance(thing, type)))


def _owners() -> Iterator[Any]:
    found = {id(one): one for one in (*SHARED, *_classes())}
    for name, module in list(sys.modules.items()):
        if not name.startswith(f"{OURS}.") or module is None:
            continue
        found[id(module)] = module
        for thing in list(vars(module).values()):
            for owner in _named(thing, name):
                found.setdefault(id(owner), owner)
    yield from found.values()


def _named(thing: Any, by: str) -> Iterator[Any]:
    """The modules and classes that can be changed for the module `by`, which names this thing: what
    is ours is of the module that defines it.
    """
    home = getattr(thing, "__module__", None)
    if isinstance(thing, ModuleType):
        if not thing.__name__.startswith(OURS):
            yield thing
    elif isinstance(thing, type) and (home == by or not str(home).startswith(OURS)):
        yield thing
    elif isinstance(thing, FunctionType) and not str(home).startswith(OURS):
        where = sys.modules.get(str(home))
        if where is not None:
            yield where


def _restored(owner: Any, before: Parts) -> Iterator[str]:
    now = vars(owner)
    for name, value in before.items():
        if now.get(name) is not value and _is_shared(owner, name, value):
            setattr(owner, name, value)
            yield f"{owner.__name__}.{name}"
    for name in _overriding(owner, before):
        delattr(owner, name)
        yield f"{owner.__name__}.{name}"


def _is_shared(owner: Any, name: str, value: Any) -> bool:
    """Whether it is what can be called, a constant of ours, or a public one of another module, such
    as math.pi.
    """
    if callable(value) or isinstance(value, property | classmethod | staticmethod):
        return True
    home = owner.__module__ if isinstance(owner, type) else owner.__name__
    if home.startswith(f"{OURS}."):
        return not name.startswith("__") and (value is None or isinstance(value, PLAIN))
    is_constant = isinstance(owner, ModuleType) and not name.startswith("_")
    return is_constant and isinstance(value, PLAIN)


def _overriding(owner: Any, before: Parts) -> list[str]:
    """What a class has got since then in place of what it inherits."""
    if not isinstance(owner, type) or len(vars(owner)) <= len(before):
        return []
    inherited = {name for base in owner.__mro__[1:] for name in vars(base)}
    new = [name for name in vars(owner) if name not in before and name in inherited]
    return [name for name in new if _is_shared(owner, name, vars(owner)[name])]
