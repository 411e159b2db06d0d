"""RELAX: its mean gradient by enumeration of all codes, and its noise beside the score's."""

import math
from copy import deepcopy

import pytest
import torch
from torch import Tensor
from vaezoo_plugins.relax import relax, scores_given

from vaezoo.core import VAE, Spec, Unsupported
from vaezoo.networks import Gaussian, StandardNormal, Write
from vaezoo.seeds import seeded

from ._quadrature import gradient
from ._trained import descended, once
from .test_score import (
    ALL,
    CLASSES,
    GROUPS,
    SPEC,
    Told,
    come_to_the_posterior,
    data,
    exact_bound,
    of,
)


@once
def made(steps: int = 0) -> VAE:
    """The variant with spread weights, or after some steps of its own rule."""
    with seeded("relax"):
        model = relax(SPEC, GROUPS, CLASSES).double()
        with torch.no_grad():
            for p in model.parameters():
                p.mul_(3)
        descended(model, data().repeat(20, 1), steps, 0.02)
    return model.eval()


def told_of(model: VAE, z: Tensor) -> VAE:
    """The model, where the code of every row is z."""
    told = deepcopy(model)
    told.encoder = Told(told.encoder)
    told.encoder.z = z[None]
    return told


@pytest.mark.certifies("relax", claim="the mean gradient is that of the ELBO, by enumeration")
@pytest.mark.parametrize("steps", [0, 100])
def test_the_mean_gradient_is_that_of_the_elbo_whatever_the_surrogate(steps):
    """All codes are enumerated; of the noise given a code, 40 means of 1,000 draws, z below 5."""
    model = made(steps)
    with torch.no_grad(), seeded("surrogate"):
        for p in model.loss.surrogate.net.parameters():
            p.add_(torch.randn_like(p))  # a poor one, which a bias would show
    for x in data().unique(dim=0)[:2].split(1):
        log_q = model.encoder(x).log_prob(ALL[:, None]).squeeze(1).detach()
        expected = of(model, -exact_bound(model, x, 1))
        mean = torch.zeros_like(expected)
        variance = torch.zeros_like(expected)
        with seeded("noise"):
            for z, chance in zip(ALL, log_q.exp(), strict=True):
                told = told_of(model, z)
                rows = x.expand(1000, 3)
                found = torch.stack([of(told, told(rows)["loss"]) for _ in range(40)])
                mean += chance * found.mean(0)
                variance += chance**2 * found.var(0) / 40
        error = variance.sqrt()
        assert ((mean - expected).abs() / (error + 1e-10)).max() < 5
        assert error.max() < 0.05  # the mean is known well enough to tell


@pytest.mark.certifies("relax", claim="scores given a code have the law of scores that give it")
def test_scores_given_their_largest_are_those_of_unconditional_draws():
    """n = 40,000: each class in turn is the largest; means of the scores and of their squares,
    z-score below 5.
    """
    log_p = torch.tensor([0.6, 0.3, 0.1]).double().log()
    n = 40_000
    with seeded("scores"):
        free = log_p - torch.rand(n, 3).double().log().neg().log()
        for i in range(3):
            z = torch.eye(3).double()[i].expand(n, 1, 3)
            drawn = scores_given(log_p.expand(n, 1, 3), z)[0][:, 0]
            assert (drawn.argmax(-1) == i).all()
            kept = free[free.argmax(-1) == i]
            for power in (1, 2):
                a = drawn**power
                b = kept**power
                error = (a.var(0) / len(a) + b.var(0) / len(b)).sqrt()
                assert ((a.mean(0) - b.mean(0)).abs() < 5 * error).all()


@pytest.mark.certifies("relax", claim="the derivative of the scores by log p, by autograd")
def test_the_derivative_of_scores_is_autograds():
    with seeded("derivative"):
        log_p = torch.randn(4, 2, 3).double().log_softmax(-1).requires_grad_()
        z = torch.eye(3).double()[torch.randint(3, (4, 2))]
    with seeded("noise"):
        scores, along = scores_given(log_p, z)
    (found,) = torch.autograd.grad(scores.sum(), log_p)
    torch.testing.assert_close(along.detach(), found)


@pytest.mark.certifies("relax", claim="under a fixed decoder q(z|x) comes to p(z|x)")
def test_the_encoder_comes_to_the_posterior_of_a_fixed_decoder():
    """One variable of four classes, so that q can be the posterior: KL(q ‖ p(z|x)) in nats."""
    with seeded("posterior"):
        model = relax(SPEC, 1, 4).double()
        come_to_the_posterior(model, 400, 40)


@pytest.mark.certifies("relax", claim="float32 gives the gradient of float64")
def test_single_precision_gives_the_same_gradient():
    double = made(60)
    single = deepcopy(double).float()
    noise = torch.rand(1, GROUPS, CLASSES).double()
    slopes = []
    for model, x in ((double, data()[1:2]), (single, data()[1:2].float())):
        model.encoder = Told(model.encoder)
        model.encoder.z = ALL[1:2].to(x.dtype)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch, "rand_like", lambda like: noise.to(like.dtype))
            slopes.append(gradient(model, model(x)["loss"]).double())
    torch.testing.assert_close(slopes[1], slopes[0], atol=1e-4, rtol=1e-4)


def test_the_surrogate_alone_descends_the_square_and_moves_no_other_part():
    model = made()
    before = {name: value.clone() for name, value in model.named_parameters()}
    optimiser = torch.optim.Adam(model.loss.parameters(), 0.01)
    squares = []
    with seeded("descent"):
        for _ in range(200):
            optimiser.zero_grad()
            terms = model(data().repeat(20, 1))
            terms["loss"].backward()
            optimiser.step()
            squares.append(terms["square"].item())
    assert math.fsum(squares[-20:]) < 0.8 * math.fsum(squares[:20])
    for name, value in model.named_parameters():
        assert name.startswith("loss.") or torch.equal(value, before[name])


def test_codes_that_carry_a_gradient_are_refused():
    with pytest.raises(Unsupported, match="for codes that are classes"):
        VAE(Gaussian(SPEC), Write(SPEC), StandardNormal(SPEC), relax(Spec((3,))).loss)
