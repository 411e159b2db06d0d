"""Wasserstein autoencoders: the three discrepancies against closed forms, and the two players of
the adversarial one.
"""

import math

import pytest
import torch
from scipy.integrate import quad
from vaezoo_plugins.wasserstein import SCALES, imq_mmd, sliced_wasserstein, swae, wae_gan, wae_mmd

from vaezoo.core import VAE, Prior, Spec, Unsupported
from vaezoo.distributions import normal
from vaezoo.networks import Deterministic, Write

SPEC = Spec((1, 8, 8), latent=3, hidden=8)


def imq_by_quadrature(shift):
    """MMD² of N(0, 1) and N(shift, 1) in one dimension under the sum of inverse multiquadratics."""

    def expected(mean):  # E k(u - v), u - v ~ N(mean, 2)
        density = lambda t: math.exp(-((t - mean) ** 2) / 4) / math.sqrt(4 * math.pi)  # noqa: E731
        return quad(
            lambda t: sum(2 * s / (2 * s + t * t) for s in SCALES) * density(t),
            -15,
            15,
            points=[0.0],
            epsabs=1e-11,
        )[0]

    return 2 * (expected(0.0) - expected(shift))


@pytest.mark.certifies("wae_mmd", claim="the MMD has the value of quadrature for its mean")
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_imq_mmd_is_unbiased_for_its_value_by_quadrature(shift):
    torch.manual_seed(0)
    repeats, n = 1500, 8
    draws = torch.randn(repeats, 2, n, 1, dtype=torch.float64)
    values = torch.vmap(imq_mmd)(draws[:, 0], draws[:, 1] + shift)  # (1500,)
    assert abs(values.mean() - imq_by_quadrature(shift)) < 4 * values.std() / repeats**0.5


def test_sliced_distance_in_one_dimension_is_that_of_sorted_samples():
    a, b = torch.randn(50, 1, dtype=torch.float64), torch.randn(50, 1, dtype=torch.float64)
    expected = (a[:, 0].sort().values - b[:, 0].sort().values).square().mean()
    torch.testing.assert_close(
        sliced_wasserstein(a, b, torch.tensor([[1.0], [-1.0]], dtype=torch.float64)), expected
    )


@pytest.mark.certifies("swae", claim="the sliced distance of a shift is its square over D")
def test_sliced_distance_of_a_shift_is_its_square_over_d_in_the_mean_and_its_gradient_pulls_back():
    torch.manual_seed(0)
    d, shift = 4, torch.tensor([2.0, 0, 0, 0], dtype=torch.float64)
    a = torch.randn(30, d, dtype=torch.float64, requires_grad=True)
    directions = torch.nn.functional.normalize(torch.randn(20_000, d, dtype=torch.float64), dim=-1)
    # W₂² of a shifted copy along θ is (θ·shift)², whose mean over the sphere is ‖shift‖²/d; sd of
    # the mean < 0.01
    distance = sliced_wasserstein(a, a.detach() + shift, directions)
    assert distance.item() == pytest.approx(4 / d, abs=0.05)
    distance.backward()
    assert (a.grad[:, 0] < 0).all()


@pytest.mark.certifies("wae_gan", claim="each player gets the gradient of its own loss")
def test_critic_sees_only_its_own_loss_and_the_encoder_only_its_own():
    torch.manual_seed(0)
    model, x = (
        wae_gan(SPEC, weight=3.0).double(),
        torch.bernoulli(torch.full((10, 1, 8, 8), 0.5)).double(),
    )
    torch.manual_seed(1)
    model(x)["loss"].backward()
    joint = {name: p.grad.clone() for name, p in model.named_parameters()}
    torch.manual_seed(1)
    trace = model.infer(x)
    codes, prior = trace.z[0], trace.latents[0].p.sample((10,))
    probability = lambda z: model.loss.critic(z).sigmoid()  # noqa: E731
    critic = -probability(prior).log().mean() - (1 - probability(codes.detach())).log().mean()
    rest = -trace.log_px.mean() - 3.0 * probability(codes).log().mean()
    for player, loss in (("loss", critic), ("encoder", rest), ("decoder", rest)):
        own = [(n, p) for n, p in model.named_parameters() if n.startswith(player)]
        for (name, _), g in zip(
            own, torch.autograd.grad(loss, [p for _, p in own], retain_graph=True), strict=True
        ):
            torch.testing.assert_close(joint[name], g)


@pytest.mark.parametrize("variant", [wae_mmd, wae_gan, swae])
def test_there_is_no_bound_and_every_parameter_learns(variant):
    torch.manual_seed(0)
    model = variant(SPEC)
    model(torch.bernoulli(torch.full((10, 1, 8, 8), 0.5)))["loss"].backward()
    assert model.no_density
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())


def test_a_prior_to_be_learned_is_refused():
    class Learned(Prior):
        def __init__(self):
            super().__init__()
            self.loc = torch.nn.Parameter(torch.zeros(3))

        def forward(self, c=None):
            return normal(self.loc, torch.ones(3))

    with pytest.raises(Unsupported, match="learned"):
        VAE(Deterministic(SPEC), Write(SPEC), Learned(), wae_mmd(SPEC).loss)
