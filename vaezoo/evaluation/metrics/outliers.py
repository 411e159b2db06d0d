"""Does a model see that rows are not of its data? Area under the ROC curve of four scores, for
three kinds of outliers.

"noise": every entry on its own, with its moments over the training split. Of images alone,
"shapes": squares, ellipses and hearts drawn at the data's size; and "frame": noise of a Frey face's
proportions, 28 rows × 20 columns, in the middle of an empty picture. 1 is perfect, 0.5 is chance,
below 0.5 outliers look more typical than the data.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from ...core import Model, Unsupported
from ...data.data import Data
from ...data.sources.sprites import FACTORS, render
from ...hooks import Column, Metric, Table, hookimpl
from ...likelihoods import head
from ..baselines import CONTROLS
from ..batches import batches
from ..context import Evaluation
from ..entries import entries_of

ROWS = 200
DRAWS = 32  # rows of each kind, and draws of q(z|x) a row
WEIGHT_SETS = 8
WEIGHT_DRAWS = 16
FACE = 28, 20  # rows and columns of a Frey face
SCORES = ("log_px", "waic", "ess", "typicality")
KINDS = ("shapes", "frame", "noise")
COLUMNS = tuple(f"auroc_{score}_{kind}" for score in SCORES for kind in KINDS)


@dataclass(frozen=True)
class Scores:
    """What K draws say of each row, (B,)."""

    log_px: Tensor  # log p(x), by importance sampling
    ess: Tensor  # (Σ w)² / Σ w² / K: the share of the draws that count


def auroc(inside: Tensor, outside: Tensor) -> float:
    """P(score inside > score outside), ties counted half: (N,) and (M,)."""
    difference = inside.double()[:, None] - outside.double()
    return float((difference > 0).double().mean() + 0.5 * (difference == 0).double().mean())


def scores(model: Model, x: Tensor, c: Tensor | None, k: int, entries: int) -> Scores:
    """Both scores of every row, from k draws."""
    size = max(1, entries // (k * max(1, x[0].numel())))
    log_w = torch.cat([model.infer(*piece, k).log_w for piece in batches(x, c, size)], 1)
    log_sum = log_w.logsumexp(0)
    return Scores(log_sum - math.log(k), (2 * log_sum - (2 * log_w).logsumexp(0)).exp() / k)


def waic(members: list[Model], x: Tensor, c: Tensor | None, entries: int) -> Tensor:
    """E_θ log p(x|θ) - Var_θ log p(x|θ), (B,) (Choi, Jang & Alemi 2018, arXiv:1810.01392), over the
    members.
    """
    log_px = torch.stack([scores(member, x, c, WEIGHT_DRAWS, entries).log_px for member in members])
    return log_px.mean(0) - log_px.var(0)


def shapes(data: Data, n: int, generator: torch.Generator) -> Tensor:
    """Squares, ellipses and hearts near the middle, (n, *shape), of 0 and 1."""
    channels, height, width = data.spec.shape
    ranges = [(2, values - 2) if name in "xy" else (0, values) for name, values in FACTORS.items()]
    factors = torch.stack(
        [torch.randint(low, high, (n,), generator=generator) for low, high in ranges], 1
    )
    # so that they are as large in the picture as what it usually shows
    near = render(factors)[:, :, 4:-4, 4:-4]
    small = F.interpolate(near, size=(height, width), mode="area")
    return (small > 0.5).float().expand(-1, channels, -1, -1)


def framed(data: Data, n: int, generator: torch.Generator, cache: Path | None = None) -> Tensor:
    """Noise the size of a Frey face, (n, *shape): the largest block of its proportions in the
    middle, the rest empty.

    Its entries have the moments of all training pixels together: with each pixel's own the digits
    would shine through. This is our reading of "mnist -> freyfaces-sized noise"; on 28×28 the block
    is 28×20.
    """
    (_, height, width) = data.spec.shape
    scale = min(height / FACE[0], width / FACE[1])
    rows, columns = (max(1, round(side * scale)) for side in FACE)
    top = (height - rows) // 2
    left = (width - columns) // 2
    pixels = entries_of(data, cache)
    x = pixels.low.expand(n, *data.spec.shape).clone()
    block = x[..., top : top + rows, left : left + columns]
    if head(data.spec).levels == 2:
        block.bernoulli_(float(pixels.mean), generator=generator)
    else:
        block.normal_(float(pixels.mean), float(pixels.deviation), generator=generator)
    return x


def outliers_for(
    data: Data, x: Tensor, seed: int, generator: torch.Generator, cache: Path | None = None
) -> dict[str, Tensor]:
    """Name -> rows as many as x (B, *shape), with the gaps of x."""
    made = {"noise": CONTROLS["independent pixels"](data, len(x), seed)[:, : x.shape[1]]}
    if data.spec.is_image:
        made |= {
            "shapes": shapes(data, len(x), generator),
            "frame": framed(data, len(x), generator, cache),
        }
    return {name: torch.where(x.isnan(), torch.nan, rows.to(x)) for name, rows in made.items()}


def outliers(evaluation: Evaluation) -> Mapping[str, float]:
    """How well log p(x), WAIC over the weights, effective sample size and typicality tell test rows
    from outliers.

    The typicality of a row is -|log p(x) - its mean over the validation split| (after Nalisnick et
    al. 2019, arXiv:1906.02994); a small effective sample size of the importance weights is a sign
    of an outlier.
    """
    if evaluation.no_density:
        raise Unsupported(evaluation.no_density)
    if evaluation.is_conditional:
        raise Unsupported("it is told the label of each row; outliers have none")
    x = evaluation.part(ROWS).x
    data = evaluation.data
    drawn = evaluation.generator("outliers")
    others = outliers_for(data, x.cpu(), evaluation.seed, drawn, evaluation.cache)
    _say_what_is_left_out(evaluation, others)
    evaluation.settings |= {
        "outliers": ", ".join(kind for kind in KINDS if kind in others),
        "outlier_rows": len(x),
    }
    every = {"inside": x} | {name: rows.to(x) for name, rows in others.items()}
    found = _all(evaluation, every) | _by_weights(evaluation, every)
    return {
        f"auroc_{score}_{kind}": auroc(values["inside"], values[kind])
        for score, values in found.items()
        for kind in others
    }


def _say_what_is_left_out(evaluation: Evaluation, others: Mapping[str, Tensor]) -> None:
    for kind in set(KINDS) - set(others):
        for score in SCORES:
            evaluation.say(f"auroc_{score}_{kind}", "not an image")


def _all(evaluation: Evaluation, every: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Score -> kind of rows -> (B,)."""
    c = evaluation.part(ROWS).c
    known = {
        name: scores(evaluation.model, x, c, DRAWS, evaluation.entries) for name, x in every.items()
    }

    # what log p(x) usually is: its mean over the validation split
    _, validation, c = evaluation.part(ROWS, "validation")
    usual = scores(evaluation.model, validation, c, DRAWS, evaluation.entries).log_px.mean()
    return {
        "log_px": {name: s.log_px for name, s in known.items()},
        "ess": {name: s.ess for name, s in known.items()},
        "typicality": {name: -(s.log_px - usual).abs() for name, s in known.items()},
    }


def _by_weights(
    evaluation: Evaluation, every: Mapping[str, Tensor]
) -> dict[str, dict[str, Tensor]]:
    try:
        members = [member.eval() for member in evaluation.model.members(WEIGHT_SETS)]
    except Unsupported as why:
        for kind in set(every) - {"inside"}:
            evaluation.say(f"auroc_waic_{kind}", str(why))
        return {}
    c = evaluation.part(ROWS).c
    return {"waic": {name: waic(members, x, c, evaluation.entries) for name, x in every.items()}}


@hookimpl
def vaezoo_metrics() -> list[Metric]:
    columns = tuple(Column(name, "", "higher", digits=3, low=0, high=1) for name in COLUMNS)
    table = Table("outliers", "Outliers (area under the ROC curve)", says="auroc_")
    return [Metric("outliers", columns, outliers, table, rests_on="q,p,px")]
