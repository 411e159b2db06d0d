"""Random weights: the KL by quadrature, the conjugate posterior of linear regression, and averages
over the weights.
"""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, Normal
from vaezoo_plugins.bayesian import Dropout, RandomWeights, Uncertain, WeightsKL, bayes, dropout
from vaezoo_plugins.ensemble import ensemble

from tests.conftest import IMAGE, rows_of
from vaezoo.core import Decoder, Encoder, Spec
from vaezoo.distributions import at_centre, normal
from vaezoo.evaluation import importance_log_likelihood
from vaezoo.networks import StandardNormal
from vaezoo.seeds import seeded

from . import _quadrature as quadrature

NOISE, ROWS = 0.5, 40


def uncertain(inputs: int, outputs: int, scale: float = 1.5) -> Uncertain:
    torch.manual_seed(0)
    layer = Uncertain(torch.nn.Linear(inputs, outputs), scale, 0.3).double()
    with torch.no_grad():
        layer.log_scale_weight += torch.randn_like(layer.log_scale_weight) / 2
    return layer


@pytest.mark.certifies("bayes", claim="KL(q(θ)‖p(θ)) against quadrature")
def test_kl_of_the_weights_is_that_of_quadrature():
    layer = uncertain(3, 2)
    pairs = ((layer.weight, layer.log_scale_weight), (layer.bias, layer.log_scale_bias))
    p = normal(torch.zeros(1).double(), torch.full((1,), 1.5).double())
    loc, log_scale = (
        torch.cat([one.flatten() for one in kind]) for kind in zip(*pairs, strict=True)
    )
    each = [
        quadrature.kl(normal(m[None], s.exp()[None]), p)
        for m, s in zip(loc, log_scale, strict=True)
    ]
    torch.testing.assert_close(layer.kl, torch.stack(each).sum(), atol=1e-9, rtol=0)


@pytest.mark.certifies("bayes", claim="the weights' KL is divided by N")
def test_weights_kl_counts_once_for_all_rows():
    losses = []
    for n in (100, 400):
        with seeded("weights"):
            model = bayes(Spec((1, 4, 4), n_train=n, latent=2, hidden=8)).double()
        with seeded("noise"):
            losses.append(model(torch.ones(5, 1, 4, 4).double())["loss"])
    kl = sum(layer.kl for layer in model.decoder.modules() if isinstance(layer, Uncertain))
    torch.testing.assert_close(losses[0] - losses[1], kl / 100 - kl / 400, atol=1e-10, rtol=0)


class Known(Encoder):
    """q(z|x) is narrow around the first two entries of x."""

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        return normal(x[:, :2], torch.full_like(x[:, :2], 1e-6))


class Regression(Distribution):
    """Normal in the last entry of x alone."""

    arg_constraints: dict = {}

    def __init__(self, loc: Tensor) -> None:
        super().__init__(loc.shape[:-1], torch.Size((3,)), validate_args=False)
        self.loc = loc

    def log_prob(self, value: Tensor) -> Tensor:
        return Normal(self.loc, NOISE).log_prob(value[..., 2:]).sum(-1)


