"""What a run keeps on disk, as typed records: trials, the run, control rows.

The one place that knows these files, those of older versions too. What is read was written by
anyone: a file that does not fit raises `Damaged`, whose text is the reason in a few words.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from ..hooks import Column, Table
from ..samplers import PRIOR
from .trial import canonical

Json = dict[str, Any]
T = TypeVar("T")
STATUSES = ("done", "skipped", "diverged", "failed", "timeout", "oom")
DIGITS = 20  # decimals that a column may ask for, at most
TYPES: Mapping[str, Any] = {"int": int, "bool": bool, "float | None": int | float | None}


class Damaged(ValueError):
    """A file that is no record: cut off, forged, or not of vaezoo."""


@dataclass(frozen=True)
class SamplerRecord:
    """What the metrics of samples say where codes come from one further sampler."""

    metrics: Mapping[str, float]
    reasons: Mapping[str, str]
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ingredients:
    """All that a trial's numbers depend on. `stored` is their JSON; the key is its hash."""

    stored: Json
    name: str
    seed: int
    likelihood: str
    distribution: str  # of the plugin
    module: str
    plugin: Json
    hyperparameters: Json = field(default_factory=dict)
    spec: Json = field(default_factory=dict)
    budget: Json = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)  # split -> SHA-256 of the data
    samplers: tuple[str, ...] = (PRIOR,)  # their labels

    @classmethod
    def from_json(cls, facts: Any) -> "Ingredients":
        stored = _mapping(facts, "ingredients")
        plugin = _mapping(stored.get("plugin"), "ingredients.plugin")
        spec = _mapping(stored.get("spec"), "ingredients.spec")
        data = _mapping(stored.get("data", {}), "ingredients.data")
        hashes = _mapping(data.get("hashes", {}), "ingredients.data.hashes")
        seed = _of(int, stored.get("seed"), "ingredients.seed")
        if seed < 0:
            raise Damaged(f"ingredients.seed is {seed}")
        asked = _of(list, stored.get("samplers", [{"label": PRIOR}]), "ingredients.samplers")
        labels = [_mapping(one, "ingredients.samplers").get("label") for one in asked]
        return cls(
            stored=stored,
            name=_file_name(stored.get("name"), "ingredients.name"),
            seed=seed,
            likelihood=_label(spec.get("likelihood"), "ingredients.spec.likelihood"),
            distribution=_of(str, plugin.get("distribution"), "ingredients.plugin.distribution"),
            module=_label(plugin.get("module"), "ingredients.plugin.module"),
            plugin=plugin,
            hyperparameters=_mapping(stored.get("hyperparameters", {}), "hyperparameters"),
            spec=spec,
            budget=_mapping(stored.get("budget", {}), "ingredients.budget"),
            hashes={split: _of(str, text, "hashes") for split, text in hashes.items()},
            samplers=tuple(_label(label, "ingredients.samplers") for label in labels),
        )

    @property
    def key(self) -> str:
        """The key that a trial of these ingredients has."""
        return hashlib.sha256(canonical(self.stored).encode()).hexdigest()


