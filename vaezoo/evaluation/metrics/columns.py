"""Tables of mixed columns: cells that were hidden and filled, and samples as a table, beside what
scikit-learn fills and what real rows do.

For other data neither metric applies.
"""

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ...core import Unsupported
from ...data.data import Data
from ...data.reader import Reader
from ...hooks import Column, Metric, Table, hookimpl
from ..baselines import CONTROLS, FLOOR, INDEPENDENT, REAL
from ..context import Evaluation
from ..of_columns import (
    HIDDEN,
    TARGETS,
    by_kind,
    closeness,
    differences,
    errors,
    hidden,
    predicted,
)
from ..subset import some_rows
from .imputation import NEIGHBOURS, impute

ROWS = 500  # test rows whose cells are hidden
LEARNED = 1000  # training or made-up rows
DRAWS = 50
NO_TABLE = "the data is no table of mixed columns"
COMPLETE = "the data has no gaps; table[gaps=true] trains models that read them"


def reader_of(data: Data) -> Reader:
    """Raises: Unsupported where the data is no table of mixed columns."""
    if data.reader is None or not data.reader.columns:
        raise Unsupported(NO_TABLE)
    return data.reader


def filled_cells(evaluation: Evaluation) -> Mapping[str, float]:
    """A fifth of the cells of test rows is hidden and filled: the error of numbers in deviations of
    the training rows (of amounts, of their logarithms), and the share of wrong words, each a mean
    over the columns.
    """
    reader = reader_of(evaluation.data)
    found = filled_by_model(evaluation)
    evaluation.say_given_label("cells_are")
    evaluation.settings |= {"hidden_cells": HIDDEN}
    return _said(evaluation, by_kind(reader, found, "cell_rmse", "cell_wrong"), CELLS)


def filled_by_model(evaluation: Evaluation) -> dict[str, float]:
    """Column -> error of the hidden cells that the model filled.

    Raises: Unsupported where the data is no table, or has no gaps.
    """
    data = evaluation.data
    reader = reader_of(data)
    if not data.spec.has_gaps:
        raise Unsupported(COMPLETE)
    rows, truth, c = evaluation.part(ROWS)
    seen = hidden(data, reader, evaluation.split, rows).to(truth)
    with evaluation.noise("cells"):
        filled = impute(evaluation.model, seen, c, DRAWS)
    return errors(reader, data.train, filled.cpu(), seen.cpu(), truth.cpu())


def filled_controls(data: Data, split: str = "test") -> dict[str, dict[str, float]]:
    """The same cells, filled by means (of words: by the most frequent), nearest neighbours, and one
    column from the others in turn.
    """
    if data.reader is None or not data.reader.columns or not data.spec.has_gaps:
        return {}
    rows = {}
    for name, by_column in filled_without_model(data, data.reader, split).items():
        rows[name] = by_kind(data.reader, by_column, "cell_rmse", "cell_wrong")
    return rows


def filled_without_model(data: Data, reader: Reader, split: str) -> dict[str, dict[str, float]]:
    """Imputer -> column -> error of the same cells."""
    train = data.train[some_rows(data, "train", LEARNED)].double().numpy()
    rows = some_rows(data, split, ROWS)
    seen = hidden(data, reader, split, rows)
    truth = data.split(split)[rows]
    found = {}
    for name, imputer in _imputers().items():
        with warnings.catch_warnings():  # five rounds are what was asked for
            warnings.simplefilter("ignore")
            filled = torch.from_numpy(imputer().fit(train).transform(seen.double().numpy()))
        found[name] = errors(reader, data.train, filled, seen, truth)
    return found


def _imputers() -> dict[str, Callable[[], Any]]:
    """Of scikit-learn, on x: of a mean over one-hot entries the largest is the most frequent."""
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

    whole = {"keep_empty_features": True}
    return {
        "means of the entries": partial(SimpleImputer, **whole),
        f"{NEIGHBOURS} nearest neighbours": partial(KNNImputer, n_neighbors=NEIGHBOURS, **whole),
        "one column from the others in turn": partial(
            IterativeImputer, max_iter=5, random_state=0, **whole
        ),
    }


