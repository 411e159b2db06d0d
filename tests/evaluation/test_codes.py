"""Which units move with x, on models whose codes are written down."""

import torch
from torch import Tensor

from vaezoo.core import Spec
from vaezoo.data.data import Card, Data
from vaezoo.evaluation.codes import variance_at_steps
from vaezoo.evaluation.context import Evaluation
from vaezoo.evaluation.metrics.units import active_units
from vaezoo.stepwise import Normals, Stepwise

SPEC = Spec((12, 2), "normal", latent=2, hidden=4, has_gaps=True)


class Clock(Stepwise):
    """z_1 is the time, whatever x is; z_2 is the time and a hundredth or the whole of x_t."""

    def __init__(self, share: float) -> None:
        super().__init__(SPEC, state=1)
        self.share = share

    def features(self, x: Tensor, inputs: Tensor, mask: Tensor | None) -> Tensor:
        t = torch.arange(1.0, x.shape[1] + 1).expand(len(x), -1)
        return torch.stack([t, t + self.share * x[..., 0]], -1)

    def p(self, state: Tensor) -> Normals:
        return Normals(torch.zeros(*state.shape[:-1], 2), torch.ones(*state.shape[:-1], 2))

    def q(self, state: Tensor, feature: Tensor) -> Normals:
        loc = feature.expand(*state.shape[:-1], 2)
        return Normals(loc, torch.ones_like(loc))

    def emit(self, state: Tensor, z: Tensor) -> Tensor:
        return z

    def advance(self, state: Tensor, seen: Tensor, z: Tensor) -> Tensor:
        return state


def rows() -> Data:
    x = torch.randn(300, 12, 2, generator=torch.Generator().manual_seed(0))
    x[:150, 5:] = torch.nan
    return Data("clock", SPEC, x, x, x, Card("", "", "", ""))


def test_a_unit_that_only_tells_the_time_is_not_active():
    """Its variance over rows and steps is 10, over x at equal t 0."""
    assert active_units(Evaluation(Clock(0.01), rows())) == {"active_units": 0}
    assert active_units(Evaluation(Clock(1.0), rows())) == {"active_units": 1}


def test_the_variance_at_equal_steps_is_that_of_each_step_weighed_by_its_rows():
    data = rows()
    x = data.test[..., 0]
    seen = ~x.isnan()
    by_hand = sum(x[seen[:, t], t].double().var(correction=0) * seen[:, t].sum() for t in range(12))
    torch.testing.assert_close(
        Evaluation(Clock(1.0), data).codes().variance,
        torch.stack([torch.tensor(0.0).double(), by_hand / seen.sum()]),
        rtol=1e-5,
        atol=1e-12,
    )


def test_rows_without_steps_have_the_plain_variance():
    z = torch.randn(50, 3, generator=torch.Generator().manual_seed(1)).double()
    found = variance_at_steps(z, torch.zeros(50, dtype=torch.long))
    torch.testing.assert_close(found, z.var(0, correction=0))