@dataclass(frozen=True)
class Record:
    """One trial, as trial.json has it. A number that the JSON has as null is NaN."""

    key: str
    variant: str
    dataset: str
    status: str
    ingredients: Ingredients
    reason: str = ""
    controls: str = ""  # the file with the control rows of its data
    metrics: Mapping[str, float] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)  # column -> why it has no number
    # column -> what was seen that cannot be, so that it has no number
    refused: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the evaluation
    samplers: Mapping[str, SamplerRecord] = field(default_factory=dict)
    prior: str = PRIOR
    measures: Mapping[str, str] | None = None  # metric -> SHA-256 of its file; None: not said
    best_epoch: int = 0
    epochs: int = 0  # that were trained; 0 where the file does not say
    total_seconds: float = 0.0
    torch: str = ""  # its version; "" where training did not begin
    columns: tuple[Json, ...] = ()  # the fields of `Column` that it says
    tables: tuple[Json, ...] = ()
    stored: Json = field(default_factory=dict)

    @classmethod
    def from_json(cls, facts: Any) -> "Record":
        """Raises: Damaged where the facts are not those of a trial, or its key is not theirs."""
        stored = _mapping(facts, "the file")
        status = stored.get("status")
        if status not in STATUSES:
            raise Damaged(f"its status is {status!r}")
        found = cls(
            key=_of(str, stored.get("key"), "key"),
            variant=_label(stored.get("variant"), "variant"),
            dataset=_label(stored.get("dataset"), "dataset"),
            status=status,
            ingredients=Ingredients.from_json(stored.get("ingredients")),
            reason=_of(str, stored.get("reason", ""), "reason"),
            controls=_controls_name(stored.get("controls", "")),
            torch=_of(
                str, _mapping(stored.get("machine", {}), "machine").get("torch", ""), "torch"
            ),
            columns=_described(Column, stored.get("columns", []), "columns"),
            tables=_described(Table, stored.get("tables", []), "tables"),
            stored=stored,
        )
        if found.key != found.ingredients.key:
            raise Damaged("its key is not the hash of its ingredients")
        return found._measured() if status == "done" else found

    def _measured(self) -> "Record":
        """The record with what only a trial that is done has."""
        stored = self.stored
        by_label = _mapping(stored.get("samplers", {}), "samplers")
        samplers = {}
        for label, one in by_label.items():
            facts = _mapping(one, "samplers")
            samplers[label] = SamplerRecord(
                metrics=_numbers(facts.get("metrics"), "samplers"),
                reasons=_texts(facts.get("reasons", {}), "samplers.reasons"),
                refused=_texts(facts.get("refused", {}), "samplers.refused"),
            )
        missing = set(self.ingredients.samplers) - {PRIOR, *samplers}
        if missing:
            raise Damaged(f"it has no numbers of the sampler {min(missing)}")
        settings = _mapping(stored.get("settings", {}), "settings")
        if not all(isinstance(value, str | int | float | None) for value in settings.values()):
            raise Damaged("a value of settings is no number and no text")
        return replace(
            self,
            metrics=_numbers(stored.get("metrics"), "metrics"),
            reasons=_texts(stored.get("reasons", {}), "reasons"),
            refused=_texts(stored.get("refused", {}), "refused"),
            settings=settings,
            samplers=samplers,
            prior=_label(stored.get("prior", PRIOR), "prior"),
            measures=_texts(stored["measures"], "measures") if "measures" in stored else None,
            best_epoch=_of(int, stored.get("best_epoch"), "best_epoch"),
            epochs=_of(int, stored.get("epochs", 0), "epochs"),
            total_seconds=_number(stored.get("total_seconds", 0.0), "total_seconds"),
        )

    def to_json(self) -> Json:
        """What trial.json holds."""
        return self.stored

    def lacks(self, measures: Mapping[str, str]) -> list[str]:
        """Those of these metrics (name -> SHA-256) that it has not, or by other code."""
        if not self.is_done or self.measures is None:
            return []
        return [name for name, source in measures.items() if self.measures.get(name) != source]

    @property
    def seed(self) -> int:
        return self.ingredients.seed

    @property
    def is_done(self) -> bool:
        return self.status == "done"

    @property
    def is_cut_short(self) -> bool | None:
        """Whether training ended by the limit of epochs, and not because the validation loss had
        stopped falling; None where the file does not say.
        """
        patience = self.ingredients.budget.get("patience")
        if not self.epochs or not isinstance(patience, int):
            return None
        return self.epochs - self.best_epoch < patience

    @property
    def has_refused(self) -> bool:
        """Whether a number of it, or of a further sampler, cannot be."""
        return bool(self.refused) or any(one.refused for one in self.samplers.values())


@dataclass(frozen=True)
class RunRecord:
    """What the tables need of run.json: the keys of the last plan, in the order of the tables."""

    trials: tuple[str, ...] = ()
    first_started: str = ""
    # setting -> the values of every request with a list of them
    sweeps: Mapping[str, list[Any]] = field(default_factory=dict)

    @classmethod
    def from_json(cls, facts: Any) -> "RunRecord":
        stored = _mapping(facts, "the file")
        keys = _of(list, stored.get("trials", []), "trials")
        times = _mapping(stored.get("timestamps", {}), "timestamps")
        first = _of(str, times.get("first_started", ""), "timestamps.first_started")
        before = _mapping(stored.get("sweeps", {}), "sweeps")
        request = _mapping(stored.get("request", {}), "request")
        sweeps = joined_sweeps(before, _mapping(request.get("set", {}), "request.set"))
        return cls(tuple(_of(str, key, "trials") for key in keys), first, sweeps)


