"""Euclidean distances between rows of features (N, D) and (M, D), float64: to the k-th nearest, and
whether they are within a limit.

All pairs are looked at by one matrix product, whose ‖x‖² + ‖y‖² - 2xᵀy is off by rounding of the
norms; the few that it cannot decide, and all numbers that are handed on, are found from x - y. So
the answers are those of the differences, to the bit, in a quarter of their time.
"""

import torch
from torch import Tensor

ROWS = 128  # of a pairwise matrix that is held at once: 10 MB beside 10,000 others
SPARE = 2  # more of the nearest than are asked for, so that rounding may exchange some
DOUBTFUL = 16  # where more than one pair in so many is doubtful, all are found from differences


def kth_nearest(x: Tensor, among: Tensor, k: int) -> Tensor:
    """(N,): the distance of every row of x to the k-th nearest of the others (M, D); k = 0 is the
    nearest.
    """
    return torch.cat([_kth_nearest(piece, among, k) for piece in x.split(ROWS)])


def _kth_nearest(x: Tensor, among: Tensor, k: int) -> Tensor:
    squares = _squares(x, among)
    near = squares.topk(min(k + 1 + SPARE, len(among)), largest=False)
    # (N, 1, D) and (N, k + 1 + SPARE, D)
    exact = _differences(x[:, None], among[near.indices])[:, 0]
    found = exact.sort(1).values[:, k]

    is_left_out = near.values[:, -1] - near.values[:, k] <= 2 * _rounding(x, among)
    if near.values.shape[1] < len(among) and is_left_out.any():  # one as near, perhaps
        whole = _differences(x[is_left_out], among)
        found[is_left_out] = whole.topk(k + 1, largest=False).values[:, -1]
    return found


def are_within(x: Tensor, y: Tensor, *limits: Tensor) -> list[Tensor]:
    """(N, M) for each of these limits, of (M,) or (N, 1) numbers: whether the distance of x (N, D)
    and y (M, D) is no larger.
    """
    squares = _squares(x, y)
    rounding = _rounding(x, y)
    surely = [squares <= limit.square() - rounding for limit in limits]
    perhaps = [squares <= limit.square() + rounding for limit in limits]
    for inside, one, limit in zip(surely, perhaps, limits, strict=True):
        (rows, others) = (inside ^ one).nonzero(as_tuple=True)
        if len(rows) > inside.numel() // DOUBTFUL:
            inside.copy_(_differences(x, y) <= limit)
        else:  # (pairs, 1, D) each
            exact = _differences(x[rows, None], y[others, None])[:, 0, 0]
            inside[rows, others] = exact <= limit.expand(inside.shape)[rows, others]
    return surely


def _squares(x: Tensor, y: Tensor) -> Tensor:
    """(N, M): ‖x‖² + ‖y‖² - 2xᵀy, as one product of rows that hold their own norms."""
    of_x = x.square().sum(1, keepdim=True)
    of_y = y.square().sum(1, keepdim=True)
    left = torch.cat([x, of_x, torch.ones_like(of_x)], 1)
    right = torch.cat([-2 * y, torch.ones_like(of_y), of_y], 1)
    return left @ right.T


def _rounding(x: Tensor, y: Tensor) -> float:
    """What rounding may have done to `_squares`: by every one of D + 2 products and their sum, each
    no larger than both norms.
    """
    if not len(x) or not len(y):
        return 0.0
    norms = float(x.square().sum(1).max() + y.square().sum(1).max())
    return 8 * (x.shape[1] + 4) * torch.finfo(x.dtype).eps * norms


def _differences(x: Tensor, y: Tensor) -> Tensor:
    """(…, N, M): distances from x - y."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
