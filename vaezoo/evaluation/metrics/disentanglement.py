"""How well single units of the code stand for single true factors. For data that carry their
factors.

Codes are those of the training split, 10,000 at most, because the scores need most of the factors'
grid. Units are cut into `BINS` of equal width for mutual information (Locatello et al. 2019,
arXiv:1811.12359). 1 is best.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...core import Unsupported
from ...data.data import Data
from ...hooks import Column, Metric, Table, hookimpl
from ...seeds import generator_for
from ..baselines import CODE, FACTORS
from ..context import Evaluation
from ..subset import some_rows

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
MOST = 10_000  # rows whose codes are looked at
BINS = 20
GROUP = 64
GROUPS = 600
TREES = 10
DEAD = 1e-6  # deviation, relative to the largest, under which a unit does not move


def binned(codes: Floats) -> Ints:
    """(N, D): the bin of every code, `BINS` of equal width a unit."""
    low, high = codes.min(0), codes.max(0)
    return np.minimum((codes - low) / np.maximum(high - low, 1e-12) * BINS, BINS - 1).astype(
        np.int64
    )


def information(codes: Floats, factors: Ints) -> tuple[Floats, Floats]:
    """Mutual information of every unit with every factor (D, F), and every factor's entropy (F,),
    in nats.
    """
    from sklearn.metrics import mutual_info_score

    bins = binned(codes)
    shared = np.empty((bins.shape[1], factors.shape[1]))
    for d, unit in enumerate(bins.T):
        shared[d] = [mutual_info_score(unit, factor) for factor in factors.T]
    entropy = np.array([mutual_info_score(factor, factor) for factor in factors.T])
    return shared, entropy


def mig(shared: Floats, entropy: Floats) -> float:
    """Mean over factors of (first - second largest information) / entropy (Chen et al. 2018,
    arXiv:1802.04942).
    """
    ordered = np.sort(np.vstack([shared, np.zeros_like(shared[:1])]), 0)
    return float(((ordered[-1] - ordered[-2]) / entropy).mean())


def modularity(shared: Floats) -> float:
    """Mean over units of 1 - Σ_{f ≠ best} I² / (I_best² (F - 1)) (Ridgeway & Mozer 2018,
    arXiv:1802.05312).

    A unit that tells nothing counts 0.
    """
    squares = shared**2
    best = squares.max(1)
    rest = (squares.sum(1) - best) / np.maximum(best * (squares.shape[1] - 1), 1e-12)
    return float(np.where(best > 1e-6, 1 - rest, 0.0).mean())


def sap(codes: Floats, factors: Ints) -> float:
    """Mean over factors of the gap between the two units that predict it best: R² of a line (Kumar
    et al. 2018, arXiv:1711.00848; there, classification where a factor is categorical)."""
    z = codes - codes.mean(0)
    f = factors - factors.mean(0)
    power = np.maximum((z**2).sum(0), 1e-12)[:, None] * np.maximum((f**2).sum(0), 1e-12)
    ordered = np.sort(np.vstack([(z.T @ f) ** 2 / power, np.zeros((1, f.shape[1]))]), 0)
    return float((ordered[-1] - ordered[-2]).mean())


def dci(codes: Floats, factors: Ints, seed: int) -> dict[str, float]:
    """Disentanglement, completeness and informativeness from forests' importances (Eastwood &
    Williams 2018).

    Informativeness is the accuracy on a fifth of the rows that the forests did not see.
    """
    n_fitted = len(codes) * 4 // 5
    order = np.random.default_rng(seed).permutation(len(codes))
    fitted = order[:n_fitted]
    held = order[n_fitted:]
    forests = [_forest(codes[fitted], factor[fitted], seed) for factor in factors.T]
    accuracy = [
        forest.score(codes[held], factor[held])
        for forest, factor in zip(forests, factors.T, strict=True)
    ]

    # rows of `weight` are units, columns are factors
    weight = np.stack([forest.feature_importances_ for forest in forests], 1)  # (D, F)
    total = max(weight.sum(), 1e-12)
    by_unit = _peaked(weight) * weight.sum(1)
    by_factor = _peaked(weight.T) * weight.sum(0)
    return {
        "dci_disentanglement": float(by_unit.sum() / total),
        "dci_completeness": float(by_factor.sum() / total),
        "dci_informativeness": float(np.mean(accuracy)),
    }


def _forest(codes: Floats, factor: Ints, seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(TREES, max_features=None, random_state=seed)
    return forest.fit(codes, factor)


def _peaked(weight: Floats) -> Floats:
    """1 - entropy of every row, relative to the largest possible: 1 where all weight is in one
    place.
    """
    p = weight / np.maximum(weight.sum(1, keepdims=True), 1e-12)
    return 1 + np.where(p > 0, p * np.log(np.maximum(p, 1e-12)), 0).sum(1) / np.log(
        max(2, weight.shape[1])
    )


def factor_vae_score(codes: Floats, factors: Ints, seed: int) -> float:
    """Accuracy of the majority vote from the unit that varies least, in groups with one factor held
    fixed, to that factor (Kim & Mnih 2018, arXiv:1802.05983). Half of the groups make the votes,
    the other half are judged."""
    scale = codes.std(0)
    alive = scale > DEAD * max(scale.max(), 1e-12)
    n_factors = factors.shape[1]
    if not alive.any():
        return 1 / n_factors
    z = codes[:, alive] / scale[alive]
    rng = np.random.default_rng(seed)

    # votes[half, unit, factor]: groups of this half in which the factor is fixed and the unit
    # varies least
    votes = np.zeros((2, z.shape[1], n_factors))
    for i in range(GROUPS):
        half = i % 2
        factor = i // 2 % n_factors
        value = rng.choice(factors[:, factor])
        rows = np.flatnonzero(factors[:, factor] == value)
        group = z[rng.choice(rows, GROUP)]
        votes[half, group.var(0).argmin(), factor] += 1

    elected = votes[0].argmax(1)  # the factor of each unit
    right = votes[1][np.arange(z.shape[1]), elected]
    return float(right.sum() / votes[1].sum())


def disentanglement(evaluation: Evaluation) -> Mapping[str, float]:
    """MIG, SAP, modularity, DCI and the FactorVAE score of the codes against the true factors."""
    if not evaluation.data.factors:
        raise Unsupported("the data has no known factors")
    if evaluation.is_conditional:
        raise Unsupported("the codes are made with the label")
    codes = evaluation.codes("train", MOST)
    z = codes.flat.double().numpy()
    factors = evaluation.data.factors["train"][codes.rows].numpy()
    evaluation.settings |= {
        "bins": BINS,
        "codes": len(z),
        "groups": GROUPS,
        "group_size": GROUP,
        "trees": TREES,
    }
    return all_scores(z, factors, evaluation.seed)


def all_scores(codes: Floats, factors: Ints, seed: int) -> dict[str, float]:
    """Every score of codes (N, D) for factors (N, F)."""
    shared, entropy = information(codes, factors)
    scores = {
        "mig": mig(shared, entropy),
        "sap": sap(codes, factors),
        "modularity": modularity(shared),
    }
    return (
        scores
        | dci(codes, factors, seed)
        | {"factor_vae_score": factor_vae_score(codes, factors, seed)}
    )


def controls(data: Data, seed: int = 0) -> dict[str, dict[str, float]]:
    """The control rows: the true factors in the place of the code, and a Normal of as many units as
    the data's models have.
    """
    if not data.factors:
        return {}
    factors = data.factors["train"][some_rows(data, "train", MOST)]
    g = generator_for("controls", "code", data.identity, seed)
    codes = {FACTORS: factors, CODE: torch.randn(len(factors), data.spec.latent, generator=g)}
    rows = {}
    for name, code in codes.items():
        rows[name] = all_scores(code.double().numpy(), factors.numpy(), seed)
    return rows


NAMES = (
    "mig",
    "sap",
    "modularity",
    "dci_disentanglement",
    "dci_completeness",
    "dci_informativeness",
    "factor_vae_score",
)


@hookimpl
def vaezoo_metrics() -> list[Metric]:
    columns = tuple(Column(name, "", "higher", digits=3, low=0, high=1) for name in NAMES)
    table = Table("disentanglement")
    return [Metric("disentanglement", columns, disentanglement, table, controls=controls)]
