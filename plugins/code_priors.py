"""Autoregressive densities fitted to a trained model's discrete codes, to sample from.

    vaezoo bench --variants vq,fsq,gumbel --sampler prior,causal

Codes are read as sequences of symbols: each of P positions takes few values, those that it takes on
the training rows. An event (D,) has a number at each position, and (…, W) a vector of W numbers,
such as an entry of a codebook or a class one-hot.
"""

from copy import deepcopy
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from vaezoo.core import Unsupported
from vaezoo.hooks import Part, Parts, hookimpl
from vaezoo.hyperparameters import Count, Fraction, Positive
from vaezoo.samplers import Sampler

BATCH = 256
HEADS = 4
MOST = 1024  # values of one position
FEW = 64  # values of one position that are symbols, whatever the number of rows
APART = 1e-4  # times the codes' deviation: values nearer than this are one, rounded differently
HELD_OUT = 10  # of every so many rows one is held out, by which training stops
EVERY = 50  # steps between two looks at these rows


class Alphabet:
    """The values of each position of codes z (N, *event), and their index.

    Raises: Unsupported where a position takes more than 1,024 values, or more than 64 and more than
    one for two rows: those are real numbers, seen once each.
    """

    def __init__(self, z: Tensor) -> None:
        values = by_position(z)  # (N, P, W)
        apart = APART * values.std().nan_to_num()
        found = [distinct(one, apart) for one in values.unbind(1)]
        self.event = z.shape[1:]
        self.sizes = torch.tensor([len(table) for table, _ in found], device=z.device)
        self.index = torch.stack([index for _, index in found], 1)  # (N, P), of z
        tables = [table for table, _ in found]
        self.tables = nn.utils.rnn.pad_sequence(tables, True, float("nan"))  # (P, M, W)

    def index_of(self, z: Tensor) -> Tensor:
        """(N, *event) -> (N, P), the nearest value of each position."""
        values = by_position(z).unsqueeze(-2)  # (N, P, 1, W)
        return (values - self.tables).square().sum(-1).nan_to_num(torch.inf).argmin(-1)

    def code(self, index: Tensor) -> Tensor:
        """(N, P) -> (N, *event)."""
        positions = torch.arange(len(self.tables), device=index.device)
        return self.tables[positions, index].reshape(len(index), *self.event)


def by_position(z: Tensor) -> Tensor:
    """(N, *event) -> (N, P, W)."""
    return z.unsqueeze(-1) if z.ndim == 2 else z.flatten(1, -2)


