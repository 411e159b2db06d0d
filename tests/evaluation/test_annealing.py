"""Annealed importance sampling against quadrature, and its bounds from both sides on the model's
own draws.
"""

import pytest
import torch

from vaezoo.core import VAE, Spec, Unsupported
from vaezoo.evaluation import ais_log_likelihood, bdmc_gap
from vaezoo.evaluation.annealing import schedule
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal

from .test_likelihood import exact, plane_vae


def test_schedule_runs_from_prior_to_posterior():
    betas = schedule(50)
    assert betas[0] == 0
    assert betas[-1] == 1
    assert (betas.diff() > 0).all()


def test_annealing_meets_the_exact_log_likelihood():
    torch.manual_seed(0)
    model = plane_vae()
    x = model.sample(8)
    truth = exact(model, x)
    coarse = ais_log_likelihood(model, x, chains=1, temperatures=2)
    fine = ais_log_likelihood(model, x, chains=20, temperatures=100)
    torch.testing.assert_close(fine, truth, rtol=0, atol=0.1)
    assert (coarse - truth).abs().mean() > (fine - truth).abs().mean()


def test_the_two_bounds_close_in_on_the_truth():
    torch.manual_seed(0)
    lower, upper = bdmc_gap(plane_vae(), n=8, chains=20, temperatures=100)
    assert abs(float((upper - lower).mean())) < 0.1
    rough_lower, rough_upper = bdmc_gap(plane_vae(), n=8, chains=1, temperatures=3)
    assert (rough_upper - rough_lower).mean() > (upper - lower).mean()


def test_codes_that_are_not_real_are_refused():
    class Round(Gaussian):
        space = "sphere"

    class Uniform(StandardNormal):
        space = "sphere"

    spec = Spec((1, 8, 8), latent=2)
    model = VAE(Round(spec), plane_vae().decoder, Uniform(spec), ELBO())
    with pytest.raises(Unsupported, match="sphere"):
        ais_log_likelihood(model, torch.zeros(1, 1, 8, 8))
