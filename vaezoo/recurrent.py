"""The recurrences that models of sequences are made of. B rows, T steps, F features in, H numbers
of state.

Padding stands behind the steps that are there, so that a recurrence from the start never meets it;
one from the end starts at each row's own last step.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .gru import from_the_end, gru_states

__all__ = ["BothEnds", "Gates", "from_the_end", "gru_states", "gru_step", "previous_steps"]


def previous_steps(x: Tensor) -> Tensor:
    """(…, T, F) -> (…, T, F): what each step has before it, zeros at the first."""
    return F.pad(x, (0, 0, 1, 0))[..., :-1, :]


class BothEnds(nn.Module):
    """(B, T, F) -> (B, T, 2 H): a recurrence from the start and one from each row's last step."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.forwards, self.backwards = (nn.GRU(inputs, hidden, batch_first=True) for _ in range(2))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return torch.cat([gru_states(self.forwards, x), from_the_end(self.backwards, x, mask)], -1)


def gru_step(rnn: nn.GRU, x: Tensor, state: Tensor) -> Tensor:
    """One step of a one-layer GRU: (…, F) and (…, H) -> (…, H)."""
    weights = [
        cast(Tensor, getattr(rnn, f"{name}_l0"))
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ]
    flat = torch.gru_cell(x.flatten(0, -2), state.flatten(0, -2), *weights)
    return flat.unflatten(0, state.shape[:-1])


class Gates(nn.Module):
    """A GRU step whose input comes in two parts, so that the one known beforehand is computed for
    all steps at once.

    r, u = σ(W_x x + W_z z + U s),  n = tanh(W_x x + W_z z + r (U s)),  s' = (1 - u) n + u s   (Cho
    et al. 2014, 1406.1078)
    """

    def __init__(self, seen: int, drawn: int, state: int) -> None:
        super().__init__()
        # One recurrent layer initialises all three as PyTorch does: ±1/√state.
        cell = nn.GRUCell(seen + drawn, state)
        w_seen, w_drawn = (
            nn.Parameter(w.detach().clone()) for w in cell.weight_ih.split([seen, drawn], 1)
        )
        self.w_seen = w_seen if seen else None
        self.w_drawn = w_drawn
        self.b_input = cell.bias_ih
        self.w_state = cell.weight_hh
        self.b_state = cell.bias_hh

    def known(self, seen: Tensor) -> Tensor:
        """(…, seen) -> (…, 3 S): the part of the gates that does not depend on z."""
        return self.b_input if self.w_seen is None else F.linear(seen, self.w_seen, self.b_input)

    def forward(self, state: Tensor, known: Tensor, drawn: Tensor) -> Tensor:
        ahead = known + F.linear(drawn, self.w_drawn)
        back = F.linear(state, self.w_state, self.b_state)
        size = self.w_state.shape[1]
        r, u = torch.sigmoid(ahead[..., : 2 * size] + back[..., : 2 * size]).chunk(2, -1)
        n = torch.tanh(ahead[..., 2 * size :] + r * back[..., 2 * size :])
        return torch.lerp(n, state, u)
