"""Codes that can be identified: by the label (iVAE), and by pairs of few changes (Ada-GVAE)."""

import math

import pytest
import torch
from torch import Tensor
from vaezoo_plugins.weak import Adaptive, Pair, ada_gvae, ivae

from vaezoo.core import VAE, Spec, Unsupported
from vaezoo.distributions import kl, normal
from vaezoo.evaluation.codes import codes_of
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write
from vaezoo.seeds import seeded

from . import _quadrature as quadrature

PAIRS = Spec((2, 2, 1), latent=2, hidden=8)
# σ of both units for each label: eight values, where theorem 1 asks for five
SCALES = torch.tensor([[1, 1], [1, 5], [1, 10], [5, 1], [5, 10], [10, 1], [10, 5], [10, 10]]) / 5
LABELLED = Spec((4,), "normal", classes=len(SCALES), latent=2, hidden=32)


def drawn_from_the_model(n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Codes (n, 2), one-hot labels (n, 8), and x = f(z) + noise (n, 4), f one to one and not
    linear, at 45° to the codes.
    """
    with seeded("ivae", "data"):
        label = torch.randint(len(SCALES), (n,))
        z = SCALES[label] * torch.randn(n, 2)
        h = z @ torch.tensor([[1.0, 1.0, 0.0, 0.5], [1.0, -1.0, 0.5, 0.0]])
        f = h.tanh() + h / 2
        return z, torch.eye(len(SCALES))[label], f / f.std(0) + 0.05 * torch.randn(n, 4)


def mean_correlation(a: Tensor, b: Tensor) -> float:
    """Of two units each, matched the better way: the mean of |Pearson's r|."""
    r = torch.corrcoef(torch.cat([a, b], 1).T)[:2, 2:].abs()
    straight = r[0, 0] + r[1, 1]
    crossed = r[0, 1] + r[1, 0]
    return max(straight, crossed).item() / 2


def learned_correlation(model: VAE, steps: int = 600) -> float:
    """Of the true codes with those of a model trained on x and labels."""
    z, u, x = drawn_from_the_model(4000)
    optimiser = torch.optim.Adam(model.parameters())
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 0.01 * (1 - step / steps)
        rows = torch.randint(len(x), (256,))
        optimiser.zero_grad()
        model(x[rows], u[rows])["loss"].backward()
        optimiser.step()
    with torch.no_grad():
        return mean_correlation(model.eval().encoder(x, u).mean, z)


@pytest.mark.certifies(
    "ivae", claim="the mean correlation with the codes of data drawn from the model is above 0.98"
)
def test_codes_of_data_drawn_from_the_model_are_found_where_a_vae_turns_them():
    with seeded("ivae", 0):
        found = learned_correlation(ivae(LABELLED))
        plain = VAE(Gaussian(LABELLED), Write(LABELLED), StandardNormal(LABELLED), ELBO())
        turned = learned_correlation(plain)
    assert found > 0.98
    assert turned < 0.9


@pytest.mark.certifies("ivae", claim="p(z|u) reads the label, p(x|z) does not")
def test_the_decoder_is_blind_to_the_label():
    with seeded("blind"):
        model = ivae(LABELLED)
        z = torch.randn(1, 2, 2)
    one, two = torch.eye(8)[:1], torch.eye(8)[1:2]
    assert torch.equal(model.decoder(z, one).mean, model.decoder(z, two).mean)
    assert not torch.equal(model.prior(one).mean, model.prior(two).mean)
    with pytest.raises(Unsupported, match="none was given"):
        model.prior(None)
    with pytest.raises(Unsupported, match="needs labels"):
        ivae(Spec((4,)))


@pytest.mark.certifies(
    "ada_gvae", claim="units with a KL below the threshold are averaged, the others are kept"
)
def test_units_of_like_posteriors_are_averaged():
    first = normal(torch.tensor([[0.0, 1.0, 3.0]]), torch.tensor([[1.0, 2.0, 1.0]]))
    second = normal(torch.tensor([[2.0, 1.5, 3.0]]), torch.tensor([[1.0, 1.0, 2.0]]))
    both = Adaptive(first, second)
    by_hand = [  # log σ₂/σ₁ + (σ₁² + (μ₁ - μ₂)²)/(2 σ₂²) - 1/2
        2.0,
        math.log(0.5) + (4 + 0.25) / 2 - 0.5,
        math.log(2) + 1 / 8 - 0.5,
    ]
    threshold = (max(by_hand) + min(by_hand)) / 2
    assert both.is_shared.tolist() == [[value < threshold for value in by_hand]]
    one, two = both.averaged()
    torch.testing.assert_close(one.mean, torch.tensor([[0.0, 1.25, 3.0]]))
    torch.testing.assert_close(two.mean, torch.tensor([[2.0, 1.25, 3.0]]))
    torch.testing.assert_close(one.variance, torch.tensor([[1.0, 2.5, 2.5]]))
    torch.testing.assert_close(two.variance, torch.tensor([[1.0, 2.5, 2.5]]))


def built(steps: int) -> tuple[Pair, Tensor]:
    with seeded("ada_gvae"):
        model = ada_gvae(PAIRS).double()
        x = torch.rand(4, 2, 2, 1).round().double()
        optimiser = torch.optim.Adam(model.parameters(), 0.01)
        for _ in range(steps):
            optimiser.zero_grad()
            model(x.repeat(8, 1, 1, 1))["loss"].backward()
            optimiser.step()
    return model, x


@pytest.mark.certifies("ada_gvae", claim="ELBO ≤ log p(x_1) + log p(x_2) of quadrature")
@pytest.mark.parametrize("training", [False, True])
def test_the_bound_of_a_pair_lies_below_quadrature_and_weights_meet_it(training):
    """In either mode. n = 20,000 draws, z-score below 5."""
    model, x = built(60)
    model.train(training)
    n = 20_000
    z, cell = quadrature.grid(2, 8.0, 101)
    codes = z[:, None].expand(-1, 4, -1)
    with torch.no_grad(), seeded("draws"):
        px = [model.decoder(codes).log_prob(one) for one in (x[:, :1], x[:, 1:])]
        prior = model.prior().log_prob(codes)
        exact = sum(quadrature.log_integral(one + prior, cell) for one in px)
        log_w = model.infer(x, k=n).log_w
    error = log_w.std(0) / math.sqrt(n)
    assert (log_w.mean(0) <= exact + 5 * error).all()
    weight = (log_w - exact).exp()
    assert ((weight.mean(0) - 1).abs() < 5 * weight.std(0) / math.sqrt(n)).all()


@pytest.mark.certifies("ada_gvae", claim="in evaluation each x of a pair is read alone")
def test_in_evaluation_a_code_is_of_its_own_x():
    model, x = built(0)
    other = x.clone()
    other[:, 1] = 1 - other[:, 1]
    with torch.no_grad():
        for training, alike in ((False, True), (True, False)):
            model.train(training)
            one, two = (model.infer(some).latents[0].q for some in (x, other))
            assert torch.equal(one.mean, two.mean) == alike
            assert kl(one, two) is not None


@pytest.mark.certifies("ada_gvae", claim="codes are of the first x alone")
def test_codes_are_of_the_first_x_alone():
    """Factors that both share would stand in a unit of either: no score of a gap sees them then."""
    model, x = built(0)
    model.eval()
    with torch.no_grad():
        codes = codes_of(model, iter([(x, None)]), torch.arange(4))
        wanted = model.encoder(x[:, :1]).mean
    torch.testing.assert_close(codes.flat.double(), wanted, atol=1e-6, rtol=0)
    assert codes.units.shape == (4, 2)
    assert codes.variance.shape == (2,)


def test_what_is_no_pair_is_refused():
    with pytest.raises(Unsupported, match="reads pairs"):
        ada_gvae(Spec((1, 8, 8)))
