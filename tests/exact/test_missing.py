"""Missing entries: the bound against the exact marginal of a Gaussian, imputation against the
conditional mean.
"""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal
from vaezoo_plugins.importance import iwae
from vaezoo_plugins.missing import Observation, missing

import vaezoo
from tests.conftest import IMAGE, rows_of
from vaezoo.core import VAE, Decoder, Encoder, Spec
from vaezoo.data.files import BadData
from vaezoo.distributions import Normal, Observed
from vaezoo.evaluation.metrics.imputation import impute
from vaezoo.networks import StandardNormal
from vaezoo.seeds import seeded

SPEC = Spec((5,), "normal", latent=2, has_gaps=True)
SIGMA = 0.6


def weights() -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.randn(5, 2, generator=g, dtype=torch.float64), torch.randn(
        5, generator=g, dtype=torch.float64
    )


class Linear(Decoder):
    """N(W z + b, σ²), whatever of it is there."""

    def forward(self, z: Tensor, c: Tensor | None = None) -> Observed:
        w, b = weights()
        loc = z @ w.T + b
        return Observed(
            Normal(loc, torch.full_like(loc, SIGMA), validate_args=False), 1, has_gaps=True
        )


class Posterior(Encoder):
    """p(z|x_o) itself; with `width`, as much wider."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        w, b = weights()
        seen = (~x.isnan()).double()
        precision = torch.eye(2).double() + torch.einsum("bi,ij,ik->bjk", seen, w, w) / SIGMA**2
        covariance = torch.linalg.inv(precision)
        loc = (
            torch.einsum("bjk,ik,bi->bj", covariance, w, torch.where(seen > 0, x - b, 0.0))
            / SIGMA**2
        )
        return MultivariateNormal(loc, self.width**2 * covariance, validate_args=False)


def gaussian(width: float = 1.0, k: int = 4) -> VAE:
    encoder = Posterior()
    encoder.width = 0  # an encoder's width is the size of its codes: here it does not say
    encoder.forward = Posterior(width).forward  # type: ignore[method-assign]
    return VAE(encoder, Linear(), StandardNormal(SPEC).double(), Observation(k))


def rows() -> Tensor:
    x = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for row, gaps in zip(x, ([], [0], [1, 3], [0, 1, 2, 3], [4], [0, 1, 2, 3, 4]), strict=True):
        row[gaps] = math.nan
    return x


def conditional(x: Tensor) -> tuple[Tensor, Tensor]:
    """log p(x_o), and x with E[x_m|x_o] in the gaps, one row, from the joint Gaussian."""
    w, b = weights()
    covariance = w @ w.T + SIGMA**2 * torch.eye(5).double()
    o, m = ~x.isnan(), x.isnan()
    if not o.any():
        return torch.zeros(()).double(), b
    log_p = MultivariateNormal(b[o], covariance[o][:, o]).log_prob(x[o])
    filled = x.clone()
    filled[m] = b[m] + covariance[m][:, o] @ torch.linalg.solve(covariance[o][:, o], x[o] - b[o])
    return log_p, filled


@pytest.mark.certifies(
    "missing", claim="with the exact posterior the bound is the marginal of the observed entries"
)
def test_bound_is_the_exact_marginal_of_the_observed_entries():
    x = rows()
    exact = torch.stack([conditional(row)[0] for row in x])
    log_w = gaussian().infer(x, None, 3).log_w
    torch.testing.assert_close(log_w, exact.expand(3, -1), atol=1e-9, rtol=0)
    torch.testing.assert_close(gaussian()(x)["loss"], -exact.mean(), atol=1e-9, rtol=0)
    torch.manual_seed(0)
    with torch.no_grad():
        wide = [
            gaussian(1.5, k)(x.repeat(500, 1))["elbo" if k == 1 else "loss"].item() for k in (1, 50)
        ]
    assert wide[0] < -wide[1] < exact.mean() + 0.01
    assert -wide[1] == pytest.approx(exact.mean().item(), abs=0.02)


@pytest.mark.certifies("missing", claim="with nothing missing it is the bound of iwae, bit for bit")
def test_with_nothing_missing_it_is_iwae():
    for spec in (IMAGE, replace(IMAGE, has_gaps=True)):
        losses = []
        for build in (missing, iwae):
            with seeded("weights"):
                model = build(spec, k=7)
            with seeded("noise"):
                losses.append(model(rows_of(IMAGE, 9))["loss"])
        assert torch.equal(*losses)


@pytest.mark.certifies("missing", claim="imputation of a Gaussian is the conditional mean")
@pytest.mark.parametrize("width", [1.0, 1.5])
def test_imputation_approaches_the_conditional_mean(width: float):
    """20,000 draws; the posterior deviation of an entry is below 2, and the weights of the wider q
    halve the draws: 5 z.
    """
    torch.manual_seed(0)
    x = rows()
    exact = torch.stack([conditional(row)[1] for row in x])
    found = impute(gaussian(width), x, None, 20_000)
    torch.testing.assert_close(found, exact, atol=5 * 2 / math.sqrt(10_000), rtol=0)
    assert torch.equal(found[~x.isnan()], x[~x.isnan()])


@pytest.mark.parametrize("mechanism", ["mcar", "mnar"])
def test_holes_take_away_their_share_and_keep_the_truth(mechanism: str):
    whole, data = (
        vaezoo.dataset("digits"),
        vaezoo.dataset(f"holes[missing=0.4,mechanism={mechanism}]"),
    )
    assert data.spec.has_gaps
    for split in ("train", "validation", "test"):
        x, truth = data.split(split), data.truth[split]
        gone = x.isnan()
        assert torch.equal(truth, whole.split(split))
        assert torch.equal(x[~gone], truth[~gone])
        assert gone.float().mean() == pytest.approx(
            0.4, abs=4 * math.sqrt(0.24 / gone.numel()) + 0.01
        )
    ones, zeros = (
        data.train.isnan()[whole.train == value].float().mean().item() for value in (1, 0)
    )
    assert (ones > zeros + 0.1) if mechanism == "mnar" else abs(ones - zeros) < 0.02
    assert torch.equal(vaezoo.dataset(data.name).train.isnan(), data.train.isnan())


@pytest.mark.parametrize("share", [0.1, 0.5, 0.7, 0.9])
def test_what_is_missing_by_value_is_the_share_asked_for_and_leaves_some_of_every_value(
    share: float,
):
    """Of the digits' bits 0.3 are 1: a chance in proportion would reach 1 for these at a share of
    0.6, and none be seen.
    """
    whole, data = vaezoo.dataset("digits"), vaezoo.dataset("holes", missing=share, mechanism="mnar")
    gone = data.train.isnan()
    z = (gone.float().mean() - share) * math.sqrt(gone.numel() / (share * (1 - share)))
    assert abs(z) < 4  # n = 80,000 entries
    ones, zeros = (gone[whole.train == value].float().mean().item() for value in (1, 0))
    assert math.log(ones / (1 - ones)) - math.log(zeros / (1 - zeros)) == pytest.approx(
        1 / whole.train.std().item(), abs=0.2
    )


def test_no_row_loses_all_and_all_of_it_is_refused():
    whole, data = vaezoo.dataset("gaussian"), vaezoo.dataset("holes[of=gaussian,missing=0.95]")
    left = (~data.train.isnan()).sum(1)
    assert left.min() == 1
    p_empty = 0.95**16
    expected = p_empty + 16 * 0.05 * 0.95**15  # those with one left, and those that keep one
    z = ((left == 1).float().mean() - expected) / math.sqrt(expected * (1 - expected) / len(left))
    assert abs(z) < 4
    assert torch.equal(data.train[~data.train.isnan()], whole.train[~data.train.isnan()])
    with pytest.raises(
        BadData,
        match=r"holes\[missing=1\] would take every entry away; missing= is a share below 1",
    ):
        vaezoo.dataset("holes", missing=1.0)


def test_data_that_is_binarised_anew_is_refused():
    data = vaezoo.dataset("digits")
    whole = replace(data, spec=replace(data.spec, is_dynamic=True))
    from vaezoo.data.sources.holes import holes

    with pytest.raises(BadData, match="static"):
        holes(lambda name: whole, of="digits")


def test_splits_of_the_same_rows_lack_the_same_entries():
    data = vaezoo.dataset("holes", of="cancer[splits=all]", missing=0.5)
    same = data.train is data.validation is data.test
    assert same
    gone = data.train.isnan().double().mean()
    assert abs(gone - 0.5) < 4 * math.sqrt(0.25 / data.train.numel())  # z = 4
    torch.testing.assert_close(data.truth["test"].mean(0), torch.zeros(30), rtol=0, atol=1e-5)
