"""What a plugin imports to say what it brings: the hooks, and the small records that they
return.

@hookimpl
def vaezoo_variants():
    return [beta]
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pluggy

from .tags import TAGS, tags

if TYPE_CHECKING:
    from .core import Model
    from .data.data import Data

__all__ = [
    "DEFAULT",
    "EXTRACTOR",
    "PRIOR",
    "PROJECT",
    "TAGS",
    "Column",
    "Executor",
    "ExecutorError",
    "Figure",
    "Hooks",
    "Logger",
    "Metric",
    "Part",
    "Parts",
    "Table",
    "Variants",
    "hookimpl",
    "hookspec",
    "tags",
]

PROJECT = "vaezoo"
hookspec, hookimpl = pluggy.HookspecMarker(PROJECT), pluggy.HookimplMarker(PROJECT)


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
        """ "encoder", "decoder", "prior", "loss", "likelihood", "network" or "sampler": the
        `part_kind` of the class that is built.
        """
        made = self.build
        if not isinstance(made, type):
            made = inspect.signature(made, eval_str=True).return_annotation
        kind = getattr(made, "part_kind", "")
        if not kind:
            raise TypeError(
                f"part {self.name!r} is no Encoder, Decoder, Prior, Loss, Likelihood, Network or "
                f"Sampler: annotate what {self.build!r} returns"
            )
        return kind


EXTRACTOR = "extractor_sha256"  # the setting that says by which extractor numbers were made


@dataclass(frozen=True)
class Table:
    """A table that metrics put their columns into, described by one of them."""

    name: str  # of its files, such as elbo.csv
    title: str = ""  # the name, capitalised, unless given
    order: int = 100  # tables stand by order, then by name
    says: str = ""  # a prefix of its columns' names that the title makes unnecessary in a heading
    always: bool = False  # written even where no row has a number
    apart: str = ""  # a setting: rows that have it are not compared with the others, and say so

    @property
    def heading(self) -> str:
        return self.title or self.name.capitalize()


PRIOR = "prior"  # the name of the sampler that every model has: its own p(z)
DEFAULT = Table("elbo")  # described by the metric of the likelihood


@dataclass(frozen=True)
class Column:
    """One number that a metric gives, and how tables and figures show it."""

    name: str
    unit: str  # "nats", "bits/dim", "s", "" …
    better: str  # "lower", "higher" or "" where there is no better
    table: str = ""  # the name of a table; the metric's own unless given
    digits: int = 2  # decimals shown
    lead: int = 0  # its place among the columns that stand first in the table, even without numbers
    panel: bool = False  # whether the figure of a sweep has a panel of it
    panel_controls: bool = False  # whether that panel shows its control rows
    one_extractor: bool = False  # comparable only where the setting `EXTRACTOR` is the same
    of: str = ""  # what the metric measures
    # the densities that it is computed from, of "q", "p" and "px" (q(z|x), p(z), p(x|z)), such as
    # "p,px": it is refused where one of them is broken. The metric's own unless given
    rests_on: str = ""
    axis: str = ""  # "rate" or "distortion", in nats: an axis of the figure of both
    # the range of what it measures, ends included: a number beyond it is refused. None: no end, or
    # an estimate that chance alone takes past it
    low: float | None = None
    high: float | None = None
    # of a mean over N rows that chance alone takes past its range: the setting that is N
    rows: str = ""

    def __post_init__(self) -> None:
        if self.better not in ("lower", "higher", ""):
            raise ValueError(
                f"column {self.name!r}: better is 'lower', 'higher' or '', not {self.better!r}"
            )
        rests = self.rests_on.split(",") if isinstance(self.rests_on, str) else [self.rests_on]
        if not all(one in ("", "q", "p", "px") for one in rests):
            raise ValueError(
                f"column {self.name!r}: rests_on names q, p or px with commas, "
                f"not {self.rests_on!r}"
            )
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"column {self.name!r}: its low is not below its high")


@dataclass(frozen=True)
class Metric:
    """Numbers computed from a trained model: `measure(evaluation)` gives one float for each column,
    or NaN; a `RowMean` where it is a mean over the split's rows.

    A column that does not apply is left out of the answer; its reason goes to
    `evaluation.say(column, reason)`. Where no column applies, `measure` raises Unsupported(reason).
    `controls(data)` gives rows of numbers to compare with, row -> column -> number, that depend on
    the data alone.
    """

    name: str
    columns: tuple[Column, ...]
    measure: Callable[[Any], Mapping[str, float]]
    table: Table | None = None  # of columns that name no other one
    of: str = ""  # "samples": measured for every sampler; "": once
    controls: Callable[[Data], Mapping[str, Mapping[str, float]]] | None = None
    asked: bool = False  # too costly to be measured unless `--metrics` names it
    rests_on: str = ""  # of columns that do not say; of samples "p,px"

    def __post_init__(self) -> None:
        if self.of not in ("", "samples"):
            raise ValueError(f"metric {self.name!r}: of is 'samples' or '', not {self.of!r}")
        own = (self.table or DEFAULT).name
        rests_on = self.rests_on or ("p,px" if self.of == "samples" else "")
        columns = []
        for c in self.columns:
            whole = replace(c, table=c.table or own, of=c.of or self.of)
            columns.append(replace(whole, rests_on=c.rests_on or rests_on))
        object.__setattr__(self, "columns", tuple(columns))

    @property
    def doc(self) -> str:
        return inspect.getdoc(self.measure) or ""


@dataclass(frozen=True)
class Figure:
    """A figure of a report: `draw(material)` gives a figure of matplotlib, several one after the
    other (a list, or a generator, of which one is in memory at a time), or a mapping from what to
    add to the file's name to each; None, or an Unsupported with the reason, where there is nothing
    to draw.

    It is drawn once for each data set, or once for the whole run.
    """

    name: str
    draw: Callable[[Any], Any]
    of: str = "dataset"  # or "run"

    def __post_init__(self) -> None:
        if self.of not in ("dataset", "run"):
            raise ValueError(f"figure {self.name!r}: of is 'dataset' or 'run', not {self.of!r}")

    @property
    def doc(self) -> str:
        return inspect.getdoc(self.draw) or ""


# What the hooks of a plugin return.
Variants: TypeAlias = "list[Callable[..., Model]]"
Parts: TypeAlias = "list[Part]"


def _no_session(jobs: int, threads: int) -> AbstractContextManager[Any]:
    return nullcontext()


def _nothing_left(out: Path) -> None:
    return None


class ExecutorError(RuntimeError):
    """An executor can run nothing here. One sentence."""


@dataclass(frozen=True)
class Executor:
    """Where trials run: `bench --executor NAME`. A trial goes in as a path and comes back as one.

    `submit(task, timeout)` starts the trial of a file, by `python -m vaezoo.bench.workers.task
    FILE` wherever it likes, and gives a handle. `poll(handle)` gives None while it runs; then {}
    or, where it died, {"error": why, "status": "failed", "timeout", "oom" or "cancelled"}.
    `cancel(handle)` stops it. `session(jobs, threads)` is a context around all trials of a run,
    where one is needed. One that `queues` is handed all trials at once, runs `jobs` of them side by
    side itself, and keeps them when the run is stopped. `tidy(out)` is called where a run finds all
    trials done: it removes what an earlier one, which was killed, has left in the folder.

    An executor with options is a function of them that returns an `Executor`; it has the function's
    name: `bench --executor 'NAME[option=value]'`.
    """

    name: str
    submit: Callable[[Path, float | None], Any]
    poll: Callable[[Any], Mapping[str, Any] | None]
    cancel: Callable[[Any], None]
    session: Callable[[int, int], AbstractContextManager[Any]] = _no_session
    queues: bool = False
    tidy: Callable[[Path], object] = _nothing_left

    @property
    def doc(self) -> str:
        return inspect.getdoc(self.submit) or ""


@dataclass(frozen=True)
class Logger:
    """Where the numbers of trials go beside their folders: `bench --log NAME`.

    All three are called in a process of the logger's own, in which nothing is trained.
    `begin(trial, out)` gives a handle, from what the trial is made of ("key", "variant", "dataset",
    "seed", "hyperparameters", "budget", "spec") and the folder of the run. `epoch(handle, row)` is
    called for every line of its learning curve, "epoch" among its columns; `end(handle, status,
    metrics)` once it has ended. A trial whose process died has the epochs that it wrote.

    A logger with options is a function of them that returns a `Logger`; it has the function's name:
    `bench --log 'NAME[option=value]'`.
    """

    name: str
    begin: Callable[[Mapping[str, Any], Path], Any]
    epoch: Callable[[Any, Mapping[str, float]], None]
    end: Callable[[Any, str, Mapping[str, float]], None]

    @property
    def doc(self) -> str:
        return inspect.getdoc(self.begin) or ""


class Hooks:
    """What a plugin may bring. Each hook returns a list."""

    @hookspec
    def vaezoo_variants(self) -> Variants:  # type: ignore[empty-body]
        """Variants: functions `(spec, **hyperparameters) -> Model`; the function's name is the
        variant's.
        """

    @hookspec
    def vaezoo_parts(self) -> Parts:  # type: ignore[empty-body]
        """Encoders, decoders, priors, losses and samplers by name."""

    @hookspec
    def vaezoo_datasets(self) -> list[Callable[..., Data]]:  # type: ignore[empty-body]
        """Data sets: functions `(**options) -> Data`; an argument called `files` is given the
        `Files` to read from.
        """

    @hookspec
    def vaezoo_metrics(self) -> list[Metric]:  # type: ignore[empty-body]
        """Metrics of a trained model."""

    @hookspec
    def vaezoo_executors(self) -> list[Executor | Callable[..., Executor]]:  # type: ignore[empty-body]
        """Where trials run: on this machine, on a cluster."""

    @hookspec
    def vaezoo_figures(self) -> list[Figure]:  # type: ignore[empty-body]
        """Figures of a report."""

    @hookspec
    def vaezoo_loggers(self) -> list[Logger | Callable[..., Logger]]:  # type: ignore[empty-body]
        """Where the numbers of trials go beside their folders."""
