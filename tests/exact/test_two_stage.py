"""The second stage learns the codes' distribution, and the two stages' bounds are one bound on
p(x).
"""

import math
from dataclasses import replace

import pytest
import torch
from vaezoo_plugins.two_stage import two_stage

from tests.conftest import VECTOR, rows_of
from vaezoo.distributions import kl


def codes_on_a_ring(model, n: int) -> torch.Tensor:
    """Data for which the first stage's posteriors, by hand, are narrow and lie on a ring of radius
    2.
    """
    angle = torch.rand(n, 1) * 2 * math.pi
    return torch.cat([2 * angle.cos() + 1, 2 * angle.sin()], 1)


class Fixed(torch.nn.Module):
    """q(z|x) = N(x, σ²)."""

    def __init__(self, scale: float = 0.1) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x, c=None):
        return torch.distributions.Independent(torch.distributions.Normal(x, self.scale), 1)


@pytest.mark.certifies("two_stage", claim="samples of codes have the moments of the codes")
def test_samples_of_codes_have_the_moments_of_the_codes():
    """A ring, which N(0, I) is not: mean (1, 0), variance 2.01 a side, and a hole in the middle."""
    torch.manual_seed(0)
    model = two_stage(replace(VECTOR, shape=(2,), latent=2, hidden=64), epochs=60)
    model.first.encoder = Fixed()
    model.fit_prior(codes_on_a_ring(model, 2000))
    z = model.sample_codes(20_000)
    torch.testing.assert_close(z.mean(0), torch.tensor([1.0, 0.0]), rtol=0, atol=0.15)
    torch.testing.assert_close(z.var(0), torch.tensor([2.01, 2.01]), rtol=0.15, atol=0)
    radius = (z - torch.tensor([1.0, 0.0])).norm(dim=-1)
    assert (radius < 1).float().mean() < 0.17  # N(0, 2 I) has 22 % there, the ring none


def test_fitting_tightens_the_bound_and_leaves_the_first_stage_alone():
    torch.manual_seed(1)
    model, x = two_stage(VECTOR, epochs=20), rows_of(VECTOR, 500)
    before = {k: v.clone() for k, v in model.first.state_dict().items()}
    loose = model.infer(x, k=20).log_w.mean()
    model.eval().fit_prior(x)
    assert model.infer(x, k=20).log_w.mean() > loose + 0.1
    assert all(torch.equal(v, before[k]) for k, v in model.first.state_dict().items())
    assert all(p.grad is None for p in model.second.parameters())


@pytest.mark.certifies(
    "two_stage", claim="the weights of both stages have the mean p(x) of quadrature"
)
def test_weights_have_the_mean_of_the_likelihood():
    """E exp(log_w) = ∫∫ p(u) p(z|u) p(x|z), z and u in one dimension each, by quadrature; n =
    100,000, z-score below 4.
    """
    torch.manual_seed(2)
    model, x, n = (
        two_stage(replace(VECTOR, latent=1)).double(),
        rows_of(VECTOR, 3).double(),
        100_000,
    )
    axis = torch.linspace(-10, 10, 801, dtype=torch.double)[:, None]
    step = (axis[1] - axis[0]).log()
    with torch.no_grad():
        for net in (model.first.encoder.net.out, model.second.read):
            net[-1].bias[1:] += 1  # wide posteriors, so that weights have no long tail
        log_u = model.second.prior().log_prob(axis)
        log_z = (log_u + model.second.p(axis).log_prob(axis[:, None])).logsumexp(1) + step
        log_x = model.first.decoder(axis[:, None].expand(-1, 3, -1)).log_prob(x)
        exact = (log_z[:, None] + log_x).logsumexp(0) + step
        w = (model.infer(x, k=n).log_w - exact).exp()
    assert w.std(0).max() < 5
    assert ((w.mean(0) - 1).abs() < 4 * w.std(0) / math.sqrt(n)).all()


def test_the_loss_is_that_of_the_first_stage():
    x = rows_of(VECTOR, 5)
    model = two_stage(VECTOR)
    torch.manual_seed(3)
    expected = model.first(x)["loss"]
    torch.manual_seed(3)
    assert torch.equal(model(x)["loss"], expected)


def test_it_trains_fits_and_samples_on_every_kind_of_data(spec):
    torch.manual_seed(4)
    model, x = two_stage(spec, epochs=2), rows_of(spec, 6)
    model(x)["loss"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.first.parameters())
    with torch.no_grad():
        model.eval().fit_prior(x)
        assert model.infer(x, k=3).log_w.shape == (3, 6)
    assert model.sample(4).shape == (4, *spec.shape)


@pytest.mark.certifies(
    "two_stage", claim="after fitting, the mean of trace.kl is that of log q - log p"
)
def test_the_divergence_is_the_mean_of_log_q_minus_log_p_after_fitting() -> None:
    """p(z|u) is read from a u drawn from that z, where the closed form is another number.

    n = 20,000 draws of 8 rows, z-score below 4; the closed form must be seen to be wrong, or the
    test shows nothing.
    """
    torch.manual_seed(5)
    model = two_stage(replace(VECTOR, shape=(2,), latent=2, hidden=64), epochs=15)
    model.first.encoder = Fixed(0.5)  # wide, so that u tells much of the z that it was drawn from
    x = codes_on_a_ring(model, 2000)
    model.eval().fit_prior(x)
    n = 20_000
    with torch.no_grad():
        trace = model.infer(x[:8], k=n)
    sampled = trace.log_px - trace.log_w
    error = sampled.std(0) / math.sqrt(n)
    assert ((trace.kl.expand(n, -1).mean(0) - sampled.mean(0)).abs() < 4 * error).all()
    lower, upper = trace.latents
    closed = kl(lower.q, lower.p) + upper.kl
    assert ((closed.mean(0) - sampled.mean(0)).abs() > 6 * error).any()
