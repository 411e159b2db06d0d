"""VAE-GAN: each player's gradient is that of its own loss, written out here once more."""

import math

import pytest
import torch
from torch.nn import functional as F
from vaezoo_plugins.vae_gan import vae_gan

from vaezoo.core import Spec

SPECS = {
    "image": Spec((1, 8, 8), latent=3, hidden=8),
    "vector": Spec((5,), "normal", latent=3, hidden=8),
    "sequence": Spec((6, 3), "normal", latent=3, hidden=8, network="rnn", has_gaps=True),
}


def rows(spec, n=9):
    x = torch.randn(n, *spec.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = x if spec.likelihood == "normal" else (x > 0).double()
    if spec.has_gaps:
        x[::2, 4:] = math.nan
    return x


def separately(model, x, beta, gamma, alpha):
    """The losses of encoder, decoder, discriminator and scale, from the joint loss's draws."""
    trace = model.infer(x)
    z, prior_z = trace.z, trace.latents[0].p.sample((1, len(x)))
    image = lambda code: torch.where(x.isnan(), x, model.decoder(code).mean[0])  # noqa: E731
    f = lambda y: F.layer_norm(model.loss.features(y), (8,))  # noqa: E731
    d = lambda y: model.loss.odds(F.silu(f(y))).sigmoid()  # noqa: E731
    distance = lambda y: 0.5 * (f(x) - f(y)).square().sum(1).mean()  # noqa: E731
    encoder = beta * trace.kl.mean() + distance(image(z)) - alpha * trace.log_px.mean()
    again, made = image(z.detach()), image(prior_z)
    nll = -model.decoder(z.detach()).log_prob(x).mean()
    decoder = gamma * distance(again) + alpha * nll - d(again).log().mean() - d(made).log().mean()
    told = (
        -d(x).log().mean()
        - (1 - d(again.detach())).log().mean()
        - (1 - d(made.detach())).log().mean()
    )
    return {"encoder": encoder, "decoder": decoder, "loss": told, "scale": (1 + alpha) * nll}


@pytest.mark.certifies("vae_gan", claim="each player gets the gradient of its own loss")
@pytest.mark.parametrize("name", SPECS)
def test_each_player_gets_the_gradient_of_its_own_loss(name):
    spec = SPECS[name]
    torch.manual_seed(0)
    model, x = vae_gan(spec, beta=0.7, gamma=2.5, alpha=0.2).double(), rows(spec)
    torch.manual_seed(1)
    model(x)["loss"].backward()
    joint = {n: p.grad.clone() for n, p in model.named_parameters()}
    torch.manual_seed(1)
    losses = separately(model, x, 0.7, 2.5, 0.2)
    for n, p in model.named_parameters():
        player = "scale" if "likelihood" in n else n.split(".")[0]
        (own,) = torch.autograd.grad(losses[player], p, retain_graph=True)
        torch.testing.assert_close(joint[n], own, msg=lambda m, n=n: f"{n}: {m}")
        assert own.abs().sum() > 0


def test_the_discriminator_cannot_tell_by_the_padding():
    spec = SPECS["sequence"]
    model, x = vae_gan(spec).double(), rows(spec)
    seen = []
    model.loss.features.register_forward_pre_hook(lambda _, args: seen.append(args[0].isnan()))
    model(x)
    assert len(seen) > 4
    assert all(torch.equal(gaps, x.isnan()) for gaps in seen)


def test_the_reported_terms_are_those_of_the_elbo():
    model, x = vae_gan(SPECS["image"]).double(), rows(SPECS["image"])
    torch.manual_seed(1)
    terms = model(x)
    torch.manual_seed(1)
    trace = model.infer(x)
    torch.testing.assert_close(terms["distortion"], -trace.log_px.mean())
    torch.testing.assert_close(terms["rate"], trace.kl.mean())
    assert not model.no_density
