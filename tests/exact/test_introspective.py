"""Two players in one backward pass: each gradient against that of its own objective, by hand."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from vaezoo_plugins.introspective import aae, soft_intro

from vaezoo.core import VAE, Spec, Unsupported
from vaezoo.distributions import kl
from vaezoo.seeds import seeded

from ._quadrature import gradient

SPEC = Spec((5,), latent=2, hidden=8)


def built(build) -> tuple[VAE, Tensor]:
    with seeded("introspective"):
        return build(SPEC).double(), torch.rand(6, 5).round().double()


def costs(model: VAE, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """-log p(x|z) and KL, (B,), of the draw with this noise."""
    q = model.encoder(x)
    z = q.mean + q.stddev * noise
    return -model.decoder(z[None]).log_prob(x)[0], kl(q, model.prior())


@pytest.mark.certifies(
    "soft_intro", claim="each player's gradient is that of its own objective (eqs. 5 to 7)"
)
def test_gradients_of_soft_introspection_are_those_of_the_two_objectives():
    """The loss draws: noise of x, z and noise of samples for the encoder, then for the decoder.

    The weights are such that each of them is seen.
    """
    beta, fakes, gamma = 0.7, 3.0, 0.5
    model, x = built(lambda spec: soft_intro(spec, beta=beta, fake=fakes, gamma=gamma))
    with seeded("draws"):
        loss = model(x)["loss"]
    with seeded("draws"):
        noise = torch.randn(1, 6, 2).double()[0]
        z_one, noise_one = torch.randn(1, 6, 2).double()[0], torch.randn(1, 6, 2).double()[0]
        z_two, noise_two = torch.randn(1, 6, 2).double()[0], torch.randn(1, 6, 2).double()[0]
    s = 1 / 5
    distortion, rate = costs(model, x, noise)

    fake = model.decoder(z_one[None]).mean[0].detach()
    fake_distortion, fake_rate = costs(model, fake, noise_one)
    told = 0.5 * (-2 * s * (fake_distortion + fakes * fake_rate)).exp()
    encoder = (s * (distortion + beta * rate) + told).mean()
    expected = gradient(model, encoder, model.encoder)
    torch.testing.assert_close(gradient(model, loss, model.encoder), expected)

    dream = model.decoder(z_two[None]).mean[0]
    dreamt, dreamt_rate = costs(model, dream, noise_two)
    decoder = (s * (distortion + beta * dreamt_rate + gamma * dreamt)).mean()
    expected = gradient(model, decoder, model.decoder)
    torch.testing.assert_close(gradient(model, loss, model.decoder), expected)
    both = encoder + (s * (beta * dreamt_rate + gamma * dreamt)).mean()  # R counts once
    torch.testing.assert_close(loss, both)


def test_samples_with_a_density_above_one_are_told_no_harder_than_at_one():
    """A narrow p(x|z) gives R_f far below 0, where exp(-2 s R_f) would be without bound."""
    with seeded("narrow"):
        model = soft_intro(Spec((5,), "normal", latent=2, hidden=8), fake=0.0).double()
        x = torch.randn(6, 5).double()
        costs_of = model.loss.costs

        def narrow(vae: VAE, x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
            distortion, rate = costs_of(vae, x, c)
            return distortion - 1e4, rate

        model.loss.costs = narrow
        terms = model(x)
    s = 1 / 5
    expected = s * (terms["distortion"] + terms["rate"]) + 0.5
    rest = terms["loss"] - expected  # the decoder's, of samples
    assert rest.isfinite()
    assert rest.abs() < s * 1e3


@pytest.mark.certifies("aae", claim="each player's gradient is that of its own objective")
def test_gradients_of_the_adversarial_autoencoder_are_those_of_the_two_objectives():
    model, x = built(aae)
    with seeded("draws"):
        loss = model(x)["loss"]
    with seeded("draws"):
        q = model.encoder(x)
        z = q.mean + q.stddev * torch.randn(1, 6, 2).double()[0]
        prior = model.prior().sample((6,))
    critic = model.loss.critic
    log_d = F.logsigmoid(critic(z)).mean()
    auto = -model.decoder(z[None]).log_prob(x).mean() - log_d
    for part in (model.encoder, model.decoder):
        expected = gradient(model, auto, part)
        torch.testing.assert_close(gradient(model, loss, part), expected)
    told = -F.logsigmoid(critic(prior)).mean() - F.logsigmoid(-critic(z)).mean()
    torch.testing.assert_close(gradient(model, loss, critic), gradient(model, told, critic))


@pytest.mark.certifies("aae", claim="the codes come to the moments of the prior")
def test_codes_come_to_the_prior_all_together():
    """Data that fix no code: the critic alone moves it, from far off to N(0, I)."""
    with seeded("matched"):
        model = aae(Spec((3,), "normal", latent=2, hidden=32))
        x = torch.randn(256, 3)
        model.encoder.net.out[-1].bias.data[:2] += 3.0
        optimiser = torch.optim.Adam(
            [
                {"params": model.encoder.parameters(), "lr": 2e-3},
                {"params": model.decoder.parameters(), "lr": 2e-3},
                {"params": model.loss.parameters(), "lr": 2e-3},
            ],
            betas=(0.5, 0.99),
        )
        start = model.encoder(x).mean.mean(0).abs().max()
        for _ in range(400):
            optimiser.zero_grad()
            model(x)["loss"].backward()
            optimiser.step()
        z = model.encoder(x).sample()
    assert start > 2
    assert z.mean(0).abs().max() < 0.7
    assert (z.std(0) - 1).abs().max() < 0.5


def test_what_cannot_be_read_as_an_x_is_refused():
    with pytest.raises(Unsupported, match="counts or levels"):
        soft_intro(Spec((1, 4, 4), "logistic"))
    with pytest.raises(Unsupported, match="gaps"):
        soft_intro(Spec((7, 5), has_gaps=True, network="rnn"))
