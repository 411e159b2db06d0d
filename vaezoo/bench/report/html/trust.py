"""What was run, and what a reader must know before believing a number."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...trial import canonical
from ..caption import in_words
from ..rows import Row
from .source import Source, variant_of

Facts = list[tuple[str, str]]  # (name, text)


@dataclass(frozen=True)
class Check:
    """One thing that was looked for, and where it was found; nowhere is good."""

    name: str
    found: Sequence[str]


def run_facts(source: Source) -> Facts:
    """Of the whole run."""
    run = source.run
    trials = [trial for row in source.own for trial in row.trials]
    statuses = Counter(trial.status for trial in trials)
    machines = Counter(_joined(trial.machine) for trial in trials if trial.machine)
    first_last = filter(None, dict.fromkeys([run.first_started, run.last_started]))
    facts = [
        ("Rows", _rows(source)),
        ("Trials", ", ".join(f"{n} {status}" for status, n in sorted(statuses.items()))),
        ("Seeds", _seeds(source.own)),
        ("Started", " and last ".join(first_last)),
        ("Versions", _joined(run.versions)),
        ("Machine", "; ".join(f"{text} ({n} trials)" for text, n in sorted(machines.items()))),
        ("Protocol", str(run.protocol)),
        ("Asked for", _joined(run.request)),
    ]
    return [(name, text) for name, text in facts if text]


def dataset_facts(source: Source, dataset: str) -> Facts:
    """Of one data set: its splits by their hashes, the budget, how it was measured."""
    rows = [row for row in source.own if row.dataset == dataset]
    made_of = [row.trials[0].ingredients for row in rows]
    splits = {name: _values([one.hashes.get(name) for one in made_of]) for name in _splits(rows)}
    facts = [(f"SHA-256 of the {name} split", text) for name, text in splits.items()]
    facts.append(("Size", _shared([one.spec for one in made_of])))
    facts.append(("Budget", _shared([one.budget for one in made_of])))
    for table, _ in source.tables[:1]:  # every table has those of all metrics
        facts.append(("Evaluation", _joined(table.settings.get(dataset, {}))))
    return [(name, text) for name, text in facts if text]


def checks(source: Source) -> list[Check]:
    """What was looked for, the worst first."""
    return [
        Check("Guards that fired: numbers that cannot be, and are left out", source.refused),
        Check("Rows with trials that were skipped or failed", list(_not_done(source.own))),
        Check("Planned trials without a result", list(_missing(source))),
        Check("Files that do not fit, and are set aside", list(_aside(source))),
        Check(
            "Limits that were hit: rows with trainings that ended by the limit of epochs",
            list(_at_limit(source.own)),
        ),
        Check("Rows with fewer seeds than the table's", list(_few(source))),
        Check("Rows that are compared with no other", list(_apart(source))),
        Check(
            "Rows trained by another text of the plugin than is installed here",
            list(_stale(source)),
        ),
        Check("Metrics measured by other code than is installed here", list(_remeasurable(source))),
    ]


def _rows(source: Source) -> str:
    variants = {variant_of(row) for row in source.own}
    said = f"{len(source.own)} of {len(variants)} variants"
    references = len(source.rows) - len(source.own)
    return f"{said}, and {references} of the results that come with vaezoo" if references else said


def _not_done(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        if len(row.done) < len(row.trials):
            why = f": {row.reason}" if row.reason else ""
            yield f"{row.name} on {row.dataset}: {row.status}{why}"


def _missing(source: Source) -> Iterator[str]:
    known = {trial.key for row in source.own for trial in row.trials}
    lacks = [key for key in source.run.trials if key not in known]
    if lacks:
        yield f"{len(lacks)} of {len(source.run.trials)} trials of the last plan"


def _aside(source: Source) -> Iterator[str]:
    for file, why in source.aside.items():
        yield f"{file}: {why}"


def _at_limit(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        if row.cut_short:
            yield f"{row.name} on {row.dataset}: {row.cut_short} of {len(row.done)} seeds"


def _few(source: Source) -> Iterator[str]:
    for table, _ in source.tables[:1]:  # what it holds of one holds of all
        for row in table.rows:
            if row.done and table.few(row) and not row.is_reference:
                yield f"{row.name} on {row.dataset}: {len(row.done)}"


def _apart(source: Source) -> Iterator[str]:
    """Rows with the reason, by the tables in which it holds."""
    found: dict[str, list[str]] = {}
    for table, _ in source.tables:
        for row in table.rows:
            why = table.apart(row)
            if why and row.is_own_prior:
                found.setdefault(f"{row.name} on {row.dataset}: {why}", []).append(table.name)
    for sentence, names in found.items():
        everywhere = len(names) == len(source.tables)
        yield sentence if everywhere else f"{sentence} (in {', '.join(names)})"


def _stale(source: Source) -> Iterator[str]:
    """Rows whose plugin has another text here, or is not here."""
    for row in source.own:
        name = f"{row.name} on {row.dataset}"
        theirs = row.trials[0].ingredients.plugin.get("source_hash")
        if source.variant(variant_of(row)) is None:
            yield f"{name}: its plugin is not installed here"
        elif _hash_here(source, row) not in (theirs, ""):
            yield name


def _hash_here(source: Source, row: Row) -> str:
    """SHA-256 of the plugin as it is installed here; "" where the trial's hyperparameters do not
    say which.
    """
    made_of = row.trials[0].ingredients
    known = source.known.variants[made_of.name].source_hash
    if known is not None:
        return known
    from ....registry.registry import load_registry  # which imports torch

    variant = load_registry(source.plugins_dir).variants[made_of.name]
    try:
        return variant.plugin_for(made_of.hyperparameters).source_hash
    except (AttributeError, KeyError, TypeError):  # they were read from a file
        return ""


def _remeasurable(source: Source) -> Iterator[str]:
    here = source.known.metric_sources
    trials = [trial for row in source.own for trial in row.done]
    for metric in sorted(here):
        known = [(trial.measures or {}).get(metric) for trial in trials]
        others = sum(1 for one in known if one is not None and one != here[metric])
        if others:
            yield f"{metric}: {others} of {len(trials)} trials"


def _seeds(rows: Sequence[Row]) -> str:
    return ", ".join(map(str, sorted({seed for row in rows for seed in row.seeds})))


def _splits(rows: Sequence[Row]) -> list[str]:
    return sorted({name for row in rows for name in row.trials[0].ingredients.hashes})


def _values(values: Sequence[Any]) -> str:
    """Each of the values once."""
    return " and ".join(str(value) for value in dict.fromkeys(values) if value is not None)


def _shared(each: Sequence[Any]) -> str:
    """What these mappings say, of a name on which they differ how many values there are."""
    names = dict.fromkeys(name for one in each for name in one)
    said = []
    for name in names:
        values = {canonical(one[name]): one[name] for one in each if name in one}
        is_one = len(values) == 1
        said.append(_fact(name, next(iter(values.values())) if is_one else f"{len(values)} values"))
    return ", ".join(said)


def _joined(facts: Mapping[str, Any]) -> str:
    return ", ".join(_fact(name, value) for name, value in facts.items())


def _fact(name: str, value: Any) -> str:
    """ "shape 1×8×8"."""
    if isinstance(value, float):
        text = f"{value:g}"
    elif isinstance(value, list | tuple):
        text = ("×" if name == "shape" else ", ").join(map(str, value))
    else:
        text = str(value) if not isinstance(value, dict) else _joined(value) or "nothing"
    return f"{in_words(name)} {text}"
