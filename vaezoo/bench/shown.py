"""What `vaezoo show` says of a run's folder and of a trial's: facts, a name and a value each, that
JSON can hold. Nothing is changed, and what is damaged is said, not refused.
"""

import math
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .manifest import as_listed
from .progress import state_of
from .records import Damaged, HistoryRecord, Record, RunRecord, parsed
from .records.checks import mapping
from .records.opened import opened
from .report.typeset import Grid
from .store import PROGRESS, TRIAL, WEIGHTS, Store
from .trial import Json

LOG = 12  # lines of the end of a log
END_OF_LOG = 2**14  # bytes that they have together, at most
SHORT = 8  # letters of a key that name a trial in its folder
CURVES = ("train_loss", "validation_loss")
FILES = ("report.html", "elbo.md", "figures")  # of a run, that one opens


def is_trial(folder: Path) -> bool:
    return (folder / TRIAL).is_file() or (folder / PROGRESS).is_file()


def is_run(folder: Path) -> bool:
    return (folder / "trials").is_dir()


def trial_folder(path: Path) -> Path:
    """The folder of a trial, which may be named by the first letters of its key, as `show RUN`
    gives them; the path as it is where none or several are meant.
    """
    if path.exists() or path.parent.name != "trials" or len(path.name) < SHORT // 2:
        return path
    found = [one for one in path.parent.glob(f"{path.name}*") if is_trial(one)]
    return found[0] if len(found) == 1 else path


def trial_facts(folder: Path) -> Json:
    """What was trained, how it ended, its numbers, the ends of its learning curve, the guards that
    fired, the end of its log, and its files.

    Raises: Damaged where trial.json cannot be read.
    """
    facts: Json = _record(folder) if (folder / TRIAL).is_file() else {"status": _running(folder)}
    made_of: Json = facts.pop("ingredients", None) or {}
    told = {
        "trial": facts.pop("key", folder.name),
        "variant": facts.pop("variant", ""),
        "data set": facts.pop("dataset", ""),
        "seed": made_of.get("seed"),
        "status": facts.pop("status", ""),
        "reason": facts.pop("reason", ""),
        "metrics": facts.pop("metrics", {}),
        "without a number": facts.pop("reasons", {}),
        "guards that fired": facts.pop("refused", {}),
        "curve": _curve(folder / "history.csv"),
        "seconds": facts.pop("total_seconds", None),
        "stopped": _stopped(facts, made_of),
        "made of": made_of,
        "further": _told(facts),
        "log": log_end(folder / "log.txt"),
        "files": _files(folder),
    }
    return {name: value for name, value in _told(told).items() if value is not None}


def _told(facts: Mapping[str, Any]) -> Json:
    """Those that say something."""
    return {name: value for name, value in facts.items() if value not in ("", [], {})}


def _files(folder: Path) -> dict[str, str]:
    return {path.name: str(path) for path in sorted(folder.iterdir()) if path.is_file()}


def _record(folder: Path) -> Json:
    """Raises: Damaged."""
    facts = parsed(folder / TRIAL)
    if not isinstance(facts, dict) or not facts.get("key"):
        raise Damaged("it is damaged or no trial of vaezoo")
    made_of = mapping(facts.get("ingredients", {}), "ingredients")
    mapping(made_of.get("budget", {}), "ingredients.budget")
    return dict(facts)


def _running(folder: Path) -> str:
    state = state_of(folder)
    return f"running: {state.stage or f'epoch {state.epoch}'}"


def _stopped(facts: Json, made_of: Mapping[str, Any]) -> str:
    """At which epoch training stopped, and which was kept."""
    epochs = facts.pop("epochs", 0)
    best = facts.pop("best_epoch", 0)
    if not best:
        return ""
    most = made_of.get("budget", {}).get("epochs")
    after = f" after {epochs}" if epochs else ""
    return f"best epoch {best}{after}" + (f", at most {most}" if most else "")


def _curve(path: Path) -> dict[str, str]:
    """Of each loss its first, its least and its last value, with their epochs."""
    try:
        history = HistoryRecord.parsed(as_listed(path))
    except FileNotFoundError:
        return {}
    except (OSError, Damaged) as why:
        return {path.name: f"cannot be read: {why}"}
    found = {}
    for name in CURVES:
        points = history.column(name)
        if points:
            ends = {"first": points[0], "least": min(points, key=_loss), "last": points[-1]}
            found[name.replace("_", " ")] = ", ".join(
                f"{which} {value:.4g} (epoch {epoch:.0f})" for which, (epoch, value) in ends.items()
            )
    return found


def _loss(point: tuple[float, float]) -> float:
    return point[1] if math.isfinite(point[1]) else math.inf