def table_samples(evaluation: Evaluation) -> Mapping[str, float]:
    """Samples as a table: columns predicted from the others on test rows by forests that were grown
    on samples (accuracy of words, R² of numbers); the law of each column (total variation,
    Kolmogorov-Smirnov); the distance to the nearest training row over that of test rows, and the
    share of samples that is nearer than one in twenty test rows.
    """
    data = evaluation.data
    reader = reader_of(data)
    n = min(LEARNED, len(data.train))
    most = max(n, len(data.split(evaluation.split)))
    labels = evaluation.labels_for(most, "columns")
    with evaluation.noise("columns"):
        fake = evaluation.draw(most, labels).cpu()
    if not fake.isfinite().all():
        raise Unsupported("the model's samples are not finite")
    evaluation.settings |= {"forests_learn_from": n, "predicted_columns": TARGETS}
    return _said(evaluation, _scores(reader, data, fake, evaluation.split, n), SAMPLES)


def _scores(reader: Reader, data: Data, fake: Tensor, split: str, n: int) -> dict[str, float]:
    """Every score of made-up rows, of which n teach the forests."""
    test = data.split(split)
    scores = by_kind(reader, predicted(reader, fake[:n], test), "tstr_r2", "tstr_accuracy")
    scores |= by_kind(reader, differences(reader, fake, test), "column_ks", "column_tv")
    beside = test[some_rows(data, split, min(len(fake), LEARNED))]
    train = data.train[some_rows(data, "train", 10 * LEARNED)]
    return scores | closeness(fake[: len(beside)], beside, train)


def sample_controls(data: Data, seed: int = 0, split: str = "test") -> dict[str, dict[str, float]]:
    """Training rows in the place of samples, and columns drawn each on its own."""
    if data.reader is None or not data.reader.columns:
        return {}
    n = min(LEARNED, len(data.train))
    rows = {}
    for name in (FLOOR, INDEPENDENT):
        made = CONTROLS[name](data, max(n, len(data.split(split))), seed)
        scores = _scores(data.reader, data, made, split, n)
        if name == FLOOR:  # a training row is its own nearest one
            scores = {key: value for key, value in scores.items() if key not in PRIVACY}
        rows[REAL if name == FLOOR else name] = scores
    return rows


PRIVACY = ("train_distance", "too_near")
NO_COLUMN = "the table has no column of this type to judge"
LACKING = dict.fromkeys(PRIVACY, "half of the test rows are in the training split too")


CELLS = (
    Column("cell_rmse", "", "lower", digits=3, low=0),
    Column("cell_wrong", "", "lower", digits=3, low=0, high=1),
)
SAMPLES = (
    Column("tstr_accuracy", "", "higher", digits=3, low=0, high=1),
    Column("tstr_r2", "", "higher", digits=3, high=1),
    Column("column_tv", "", "lower", digits=3, low=0, high=1),
    Column("column_ks", "", "lower", digits=3, low=0, high=1),
    Column("train_distance", "", "", digits=3, low=0),
    Column("too_near", "", "", digits=3, low=0, high=1),
)


def _said(
    evaluation: Evaluation, found: dict[str, float], columns: tuple[Column, ...]
) -> dict[str, float]:
    """What was found; a column of a type that the table lacks says so."""
    for column in columns:
        if column.name not in found:
            evaluation.say(column.name, LACKING.get(column.name, NO_COLUMN))
    return found


@hookimpl
def vaezoo_metrics() -> list[Metric]:
    filled = Table("cells", "Cells of a table, hidden and filled", apart="cells_are")
    samples = Table("columns", "Samples as a table")
    return [
        Metric("cells", CELLS, filled_cells, filled, controls=filled_controls, rests_on="q,p,px"),
        Metric("columns", SAMPLES, table_samples, samples, "samples", controls=sample_controls),
    ]
