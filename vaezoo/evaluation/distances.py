"""Distances between two sets of features (N, D) and (M, D), float64: Fréchet, kernel, and nearest
neighbours.

All are computed in pieces: memory does not grow with N × M.
"""

from collections.abc import Iterator, Mapping
from statistics import linear_regression

import torch
from torch import Tensor
from torch.nn import functional as F

from .neighbours import ROWS, are_within, kth_nearest

SIDE = 256  # of a block of pairs whose kernels stay in the processor's cache
NEIGHBOURS = 5  # k of the neighbourhoods (Naeem et al. 2020)


def frechet(x: Tensor, y: Tensor) -> float:
    """‖μ₁ - μ₂‖² + tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½) of the Normals fitted to both (Heusel et al. 2017,
    arXiv:1706.08500, eq. 6).

    tr (Σ₁ Σ₂)^½ = tr (Σ₁^½ Σ₂ Σ₁^½)^½: eigenvalues of a symmetric matrix, real and stable where Σ
    is singular.
    """
    root = _square_root(x.T.cov())
    cross = torch.linalg.eigvalsh(root @ y.T.cov() @ root).clamp_min(0).sqrt().sum()
    spread = x.var(0).sum() + y.var(0).sum() - 2 * cross
    return float((x.mean(0) - y.mean(0)).square().sum() + spread.clamp_min(0))


def frechet_of_infinitely_many(
    x: Tensor, y: Tensor, generator: torch.Generator, sizes: int = 6, repeats: int = 5
) -> float:
    """The Fréchet distance at n = ∞: its bias is linear in 1/n, so a line through the distances of
    parts of half of the rows to all of them meets 1/n = 0 there (Chong & Forsyth 2020,
    arXiv:1911.07023, §4.1; there only the fake rows are few, here both sets are).
    """
    n = min(len(x), len(y))
    inverse = []
    found = []
    for m in torch.linspace(n / 2, n, sizes).round().int().tolist():
        for _ in range(repeats):
            one, other = (
                each[torch.randperm(len(each), generator=generator)[:m]] for each in (x, y)
            )
            inverse.append(1 / m)
            found.append(frechet(one, other))
    return linear_regression(inverse, found).intercept


def nearest(x: Tensor, among: Tensor) -> Tensor:
    """(N,): the distance of every row of x to the nearest of the others (M, D)."""
    return kth_nearest(x, among, 0)


def copied(of_fake: Tensor, of_test: Tensor) -> float:
    """P(a fake row is nearer to its nearest training row than a test row is to its own), ties
    counted half: ½ for a model that draws as the data does, 1 for one that repeats training rows
    (Meehan, Chaudhuri & Dasgupta 2020, arXiv:2004.05675, §3). From both kinds of rows' distances
    to the `nearest`.
    """
    of_fake = of_fake[:, None]
    return float((of_fake < of_test).double().mean() + 0.5 * (of_fake == of_test).double().mean())


