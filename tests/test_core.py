"""The trace and the VAE: log weights and bounds by hand, conditions, refusals."""

import math

import pytest
import torch

from tests.conftest import IMAGE, SEQUENCE, VECTOR, rows_of
from vaezoo.core import VAE, Spec, Unsupported, require_parts
from vaezoo.distributions import normal
from vaezoo.losses import ELBO
from vaezoo.networks import Deterministic, Gaussian, StandardNormal, Write


def vae(spec: Spec) -> VAE:
    torch.manual_seed(0)
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), ELBO())


def test_log_weights_are_log_joint_minus_log_posterior():
    model, x = vae(VECTOR).double(), rows_of(VECTOR, 5).double()
    trace = model.infer(x, k=3)
    q, p = model.encoder(x), normal(torch.zeros(4).double(), torch.ones(4).double())
    by_hand = model.decoder(trace.z).log_prob(x) + p.log_prob(trace.z) - q.log_prob(trace.z)
    torch.testing.assert_close(trace.log_w, by_hand, rtol=0, atol=1e-12)


def test_elbo_with_the_closed_kl_has_the_mean_of_the_log_weights():
    """n = 4,000 draws; the two estimates of one bound agree within 4 standard errors."""
    model, x = vae(IMAGE), rows_of(IMAGE, 2)
    with torch.no_grad():
        trace = model.infer(x, k=4000)
    difference = trace.log_w - (trace.log_px - trace.kl)
    assert (difference.mean(0).abs() < 4 * difference.std(0) / math.sqrt(4000)).all()


def test_beta_weighs_the_summed_kl():
    model, x = vae(IMAGE), rows_of(IMAGE, 4)
    terms = {}
    for beta in (1.0, 4.0):
        torch.manual_seed(1)
        terms[beta] = ELBO(beta)(model, x, None, 1.0)
    torch.testing.assert_close(terms[4.0]["loss"] - terms[1.0]["loss"], 3 * terms[1.0]["rate"])


def test_joint_draws_have_the_shape_of_the_data(spec):
    assert vae(spec).sample(7).shape == (7, *spec.shape)
    assert vae(spec).sample(7, mean=True).shape == (7, *spec.shape)


def test_a_bound_on_a_deterministic_encoder_is_refused():
    with pytest.raises(Unsupported, match="deterministic encoder"):
        VAE(Deterministic(IMAGE), Write(IMAGE), StandardNormal(IMAGE), ELBO())


def test_networks_that_read_a_condition_change_with_it_and_refuse_to_go_without():
    spec = IMAGE.conditioned()
    model, x = vae(spec), rows_of(IMAGE, 3)
    one, other = (torch.eye(10)[[i, i, i]] for i in (0, 1))
    assert not torch.equal(model.encoder(x, one).mean, model.encoder(x, other).mean)
    with pytest.raises(
        Unsupported, match="reads labels: it needs a condition c of width 10 for every row"
    ):
        model.infer(x)
    for c in (torch.eye(10)[:2], torch.eye(9)[:3], torch.zeros(3)):
        with pytest.raises(
            Unsupported, match=r"c must have shape \(3, 10\), one-hot rows, and it has"
        ):
            model.infer(x, c)


def test_networks_without_a_condition_do_not_see_the_label():
    model, x = vae(IMAGE), rows_of(IMAGE, 3)
    assert torch.equal(model.encoder(x, torch.eye(10)[:3]).mean, model.encoder(x).mean)


def test_unlabelled_data_cannot_be_conditioned_on():
    with pytest.raises(Unsupported, match="this data has none"):
        SEQUENCE.conditioned()


def test_a_vector_cannot_be_read_in_time():
    with pytest.raises(Unsupported, match="needs a sequence or an image"):
        VECTOR.as_steps  # noqa: B018


def test_parts_are_refused_of_a_model_that_has_none():
    class Whole(torch.nn.Module):
        pass

    with pytest.raises(Unsupported, match="Whole has no such parts"):
        require_parts(Whole(), "PIWAE")
