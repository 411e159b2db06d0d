"""Hyperparameters: the keyword arguments of a variant, a part or a data set, typed and
range-checked by pydantic.

An annotation says the range, the default is the paper's. Text from the command line is turned into
the annotated type.
"""

import ast
import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from types import NoneType
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

__all__ = [
    "Count",
    "Fraction",
    "Hyperparameter",
    "HyperparameterError",
    "NonNegative",
    "Positive",
    "Real",
    "did_you_mean",
    "from_text",
    "hyperparameters",
    "listed",
    "resolve",
]

MOST = 2**53  # a whole number: floating point keeps them apart to here
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Real = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]

# What groups and what quotes a text that stands for a value.
BRACKETS = ("([", ")]")
QUOTES = "'\""

# Arguments that the caller of a builder fills in: they are not hyperparameters.
INJECTED = ("spec", "encoder", "decoder", "prior", "files", "load")


class HyperparameterError(ValueError):
    """A hyperparameter that is unknown, of the wrong type or out of range."""


@dataclass(frozen=True)
class Hyperparameter:
    """One keyword argument of a builder."""

    name: str
    annotation: Any
    default: Any  # `inspect.Parameter.empty` where one must be given

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty

    @property
    def limits(self) -> dict[str, float]:
        """The annotation's, by how they are meant: "gt", "ge", "lt", "le"."""
        said = [
            one
            for field in getattr(self.annotation, "__metadata__", ())
            for one in getattr(field, "metadata", ())
        ]
        return {
            key: getattr(one, key)
            for one in said
            for key in ("gt", "ge", "lt", "le")
            if hasattr(one, key)
        }

    @property
    def range(self) -> str:
        """The type and the range in words, such as "float > 0"."""
        kind = getattr(self.annotation, "__origin__", self.annotation)
        words = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
        bounds = [f"{words[key]} {limit}" for key, limit in self.limits.items()]
        name = getattr(kind, "__name__", str(kind))
        if name == "Literal":
            return " | ".join(map(str, self.annotation.__args__))
        return f"{name} {', '.join(bounds)}".strip()


def hyperparameters(build: Callable[..., Any]) -> dict[str, Hyperparameter]:
    """The hyperparameters of a builder, by name, in the order of its signature."""
    parameters = inspect.signature(build, eval_str=True).parameters.values()
    return {
        p.name: Hyperparameter(p.name, p.annotation, p.default)
        for p in parameters
        if p.name not in INJECTED and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }


def resolve(build: Callable[..., Any], given: Mapping[str, Any], who: str) -> dict[str, Any]:
    """All hyperparameters of `build`, the given ones checked and converted, the others at their
    defaults.

    Raises: HyperparameterError, one sentence that names the key, the value and what is possible.
    """
    known, schema = _schema(build)
    for key in given:
        if key not in known:
            raise HyperparameterError(
                f"{who} has no hyperparameter {key!r}{did_you_mean(key, known)}; "
                f"it has {listed(known)}"
            )
    try:
        checked = schema(**given)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        if first["type"] == "missing":
            raise HyperparameterError(f"{who} needs {key}=… ({known[key].range})") from None
        raise HyperparameterError(
            f"{who}[{key}={_shown(first['input'])}] is out of range: "
            f"{key} is {known[key].range} ({first['msg'].lower()})"
        ) from None
    values = {name: getattr(checked, name) for name in known}
    for name, value in values.items():
        if _is_beyond(value):
            raise HyperparameterError(
                f"{who}[{name}={_shown(value)}] is out of range: whole numbers go to {MOST:,}"
            )
    return values


def _is_beyond(value: Any) -> bool:
    """Whether a whole number in it, in a tuple or a list too, is larger than `MOST`."""
    if isinstance(value, tuple | list):
        return any(map(_is_beyond, value))
    return isinstance(value, int) and abs(value) > MOST


def _shown(value: Any) -> str:
    """What was given, in one line of bearable length."""
    try:
        return " ".join(str(value)[:200].split())
    except ValueError:  # an int of more digits than Python writes
        return "a number without end"


def from_text(given: Mapping[str, str], known: Mapping[str, Hyperparameter]) -> dict[str, Any]:
    """Texts as values that pydantic can convert: "none" where the hyperparameter may be None,
    literal tuples, and what stands in quotes without them.
    """
    return {key: _value(text, known.get(key)) for key, text in given.items()}


def in_quotes(text: str) -> str:
    r"""The text as `from_text` reads it back: in the quotes that it has not itself. With both kinds
    of them, or letters that cannot be shown, it is written \'…' with Python's escapes inside.
    """
    if text.isprintable() and not set(QUOTES) <= set(text):
        return f'"{text}"' if "'" in text else f"'{text}'"
    escaped = text.encode("unicode_escape").decode("ascii").replace("'", r"\x27")
    return rf"\'{escaped}'"


def _unescaped(text: str) -> str:
    """What stands in the quotes of `in_quotes`; the text itself where they hold no escapes."""
    try:
        return text[2:-1].encode("ascii").decode("unicode_escape")
    except UnicodeError:
        return text


def _literal(text: str) -> Any:
    """The tuple or list that the text writes; the text itself where it is none."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of odd escapes in it
            return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return text


def _value(text: str, known: Hyperparameter | None) -> Any:
    if known and text.lower() == "none" and NoneType in get_args(known.annotation):
        return None
    if text[:1] in BRACKETS[0] and text:
        return _literal(text)
    if len(text) > 2 and text.startswith(r"\'") and text.endswith("'"):
        return _unescaped(text)
    return text[1:-1] if len(text) > 1 and text[0] in QUOTES and text[-1] == text[0] else text


@lru_cache(maxsize=512)  # a millisecond each, and a builder is called for every trial
def _schema(
    build: Callable[..., Any],
) -> tuple[Mapping[str, Hyperparameter], type[BaseModel]]:
    """The hyperparameters of `build`, and what checks and converts them."""
    known = hyperparameters(build)
    fields: dict[str, Any] = {
        h.name: (h.annotation, ... if h.required else h.default) for h in known.values()
    }
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, protected_namespaces=())
    return known, create_model("Hyperparameters", __config__=config, **fields)


def did_you_mean(name: str, known: Mapping[str, Any] | list[str] | tuple[str, ...]) -> str:
    """ "; did you mean 'x'?" where a known name is near, else nothing."""
    near = get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def listed(known: Mapping[str, Any]) -> str:
    """The known names in one line."""
    return ", ".join(known) or "none"
