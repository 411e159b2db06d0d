"""Steps of variational inference on the encoder's answer: none is the plain VAE, more of them only
help.
"""

import math
from dataclasses import replace

import pytest
import torch
from vaezoo_plugins.semi_amortised import savae

from tests.conftest import VECTOR, rows_of
from vaezoo.core import VAE
from vaezoo.distributions import at_centre
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write


def test_no_steps_is_the_plain_vae():
    x = rows_of(VECTOR, 5)
    torch.manual_seed(0)
    stepped = savae(VECTOR, steps=0).double()
    plain = VAE(Gaussian(VECTOR), Write(VECTOR), StandardNormal(VECTOR), ELBO()).double()
    plain.load_state_dict(stepped.state_dict())
    torch.manual_seed(1)
    expected = plain(x.double())["loss"]
    torch.manual_seed(1)
    torch.testing.assert_close(stepped(x.double())["loss"], expected, rtol=1e-12, atol=1e-12)


def test_more_steps_raise_the_bound_of_the_rows():
    """Mean bound of 300 rows from 300 draws each, at 0, 5 and 40 steps of one untrained model."""
    torch.manual_seed(2)
    model, x = savae(VECTOR).double(), 2 * rows_of(VECTOR, 300).double()
    means = []
    for steps in (0, 5, 40):
        model.encoder.steps = steps
        with torch.no_grad():
            means.append(model.infer(x, k=300).log_w.mean(0))
    assert means[0].mean() < means[1].mean() < means[2].mean()
    assert (means[2] > means[0]).double().mean() > 0.95


@pytest.mark.certifies("savae", claim="a step is gradient ascent on the row's ELBO")
def test_one_step_is_plain_gradient_ascent_on_the_bound():
    """Against autograd on the closed bound at the centre, with no clipping."""
    torch.manual_seed(3)
    model, x = savae(VECTOR, steps=1, rate=0.1, clip=1e9).double(), rows_of(VECTOR, 4).double()
    model.encoder.steps = 0
    start = model.encoder(x).base_dist
    loc = start.loc.detach().requires_grad_()
    bound = model.decoder(loc[None]).log_prob(x).sum() - 0.5 * loc.square().sum()
    (slope,) = torch.autograd.grad(bound, loc)
    model.encoder.steps = 1
    with at_centre():
        q = model.encoder(x).base_dist
    torch.testing.assert_close(q.loc, loc + 0.1 * slope, rtol=1e-10, atol=1e-10)
    # the draw at the centre does not depend on σ, so its slope is that of -KL alone: 1 - σ²
    torch.testing.assert_close(
        q.scale.log(), start.scale.log() + 0.1 * (1 - start.scale**2), rtol=1e-10, atol=1e-10
    )


@pytest.mark.certifies(
    "savae", claim="the gradient through the steps is that of central differences"
)
def test_the_gradient_flows_through_the_steps_to_encoder_and_decoder():
    """Against central differences of the loss under common noise."""
    torch.manual_seed(4)
    model, x = savae(VECTOR, steps=2).double(), rows_of(VECTOR, 4).double()
    for parameter in (model.encoder.net.out[-1].bias, model.decoder.into.bias):
        values = []
        for shift in (1e-5, -1e-5):
            with torch.no_grad():
                parameter[0] += shift
                torch.manual_seed(5)
                values.append(model(x)["loss"].item())
                parameter[0] -= shift
        torch.manual_seed(5)
        (gradient,) = torch.autograd.grad(model(x)["loss"], parameter)
        assert math.isclose(
            gradient[0].item(), (values[0] - values[1]) / 2e-5, rel_tol=1e-4, abs_tol=1e-7
        )


@pytest.mark.certifies("savae", claim="the weights have the mean p(x) of quadrature")
def test_weights_have_the_mean_of_the_likelihood():
    """E exp(log p(x, z) - log q) = p(x), by quadrature over two dimensions; n = 40,000, z-score
    below 4.
    """
    torch.manual_seed(6)
    spec, n = replace(VECTOR, latent=2), 40_000
    model, x = savae(spec, steps=5).double(), rows_of(spec, 3).double()
    with torch.no_grad():
        # a start wider than the posterior, so that weights have no long tail
        model.encoder.net.out[-1].bias[2:] += 1
    axis = torch.linspace(-8, 8, 401, dtype=torch.double)
    z = torch.cartesian_prod(axis, axis)[:, None].expand(-1, 3, -1)
    with torch.no_grad():
        exact = (model.decoder(z).log_prob(x) + model.prior().log_prob(z)).logsumexp(0) + 2 * (
            axis[1] - axis[0]
        ).log()
        w = (model.infer(x, k=n).log_w - exact).exp()
    assert w.std(0).max() < 5
    assert ((w.mean(0) - 1).abs() < 4 * w.std(0) / math.sqrt(n)).all()
