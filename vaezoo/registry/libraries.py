"""What the libraries consist of, and a plugin could change for all: functions of torch, numpy and
Python, functions and constants of ours, modules by their names. Compared, and put back.
"""

import os
import random
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import chain
from operator import attrgetter, is_, methodcaller
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
VALUES = methodcaller("values")
BY_KEYWORD = "__kwdefaults__"
# what of a function can be changed
INSIDES: dict[str, Callable[[Any], Any]] = {
    name: attrgetter(name) for name in ("__code__", "__defaults__", BY_KEYWORD)
}

Parts = dict[str, Any]


class Libraries:
    """What was, when this was made."""

    def __init__(self) -> None:
        self.modules = dict(sys.modules)
        self.shared = _shared()

    def put_back(self) -> list[str]:
        """What is another one now, by name; it is put back."""
        changed: list[str] = []
        now = map(sys.modules.get, self.modules)
        if not _are_the_same(now, self.modules.values()):
            changed = self._put_back_modules()
        return changed if self.shared.is_as_it_was() else changed + self.shared.put_back()

    def _put_back_modules(self) -> list[str]:
        changed = []
        for name, module in self.modules.items():
            if sys.modules.get(name) is not module:
                sys.modules[name] = module
                changed.append(f"the module {name}")
        return changed


class _Shared:
    """All modules and classes that are looked at, and what each consisted of."""

    def __init__(self, ours: Parts) -> None:
        self.ours = _identities(ours)
        self.missing: set[str] = set()  # names of modules whose functions we have
        self.parts = [(owner, dict(vars(owner))) for owner in _owners(ours, self.missing)]
        self.sizes = [len(parts) for _, parts in self.parts]
        self.names = [name for _, parts in self.parts for name in parts]
        self.values = [value for _, parts in self.parts for value in parts.values()]
        self.functions = [value for value in self.values if type(value) is FunctionType]
        self.insides = {name: list(map(get, self.functions)) for name, get in INSIDES.items()}
        # what is taken by keyword can be changed inside
        self.by_keyword = [
            (values, dict(values)) for values in self.insides[BY_KEYWORD] if values is not None
        ]

    def is_of(self, ours: Parts) -> bool:
        """Whether, where these are the modules of ours, it says what is now."""
        return (
            self.ours == _identities(ours)
            and self.missing.isdisjoint(sys.modules)
            and self.is_as_it_was()
        )

    def is_as_it_was(self) -> bool:
        """Whether all have the same things by the same names and in the same order. It is asked
        twice for every call of a plugin, so no loop of Python's is in it.
        """
        now = [vars(owner) for owner, _ in self.parts]
        return (
            list(map(len, now)) == self.sizes
            and _are_the_same(chain.from_iterable(now), self.names)
            and _are_the_same(chain.from_iterable(map(VALUES, now)), self.values)
            and all(
                _are_the_same(map(get, self.functions), self.insides[name])
                for name, get in INSIDES.items()
            )
            and all(values == before for values, before in self.by_keyword)
        )

    def put_back(self) -> list[str]:
        """What is another one now, by name; it is put back."""
        changed: list[str] = []
        for owner, before in self.parts:
            changed += _restored(owner, before)
        copies = {id(values): copy for values, copy in self.by_keyword}
        for function, *inside in zip(self.functions, *self.insides.values(), strict=True):
            code, defaults, by_keyword = inside
            values = copies.get(id(by_keyword))
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


_last: list[_Shared] = []


def _shared() -> _Shared:
    """What is now. Mostly what was seen last still holds, which is seen ten times as fast as it is
    written down.
    """
    ours = _modules_of_ours()
    if not _last or not _last[0].is_of(ours):
        _last[:] = [_Shared(ours)]
    return _last[0]


def _modules_of_ours() -> Parts:
    return {
        name: module
        for name, module in list(sys.modules.items())
        if name.startswith(f"{OURS}.") and module is not None
    }


def _identities(modules: Parts) -> dict[str, int]:
    return {name: id(module) for name, module in modules.items()}


def _are_the_same(now: Iterable[Any], before: Iterable[Any]) -> bool:
    """Whether two series of one length are of the same objects; what is equal to all is not."""
    return all(map(is_, now, before))


@cache
def _classes() -> tuple[type, ...]:
    things = (thing for family in FAMILIES for thing in vars(family).values())
    return tuple(dict.fromkeys(thing for thing in things if isinstance(thing, type)))


def _owners(ours: Parts, missing: set[str]) -> list[Any]:
    """What is shared, and what modules of `ours` name. Modules that are not there, and whose
    functions they name, are put into `missing`.
    """
    found = {id(one): one for one in (*SHARED, *_classes())}
    for name, module in ours.items():
        found[id(module)] = module
        for thing in list(vars(module).values()):
            owner = _named(thing, name, missing)
            if owner is not None:
                found.setdefault(id(owner), owner)
    return list(found.values())


def _named(thing: Any, by: str, missing: set[str]) -> Any:
    """The module or class that can be changed for the module `by`, which names this thing; None for
    none. What is ours is of the module that defines it.
    """
    if isinstance(thing, ModuleType):
        return None if thing.__name__.startswith(OURS) else thing
    home = getattr(thing, "__module__", None)
    if isinstance(thing, type):
        return thing if home == by or not str(home).startswith(OURS) else None
    if not isinstance(thing, FunctionType) or str(home).startswith(OURS):
        return None
    if str(home) not in sys.modules:
        missing.add(str(home))
    return sys.modules.get(str(home))


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
