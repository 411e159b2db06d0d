"""What a run keeps beside its trials: run.json, control rows, learning curves, progress."""

import csv
import io
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..trial import PROTOCOL, Json
from .checks import COUNTED, label, mapping, number, numbers, of_type, texts
from .parsing import Damaged

MOST_VALUES = 1000  # of one setting in a sweep


@dataclass(frozen=True)
class RunRecord:
    """run.json: the keys of the last plan, in the order of the tables, and how they came about."""

    trials: tuple[str, ...] = ()
    first_started: str = ""  # UTC, as 2026-01-31T12:00:00Z
    last_started: str = ""
    command: str = ""
    request: Json = field(default_factory=dict)  # what was asked for
    columns: Mapping[str, Json] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)  # package -> version
    machine: Mapping[str, Any] = field(default_factory=dict)
    # setting -> the values of every request with a list of them
    sweeps: Mapping[str, list[Any]] = field(default_factory=dict)
    protocol: int = PROTOCOL

    @classmethod
    def from_json(cls, facts: Any) -> "RunRecord":
        stored = mapping(facts, "the file")
        times = mapping(stored.get("timestamps", {}), "timestamps")
        request = mapping(stored.get("request", {}), "request")
        before = mapping(stored.get("sweeps", {}), "sweeps")
        return cls(
            trials=_keys(stored),
            first_started=of_type(str, times.get("first_started", ""), "first_started"),
            last_started=of_type(str, times.get("last_started", ""), "last_started"),
            command=of_type(str, stored.get("command", ""), "command"),
            request=request,
            sweeps=joined_sweeps(before, mapping(request.get("set", {}), "request.set")),
            columns=mapping(stored.get("columns", {}), "columns"),
            versions=mapping(stored.get("versions", {}), "versions"),
            machine=mapping(stored.get("machine", {}), "machine"),
            protocol=of_type(int, stored.get("protocol", PROTOCOL), "protocol"),
        )

    def to_json(self) -> Json:
        """What run.json holds."""
        facts = asdict(self)
        times = {name: facts.pop(name) for name in ("first_started", "last_started")}
        return facts | {"timestamps": times}


def _keys(stored: Json) -> tuple[str, ...]:
    keys = of_type(list, stored.get("trials", []), "trials")
    return tuple(of_type(str, key, "trials") for key in keys)


def joined_sweeps(before: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Setting -> every value that it had in a list, in sweeps before and in this request."""
    found: dict[str, list[Any]] = {}
    for settings in (before, asked):
        for name, values in settings.items():
            if isinstance(values, list):
                if len(values) > MOST_VALUES:
                    raise Damaged(f"{name} has {len(values)} values, {MOST_VALUES} are the most")
                known = found.setdefault(name, [])
                known += [value for value in values if value not in known]
    return found


@dataclass(frozen=True)
class ControlRecord:
    """The control rows of one data set: row -> column -> number."""

    rows: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    dataset: str = ""
    measures: Mapping[str, str] = field(default_factory=dict)  # metric -> SHA-256 of its file

    @classmethod
    def from_json(cls, facts: Any) -> "ControlRecord":
        stored = mapping(facts, "the file")
        rows = mapping(stored.get("rows", {}), "rows")
        return cls(
            {label(name, "rows"): numbers(row, "rows") for name, row in rows.items()},
            of_type(str, stored.get("dataset", ""), "dataset"),
            texts(stored.get("measures", {}), "measures"),
        )

    def lacks(self, measures: Mapping[str, str], judged: Container[str]) -> dict[str, str]:
        """Those of these metrics (name -> SHA-256) that have control rows, and have none here or
        have them by other code.
        """
        known = self.measures
        wanted = {name: source for name, source in measures.items() if name in judged}
        return {name: source for name, source in wanted.items() if known.get(name) != source}

    def with_newer(
        self, rows: Mapping[str, Mapping[str, float]], measures: Mapping[str, str], dataset: str
    ) -> "ControlRecord":
        """These rows, and what the newer ones add to them or say anew."""
        names = dict.fromkeys([*self.rows, *rows])
        merged = {name: {**self.rows.get(name, {}), **rows.get(name, {})} for name in names}
        return ControlRecord(merged, dataset, {**self.measures, **measures})

    def to_json(self) -> Json:
        """What a file of controls/ holds."""
        return asdict(self)


@dataclass(frozen=True)
class ProgressRecord:
    """progress.json: how far a running trial is, in its training or in its measuring."""

    epoch: int = 0  # 0: no epoch has ended
    loss: float = float("nan")  # of the validation split
    stage: str = ""  # "evaluation", or the metric that is measured; "" while it is trained

    @classmethod
    def from_json(cls, facts: Any) -> "ProgressRecord":
        stored = mapping(facts, "the file")
        return cls(
            epoch=of_type(int, stored.get("epoch", 0), "epoch"),
            loss=number(stored.get("loss"), "loss"),
            stage=of_type(str, stored.get("stage", ""), "stage"),
        )

    def to_json(self) -> Json:
        """What progress.json holds."""
        return asdict(self)


@dataclass(frozen=True)
class HistoryRecord:
    """history.csv: a row an epoch, name -> number. A name that an epoch lacks is left out."""

    rows: Sequence[Mapping[str, float]]

    @classmethod
    def parsed(cls, content: bytes) -> "HistoryRecord":
        """What the file has. Raises: Damaged where it is no table of numbers."""
        try:
            text = io.StringIO(content.decode(), newline="")
            lines = csv.DictReader(text)
            if "epoch" not in (lines.fieldnames or ()):
                raise Damaged("it has no column epoch")
            return cls([_epoch(line) for line in lines])
        except (UnicodeError, csv.Error) as error:
            raise Damaged(f"it cannot be read: {error}") from None

    def column(self, name: str) -> list[tuple[float, float]]:
        """(epoch, number), of every epoch that has this number."""
        return [(row["epoch"], row[name]) for row in self.rows if name in row]

    @staticmethod
    def line(names: Sequence[str], row: Mapping[str, float]) -> str:
        """One epoch as a line of the file."""
        return ",".join(repr(row.get(name, "")) for name in names) + "\n"


def _epoch(line: Mapping[str | None, Any]) -> dict[str, float]:
    found = {}
    for name, text in line.items():
        if name is None or text is None:
            raise Damaged("a line has more or fewer cells than the first")
        if text.strip("'\"") == "":
            continue
        try:
            found[name] = float(text)
        except ValueError:
            raise Damaged(f"{name} is {text!r}, no number") from None
    if not 0 <= found.get("epoch", -1.0) <= COUNTED:
        raise Damaged("an epoch has no number")
    return found
