"""What a plugin imports to say what it brings: the four hooks, and the small records that they
return.

@hookimpl
def vaezoo_variants():
    return [beta]
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

if TYPE_CHECKING:
    from .data.data import Data

PROJECT = "vaezoo"
hookspec, hookimpl = pluggy.HookspecMarker(PROJECT), pluggy.HookimplMarker(PROJECT)
F = TypeVar("F", bound=Callable[..., Any])


def tags(*names: str) -> Callable[[F], F]:
    """Marks a variant, a data set or a metric with tags, by which the command line can choose it."""

    def mark(function: F) -> F:
        function.__dict__["tags"] = frozenset(names)
        return function

    return mark


@dataclass(frozen=True)
class Part:
    """An encoder, a decoder, a prior or a loss by name, for `mix` to compose; or a sampler, for
    `bench --sampler`.

    `build` is its class, or a function annotated with what it returns. It is called with its
    hyperparameters and with those of `spec`, `encoder`, `decoder` and `prior` that it has arguments
    for.
    """

    name: str
    build: Callable[..., Any]

    @property
    def kind(self) -> str:
        """ "encoder", "decoder", "prior", "loss" or "sampler"."""
        from .core import Decoder, Encoder, Loss, Prior
        from .samplers import Sampler

        made = (
            self.build
            if isinstance(self.build, type)
            else inspect.signature(self.build, eval_str=True).return_annotation
        )
        for kind in (Encoder, Decoder, Prior, Loss, Sampler):
            if isinstance(made, type) and issubclass(made, kind):
                return kind.__name__.lower()
        raise TypeError(
            f"part {self.name!r} is no Encoder, Decoder, Prior, Loss or Sampler: annotate what {self.build!r} returns"
        )


@dataclass(frozen=True)
class Column:
    """One number that a metric gives, and how a table shows it."""

    name: str
    unit: str  # "nats", "bits/dim", "s", "" …
    better: str  # "lower", "higher" or "" where there is no better
    table: str = "elbo"  # elbo, reconstruction, fid, or the name of a further table
    digits: int = 2  # decimals shown

    def __post_init__(self) -> None:
        if self.better not in ("lower", "higher", ""):
            raise ValueError(
                f"column {self.name!r}: better is 'lower', 'higher' or '', not {self.better!r}"
            )


@dataclass(frozen=True)
class Metric:
    """Numbers computed from a trained model: `measure(evaluation)` gives one float for each column,
    or NaN.

    A column that does not apply is left out of the answer; its reason goes to
    `evaluation.say(column, reason)`.
    """

    name: str
    columns: tuple[Column, ...]
    measure: Callable[[Any], Mapping[str, float]]

    @property
    def doc(self) -> str:
        return inspect.getdoc(self.measure) or ""


class Hooks:
    """What a plugin may bring. Each hook returns a list."""

    @hookspec
    def vaezoo_variants(self) -> list[Callable[..., Any]]:  # type: ignore[empty-body]
        """Variants: functions `(spec, **hyperparameters) -> Model`; the function's name is the
        variant's.
        """

    @hookspec
    def vaezoo_parts(self) -> list[Part]:  # type: ignore[empty-body]
        """Encoders, decoders, priors, losses and samplers by name."""

    @hookspec
    def vaezoo_datasets(self) -> list[Callable[..., Data]]:  # type: ignore[empty-body]
        """Data sets: functions `(**options) -> Data`; an argument called `files` is given the
        `Files` to read from.
        """

    @hookspec
    def vaezoo_metrics(self) -> list[Metric]:  # type: ignore[empty-body]
        """Metrics of a trained model."""
