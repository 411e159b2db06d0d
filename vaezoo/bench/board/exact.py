"""Cells that are computed from the data alone, without a training; kept in results/board."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ...data.data import Data
from ...data.files import Files, MissingData
from ...data.published import PublishedTable
from ...evaluation.baselines import independent_log_p
from ...registry.registry import Registry
from ..records import Damaged
from ..records.checks import mapping, numbers
from ..store import Store
from ..text import say

PREFIX = "exact: "  # of `PublishedRow.ours`
FOLDER = "board"  # in the folder of results
FILE = "exact.json"

Known = dict[str, dict[str, float]]  # what is computed -> data set -> number of our column


def ppca_log_likelihood(x: Tensor, k: int) -> float:
    """The greatest mean log p(x) of probabilistic PCA with k components, of rows x (N, D), in nats.

    -½ [D log 2π + Σ_{i ≤ k} log λ_i + (D - k) log σ² + D], σ² the mean of the other eigenvalues of
    the covariance (Tipping & Bishop 1999, eq. 8; Lucas et al. 2019, arXiv:1911.02469).
    """
    x = x.double().flatten(1)
    size = x.shape[1]
    covariance = torch.cov(x.T, correction=0)
    values = torch.linalg.eigvalsh(covariance).flip(0)  # the largest first
    variance = values[k:].mean()
    log_two_pi = torch.log(torch.tensor(2 * torch.pi, dtype=torch.float64))
    total = size * log_two_pi + values[:k].log().sum() + (size - k) * variance.log() + size
    return -float(total) / 2


def _ppca(data: Data, argument: str, column: str) -> float:
    """Of all rows that were there for training, the validation split among them."""
    return ppca_log_likelihood(torch.cat([data.train, data.validation]), int(argument))


def _control(data: Data, argument: str, column: str) -> float:
    """The number of a control row that the data set brings."""
    assert data.controls is not None
    return data.controls(data.test)[argument][column]


def _independent(data: Data, argument: str, column: str) -> float:
    """-log p(x) of a test row with every entry on its own, in nats."""
    log_p = independent_log_p(data)
    assert log_p is not None
    return -float(log_p.mean())


COMPUTED: Mapping[str, Callable[[Data, str, str], float]] = {
    "ppca": _ppca,
    "control": _control,
    "independent": _independent,
}


def compute(registry: Registry, tables: Mapping[str, PublishedTable]) -> tuple[Known, list[str]]:
    """What is computed -> data set -> number, of all exact cells whose data is here; and the data
    sets that are not.
    """
    found: Known = {}
    missing = []
    for dataset, wanted in _wanted(tables).items():
        try:
            data = _load(registry, dataset)
        except MissingData:
            missing.append(dataset)
            continue
        for what, column in wanted:
            kind, _, argument = what.partition(" ")
            found.setdefault(what, {})[dataset] = COMPUTED[kind](data, argument, column)
    return found, missing


def _wanted(tables: Mapping[str, PublishedTable]) -> dict[str, list[tuple[str, str]]]:
    """Data set -> what is to be computed of it, and the column of each."""
    wanted: dict[str, list[tuple[str, str]]] = {}
    for table in tables.values():
        for row in table.rows:
            if row.ours.startswith(PREFIX):
                what = row.ours.removeprefix(PREFIX)
                for dataset in row.cells:
                    wanted.setdefault(dataset, []).append((what, table.column_of(row)))
    return wanted


def _load(registry: Registry, dataset: str) -> Data:
    (chosen,) = registry.choose_datasets(dataset)
    return chosen.entry.load(Files(), **chosen.values)


def kept(results: Path) -> Known:
    """What was computed before; nothing where there is no file, or one that does not fit, which is
    said on stderr.
    """
    try:
        said = mapping(Store(results / FOLDER).read_json(FILE), "the file")
        return {what: dict(numbers(of_data, what)) for what, of_data in said.items()}
    except Damaged as why:
        say(f"{results / FOLDER / FILE} is set aside: {why}")
        return {}


def keep(results: Path, found: Known) -> None:
    """Adds to what was computed before.

    Raises: StoreError where the folder cannot be written.
    """
    merged = kept(results)
    for what, by_data in found.items():
        merged[what] = merged.get(what, {}) | by_data
    text = json.dumps(merged, indent=1, sort_keys=True, ensure_ascii=False)
    Store(results / FOLDER).write(FILE, text + "\n")
