"""A density on an interval, integrated cell by cell in float64, and draws by its inverse."""

from collections.abc import Callable

import torch
from torch import Tensor

CELLS = 96
REACH = 13.0  # widths of the density on either side of its mode: beyond lies less than 1e-36
HALVINGS = 10
# Nodes and weights of Gauss-Legendre on [-1, 1], four of them (the negative nodes too): exact to
# degree 7
GAUSS = ((0.3399810435848563, 0.6521451548625461), (0.8611363115940526, 0.3478548451374538))


class Cells:
    """The same grid for every row, scaled to `low` and `high` (B, 1); G = ∫ g / total.

    `log_shape` gives log g and some constant at points (…, B, C), with a gradient for what it
    depends on; `peak` is the mode. A shape that knows the distribution would keep it, and the graph
    of its gradients, until Python looks for circles.
    """

    def __init__(
        self, log_shape: Callable[[Tensor], Tensor], peak: Tensor, low: Tensor, high: Tensor
    ) -> None:
        self.log_shape = log_shape
        self.peak = peak
        grid = torch.linspace(0, 1, CELLS + 1, dtype=low.dtype, device=low.device)
        self.edges = low + (high - low) * grid  # (B, CELLS + 1)
        mass = self.between(self.edges[..., :-1], self.edges[..., 1:])  # (B, CELLS)
        self.total = mass.sum(-1, keepdim=True)
        none = torch.zeros_like(self.total)
        self.below = torch.cat([none, (mass / self.total).cumsum(-1)], -1)  # G at the edges

    @property
    def log_total(self) -> Tensor:
        """log ∫ exp(log_shape), (B, 1)."""
        return self.total.log() + self.log_shape(self.peak)

    def density(self, t: Tensor) -> Tensor:
        """g(t) over its height at the mode."""
        return (self.log_shape(t) - self.log_shape(self.peak)).exp()

    def between(self, low: Tensor, high: Tensor) -> Tensor:
        """∫ g from low to high, both within a cell."""
        half = (high - low) / 2
        middle = (high + low) / 2
        total = torch.zeros_like(half)
        for node, weight in GAUSS:
            pair = self.density(middle + node * half) + self.density(middle - node * half)
            total = total + weight * pair
        return half * total

    def drawn(self, shape: tuple[int, ...]) -> Tensor:
        """t with G(t) uniform, (*shape, B, 1), whose gradient is implicit: -∂G/g."""
        below = self.below.expand(*shape, *self.below.shape)
        edges = self.edges.expand(*shape, *self.edges.shape)
        with torch.no_grad():
            u = torch.rand_like(below[..., :1]).clamp(1e-12, 1 - 1e-12)
            cell = (below < u).sum(-1, keepdim=True).clamp(1, CELLS) - 1
            low = edges.gather(-1, cell)
            rest = (u - below.gather(-1, cell)) * self.total  # wanted between low and t
            t = self._solved(low, edges.gather(-1, cell + 1), rest)

        # One more Newton step, with gradient: it changes no value and has the implicit derivative.
        g = (self.density(t) / self.total).detach().clamp_min(1e-300)
        cumulated = below.gather(-1, cell) + self.between(low, t) / self.total
        return t - (cumulated - cumulated.detach()) / g

    def _solved(self, low: Tensor, high: Tensor, rest: Tensor) -> Tensor:
        """t in [low, high] with ∫ from low to t = rest; halving where Newton leaves the bracket."""
        start = low
        t = (low + high) / 2
        for _ in range(HALVINGS):
            error = self.between(start, t) - rest
            low = torch.where(error < 0, t, low)
            high = torch.where(error < 0, high, t)
            newton = t - error / self.density(t).clamp_min(1e-300)
            # a step that has arrived lies on the bracket, and stays
            is_inside = (newton >= low) & (newton <= high)
            t = torch.where(is_inside, newton, (low + high) / 2)
        return t
