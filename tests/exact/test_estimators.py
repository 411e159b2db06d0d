"""STL and DReG: the mean gradient of the naive estimators, with less variance."""

import pytest
import torch
from torch import Tensor, nn
from vaezoo_plugins.estimators import DReG, StickTheLanding
from vaezoo_plugins.flows import planar
from vaezoo_plugins.importance import Importance
from vaezoo_plugins.ladder import ladder
from vaezoo_plugins.tvo import Thermodynamic

from vaezoo.core import VAE, Decoder, Encoder, Loss, Spec, Unsupported
from vaezoo.distributions import Pushed, normal
from vaezoo.losses import ELBO
from vaezoo.networks import StandardNormal
from vaezoo.seeds import seeded

from . import _quadrature as quadrature

# one gradient is the mean over 500 copies of the data; 80 of them give mean and variance
ROWS, BATCHES = (
    500,
    80,
)


class SampledELBO(ELBO):
    """The ELBO with log q(z) - log p(z) in place of the closed form: what STL takes the score out
    of.
    """

    def forward(self, model, x, c, progress):
        return {"loss": -model.infer(x, c).log_w.mean()}


def gradients(loss: Loss, part: str) -> Tensor:
    """(BATCHES, parameters)."""
    with seeded(0):
        model, x = quadrature.trained(loss)
    x = x.repeat(ROWS, 1)
    with seeded("gradients", type(loss).__name__):
        losses = (model(x)["loss"] for _ in range(BATCHES))
        return torch.stack(
            [quadrature.gradient(model, value, getattr(model, part)) for value in losses]
        )


def largest_z(a: Tensor, b: Tensor) -> float:
    """The largest |z| of the difference of means, over all parameters."""
    error = (a.var(0) / len(a) + b.var(0) / len(b)).sqrt()
    return ((a.mean(0) - b.mean(0)).abs() / error.clamp_min(1e-12)).max().item()


@pytest.mark.certifies(
    "stl",
    "dreg",
    claim="the encoder's gradient has the mean of the naive estimator's and less variance",
)
@pytest.mark.parametrize(
    ("naive", "better"), [(SampledELBO(), StickTheLanding()), (Importance(8), DReG(8))]
)
def test_encoder_gradient_has_the_same_mean_and_less_variance(naive: Loss, better: Loss):
    a, b = gradients(naive, "encoder"), gradients(better, "encoder")
    # 24 parameters: a true difference of 0 gives this once in 6,000 runs
    assert largest_z(a, b) < 4.5
    assert b.var(0).sum() < 0.7 * a.var(0).sum()


@pytest.mark.certifies(
    "dreg", claim="the decoder's gradient is that of the importance-weighted bound"
)
def test_dreg_decoder_gradient_is_that_of_the_importance_weighted_bound():
    both = []
    for loss in (DReG(8), Importance(8)):
        model, x = quadrature.tiny(loss)
        with seeded(2):
            value = model(x)["loss"]
        both.append((value, quadrature.gradient(model, value, model.decoder)))
    torch.testing.assert_close(both[0], both[1], atol=1e-12, rtol=0)


@pytest.mark.certifies(
    "dreg", claim="the encoder's gradient is the path gradient weighed by the squared weights"
)
def test_dreg_encoder_gradient_is_the_square_weighted_path_gradient():
    model, x = quadrature.tiny(DReG(8))
    with seeded(2):
        loss = model(x)["loss"]
    with seeded(2):
        trace = model.infer(x, k=8)
    q = trace.latents[0].q.base_dist
    blind = torch.distributions.Normal(q.loc.detach(), q.scale.detach())
    log_w = trace.log_px + model.prior().log_prob(trace.z) - blind.log_prob(trace.z).sum(-1)
    by_hand = -(log_w.detach().softmax(0).square() * log_w).sum(0).mean()
    torch.testing.assert_close(
        quadrature.gradient(model, loss, model.encoder),
        quadrature.gradient(model, by_hand, model.encoder),
        atol=1e-12,
        rtol=0,
    )


@pytest.mark.certifies("stl", claim="every draw's gradient is 0 where q is the true posterior")
def test_stl_gradient_vanishes_where_the_posterior_is_true():
    """A linear Gaussian model whose q is exact: every single draw gives the encoder a gradient of
    0.
    """

    class Exact(Encoder):
        def __init__(self) -> None:
            super().__init__()
            self.gain, self.log_scale = (
                nn.Parameter(torch.tensor(0.5)),
                nn.Parameter(torch.tensor(0.5).log() / 2),
            )

        def forward(self, x, c=None):
            return normal(self.gain * x, self.log_scale.exp())

    class Identity(Decoder):
        def forward(self, z, c=None):
            return normal(z, torch.ones_like(z))

    for loss, vanishes in [(StickTheLanding(), True), (SampledELBO(), False)]:
        model = VAE(Exact(), Identity(), StandardNormal(Spec((1,), latent=1)), loss).double()
        value = model(torch.randn(7, 1, dtype=torch.float64))["loss"]
        largest = quadrature.gradient(model, value, model.encoder).abs().max()
        assert (largest < 1e-6) == vanishes


@pytest.mark.parametrize("loss", [StickTheLanding(), DReG()])
def test_layers_of_latents_are_refused_when_built(loss: Loss):
    with pytest.raises(Unsupported, match="no such parts"):
        loss.check(ladder(Spec((6,), latent=2, hidden=8)))


@pytest.mark.parametrize("loss", [StickTheLanding(), DReG()])
def test_a_posterior_without_a_density_at_given_points_is_refused(loss: Loss):
    spec = Spec((6,), latent=2, hidden=8)
    model = planar(spec)
    with pytest.raises(Unsupported, match="its own draws only"):
        VAE(model.encoder, model.decoder, model.prior, loss)(torch.ones(3, 6))


class Affine(Encoder):
    """N(μ, σ²) as torch has it, or the same draws as a flow that knows its inverse."""

    def __init__(self, is_flow: bool) -> None:
        super().__init__()
        self.is_flow = is_flow
        self.loc = nn.Parameter(torch.tensor([0.3, -0.2]))
        self.log_scale = nn.Parameter(torch.tensor([-0.5, 0.1]))

    def forward(self, x, c=None):
        loc = self.loc + x
        scale = self.log_scale.exp().expand_as(x)
        if not self.is_flow:
            return normal(loc, scale)
        log_det = self.log_scale.sum()
        base = normal(torch.zeros_like(x), torch.ones_like(x))
        return Pushed(
            base,
            lambda e: (loc + scale * e, log_det),
            lambda z: ((z - loc) / scale, log_det),
        )


class Quartic(Decoder):
    def forward(self, z, c=None):
        return normal(z + 0.1 * z**3, torch.ones_like(z))


@pytest.mark.parametrize("loss", [StickTheLanding(), DReG(8), Thermodynamic(8)])
def test_the_gradient_does_not_depend_on_how_a_posterior_is_written(loss: Loss):
    x = torch.randn(7, 2, dtype=torch.float64)
    both = []
    for is_flow in (False, True):
        prior = StandardNormal(Spec((2,), latent=2))
        model = VAE(Affine(is_flow), Quartic(), prior, loss).double()
        with seeded(5):
            value = model(x)["loss"]
        both.append((value, quadrature.gradient(model, value, model.encoder)))
    torch.testing.assert_close(both[0], both[1], atol=1e-12, rtol=0)
