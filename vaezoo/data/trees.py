"""The best tree over binary entries: Chow & Liu 1968, exactly.

Of all distributions p(x) = Π_j p(x_j | x_parent(j)) over a tree, the one nearest to the data's in
KL divergence has the maximum spanning tree of the mutual informations (Chow & Liu 1968, IEEE Trans.
Inf. Theory 14, eq. 5). Every pair of entries is counted with a pseudo-count of 1 in each of its
four cells, so that no probability is 0 (`PSEUDO`).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

PSEUDO = 1.0  # added to each of the four counts of a pair


@dataclass(frozen=True)
class Tree:
    """p(x) = Π_j p(x_j | x_parent(j)) of x in {0, 1}^D; the root's parent is itself."""

    parent: Tensor  # (D,), int64
    log_p: Tensor  # (D, 2, 2), float64: log p(x_j = b | x_parent(j) = a) at [j, a, b]

    def log_prob(self, x: Tensor) -> Tensor:
        """x (N, D) -> log p(x) in nats, (N,), float64."""
        own = x.long()
        above = own[:, self.parent]
        entry = torch.arange(len(self.parent))
        return self.log_p[entry, above, own].sum(1)


def chow_liu(x: Tensor) -> Tree:
    """The tree of rows x (N, D) of 0 and 1, all of them there."""
    p = pairs(x)
    parent = spanning_tree(information(p))
    entry = torch.arange(len(parent))
    with_parent = p[parent, entry]  # (D, 2, 2): of (x_parent, x_j)
    conditional = with_parent / with_parent.sum(2, keepdim=True)

    # the root: x_parent is x_j itself, and tells nothing
    root = parent == entry
    marginal = p[entry, entry].diagonal(dim1=1, dim2=2)  # (D, 2)
    conditional[root] = marginal[root][:, None, :].expand(-1, 2, -1)
    return Tree(parent, conditional.log())


def pairs(x: Tensor, pseudo: float = PSEUDO) -> Tensor:
    """x (N, D) -> the smoothed p(x_i = a, x_j = b) at [i, j, a, b], (D, D, 2, 2), float64.

    Of i = j it is the smoothed p(x_i), on the diagonal: the same as the others' margins.
    """
    x = x.double()
    n = len(x)
    ones = x.sum(0)  # (D,)
    both = x.T @ x  # (D, D)
    first = ones[:, None] - both
    second = ones[None, :] - both
    neither = n - both - first - second
    counts = torch.stack([neither, second, first, both], -1).unflatten(-1, (2, 2))
    p = (counts + pseudo) / (n + 4 * pseudo)

    own = torch.stack([n - ones, ones], -1)  # (D, 2)
    p_own = (own + 2 * pseudo) / (n + 4 * pseudo)
    p.diagonal(dim1=0, dim2=1).copy_(torch.diag_embed(p_own).permute(1, 2, 0))
    return p


def information(p: Tensor) -> Tensor:
    """p(x_i, x_j), (D, D, 2, 2) -> the mutual information of each pair in nats, (D, D)."""
    apart = p.sum(3, keepdim=True) * p.sum(2, keepdim=True)
    return torch.special.xlogy(p, p / apart).sum((2, 3))


def spanning_tree(weight: Tensor) -> Tensor:
    """weight (D, D), symmetric -> the parent of each entry in the tree of the largest sum, (D,).

    Prim 1957, from entry 0, which is its own parent.
    """
    size = len(weight)
    parent = torch.zeros(size, dtype=torch.int64)
    nearest = weight[0].clone()  # the largest weight from the tree to each entry
    nearest[0] = -torch.inf
    for _ in range(size - 1):
        new = int(nearest.argmax())
        nearest[new] = -torch.inf
        is_nearer = (weight[new] > nearest) & nearest.isfinite()
        parent[is_nearer] = new
        nearest = torch.where(is_nearer, weight[new], nearest)
    return parent
