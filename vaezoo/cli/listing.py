"""What there is: `list`."""

import inspect
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import Row, as_json, common, echo, first_line, print_table
from .remembered import remembered

if TYPE_CHECKING:
    from ..hooks import Column
    from ..hyperparameters import Hyperparameter
    from ..registry.entries import Dataset, MadeOf, Variant
    from ..registry.registry import Registry


KINDS = (
    "variants",
    "datasets",
    "metrics",
    "figures",
    "executors",
    "loggers",
    "parts",
    "tags",
    "plugins",
    "suites",
)


@click.command("list")
@click.argument(
    "kind",
    type=click.Choice(KINDS),
)
@click.option("-q", "--query", default="*", help="Only names that match this glob.")
@click.option("--tag", help="Only what has this tag.")
@as_json
@common
def list_(
    kind: str, query: str, tag: str | None, wants_json: bool, plugins_dir: Path | None
) -> None:
    """What there is of a kind."""
    rows = rows_of(kind, plugins_dir)
    if tag and not any(tag in row.get("tags", ()) for row in rows):
        tags = sorted({t for row in rows for t in row.get("tags", ())})
        raise click.UsageError(
            f"no {kind[:-1]} has the tag {tag!r}; the tags are {', '.join(tags) or 'none'}"
        )
    kept = [
        row
        for row in rows
        if fnmatchcase(str(row["name"]), query) and (not tag or tag in row["tags"])
    ]
    if tag and not wants_json:
        echo(f"{tag}: {_said_of(tag)}\n")
    print_table(kept, wants_json)


def rows_of(kind: str, plugins_dir: Path | None) -> list[Row]:
    """What there is of a kind, one of `KINDS`; remembered between two commands."""
    if kind == "suites":
        return _suites()
    found: list[Row] = remembered("list", plugins_dir, _all_rows)[kind]
    return found


def _said_of(tag: str) -> str:
    from ..hooks import TAGS

    return TAGS.get(tag, "a plugin's own tag.")


def _variants(registry: "Registry") -> list[Row]:
    return [
        _entry(v, hyperparameters=_defaults(v.hyperparameters)) for v in registry.variants.values()
    ]


def _datasets(registry: "Registry") -> list[Row]:
    return [_entry(d, options=_defaults(d.options)) for d in registry.datasets.values()]


def _entry(entry: "Variant | Dataset", **given: Any) -> Row:
    """One variant or data set, and what it can be given."""
    tags = sorted(entry.tags)
    return {"name": entry.name, **given, "tags": tags, "what": first_line(entry.doc)}


def _metrics(registry: "Registry") -> list[Row]:
    return [
        {"name": m.name, "columns": _names(m.columns), "what": first_line(m.doc)}
        for m in registry.metrics.values()
    ]


def _names(columns: "Iterable[Column]") -> list[str]:
    return [column.name for column in columns]


def _figures(registry: "Registry") -> list[Row]:
    return [
        {"name": f.name, "of": f.of, "what": first_line(f.doc)} for f in registry.figures.values()
    ]


def _executors(registry: "Registry") -> list[Row]:
    return [_made_of(e) for e in registry.executors.values()]


def _loggers(registry: "Registry") -> list[Row]:
    return [_made_of(e) for e in registry.loggers.values()]


def _made_of(entry: "MadeOf[Any]") -> Row:
    """An executor or a logger, and its options."""
    options = " ".join(entry.options)
    return {"name": entry.name, "options": options, "what": first_line(entry.doc)}


def _parts(registry: "Registry") -> list[Row]:
    from ..hyperparameters import hyperparameters

    return [
        {
            "name": name,
            "kind": kind,
            "hyperparameters": _defaults(hyperparameters(part.build)),
            "what": first_line(inspect.getdoc(part.build) or ""),
        }
        for kind, parts in registry.parts.items()
        for name, part in parts.items()
    ]


def _tags(registry: "Registry") -> list[Row]:
    from ..hooks import TAGS

    names: dict[str, list[str]] = {}
    for kind in (registry.variants, registry.datasets):
        for name, entry in kind.items():
            for tag in entry.tags:
                names.setdefault(tag, []).append(name)
    return [
        {"name": tag, "what": TAGS.get(tag, ""), "entries": names[tag]} for tag in sorted(names)
    ]


def _plugins(registry: "Registry") -> list[Row]:
    def row(name: str, distribution: str, version: str, file: str, state: str) -> Row:
        return {
            "name": name,
            "distribution": f"{distribution} {version}".strip(),
            "state": state,
            "file": file,
        }

    well = [row(p.module, p.distribution, p.version, p.file, "loaded") for p in registry.plugins]
    ill = [row("!", p.distribution, p.version, p.file, p.cause) for p in registry.problems]
    return well + ill


def _suites() -> list[Row]:
    from ..bench.suites import suites

    return [
        {
            "name": name,
            "variants": s.variants,
            "datasets": s.datasets,
            "seeds": s.seeds,
            "what": s.title,
        }
        for name, s in suites().items()
    ]


_ROWS = {
    "variants": _variants,
    "datasets": _datasets,
    "metrics": _metrics,
    "figures": _figures,
    "executors": _executors,
    "loggers": _loggers,
    "parts": _parts,
    "tags": _tags,
    "plugins": _plugins,
}


def _all_rows(registry: "Registry") -> dict[str, list[Row]]:
    """kind -> its rows."""
    return {kind: rows(registry) for kind, rows in _ROWS.items()}


def _defaults(known: "dict[str, Hyperparameter]") -> Row:
    return {h.name: "…" if h.required else h.default for h in known.values()}