def distinct(values: Tensor, apart: Tensor) -> tuple[Tensor, Tensor]:
    """The different rows of values (N, W), (M, W), and which of them each row is, (N,)."""
    index = torch.full(values.shape[:1], -1, device=values.device)
    table: list[Tensor] = []
    most = min(MOST, max(FEW, len(values) // 2))
    while (index < 0).any():
        first = values[(index < 0).int().argmax()]
        is_same = ((values - first).abs() <= apart).all(-1)
        index[is_same & (index < 0)] = len(table)
        table.append(first)
        if len(table) > most:
            raise Unsupported(
                f"causal is a density of discrete codes; these take more than {most:,} values at "
                f"one position in {len(values):,} rows: take a sampler of real codes, such as "
                "mixture"
            )
    return torch.stack(table), index


class CausalAttention(nn.Module):
    """log p(s_i | s_1 … s_{i-1}), by attention that sees no later position.

    Vaswani et al. 2017, arXiv:1706.03762, the decoder alone, with normalisation first.
    """

    is_no_symbol: Tensor

    def __init__(self, sizes: Tensor, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        positions = len(sizes)
        most = int(sizes.max())
        self.symbol = nn.Parameter(0.02 * torch.randn(positions, most, hidden))
        self.position = nn.Parameter(0.02 * torch.randn(positions, hidden))
        layer = nn.TransformerEncoderLayer(
            hidden, HEADS, 2 * hidden, dropout, "gelu", batch_first=True, norm_first=True
        )
        self.body = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.out = nn.Linear(hidden, most)
        self.bias = nn.Parameter(torch.zeros(positions, most))  # the independent frequencies
        self.register_buffer("is_no_symbol", torch.arange(most) >= sizes.cpu()[:, None])

    def forward(self, index: Tensor) -> Tensor:
        """Log probabilities (B, P, M) of every symbol of each position, from index (B, P)."""
        positions = torch.arange(index.shape[1], device=index.device)
        seen = self.symbol[positions, index]  # (B, P, H)
        shifted = F.pad(seen[:, :-1], (0, 0, 1, 0))  # a position reads those before it
        later = torch.ones(len(positions), len(positions), dtype=torch.bool).triu(1)
        h = self.body(shifted + self.position, mask=later.to(index.device))
        logits = self.out(h) + self.bias
        return logits.masked_fill(self.is_no_symbol, -torch.inf).log_softmax(-1)

    def log_prob(self, index: Tensor) -> Tensor:
        """(B, P) -> (B,), in nats."""
        chances = self(index)
        return chances.gather(-1, index[..., None]).squeeze(-1).sum(-1)

    def sample(self, n: int) -> Tensor:
        """(n, P)."""
        index = torch.zeros(n, len(self.position), dtype=torch.long, device=self.position.device)
        for i in range(index.shape[1]):
            chances = self(index)[:, i].exp()
            index[:, i] = chances.multinomial(1).squeeze(-1)
        return index


class Causal(Sampler):
    """An autoregressive prior over discrete codes, by causal attention and maximum likelihood.

    As van den Oord et al. 2017, arXiv:1711.00937, §3.3, fit one after training. A tenth of the rows
    is held out; the weights are those that were best there, and a fit ends when three looks in a
    row bring nothing.
    """

    is_discrete = True

    def __init__(
        self,
        hidden: Annotated[int, Field(ge=4, multiple_of=HEADS)] = 64,
        layers: Count = 2,
        dropout: Fraction = 0.1,
        steps: Count = 2000,
        learning_rate: Positive = 3e-3,
    ) -> None:
        self.hidden = hidden
        self.layers = layers
        self.dropout = dropout
        self.steps = steps
        self.learning_rate = learning_rate

    def fit(self, z: Tensor, seed: int) -> None:
        self.alphabet = Alphabet(z)
        net = CausalAttention(self.alphabet.sizes, self.hidden, self.layers, self.dropout)
        self.net = net.to(z.device)
        rows = self.alphabet.index[torch.randperm(len(z), device=z.device)]
        held_out = rows[::HELD_OUT]
        others = rows[torch.arange(len(rows)) % HELD_OUT > 0] if len(rows) > 1 else rows
        self._learn(others, held_out)

    def _learn(self, rows: Tensor, held_out: Tensor) -> None:
        adam = torch.optim.AdamW(self.net.parameters(), self.learning_rate, fused=True)
        best = self._cost(held_out)
        weights = deepcopy(self.net.state_dict())
        looks = 0
        for step in range(1, self.steps + 1):
            batch = rows[torch.randint(len(rows), (min(BATCH, len(rows)),), device=rows.device)]
            adam.zero_grad(set_to_none=True)
            (-self.net.train().log_prob(batch).mean()).backward()
            adam.step()
            if step % EVERY == 0 or step == self.steps:
                cost = self._cost(held_out)
                looks += 1
                if cost < best:
                    best = cost
                    weights = deepcopy(self.net.state_dict())
                    looks = 0
                if looks == 3:
                    break
        self.net.load_state_dict(weights)
        self.net.eval()

    @torch.no_grad()
    def _cost(self, rows: Tensor) -> float:
        self.net.eval()
        parts = [self.net.log_prob(part).sum().item() for part in rows.split(10 * BATCH)]
        return -sum(parts) / len(rows)

    @torch.no_grad()
    def log_prob(self, z: Tensor) -> Tensor:
        """Of codes (N, *event), (N,) in nats; each value counts as the nearest that was seen."""
        return self.net.log_prob(self.alphabet.index_of(z))

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        return self.alphabet.code(self.net.sample(n))


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("causal", Causal)]
