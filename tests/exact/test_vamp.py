"""The VampPrior against a mixture computed term by term, and the exemplar prior against leaving
each row out by hand.
"""

import math

import pytest
import torch
from vaezoo_plugins.vamp import exemplar, vamp

from vaezoo.core import Spec

from . import _quadrature as quadrature

SPEC = Spec((6,), likelihood="bernoulli", latent=2, hidden=8, n_train=20)


def log_normal(z: torch.Tensor, loc: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    return (-0.5 * math.log(2 * math.pi) - scale.log() - (z - loc) ** 2 / (2 * scale**2)).sum(-1)


@pytest.mark.certifies("vamp", claim="p(z) is the mean of the posteriors of the pseudo-inputs")
def test_vamp_density_is_the_mean_of_the_posteriors_of_its_pseudo_inputs():
    torch.manual_seed(0)
    model = vamp(SPEC, components=5).double()
    z = torch.randn(7, 2, dtype=torch.float64)
    u = torch.sigmoid(model.prior.pseudo)
    each = [model.encoder(u[m : m + 1]).base_dist for m in range(5)]
    brute = torch.stack([log_normal(z, q.loc[0], q.scale[0]).exp() for q in each]).mean(0).log()
    torch.testing.assert_close(model.prior().log_prob(z), brute, atol=1e-12, rtol=0)


@pytest.mark.certifies("vamp", claim="p(z) integrates to 1")
def test_vamp_density_integrates_to_one():
    torch.manual_seed(0)
    model = vamp(SPEC, components=5).double()
    z, cell = quadrature.grid(2, 12.0, 601)
    assert quadrature.log_integral(model.prior().log_prob(z), cell).abs() < 1e-8


@pytest.mark.certifies("exemplar", claim="in training each row is left out of its own prior")
def test_exemplar_prior_leaves_each_row_out():
    torch.manual_seed(0)
    model = exemplar(SPEC, components=4).double().train()
    x = torch.randint(0, 2, (5, 6)).double()
    trace = model.infer(x, k=3)
    means, scale = model.encoder(x).mean, model.prior.log_scale.exp()
    for i in range(5):
        others = [
            log_normal(trace.z[:, i], means[j], scale.expand(2)).exp() for j in range(5) if j != i
        ]
        brute = torch.stack(others).mean(0).log()
        torch.testing.assert_close(trace.latents[0].log_p[:, i], brute, atol=1e-10, rtol=0)


def test_exemplar_prior_after_training_is_a_mixture_around_training_codes():
    torch.manual_seed(0)
    model = exemplar(SPEC, components=50).double().eval()
    x = torch.randint(0, 2, (20, 6)).double()
    model.fit_prior(x)
    z = torch.randn(7, 2, dtype=torch.float64)
    means, scale = model.encoder(x).mean, model.prior.log_scale.exp().expand(2)
    brute = torch.stack([log_normal(z, m, scale).exp() for m in means]).mean(0).log()
    torch.testing.assert_close(model.prior().log_prob(z), brute, atol=1e-10, rtol=0)


def test_exemplar_buffer_holds_the_latest_codes_first():
    torch.manual_seed(0)
    model = exemplar(SPEC, components=8).train()
    first, second = torch.ones(4, 6), torch.zeros(4, 6)
    model.infer(first), model.infer(second)
    expected = torch.cat([model.encoder(second).mean, model.encoder(first).mean])
    torch.testing.assert_close(model.prior.codes, expected)