def joined_sweeps(before: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Setting -> every value that it had in a list, in sweeps before and in this request."""
    found: dict[str, list[Any]] = {}
    for settings in (before, asked):
        for name, values in settings.items():
            if isinstance(values, list):
                known = found.setdefault(name, [])
                known += [value for value in values if value not in known]
    return found


@dataclass(frozen=True)
class ControlRecord:
    """The control rows of one data set: row -> column -> number."""

    rows: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @classmethod
    def from_json(cls, facts: Any) -> "ControlRecord":
        rows = _mapping(_mapping(facts, "the file").get("rows", {}), "rows")
        return cls({_label(name, "rows"): _numbers(row, "rows") for name, row in rows.items()})


def parsed(path: Path) -> Any:
    """The JSON in the file.

    Raises: Damaged for what is no JSON, NaN and infinities among it; FileNotFoundError.
    """
    try:
        content = path.read_bytes()
        return json.loads(content, parse_constant=_no_number, parse_float=_finite)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Damaged(f"it cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise Damaged(f"it is no JSON: {error}".partition("\n")[0]) from None


def _no_number(text: str) -> float:
    raise Damaged(f"it has {text}")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _no_number(text)


def _of(kind: type[T], value: Any, where: str) -> T:
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise Damaged(f"{where} is {_brief(value)}, no {getattr(kind, '__name__', kind)}")


def _mapping(value: Any, where: str) -> Json:
    return _of(dict, value, where)


def _label(value: Any, where: str) -> str:
    text = _of(str, value, where)
    if not text or not text.isprintable():
        raise Damaged(f"{where} is {_brief(text)}, no name")
    return text


def _file_name(value: Any, where: str) -> str:
    """A name of which files are called: without separators of paths."""
    text = _label(value, where)
    if "/" in text or "\\" in text or text.startswith("."):
        raise Damaged(f"{where} is {_brief(text)}, a path and no name")
    return text


def _controls_name(value: Any) -> str:
    if value == "":
        return ""
    folder, _, name = _of(str, value, "controls").partition("/")
    if folder != "controls":
        raise Damaged(f"controls is {_brief(value)}, no file in controls/")
    return f"{folder}/{_file_name(name, 'controls')}"


def _number(value: Any, where: str) -> float:
    """null is NaN, as it was written."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e300:
        raise Damaged(f"{where} has {_brief(value)}, no number")
    return value


def _numbers(value: Any, where: str) -> dict[str, float]:
    facts = _mapping(value, where)
    return {_file_name(key, where): _number(one, f"{where}.{key}") for key, one in facts.items()}


def _texts(value: Any, where: str) -> dict[str, str]:
    facts = _mapping(value, where)
    return {key: _of(str, one, f"{where}.{key}") for key, one in facts.items()}


def _described(kind: type[Column] | type[Table], value: Any, where: str) -> tuple[Json, ...]:
    """The descriptions of columns or tables, every field of its type."""
    found = []
    types = {one.name: TYPES.get(str(one.type), str) for one in fields(kind)}
    for one in _of(list, value, where):
        facts = _mapping(one, where)
        for name, item in facts.items():
            _of(types.get(name, object), item, f"{where}.{name}")
        _file_name(facts.get("name"), f"{where}.name")
        if facts.get("table"):
            _file_name(facts["table"], f"{where}.table")
        if not _can_be(facts):
            raise Damaged(f"{where} describe {facts['name']} as no column can be")
        found.append(facts)
    return tuple(found)


def _can_be(column: Json) -> bool:
    """Whether a column can have this direction, these decimals and this range."""
    low, high = column.get("low"), column.get("high")
    return (
        column.get("better", "") in ("lower", "higher", "")
        and 0 <= column.get("digits", 0) <= DIGITS
        and (low is None or high is None or low < high)
    )


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
