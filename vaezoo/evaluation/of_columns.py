"""What tables of mixed columns are judged by, from rows x (N, E) alone: no model is asked here.

Numbers are judged in deviations of the training rows, amounts by their logarithms, words by whether
they are the same.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..columns import WORDED
from ..data.columns import Column
from ..data.data import Data
from ..data.reader import Reader
from ..seeds import generator_for

HIDDEN = 0.2  # of the cells that are there
TARGETS = 6  # columns, at most, that others predict
TREES = 20
SHARED = 0.5  # of all entries, at least, over which two rows are compared
NEAR = 0.05  # of test rows are as near to a training row


@dataclass(frozen=True)
class Judged:
    """One column: its values in the scale that it is judged in, (N,), NaN for a gap."""

    column: Column
    values: Tensor

    @property
    def is_worded(self) -> bool:
        return self.column.type in WORDED


def judged(reader: Reader, x: Tensor) -> list[Judged]:
    """Every column of x (N, E), float64 on the CPU: codes of words, numbers as they are, logarithms
    of amounts.
    """
    values = reader.back(x.cpu())
    found = []
    for column, each in zip(reader.columns, values.T, strict=True):
        found.append(Judged(column, each.log() if column.type == "amount" else each))
    return found


def hidden(data: Data, reader: Reader, split: str, rows: Tensor) -> Tensor:
    """These rows of a split without a fifth of their cells, whole columns of entries each, by a
    seed that is the same for all models. A row that would lose all keeps one.
    """
    x = data.split(split)[rows]
    entries = reader.entries()
    g = generator_for("cells", data.identity, split)
    draws = torch.rand(len(data.split(split)), len(entries), generator=g)[rows]
    is_there = torch.stack([~x[:, at.start].isnan() for _, at in entries], 1)
    is_hidden = draws < HIDDEN
    kept = draws.masked_fill(~is_there, -1).argmax(1)
    emptied = ~(is_there & ~is_hidden).any(1)
    is_hidden[emptied, kept[emptied]] = False

    for i, (_, at) in enumerate(entries):
        x[is_hidden[:, i], at] = torch.nan
    return x


def errors(
    reader: Reader, train: Tensor, filled: Tensor, seen: Tensor, truth: Tensor
) -> dict[str, float]:
    """Column -> error over the cells that `seen` lacks and the truth has, x (N, E) each: root mean
    square in training deviations of numbers, share of wrong words. Columns of no such cell are
    left out.
    """
    scales = dict(zip(reader.names, deviations(reader, train), strict=True))
    triples = zip(judged(reader, filled), judged(reader, seen), judged(reader, truth), strict=True)
    found = {}
    for mine, left, true in triples:
        asked = left.values.isnan() & ~true.values.isnan()
        if not asked.any():
            continue
        name = mine.column.name
        off = mine.values[asked] - true.values[asked]
        if mine.is_worded:
            found[name] = float((off != 0).double().mean())
        else:
            found[name] = float(off.square().mean().sqrt()) / scales[name]
    return found


def deviations(reader: Reader, train: Tensor) -> list[float]:
    """Of each column over the training rows, in the scale that it is judged in; 1 where it has
    none.
    """
    found = []
    for one in judged(reader, train):
        there = one.values[~one.values.isnan()]
        deviation = float(there.std(correction=0)) if len(there) else 0.0
        found.append(deviation or 1.0)
    return found


def by_kind(
    reader: Reader, by_column: dict[str, float], number: str, word: str
) -> dict[str, float]:
    """The means over columns of numbers and over columns of words, by these two names."""
    words = {column.name for column in reader.columns if column.type in WORDED}
    numbers = [value for name, value in by_column.items() if name not in words]
    of_words = [value for name, value in by_column.items() if name in words]
    found = {number: float(np.mean(numbers))} if numbers else {}
    return found | ({word: float(np.mean(of_words))} if of_words else {})


def differences(reader: Reader, fake: Tensor, real: Tensor) -> dict[str, float]:
    """Column -> how far its law in made-up rows (M, E) is from that in real rows (N, E): the
    largest difference of distribution functions (Kolmogorov-Smirnov) of numbers, total variation of
    words. 0 where they are the same, 1 where they share nothing.
    """
    from scipy.stats import ks_2samp

    found = {}
    for mine, true in zip(judged(reader, fake), judged(reader, real), strict=True):
        a = mine.values[~mine.values.isnan()]
        b = true.values[~true.values.isnan()]
        if not len(a) or not len(b):
            continue
        if mine.is_worded:
            words = len(mine.column.words)
            gap = a.long().bincount(minlength=words) / len(a)
            gap = gap - b.long().bincount(minlength=words) / len(b)
            found[mine.column.name] = float(gap.abs().sum() / 2)
        else:
            found[mine.column.name] = float(ks_2samp(a.numpy(), b.numpy()).statistic)
    return found


def targets(reader: Reader) -> list[int]:
    """The columns that others are to predict: all, or so many evenly over the table."""
    n = len(reader.columns)
    if n < 2:
        return []
    return sorted({round(i) for i in np.linspace(0, n - 1, min(n, TARGETS)).tolist()})


def predicted(reader: Reader, train: Tensor, test: Tensor) -> dict[str, float]:
    """Column -> how well the others predict it on `test` (N, E) by a forest that was grown on
    `train` (M, E): accuracy of words, R² of numbers. One that a row lacks is not asked; gaps of
    the others are gaps to the forest.
    """
    found = {}
    pairs = list(zip(judged(reader, train), judged(reader, test), strict=True))
    for i in targets(reader):
        learned, asked = pairs[i]
        others = _others(reader, i)
        rows = ~learned.values.isnan()
        tested = ~asked.values.isnan()
        if rows.sum() < 2 or tested.sum() < 2:
            continue
        forest = _forest(learned.is_worded)
        forest.fit(train[rows][:, others].numpy(), learned.values[rows].numpy())
        score = forest.score(test[tested][:, others].numpy(), asked.values[tested].numpy())
        found[learned.column.name] = float(score)
    return found


def _forest(is_worded: bool) -> Any:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    kind = RandomForestClassifier if is_worded else RandomForestRegressor
    return kind(n_estimators=TREES, min_samples_leaf=3, random_state=0, n_jobs=1)


def _others(reader: Reader, i: int) -> list[int]:
    """The entries of x of all columns but one."""
    found: list[int] = []
    for k, (_, at) in enumerate(reader.entries()):
        if k != i:
            found += range(at.start, at.stop)
    return found


def nearest(x: Tensor, train: Tensor) -> Tensor:
    """How far the nearest training row (M, E) is from each of x (N, E), over the entries that both
    have, as if there were all; of training rows that share half of all entries with it, for two
    rows that share one word are no neighbours. NaN where there is none: (N,).
    """
    from sklearn.metrics.pairwise import nan_euclidean_distances

    there = (~train.isnan()).double()
    found = []
    for part in x.double().split(500):
        distances = torch.from_numpy(nan_euclidean_distances(part, train.double().numpy()))
        shared = (~part.isnan()).double() @ there.T  # (rows, M)
        far = distances.masked_fill(shared < SHARED * train.shape[1], torch.inf).amin(1)
        found.append(far.masked_fill(far.isinf(), torch.nan))
    return torch.cat(found)


def closeness(fake: Tensor, test: Tensor, train: Tensor) -> dict[str, float]:
    """How near made-up rows are to training rows, beside new real rows: the ratio of the medians of
    the distances, and the share that is nearer than one in twenty of the real ones are.

    Made-up rows (N, E) lack what the test rows (N, E) lack, so that both are compared over as many
    entries. Where half of the test rows are in the training rows there is nothing to compare.
    """
    of_test = nearest(test, train)
    of_fake = nearest(torch.where(test.isnan(), torch.nan, fake), train)
    usual = float(of_test.nanmedian())
    if not usual > 0:
        return {}
    limit = of_test.nanquantile(NEAR)
    asked = of_fake[~of_fake.isnan()]
    return {
        "train_distance": float(asked.median()) / usual,
        "too_near": float((asked < limit).double().mean()),
    }
