"""What one thing is: `show`, `data`."""

import inspect
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import (
    Row,
    as_json,
    common,
    echo,
    files_of,
    is_terminal,
    print_json,
    reads_data,
    registry_of,
    show_grid,
)
from .completion import names
from .remembered import remembered

if TYPE_CHECKING:
    from ..hyperparameters import Hyperparameter
    from ..registry.registry import Registry


@click.command()
@click.argument("name", metavar="NAME|RUN|TRIAL", shell_complete=names("variants", "datasets"))
@as_json
@common
def show(name: str, wants_json: bool, plugins_dir: Path | None) -> None:
    """What NAME is: its hyperparameters, its paper; or what the folder of a RUN or a TRIAL holds.

    A trial's folder may be named by the first letters of its key: RUN/trials/1a2b3c4d.
    """
    from ..bench import shown

    folder = shown.trial_folder(Path(name))
    if shown.is_trial(folder):
        facts = _trial(folder)
        if not wants_json:  # how columns are shown, and hashes of metrics, are for programs
            for detail in ("columns", "tables", "measures"):
                facts.get("further", {}).pop(detail, None)
        return print_facts([facts], wants_json)
    if shown.is_run(folder):
        return _print_run(folder, wants_json)
    facts = remembered(f"show {name}", plugins_dir, partial(_found, name=name))
    print_facts(facts, wants_json)


def _found(registry: "Registry", name: str) -> list[Row]:
    """What is called so, of whatever kind.

    Raises: click.UsageError where nothing is.
    """
    kinds = [_variant(registry, name), _dataset(registry, name), _metric(registry, name)]
    kinds += [_part(registry, kind, name) for kind in registry.parts]
    found = [facts for facts in kinds if facts]
    if not found:
        raise click.UsageError(_unknown(registry, name))
    return found


def _unknown(registry: "Registry", name: str) -> str:
    from ..hyperparameters import did_you_mean

    parts = [part for of_kind in registry.parts.values() for part in of_kind]
    near = did_you_mean(name, [*registry.variants, *registry.datasets, *registry.metrics, *parts])
    return (
        f"nothing is called {name!r}{near or '; see vaezoo list variants|datasets|metrics|parts'}"
    )


def _variant(registry: "Registry", name: str) -> Row:
    if name not in registry.variants:
        return {}
    from ..author.certificates import claims_of, density_of

    v = registry.variants[name]
    who = f"{v.plugin.distribution} {v.plugin.version}".strip() or "a loose file"
    return {
        "variant": name,
        "what": v.doc,
        "paper": v.paper,
        "tags": sorted(v.tags),
        "hyperparameters": _ranges(v.hyperparameters),
        "plugin": who,
        "file": v.plugin.file,
        "has a density": density_of(v),
        "proven": claims_of(v),
    }


def _dataset(registry: "Registry", name: str) -> Row:
    if name not in registry.datasets:
        return {}
    d = registry.datasets[name]
    return {
        "data set": name,
        "what": d.doc,
        "tags": sorted(d.tags),
        "options": _ranges(d.options),
        "file": d.plugin.file,
    }


def _metric(registry: "Registry", name: str) -> Row:
    if name not in registry.metrics:
        return {}
    m = registry.metrics[name]
    columns = {
        c.name: f"{c.unit or 'no unit'}, {c.better or 'neither'} is better, table {c.table}"
        for c in m.columns
    }
    return {"metric": name, "what": m.doc, "columns": columns}


def _part(registry: "Registry", kind: str, name: str) -> Row:
    if name not in registry.parts[kind]:
        return {}
    from ..hyperparameters import hyperparameters

    build = registry.parts[kind][name].build
    what = inspect.getdoc(build) or ""
    use = f"bench --sampler {name}" if kind == "sampler" else f"mix[{kind}={name}]"
    return {
        kind: name,
        "what": what,
        "hyperparameters": _ranges(hyperparameters(build)),
        "use": use,
    }