class Line(Decoder):
    """x_3 = w·z + b + noise, w and b random."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = uncertain(2, 1)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Any:
        return Regression(self.layer(z))


@pytest.mark.certifies(
    "bayes",
    claim="the conjugate posterior of linear regression: "
    "means equal, variances 1/diag of precision",
)
def test_training_finds_the_mean_field_posterior_of_linear_regression():
    torch.manual_seed(1)
    # correlated inputs
    z = torch.randn(ROWS, 2).double() @ torch.tensor([[1.0, 0.5], [0.0, 1.0]]).double()
    x = torch.cat(
        [
            z,
            z @ torch.tensor([[0.7], [-1.2]]).double()
            + 0.4
            + NOISE * torch.randn(ROWS, 1).double(),
        ],
        1,
    )
    loss = WeightsKL(ROWS)
    loss.k = 100
    model = RandomWeights(Known(), Line(), StandardNormal(Spec((3,), latent=2)).double(), loss)
    adam = torch.optim.Adam(model.parameters(), 0.05)
    decay = torch.optim.lr_scheduler.ExponentialLR(adam, 0.996)
    for _ in range(1500):
        adam.zero_grad()
        model(x)["loss"].backward()
        adam.step()
        decay.step()
    inputs = torch.cat([z, torch.ones(ROWS, 1).double()], 1)
    precision = inputs.T @ inputs / NOISE**2 + torch.eye(3).double() / 1.5**2
    mean = torch.linalg.solve(precision, inputs.T @ x[:, 2] / NOISE**2)
    layer = model.decoder.layer
    found = torch.cat([layer.weight[0], layer.bias])
    deviation = torch.cat([layer.log_scale_weight[0], layer.log_scale_bias]).exp()
    expected = precision.diagonal().rsqrt()
    assert ((found - mean).abs() < 0.1 * expected).all()
    torch.testing.assert_close(deviation, expected, atol=0, rtol=0.03)


@pytest.mark.certifies("bayes", claim="the K draws average the density over the weights")
def test_draws_average_the_density_over_the_weights():
    """E_θ N(y; w·z + b, s²) = N(y; μ·z + μ_b, s² + var): n = 200,000, z-score below 4."""
    layer, z, y = uncertain(3, 1), torch.tensor([[0.5, -1.0, 2.0]]).double(), 0.3
    torch.manual_seed(0)
    with torch.no_grad():
        p = Normal(layer(z.expand(200_000, 3)), NOISE).log_prob(torch.tensor(y)).exp()
        variance = (
            z.square() @ (2 * layer.log_scale_weight).exp().T + (2 * layer.log_scale_bias).exp()
        ) + NOISE**2
        exact = (
            Normal(z @ layer.weight.T + layer.bias, variance.sqrt()).log_prob(torch.tensor(y)).exp()
        )
    assert abs(p.mean() - exact) < 4 * p.std() / math.sqrt(len(p))


def test_outputs_under_fixed_weights_have_the_moments_of_local_draws():
    """n = 4,000 of each; z-scores below 4.5."""
    layer, h = uncertain(3, 2), torch.randn(1, 3).double()
    torch.manual_seed(0)
    with torch.no_grad():
        local = layer(h.expand(4000, 3))
        drawn = torch.cat([layer.fixed()(h) for _ in range(4000)])
    error = (local.var(0) / 4000 + drawn.var(0) / 4000).sqrt()
    assert ((local.mean(0) - drawn.mean(0)).abs() < 4.5 * error).all()
    assert ((local.var(0) / drawn.var(0) - 1).abs() < 4.5 * math.sqrt(4 / 4000)).all()


@pytest.mark.certifies(
    "dropout", claim="masks stay on in evaluation and have mean 1; a member keeps one mask"
)
def test_masks_stay_on_in_evaluation_and_members_keep_theirs():
    torch.manual_seed(0)
    model, z = dropout(IMAGE, rate=0.3).eval(), torch.zeros(1, 3, IMAGE.latent)
    assert not torch.equal(model.decoder(z).mean, model.decoder(z).mean)
    (member,) = model.members(1)
    assert torch.equal(member.decoder(z).mean, member.decoder(z).mean)
    mask = Dropout(0.3, 5)(torch.ones(100_000))
    assert (mask == 0).float().mean() == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / 100_000))
    torch.testing.assert_close(mask.max(), torch.tensor(1 / 0.7))
    with at_centre():
        assert torch.equal(model.decoder(z).mean, model.decoder(z).mean)


@pytest.mark.certifies(
    "ensemble", claim="p(x) is the mean of the members' densities, by quadrature"
)
def test_density_of_an_ensemble_is_the_mean_of_its_members():
    torch.manual_seed(0)
    model = ensemble(Spec((4,), latent=2, hidden=8), members=3).double().eval()
    for i, write in enumerate(model.writers):
        write.body.net[-1].bias.data.fill_(i - 1.0)  # so that members differ
        quadrature.widen(model.readers[i].out)
    x = torch.tensor([[0.0, 0, 0, 0], [1, 1, 0, 1]]).double()
    with torch.no_grad():
        exact = torch.stack([quadrature.log_p(member, x) for member in model.members(3)]).logsumexp(
            0
        ) - math.log(3)
        torch.manual_seed(1)
        found = importance_log_likelihood(model, x, None, 20_000)
        # each a member by chance
        single = torch.stack([model.infer(x, None, 1).log_w[0] for _ in range(4000)])
    torch.testing.assert_close(found, exact, atol=0.01, rtol=0)
    alone = single.exp()
    assert ((alone.mean(0) - exact.exp()).abs() < 4.5 * alone.std(0) / math.sqrt(4000)).all()


@pytest.mark.certifies("ensemble", claim="the loss is the sum of the members' losses")
def test_loss_of_an_ensemble_is_the_sum_of_its_members():
    torch.manual_seed(0)
    model, x = ensemble(IMAGE, members=4), rows_of(IMAGE, 6)
    with at_centre():
        torch.testing.assert_close(
            model(x)["loss"], sum(member(x)["loss"] for member in model.members(4))
        )