def _square_root(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T


def kernel_distance(x: Tensor, y: Tensor) -> tuple[float, float]:
    """The unbiased MMD² under (xᵀy/D + 1)³, and its standard error by the jackknife over pairs
    (x_i, y_i), corrected.

    Bińkowski et al. 2018, arXiv:1801.01401, with the pairs i = j left out of the cross term too, so
    that it is one U-statistic of h(i, j) = k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(x_j, y_i).
    Of the larger set as many rows, evenly spread over it, are taken as the other has.
    """
    n = min(len(x), len(y))
    x, y = (each[torch.arange(n) * len(each) // n] for each in (x, y))
    rows, squares = _sums_of_h(x, y)
    pairs = n * (n - 1)
    total = rows.sum()
    estimate = total / pairs
    without = (total - 2 * rows) / ((n - 1) * (n - 2))
    jackknife = (n - 1) / n * (without - without.mean()).square().sum()

    # The jackknife counts the second-order part twice (Efron & Stein 1981, Ann. Stat. 9(3)). Where
    # both sets are of one distribution that part is all there is: √2 in the error.
    second_order = 2 * (squares / pairs - estimate**2).clamp_min(0) / pairs
    variance = torch.maximum(jackknife - second_order, second_order)
    return float(estimate), float(variance.sqrt())


def _sums_of_h(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Σ_{j≠i} h(i, j) of every row i, and Σ h(i, j)² of all pairs, from the blocks on and above the
    diagonal: h is symmetric.
    """
    x, y = (F.pad(each / each.shape[1] ** 0.5, (0, 1), value=1.0) for each in (x, y))
    rows = x.new_zeros(len(x))
    squares = x.new_zeros(())
    for i in range(0, len(x), SIDE):
        for j in range(i, len(x), SIDE):
            h = _h(*(each[start : start + SIDE] for start in (i, j) for each in (x, y)))
            if i == j:
                h.diagonal().zero_()
            else:
                rows[j : j + SIDE] += h.sum(0)
            rows[i : i + SIDE] += h.sum(1)
            squares += h.square().sum() * (1 if i == j else 2)
    return rows, squares


def _h(x: Tensor, y: Tensor, x_other: Tensor, y_other: Tensor) -> Tensor:
    """h of every pair of a row and one of the others, (M, N), whose products are xᵀy/D + 1."""
    products = torch.cat([x, y]) @ torch.cat([x_other, y_other]).T
    cubes = products.square().mul_(products)
    of_x, of_y = cubes.split([len(x), len(y)])
    within, across = of_x.split(len(x_other), 1)
    back, other_within = of_y.split(len(x_other), 1)
    return (within + other_within).sub_(across).sub_(back)


def neighbourhoods(
    real: Tensor, fake: Tensor, k: int = NEIGHBOURS, of_real: Tensor | None = None
) -> Mapping[str, float]:
    """Precision and recall, symmetric (Khayatkhoei & AbdAlmageed 2023, arXiv:2306.09618), and
    density and coverage (Naeem et al. 2020, arXiv:2002.09797). A neighbourhood is the ball that
    reaches to the k-th nearest other point of its own set.

    Precision asks of each fake row whether it lies in the ball of a real one, and recall the
    reverse (Kynkäänniemi et al. 2019, arXiv:1904.06991). Rows that lie far apart have balls that
    hold everything, so that noise can win either; each is limited by the share of rows whose own
    ball holds one of the other set, which for recall is coverage. `of_real` are the radii of the
    real rows where they are known.
    """
    covered = torch.zeros(len(real), dtype=torch.bool)
    recalled = torch.zeros(len(real), dtype=torch.bool)
    precise = 0
    placed = 0
    balls = 0
    of_real = radii(real, k) if of_real is None else of_real
    for in_real, in_fake in _memberships(real, fake, of_real, k):
        precise += int(in_real.any(1).sum())
        placed += int(in_fake.any(1).sum())
        balls += int(in_real.sum())
        covered |= in_real.any(0)
        recalled |= in_fake.any(0)

    coverage = float(covered.double().mean())
    return {
        "precision": min(precise, placed) / len(fake),
        "recall": min(float(recalled.double().mean()), coverage),
        "density": balls / (k * len(fake)),
        "coverage": coverage,
    }


def _memberships(
    real: Tensor, fake: Tensor, of_real: Tensor, k: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Of a few fake rows at a time, (rows, N) each: whether they lie in the balls of the real rows,
    and these in theirs.
    """
    for piece, radius in zip(fake.split(ROWS), radii(fake, k).split(ROWS), strict=True):
        in_real, in_fake = are_within(piece, real, of_real, radius[:, None])
        yield in_real, in_fake


def radii(x: Tensor, k: int = NEIGHBOURS) -> Tensor:
    """(N,): the distance of every row to its k-th nearest other row."""
    return kth_nearest(x, x, k)  # the nearest is the row itself
