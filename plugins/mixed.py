"""One likelihood for the columns of a table, each by the law of its type. A part, for any variant.

vaezoo bench --variants vae,missing --datasets 'table[path=people.csv]'

The heterogeneous likelihood of Nazábal, Olmos, Ghahramani & Valera 2020, "Handling Incomplete
Heterogeneous Data using VAEs", arXiv:1807.03653, §3.2. A category is one-hot in x and an ordinal a
thermometer, as there, so that a network reads no order where there is none, a gap is read as zeros,
and the mean of x is probabilities, which can be averaged over draws. Every entry of x has one raw
number; what a column's law says of x as a whole stands at one or two of its entries, the others
have 0, and the sum over entries is the sum of log p over the columns. Departures: σ of numbers and
r of counts are learned, one a column, and not read from z, where a density has no upper limit; a
count is negative binomial and not Poisson, which is its limit for large r.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from vaezoo.columns import Run, kinds_of, runs_of, text_of
from vaezoo.core import Spec, Unsupported
from vaezoo.hooks import Part, Parts, hookimpl
from vaezoo.laws import LAWS, Counts, Numbers, grouped
from vaezoo.likelihoods import Likelihood


class OfColumns(Constraint):
    """Every column has a value of its type, or is a gap in all its entries."""

    def __init__(self, runs: tuple[Run, ...]) -> None:
        self.runs = runs
        self.is_discrete = all(LAWS[run.kind.type].is_discrete for run in runs)

    def check(self, value: Tensor) -> Tensor:
        """(…, E) -> which entries belong to a column that holds, or is a gap."""
        found = []
        for run in self.runs:
            x = value[..., run.entries]
            gaps = grouped(x, run.kind.width).isnan()
            is_gap = gaps.all(-1, keepdim=True).expand_as(gaps).flatten(-2)
            found.append(is_gap | LAWS[run.kind.type].holds(x, run.kind))
        return torch.cat(found, -1)

    def __str__(self) -> str:
        return text_of([run.kind for run in self.runs for _ in range(run.count)])


class Mixed(Distribution):
    """The laws of the columns side by side, entry by entry."""

    arg_constraints: dict[str, Constraint] = {}

    def __init__(self, support: OfColumns, raw: Tensor, own: Tensor) -> None:
        super().__init__(raw.shape, validate_args=False)
        self.of_columns = support
        self.parts = [
            LAWS[run.kind.type](raw[..., run.entries], own[..., run.entries], run.kind)
            for run in support.runs
        ]

    @property
    def support(self) -> OfColumns:
        return self.of_columns

    @property
    def mean(self) -> Tensor:
        return torch.cat([part.mean for part in self.parts], -1)

    def log_prob(self, value: Tensor) -> Tensor:
        pairs = zip(self.of_columns.runs, self.parts, strict=True)
        return torch.cat([part.log_prob(value[..., run.entries]) for run, part in pairs], -1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return torch.cat([part.sample(torch.Size(sample_shape)) for part in self.parts], -1)


class MixedHead(Likelihood):
    """Π_columns p(x_d|z), each by the law of its type.

    `columns` is a text as `vaezoo.columns` says them, "" for numbers alone.
    """

    support: OfColumns
    mixes = True
    lr = 10.0

    def __init__(self, spec: Spec, columns: str = "") -> None:
        super().__init__(spec)
        entries = spec.shape[-1]
        try:
            runs = runs_of(kinds_of(columns or f"{entries}*number"))
        except ValueError as error:
            raise Unsupported(f"likelihood=mixed: {error}") from None
        if runs[-1].entries.stop != entries:
            raise Unsupported(
                f"likelihood=mixed: its columns take {runs[-1].entries.stop} entries, and x has "
                f"{entries}"
            )
        self.support = OfColumns(runs)
        self.is_discrete = self.support.is_discrete
        self.values = f"columns of {self.support}"
        is_read = any(LAWS[run.kind.type] in (Numbers, Counts) for run in runs)
        # of numbers log σ, of counts log r; of words it is not read
        self.own = nn.Parameter(torch.zeros(entries)) if is_read else None

    def each(self, raw: Tensor) -> Distribution:
        own = raw.new_zeros(raw.shape[-1]) if self.own is None else self.own
        return Mixed(self.support, raw, own)

    def holds(self, x: Tensor) -> Tensor:
        return self.support.check(x)

    @property
    def is_bounded(self) -> bool:
        return all(LAWS[run.kind.type] not in (Numbers, Counts) for run in self.support.runs)

    def raw_at(self, mean: Tensor) -> Tensor:
        pieces = []
        for run in self.support.runs:
            pieces.append(LAWS[run.kind.type].raw_at(mean[..., run.entries], run.kind))
        return torch.cat(pieces, -1)

    def independent(self, train: Tensor) -> Distribution:
        means = []
        owns = []
        for run in self.support.runs:
            mean, own = LAWS[run.kind.type].alone(train[..., run.entries], run.kind)
            means.append(mean)
            owns.append(own)
        return Mixed(self.support, self.raw_at(torch.cat(means, -1)), torch.cat(owns, -1))


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("mixed", MixedHead)]
