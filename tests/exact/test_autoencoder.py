"""Autoencoders: the linear one against principal components, the corruption and the fitted Gaussian
against brute force.
"""

import pytest
import torch
from torch import nn
from vaezoo_plugins.autoencoder import Fitted, Reconstruction, ae, dae

from vaezoo.core import VAE, Decoder, Encoder, Spec
from vaezoo.distributions import Point, normal
from vaezoo.losses import squared_error

SPEC = Spec((6,), latent=2, hidden=8)


class LinearPoint(Encoder):
    no_density = "deterministic encoder"

    def __init__(self, d: int, k: int) -> None:
        super().__init__()
        self.net = nn.Linear(d, k, bias=False)

    def forward(self, x, c=None):
        return Point(self.net(x), 1)


class LinearMean(Decoder):
    def __init__(self, d: int, k: int) -> None:
        super().__init__()
        self.net = nn.Linear(k, d, bias=False)

    def forward(self, z, c=None):
        mean = self.net(z)
        return normal(mean, torch.ones_like(mean))


@pytest.mark.certifies(
    "ae",
    claim="a linear one reaches the error of principal components: "
    "the sum of the other eigenvalues",
)
def test_a_linear_autoencoder_reaches_the_error_of_principal_components():
    """Baldi & Hornik 1989: the least squared error of a bottleneck of k is Σ_{i>k} λ_i."""
    torch.manual_seed(0)
    x = torch.randn(200, 5).double() @ torch.randn(5, 5).double()
    x = x - x.mean(0)
    # the smallest three of five
    expected = torch.linalg.eigvalsh(x.T @ x / len(x))[:3].sum().item()
    model = VAE(
        LinearPoint(5, 2), LinearMean(5, 2), Fitted(Spec((5,), latent=2)), Reconstruction("squared")
    ).double()
    optimiser = torch.optim.LBFGS(
        model.parameters(), max_iter=500, line_search_fn="strong_wolfe", tolerance_change=1e-14
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = model(x)["loss"]
        loss.backward()
        return loss

    for _ in range(3):
        optimiser.step(closure)
    assert model(x)["loss"].item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.certifies(
    "ae", "dae", claim="the loss is -log p(x|z), or the sum of squared errors, by hand"
)
@pytest.mark.parametrize("variant", [ae, dae])
def test_the_loss_is_the_one_asked_for(variant):
    torch.manual_seed(0)
    x = torch.rand(4, 6).round().double()
    model = variant(SPEC).double().eval()
    p = model.decoder(model.encoder(x).mean[None]).mean[0]
    torch.testing.assert_close(
        model(x)["loss"], -(x * p.log() + (1 - x) * (1 - p).log()).sum(1).mean()
    )
    model.loss = Reconstruction("squared")
    torch.testing.assert_close(model(x)["loss"], (x - p).square().sum(1).mean())
    assert model.no_density


def test_entries_that_are_missing_cost_nothing():
    model, x = (
        ae(Spec((6,), "normal", latent=2, hidden=8, has_gaps=True), error="squared"),
        torch.randn(3, 6),
    )
    x[0, :4] = torch.nan
    trace = model.infer(x)
    made = trace.px.mean[0]
    by_hand = (
        sum((x[i, j] - made[i, j]) ** 2 for i in range(3) for j in range(6) if not x[i, j].isnan())
        / 3
    )
    torch.testing.assert_close(squared_error(trace)[0], by_hand)


@pytest.mark.certifies(
    "dae", claim="in training the share `corruption` of the entries is 0, in evaluation none"
)
def test_the_encoder_reads_the_corrupted_and_the_loss_the_clean_x():
    """n = 120,000 entries; z-score below 4.5."""
    torch.manual_seed(0)
    model, x, seen = dae(SPEC, corruption=0.3), torch.ones(20_000, 6), []
    model.encoder.inner.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    trace = model.train().infer(x)
    share = (seen[0] == 0).float().mean().item()
    assert abs(share - 0.3) < 4.5 * (0.21 / seen[0].numel()) ** 0.5
    assert torch.equal(trace.x, x)
    model.eval().infer(x)
    assert torch.equal(seen[1], x)


@pytest.mark.certifies(
    "ae", "dae", claim="samples come from the Gaussian with the moments of the codes"
)
def test_the_fitted_prior_has_the_moments_of_the_codes():
    torch.manual_seed(0)
    prior, z = (
        Fitted(SPEC).double(),
        torch.randn(500, 2).double() @ torch.tensor([[2.0, 0.7], [0.0, 0.3]]).double() + 1,
    )
    prior.fit(z[:, None])
    expected = torch.distributions.MultivariateNormal(
        z.mean(0), torch.cov(z.T) + 1e-6 * z.var(0, unbiased=False).diag()
    )
    torch.testing.assert_close(prior().log_prob(z), expected.log_prob(z), atol=1e-10, rtol=1e-10)