def log_end(path: Path, lines: int = LOG) -> str:
    """The last lines of a log; "" where there is none, or what is there is no file."""
    try:
        # that of a running trial may have a hole of gigabytes
        with opened(path, sys.maxsize) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - END_OF_LOG))
            end = file.read(END_OF_LOG).decode(errors="replace")
    except (OSError, Damaged):
        return ""
    return "\n".join(line.rstrip() for line in end.splitlines()[-lines:])


def run_facts(out: Path) -> tuple[Json, Grid]:
    """What was run, how its trials ended, the guards that fired and where its files are; and its
    rows as a table, with the first letters of the keys of their trials.
    """
    store = Store(out)
    records, aside = store.records()
    run, damage = _run_record(store)
    planned = [record for record in records if record.key in run.trials] or records
    facts = {
        "run": str(out),
        "command": run.command,
        "first started": run.first_started,
        "last started": run.last_started if run.last_started != run.first_started else "",
        "asked for": {name: _words(value) for name, value in run.request.items() if value},
        "versions": dict(run.versions),
        "machine": dict(run.machine),
        "trials": ", ".join(_counts(store, run, planned)),
        "not done": _not_done(planned),
        "guards that fired": _fired(planned),
        "set aside": damage | aside,
        "files": {name: str(out / name) for name in FILES if (out / name).exists()},
    }
    title = f"Rows; a trial is shown by vaezoo show {out / 'trials'}/KEY"
    return _told(facts), Grid(title, HEAD, [_line(one) for one in _rows(planned)])


def _run_record(store: Store) -> tuple[RunRecord, dict[str, str]]:
    """run.json, and what is wrong with it by its name; of a damaged one an empty record."""
    try:
        return RunRecord.from_json(store.read_json("run.json")), {}
    except Damaged as why:
        return RunRecord(), {"run.json": str(why)}


def _counts(store: Store, run: RunRecord, planned: Sequence[Record]) -> list[str]:
    """How many trials ended in which way, how many are not there, and how many are running."""
    statuses = Counter(record.status for record in planned)
    missing = len(set(run.trials) - {record.key for record in planned})
    running = [folder for folder in store.trials.glob(".building-*") if is_trial(folder)]
    counts = [f"{n} {status}" for status, n in sorted(statuses.items())]
    if missing:
        counts.append(f"{missing} not there")
    if running:
        counts.append(f"{len(running)} running")
    return counts


HEAD = ("variant", "data set", "trials", "number of the first column", "keys by seed")


def trials_of(out: Path) -> list[Json]:
    """Every trial of a run, for a program."""
    return [
        {
            "key": one.key,
            "variant": one.variant,
            "dataset": one.dataset,
            "seed": one.seed,
            "status": one.status,
            "reason": one.reason,
            "metrics": dict(one.metrics),
            "folder": str(out / "trials" / one.key),
            "checkpoint": str(out / "trials" / one.key / WEIGHTS),
        }
        for one in Store(out).records()[0]
    ]


def _rows(records: Sequence[Record]) -> list[list[Record]]:
    """The trials of one variant on one data set, by seed."""
    found: dict[tuple[str, str], list[Record]] = {}
    for one in records:
        found.setdefault((one.dataset, one.variant), []).append(one)
    return [sorted(found[name], key=lambda one: one.seed) for name in sorted(found)]


def _line(trials: Sequence[Record]) -> list[str]:
    first = trials[0]
    keys = " ".join(f"{one.seed}:{one.key[:SHORT]}" for one in trials)
    return [first.variant, first.dataset, _statuses(trials), _leading(trials), keys]


def _statuses(trials: Sequence[Record]) -> str:
    counts = Counter(one.status for one in trials)
    return ", ".join(f"{status} {n}/{len(trials)}" for status, n in counts.items())


def _leading(trials: Sequence[Record]) -> str:
    """The number that leads the first table, as the mean over the trials that have it."""
    found = [one.leading for one in trials if one.leading]
    if not found:
        return "–"
    column = found[0][0]
    values = [value for of, value in found if of["name"] == column["name"]]
    mean = sum(values) / len(values)
    unit = f" {column['unit']}" if column.get("unit") else ""
    return f"{column['name'].replace('_', ' ')} {mean:.{column.get('digits', 2)}f}{unit}"


def _not_done(records: Sequence[Record]) -> dict[str, str]:
    return {_title(one): f"{one.status}: {one.reason}" for one in records if not one.is_done}


def _fired(records: Sequence[Record]) -> dict[str, str]:
    """Trial -> the columns that were refused, and what was seen."""
    return dict(_fired_of(records))


def _fired_of(records: Sequence[Record]) -> Iterator[tuple[str, str]]:
    for one in records:
        if one.refused:
            seen = dict.fromkeys(one.refused.values())
            yield _title(one), f"{', '.join(one.refused)}: {'; '.join(seen)}"


def _title(one: Record) -> str:
    return f"{one.variant} on {one.dataset}, seed {one.seed} ({one.key[:SHORT]})"


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_words(one)}" for name, one in value.items())
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
