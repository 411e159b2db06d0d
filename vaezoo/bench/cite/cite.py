"""What a run used, and where each of it is from."""

import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..report.report import read_rows
from ..report.rows import Row
from .methods import BOLD, METRICS, RANKS
from .references import Reference, bibliography, references

if TYPE_CHECKING:
    from ...registry.registry import Registry

PAPER = re.compile(r"^\s*Paper:\s*(.+?)(?:\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)


def cite(out: Path | str, registry: "Registry") -> str:
    """BibTeX of the variants, data sets, metrics and statistics of the run in `out`. What has no
    reference is named in a comment at the end.

    Raises: ReportError for a folder without trials.
    """
    rows = read_rows(out, quiet=True)
    variants = [(name, references(text)) for name, text in _of_variants(rows, registry)]
    methods = [*_of_metrics(rows, registry), *_of_statistics(rows)]
    found = [*variants, *_of_datasets(rows, registry)]
    found += [(name, references(text)) for name, text in methods]
    uses = [(name, one) for name, papers in found for one in papers]
    without = [name for name, papers in found if not any(one.can_be_found for one in papers)]
    missing = f"\n\n% without a reference: {', '.join(without)}" if without else ""
    return f"{bibliography(uses)}{missing}\n"


def _of_variants(rows: Sequence[Row], registry: "Registry") -> Iterator[tuple[str, str]]:
    """(variant, its paper); of one that is put together also its parts."""
    seen: set[str] = set()
    for row in rows:
        made_of = row.trials[0].ingredients
        variant = registry.variants.get(made_of.name)
        for kind, part in _parts(made_of.hyperparameters, registry):
            if part not in seen:
                seen.add(part)
                yield f"{kind} {part}", inspect.getdoc(registry.parts[kind][part].build) or ""
        if made_of.name not in seen:
            seen.add(made_of.name)
            yield made_of.name, variant.paper if variant else ""


def _parts(values: dict[str, Any], registry: "Registry") -> Iterator[tuple[str, str]]:
    for kind, name in values.items():
        if isinstance(name, str) and name in registry.parts.get(kind, {}):
            yield kind, name


def _of_datasets(
    rows: Sequence[Row], registry: "Registry"
) -> Iterator[tuple[str, list[Reference]]]:
    """(data set, its papers): of the docstring, else what its card says of its source."""
    for label, row in {row.dataset: row for row in reversed(rows)}.items():
        asked = row.trials[0].ingredients.stored.get("data", {})
        dataset = registry.datasets.get(asked.get("name", ""))
        paper = PAPER.search(dataset.doc) if dataset else None
        if dataset is None:
            yield label, []
        elif paper:
            yield label, references(paper[1])
        else:
            yield label, _source(dataset, asked.get("options", {}))


def _source(dataset: Any, options: Any) -> list[Reference]:
    """What the card says, where the files of the data are on this machine."""
    from ...data.files import Files

    try:
        card = dataset.load(Files(offline=True), **options).card
    except Exception:  # a stranger's loader, or files that are elsewhere: there is more to cite
        return []
    found = references(" ".join([card.source, card.processing, *card.notes]))
    # what the source begins with made the data; others are what they were made after
    if found and not found[0].title and card.source.startswith(found[0].authors[0]):
        found[0] = replace(found[0], title=card.title)
    return found


def _of_metrics(rows: Sequence[Row], registry: "Registry") -> Iterator[tuple[str, str]]:
    """(metric, its papers), of the metrics that gave a number."""
    used = {
        column["metric"]
        for row in rows
        for trial in row.done
        for column in trial.columns
        if column.get("metric") and column["name"] in trial.metrics
    }
    for name in sorted(used):
        metric = registry.metrics.get(name)
        doc = metric.doc if metric else ""
        paper = PAPER.search(doc)
        if name in METRICS or paper or references(doc):
            yield f"metric {name}", METRICS.get(name) or (paper[1] if paper else doc)


def _of_statistics(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    yield "bold in the tables", BOLD
    if len({row.dataset for row in rows}) > 1:
        yield "ranks over data sets", RANKS
