"""Information in the codes against sums over all pairs and known cases."""

import math

import pytest
import torch

import vaezoo
from vaezoo.core import VAE, Encoder
from vaezoo.distributions import normal
from vaezoo.evaluation import evaluate
from vaezoo.evaluation.metrics.representation import mixture_log_prob, vaezoo_metrics

from .conftest import digits, gaussian_vae


def test_mixture_is_the_mean_density_over_all_rows():
    torch.manual_seed(0)
    loc, scale = torch.randn(7, 3).double(), torch.rand(7, 3).double() + 0.5
    z = torch.randn(4, 3).double()
    by_hand = [
        sum(normal(loc[j], scale[j]).log_prob(z[i]).exp() for j in range(7)) / 7 for i in range(4)
    ]
    torch.testing.assert_close(
        mixture_log_prob(normal(loc, scale), z).exp(), torch.stack(by_hand), rtol=0, atol=1e-12
    )


def test_codes_that_ignore_x_hold_no_information(data):
    model = gaussian_vae(data.spec)
    with torch.no_grad():
        for parameter in model.encoder.net.out[-1].parameters():
            parameter.zero_()
    answer = evaluate(model, data, metrics=vaezoo_metrics())
    assert answer["mutual_information"] == pytest.approx(0, abs=1e-5)
    assert answer["linear_probe"] < 0.2
    scale = math.log(2) + 1e-3  # softplus(0) and the floor
    kl = 4 * (0.5 * (scale**2 - 1) - math.log(scale))
    assert answer["kl_aggregate"] == pytest.approx(kl, abs=0.25)  # from 300 draws


def test_codes_far_apart_name_every_row(data):
    model = gaussian_vae(data.spec)
    with torch.no_grad():
        model.encoder.net.out[-1].weight[:4] *= 1e4
    answer = evaluate(model, data, metrics=vaezoo_metrics())
    distinct = len(data.test.flatten(1).unique(dim=0))
    assert answer["mutual_information"] == pytest.approx(math.log(distinct), abs=0.05)


def test_probes_judge_codes_of_x_alone(data):
    class Told(Encoder):
        def forward(self, x, c=None):
            return normal(c[:, :4] * 5 + 0.01 * x.flatten(1)[:, :4], torch.ones(len(x), 4))

    base = gaussian_vae(data.spec)
    model = VAE(Told(), base.decoder, base.prior, base.loss)
    answer = evaluate(model, data, metrics=vaezoo_metrics())
    assert answer.reasons["linear_probe"] == "the codes are made with the label"
    assert 0.2 < evaluate(base, data, metrics=vaezoo_metrics())["knn"] <= 1


def test_unlabelled_data_have_no_probe():
    data = digits(labelled=False)
    answer = evaluate(gaussian_vae(data.spec), data, metrics=vaezoo_metrics())
    assert answer.reasons["knn"] == "the data has no labels"


def test_the_mixture_does_not_care_for_an_axis_of_draws():
    """q of one draw and N rows, (1, N): an ensemble's mutual information was too small by log N."""
    torch.manual_seed(0)
    loc = torch.randn(7, 3).double()
    scale = torch.rand(7, 3).double() + 0.5
    z = torch.randn(4, 3).double()
    plain = mixture_log_prob(normal(loc, scale), z)
    torch.testing.assert_close(mixture_log_prob(normal(loc[None], scale[None]), z), plain)


@pytest.mark.parametrize("variant", ["vae", "ensemble"])
def test_information_lies_between_nothing_and_the_log_of_the_rows(variant, data):
    torch.manual_seed(1)
    model = vaezoo.variants()[variant](data.spec)
    vaezoo.fit(model, data, epochs=15)
    answer = evaluate(model, data, metrics=vaezoo_metrics())
    assert 0 < answer["mutual_information"] < math.log(len(data.test))
