"""Distances between two sets of features (N, D) and (M, D), float64: Fréchet, kernel, and nearest
neighbours.

All are computed in pieces: memory does not grow with N × M.
"""

from collections.abc import Iterator, Mapping
from statistics import linear_regression

import torch
from torch import Tensor

ROWS = 1000  # rows of a pairwise matrix that are held at once
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
    parts = [
        torch.cdist(piece, among, compute_mode="donot_use_mm_for_euclid_dist").min(1).values
        for piece in x.split(ROWS)
    ]
    return torch.cat(parts)


def copied(fake: Tensor, test: Tensor, train: Tensor) -> float:
    """P(a fake row is nearer to its nearest training row than a test row is to its own), ties
    counted half: ½ for a model that draws as the data does, 1 for one that repeats training rows
    (Meehan, Chaudhuri & Dasgupta 2020, arXiv:2004.05675, §3).
    """
    of_fake = nearest(fake, train)[:, None]
    of_test = nearest(test, train)
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
    parts = [_h_rows(x, y, start) for start in range(0, n, ROWS)]
    rows = torch.cat([part for part, _ in parts])  # Σ_{j≠i} h(i, j)
    pairs = n * (n - 1)
    total = rows.sum()
    estimate = total / pairs
    without = (total - 2 * rows) / ((n - 1) * (n - 2))
    jackknife = (n - 1) / n * (without - without.mean()).square().sum()

    # The jackknife counts the second-order part twice (Efron & Stein 1981, Ann. Stat. 9(3)). Where
    # both sets are of one distribution that part is all there is: √2 in the error.
    squares = torch.stack([part for _, part in parts]).sum()
    second_order = 2 * (squares / pairs - estimate**2).clamp_min(0) / pairs
    variance = torch.maximum(jackknife - second_order, second_order)
    return float(estimate), float(variance.sqrt())


def _h_rows(x: Tensor, y: Tensor, start: int) -> tuple[Tensor, Tensor]:
    """Of a few rows i: Σ_{j≠i} h(i, j) of each, and Σ h(i, j)² of them all."""
    a = x[start : start + ROWS]
    b = y[start : start + ROWS]
    h = _kernel(a, x) + _kernel(b, y) - _kernel(a, y) - _kernel(b, x)
    h.diagonal(start).zero_()
    return h.sum(1), h.square().sum()


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1).pow(3)


def neighbourhoods(real: Tensor, fake: Tensor, k: int = NEIGHBOURS) -> Mapping[str, float]:
    """Precision and recall, symmetric (Khayatkhoei & AbdAlmageed 2023, arXiv:2306.09618), and
    density and coverage (Naeem et al. 2020, arXiv:2002.09797). A neighbourhood is the ball that
    reaches to the k-th nearest other point of its own set.

    Precision asks of each fake row whether it lies in the ball of a real one, and recall the
    reverse (Kynkäänniemi et al. 2019, arXiv:1904.06991). Rows that lie far apart have balls that
    hold everything, so that noise can win either; each is limited by the share of rows whose own
    ball holds one of the other set, which for recall is coverage.
    """
    covered = torch.zeros(len(real), dtype=torch.bool)
    recalled = torch.zeros(len(real), dtype=torch.bool)
    precise = 0
    placed = 0
    balls = 0
    for in_real, in_fake in _memberships(real, fake, k):
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


def _memberships(real: Tensor, fake: Tensor, k: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Of a few fake rows at a time, (rows, N) each: whether they lie in the balls of the real rows,
    and these in theirs.
    """
    real_radius = radii(real, k)
    for piece, radius in zip(fake.split(ROWS), radii(fake, k).split(ROWS), strict=True):
        distance = torch.cdist(piece, real, compute_mode="donot_use_mm_for_euclid_dist")
        yield distance <= real_radius, distance <= radius[:, None]


def radii(x: Tensor, k: int = NEIGHBOURS) -> Tensor:
    """(N,): the distance of every row to its k-th nearest other row."""
    parts = [
        torch.cdist(piece, x, compute_mode="donot_use_mm_for_euclid_dist")
        for piece in x.split(ROWS)
    ]
    return torch.cat([part.topk(k + 1, largest=False).values[:, -1] for part in parts])
