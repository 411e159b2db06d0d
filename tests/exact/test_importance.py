"""Importance-weighted bounds against quadrature, and their gradients against autograd through log
mean w.
"""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from vaezoo_plugins.importance import Importance, Partial, bound, iwae, piwae
from vaezoo_plugins.vamp import Vamp

from vaezoo.core import VAE, Spec, Unsupported
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write, frozen
from vaezoo.seeds import seeded

from . import _quadrature as quadrature

N = 40_000  # draws of each bound; the standard error below is estimated from them


def bound_of_k(model: VAE, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The bound L_k summed over rows, and its standard error."""
    with torch.no_grad(), seeded("k", k):
        each = (model.infer(x, k=N).log_w.unflatten(0, (-1, k)).logsumexp(1) - math.log(k)).sum(1)
    return each.mean(), each.std() / len(each) ** 0.5


@pytest.mark.certifies("iwae", claim="L_K rises with K to the quadrature's log p(x)")
def test_iwae_bound_rises_with_k_and_converges_to_the_log_likelihood():
    model, x = quadrature.tiny()
    exact = quadrature.log_p(model, x).sum()
    bounds = [bound_of_k(model, x, k) for k in (1, 4, 16, 64)]
    for (lower, a), (higher, b) in pairwise(bounds):
        assert higher - lower > 5 * (a**2 + b**2) ** 0.5
    gaps = [exact - value for value, _ in bounds]
    assert all(gap > -4 * error for gap, (_, error) in zip(gaps, bounds, strict=True))
    assert gaps[-1] < gaps[0] / 4
    many, error = bound_of_k(model, x, 2000)
    assert abs(exact - many) < max(4 * error, 0.005)


@pytest.mark.certifies(
    "iwae",
    claim="the gradient is that of autograd through log mean w: each draw by its normalised weight",
)
def test_iwae_gradient_weighs_draws_by_their_normalised_weights():
    """Σ softmax(+log w) ∂ log w, the weights detached: a wrong sign would favour the worst draw."""
    model, x = quadrature.tiny(Importance(6))
    with seeded(1):
        loss = model(x)["loss"]
    with seeded(1):
        log_w = model.infer(x, k=6).log_w
    by_hand = -(log_w.detach().softmax(0) * log_w).sum(0).mean()
    wrong = -((-log_w.detach()).softmax(0) * log_w).sum(0).mean()
    torch.testing.assert_close(
        quadrature.gradient(model, loss), quadrature.gradient(model, by_hand), atol=1e-12, rtol=0
    )
    assert not torch.allclose(
        quadrature.gradient(model, loss), quadrature.gradient(model, wrong), atol=1e-2
    )


def test_iwae_loss_is_minus_the_log_of_the_mean_weight():
    model, x = quadrature.tiny(Importance(6))
    with seeded(1):
        loss = model(x)["loss"]
    with seeded(1):
        w = model.infer(x, k=6).log_w.exp()
    torch.testing.assert_close(loss, -w.mean(0).log().mean(), atol=1e-12, rtol=0)


@pytest.mark.certifies("iwae", "miwae", claim="groups of one draw give the ELBO")
def test_iwae_of_one_draw_is_the_elbo_and_miwae_of_groups_of_one_too():
    model, x = quadrature.tiny()
    log_w = model.infer(x, k=6).log_w
    torch.testing.assert_close(bound(log_w, 1), log_w.mean(), atol=1e-12, rtol=0)


@pytest.mark.certifies("ciwae", claim="the loss is the convex mixture of the two bounds")
def test_ciwae_mixes_the_two_bounds():
    values = []
    for beta in (0.0, 1.0, 0.3):
        model, x = quadrature.tiny(Importance(6, beta=beta))
        with seeded(1):
            values.append(model(x)["loss"])
    torch.testing.assert_close(values[2], 0.7 * values[0] + 0.3 * values[1], atol=1e-12, rtol=0)


@pytest.mark.certifies("piwae", claim="each half gets the gradient of its own bound")
def test_piwae_gives_each_half_the_gradient_of_its_own_bound():
    model, x = quadrature.tiny(Partial(3, 2))
    with seeded(1):
        loss = model(x)["loss"]
    with seeded(1):  # the same draws, in the same order
        with frozen(model.encoder):
            generative = -bound(model.infer(x, k=6).log_w, 6)
        inference = -bound(model.infer(x, k=6).log_w, 3)
    for part, own in [(model.encoder, inference), (model.decoder, generative)]:
        torch.testing.assert_close(
            quadrature.gradient(model, loss, part),
            quadrature.gradient(model, own, part),
            atol=1e-12,
            rtol=0,
        )


def test_piwae_refuses_a_prior_that_contains_the_encoder():
    spec = Spec((6,), latent=2, hidden=8)
    encoder = Gaussian(spec)
    with pytest.raises(Unsupported, match="contains it"):
        VAE(encoder, Write(spec), Vamp(spec, encoder, 3), Partial())


def test_bounds_refuse_a_model_without_a_density():
    from vaezoo.networks import Deterministic

    spec = Spec((6,), latent=2, hidden=8)
    for loss in (Importance(), Partial(), ELBO()):
        with pytest.raises(Unsupported, match="deterministic encoder"):
            VAE(Deterministic(spec), Write(spec), StandardNormal(spec), loss)


def test_variants_pass_their_hyperparameters_on():
    spec = Spec((6,), latent=2, hidden=8)
    assert iwae(spec, k=7).loss.k == 7
    assert (piwae(spec, k=3, m=2).loss.k, piwae(spec, k=3, m=2).loss.m) == (3, 2)
