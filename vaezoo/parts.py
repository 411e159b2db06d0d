"""Parts that a `Spec` names in text: likelihoods and networks, with their options in brackets.

    "bernoulli"    "student_t[df=5]"    "mlp[layers=2,width=300,activation=tanh]"

A spec travels as JSON, so it holds text; this is where a text finds its class. Ours are here as
soon as their modules are imported, a plugin's as soon as the registry has loaded it.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from .hyperparameters import HyperparameterError, did_you_mean, hyperparameters, listed, resolve

__all__ = ["canonical_text", "find", "names", "register"]

_known: dict[str, dict[str, Callable[..., Any]]] = {"likelihood": {}, "network": {}}
TEXT = re.compile(r"(?P<name>\w+)(?:\[(?P<options>.*)\])?")


def register(kind: str, name: str, build: Callable[..., Any]) -> None:
    """From now on a spec's text may name this class; `kind` is "likelihood" or "network"."""
    _known[kind][name] = build


def names(kind: str) -> tuple[str, ...]:
    """All names of this kind, in the order in which they were registered."""
    return tuple(_known[kind])


def find(kind: str, text: str) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The class that the text names, and all its options, checked and converted.

    Raises: HyperparameterError for an unknown name or option, and for a value out of range.
    """
    name, given = _read(kind, text)
    if name not in _known[kind]:
        near = did_you_mean(name, _known[kind]) or f"; there are {listed(_known[kind])}"
        raise HyperparameterError(f"no {kind} is called {name!r}{near}")
    build = _known[kind][name]
    return build, resolve(build, given, f"the {kind} {name}")


def canonical_text(kind: str, text: str) -> str:
    """One text for one meaning: options in the order of the signature, defaults left out.

    Raises: HyperparameterError.
    """
    build, values = find(kind, text)
    name, _ = _read(kind, text)
    defaults = hyperparameters(build)
    changed = [f"{key}={_plain(v)}" for key, v in values.items() if v != defaults[key].default]
    return name + (f"[{','.join(changed)}]" if changed else "")


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read(kind: str, text: str) -> tuple[str, Mapping[str, str]]:
    """ "student_t[df=5]" -> ("student_t", {"df": "5"})."""
    found = TEXT.fullmatch(text.strip())
    if not found:
        raise HyperparameterError(
            f"{text!r} is no {kind}: write its name, or name[option=value,option=value]"
        )
    given: dict[str, str] = {}
    for pair in filter(None, (found["options"] or "").split(",")):
        key, equals, value = pair.partition("=")
        if not equals or key.strip() in given:
            raise HyperparameterError(
                f"{text!r}: inside the brackets stands option=value, each option once"
            )
        given[key.strip()] = value.strip()
    return found["name"], given
