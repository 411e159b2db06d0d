"""Reference results: the trials of the committed tables, which come with the package as one file,
so that a new variant stands beside ours without training ours again.

`make docs` writes the file from the folders in results/: every trial of each folder's run that is
done, with its key, its budget, the hashes of its data and its numbers, seed by seed.
"""

import json
import lzma
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..records import Damaged, Record
from ..records.parsing import parsed_text
from ..store import Store
from ..trial import canonical
from .alike import conditions

NAME = "reference.json.xz"
SAID = ("columns", "tables")  # of its metrics: most trials say the same, which is kept once
# rows that differ in these are shown, and set apart by the rule that sets any row apart
OF_THE_MACHINE = ("torch", "device")
Json = dict[str, Any]


def packed(folders: Iterable[Path]) -> bytes:
    """The file for the runs in these folders; the same bytes for the same trials."""
    said: dict[str, int] = {}
    trials = []
    for record in _done(folders):
        facts = record.to_json()
        text = canonical({name: facts.pop(name) for name in SAID})
        facts["said"] = said.setdefault(text, len(said))
        trials.append(facts)
    content = {"said": [json.loads(text) for text in said], "trials": trials}
    return lzma.compress(canonical(content).encode(), preset=9)


def _done(folders: Iterable[Path]) -> list[Record]:
    """The trials of each folder's last run that are done, each once, in the order of the runs."""
    found: dict[str, Record] = {}
    for folder in folders:
        store = Store(folder)
        for key in store.read_json("run.json")["trials"]:
            record = store.checked(key)
            if record.is_done:
                found.setdefault(key, record)
    return list(found.values())


def unpacked(content: bytes) -> tuple[Record, ...]:
    """The trials in such a file.

    Raises: Damaged where it is none.
    """
    try:
        facts = parsed_text(lzma.decompress(content))
        said = facts["said"]
        return tuple(
            Record.from_json({**said[trial.pop("said")], **trial}) for trial in facts["trials"]
        )
    except (lzma.LZMAError, LookupError, TypeError, AttributeError) as error:
        raise Damaged(f"it holds no reference results: {error}") from None


@cache
def references() -> tuple[Record, ...]:
    """The trials that come with the package."""
    return unpacked(files("vaezoo.bench.report").joinpath(NAME).read_bytes())


def beside(mine: Sequence[Record], known: Sequence[Record] | None = None) -> list[Record]:
    """The reference trials to show beside these: of other variants, on the same data with the same
    budget, size and estimates, of the seeds that were run.

    `known` are those that come with the package unless others are given.
    """
    asked = [record for record in mine if record.is_done]
    settings = {_settings(record) for record in asked}
    rows = {(record.dataset, record.variant) for record in mine}
    seeds = {(record.dataset, record.seed) for record in mine}
    if not settings:
        return []
    return [
        record
        for record in (references() if known is None else known)
        if (record.dataset, record.variant) not in rows
        and (record.dataset, record.seed) in seeds
        and _settings(record) in settings
    ]


def _settings(record: Record) -> str:
    """What trials share that stand in one table."""
    made_with = conditions([record])
    shared = {name: value for name, value in made_with.items() if name not in OF_THE_MACHINE}
    samplers = sorted(record.ingredients.samplers)
    return canonical([record.dataset, shared, samplers])
