"""What a model puts in the place of missing entries, against the truth; control rows by means and
nearest neighbours.

An entry is put in as its mean under p(x|x_o): E[x_m|x_o] ≈ Σ_k w_k E[x_m|z_k] / Σ_k w_k, with the
importance weights of the observed entries (Mattei & Frellsen 2019, arXiv:1812.02633, single
imputation).
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ...core import Model, Unsupported
from ...data.data import Data
from ...distributions import to_length
from ...hooks import Column, Metric, Table, hookimpl
from ..batches import batches
from ..context import Evaluation
from ..subset import some_rows

DRAWS = 100  # unless another K is asked for
ROWS = 1000
NEIGHBOURS = 5


@torch.no_grad()
def impute(
    model: Model, x: Tensor, c: Tensor | None = None, k: int = DRAWS, entries: int = 2**20
) -> Tensor:
    """x (N, *shape) with every NaN filled, from k draws a row; draws of a model without a density
    weigh the same.
    """
    size = max(1, entries // (k * max(1, x[0].numel())))
    return torch.cat([_filled(model, *piece, k) for piece in batches(x, c, size)])


def _filled(model: Model, x: Tensor, c: Tensor | None, k: int) -> Tensor:
    trace = model.infer(x, c, k)
    log_w = torch.zeros_like(trace.log_px) if model.no_density else trace.log_w
    mean = torch.einsum("kb,kb...->b...", log_w.softmax(0), trace.px.mean)
    return torch.where(x.isnan(), to_length(mean, x.shape[1]) if x.ndim == 3 else mean, x)


def error(filled: Tensor, x: Tensor, truth: Tensor) -> float:
    """Root mean squared error over the entries that x lacks and the truth has."""
    judged = x.isnan() & ~truth.isnan()
    return float((filled - truth)[judged].double().square().mean().sqrt())


def why_not(data: Data, split: str) -> str:
    """Why imputation cannot be judged; empty where it can."""
    if not data.truth:
        return "nothing is missing whose truth is known"
    rows = some_rows(data, split, ROWS)
    judged = data.split(split)[rows].isnan() & ~data.truth[split][rows].isnan()
    return "" if judged.any() else "nothing is missing"


def imputation(evaluation: Evaluation) -> Mapping[str, float]:
    """The error of imputed entries, root mean square, on 1,000 rows at most, from as many draws as
    the likelihood has.
    """
    reason = why_not(evaluation.data, evaluation.split)
    if reason:
        raise Unsupported(reason)
    evaluation.say_given_label("imputation_is")
    rows, x, c = evaluation.part(ROWS)
    truth = evaluation.data.truth[evaluation.split][rows].to(evaluation.device)
    k = evaluation.importance_samples or DRAWS
    return {"imputation_rmse": error(impute(evaluation.model, x, c, k), x, truth)}


def controls(data: Data, split: str = "test") -> dict[str, dict[str, float]]:
    """The control rows: the mean of each entry over the training split, and that of the 5 nearest
    training rows.
    """
    if why_not(data, split):
        return {}
    from sklearn.impute import KNNImputer, SimpleImputer

    train = data.train[some_rows(data, "train", 2 * ROWS)].flatten(1)
    judged = some_rows(data, split, ROWS)
    x = data.split(split)[judged].flatten(1)
    truth = data.truth[split][judged].flatten(1)
    imputers = {
        "means of the entries": SimpleImputer(keep_empty_features=True),
        f"{NEIGHBOURS} nearest neighbours": KNNImputer(
            n_neighbors=NEIGHBOURS, keep_empty_features=True
        ),
    }
    rows = {}
    for name, imputer in imputers.items():
        filled = torch.from_numpy(imputer.fit(train.numpy()).transform(x.numpy()))
        rows[name] = {"imputation_rmse": error(filled, x, truth)}
    return rows


@hookimpl
def vaezoo_metrics() -> list[Metric]:
    columns = (
        Column("imputation_rmse", "", "lower", digits=4, panel=True, panel_controls=True, low=0),
    )
    return [
        Metric(
            "imputation",
            columns,
            imputation,
            Table("imputation", apart="imputation_is"),
            controls=controls,
            rests_on="q,p,px",
        )
    ]