def _ranges(known: "dict[str, Hyperparameter]") -> Row:
    return {
        h.name: f"{h.range}, {'must be given' if h.required else f'default {h.default}'}"
        for h in known.values()
    }


def _trial(folder: Path) -> Row:
    from ..bench.records import Damaged
    from ..bench.shown import trial_facts

    try:
        return trial_facts(folder)
    except Damaged as why:
        raise click.UsageError(f"{folder}/trial.json cannot be read: {why}") from None


def _print_run(folder: Path, wants_json: bool) -> None:
    from ..bench.shown import run_facts, trials_of

    facts, rows = run_facts(folder)
    if wants_json:
        return print_json({**facts, "rows": trials_of(folder)})
    print_facts([facts], wants_json=False)
    echo()
    show_grid(rows)


def print_facts(found: list[Row], wants_json: bool) -> None:
    """Each as lines of name and value, or all as JSON."""
    if wants_json:
        return print_json(found)
    if is_terminal():
        return _draw_facts(found)
    for i, facts in enumerate(found):
        echo("\n" if i else "", nl=False)
        for key, value in facts.items():
            if value not in ("", [], {}, None):
                echo(_fact(key, value))


def _draw_facts(found: list[Row]) -> None:
    from . import drawn

    screen = drawn.console()
    for i, facts in enumerate(found):
        echo("\n" if i else "", nl=False)
        named = {key: _drawn(key, value) for key, value in facts.items()}
        drawn.draw_facts([(key, value) for key, value in named.items() if value], screen)


def _drawn(key: str, value: Any) -> Any:
    """The value as a mapping or a text."""
    if value in ("", [], {}, None):
        return ""
    if key == "proven":
        return {claim["test"]: _proof(claim).partition("\n")[0] for claim in value}
    if isinstance(value, dict):
        return {inner: in_words(text) for inner, text in value.items()}
    return in_words(value)


def _fact(key: str, value: Any) -> str:
    if key == "proven":
        return "proven:\n" + "\n".join(f"  {_proof(claim)}" for claim in value)
    if isinstance(value, dict):
        return f"{key}:\n" + "\n".join(
            f"  {inner}: {in_words(text)}" for inner, text in value.items()
        )
    text = in_words(value)
    if "\n" not in text:
        return f"{key}: {text}"
    return f"{key}:\n" + "\n".join(f"  {line}".rstrip() for line in text.split("\n"))


def in_words(value: Any) -> str:
    """A value of JSON on a line: lists with commas, mappings as name=value."""
    if isinstance(value, dict):
        return ", ".join(f"{name}={in_words(inner)}" for name, inner in value.items())
    return ", ".join(map(in_words, value)) if isinstance(value, list) else str(value)


def _proof(claim: Row) -> str:
    failed = "" if claim["passed"] else " FAILED when it was last run"
    return f"{claim['claim']}\n    {claim['test']}{failed}"


@click.command()
@click.argument("name", required=False)
@reads_data
@as_json
@common
def data(
    name: str | None,
    data_dirs: tuple[Path, ...],
    offline: bool,
    wants_json: bool,
    plugins_dir: Path | None,
) -> None:
    """The card of a data set, or of a file of your own: sizes, source, licence, hashes, and the
    columns of a table with their guessed types. Without NAME, of every one that is here.
    """
    from ..data.card import card_of
    from ..data.files import MissingData

    files = files_of(data_dirs, offline or not name)
    cards = []
    registry = registry_of(plugins_dir)
    for choice in registry.choose_datasets(name or "all"):
        try:
            cards.append(card_of(choice.entry.load(files, **choice.values)))
        except MissingData:
            if name:
                raise
            words = f"its files are not here; see vaezoo data {choice.label}"
            cards.append({"data set": choice.label, "missing": words})
    print_facts(cards, wants_json)
