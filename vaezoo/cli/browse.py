"""What there is: `list`, `show`, `data`."""

import inspect
import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import (
    as_json,
    common,
    files_of,
    print_json,
    print_table,
    reads_data,
    registry_of,
)

if TYPE_CHECKING:
    from ..data.data import Data
    from ..hyperparameters import Hyperparameter
    from ..registry.registry import Registry

Row = dict[str, Any]


@click.command("list")
@click.argument(
    "kind",
    type=click.Choice(
        [
            "variants",
            "datasets",
            "metrics",
            "figures",
            "executors",
            "parts",
            "tags",
            "plugins",
            "suites",
        ]
    ),
)
@click.option("-q", "--query", default="*", help="Only names that match this glob.")
@click.option("--tag", help="Only what has this tag.")
@as_json
@common
def list_(
    kind: str, query: str, tag: str | None, wants_json: bool, plugins_dir: Path | None
) -> None:
    """What there is of a kind."""
    rows = _suites() if kind == "suites" else _ROWS[kind](registry_of(plugins_dir))
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
        click.echo(f"{tag}: {_said_of(tag)}\n")
    print_table(kept, wants_json)


def _said_of(tag: str) -> str:
    from ..hooks import TAGS

    return TAGS.get(tag, "a plugin's own tag.")


def _variants(registry: "Registry") -> list[Row]:
    return [
        {
            "name": v.name,
            "hyperparameters": _defaults(v.hyperparameters),
            "tags": sorted(v.tags),
            "what": first_line(v.doc),
        }
        for v in registry.variants.values()
    ]


def _datasets(registry: "Registry") -> list[Row]:
    return [
        {
            "name": d.name,
            "options": _defaults(d.options),
            "tags": sorted(d.tags),
            "what": first_line(d.doc),
        }
        for d in registry.datasets.values()
    ]


def _metrics(registry: "Registry") -> list[Row]:
    return [
        {"name": m.name, "columns": [c.name for c in m.columns], "what": first_line(m.doc)}
        for m in registry.metrics.values()
    ]


def _figures(registry: "Registry") -> list[Row]:
    return [
        {"name": f.name, "of": f.of, "what": first_line(f.doc)} for f in registry.figures.values()
    ]


def _executors(registry: "Registry") -> list[Row]:
    return [{"name": e.name, "what": first_line(e.doc)} for e in registry.executors.values()]


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
    "parts": _parts,
    "tags": _tags,
    "plugins": _plugins,
}


def first_line(doc: str) -> str:
    """The first sentence of a docstring's first line."""
    return doc.strip().partition("\n")[0]


def _defaults(known: "dict[str, Hyperparameter]") -> Row:
    return {h.name: "…" if h.required else h.default for h in known.values()}


@click.command()
@click.argument("name", metavar="NAME|TRIAL")
@as_json
@common
def show(name: str, wants_json: bool, plugins_dir: Path | None) -> None:
    """What NAME is: its hyperparameters, its paper; or what a TRIAL's folder holds."""
    if Path(name, "trial.json").is_file():
        return _print_facts([_trial(Path(name))], wants_json)
    registry = registry_of(plugins_dir)
    found = [
        facts
        for facts in (_variant(registry, name), _dataset(registry, name), _metric(registry, name))
        if facts
    ]
    found += [
        _part(registry, kind, name) for kind in registry.parts if name in registry.parts[kind]
    ]
    if not found:
        raise click.UsageError(_unknown(registry, name))
    _print_facts(found, wants_json)


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
        "variant": name, "what": v.doc, "paper": v.paper, "tags": sorted(v.tags),
        "hyperparameters": _ranges(v.hyperparameters), "plugin": who, "file": v.plugin.file,
        "has a density": density_of(v), "proven": claims_of(v),
    }  # fmt: skip


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
    try:
        record = json.loads((folder / "trial.json").read_text(encoding="utf-8"))
        return {
            "trial": record["key"],
            **{key: value for key, value in record.items() if key != "key"},
        }
    except (ValueError, KeyError, TypeError):
        raise click.UsageError(
            f"{folder}/trial.json cannot be read: it is damaged or no trial of vaezoo"
        ) from None


def _print_facts(found: list[Row], wants_json: bool) -> None:
    if wants_json:
        return print_json(found)
    for i, facts in enumerate(found):
        click.echo("\n" if i else "", nl=False)
        for key, value in facts.items():
            if value not in ("", [], {}, None):
                click.echo(_fact(key, value))


def _fact(key: str, value: Any) -> str:
    if key == "proven":
        return "proven:\n" + "\n".join(f"  {_proof(claim)}" for claim in value)
    if isinstance(value, dict):
        return f"{key}:\n" + "\n".join(f"  {inner}: {text}" for inner, text in value.items())
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return (
        f"{key}: {text}"
        if "\n" not in text
        else f"{key}:\n" + "\n".join(f"  {line}".rstrip() for line in text.split("\n"))
    )


def _proof(claim: Row) -> str:
    return f"{claim['claim']}\n    {claim['test']}" + (
        "" if claim["passed"] else " FAILED when it was last run"
    )


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
    """The card of a data set: sizes, source, licence, hashes. Without NAME, of every one that is
    here.
    """
    from ..data.files import MissingData

    files = files_of(data_dirs, offline or not name)
    cards = []
    for choice in registry_of(plugins_dir).choose_datasets(name or "all"):
        try:
            cards.append(_card(choice.entry.load(files, **choice.values)))
        except MissingData:
            if name:
                raise
            cards.append(
                {
                    "data set": choice.label,
                    "missing": f"its files are not here; see vaezoo data {choice.label}",
                }
            )
    _print_facts(cards, wants_json)


def _card(data: "Data") -> Row:
    sizes = {split: list(data.split(split).shape) for split in ("train", "validation", "test")}
    card = data.card
    return {
        "data set": data.name, "title": card.title, "shape": list(data.spec.shape),
        "likelihood": data.spec.likelihood, "classes": data.spec.classes, "sizes": sizes,
        "source": card.source, "licence": card.licence, "processing": card.processing,
        "notes": list(card.notes), "test rows that are in train too": data.duplicates,
        "SHA-256": dict(data.hashes),
    }  # fmt: skip
