"""A label in every part: p(x|c) against enumeration, and the KL to a prior of its own for every
label.
"""

import pytest
import torch
from torch.distributions import kl_divergence
from torch.nn import functional as F
from vaezoo_plugins.conditional import cvae

from vaezoo.core import Spec, Unsupported

from . import _quadrature as quadrature

SPEC = Spec((3,), latent=2, hidden=8, classes=2)


@pytest.mark.certifies("cvae", claim="p(x|c) sums to 1 over all x, by enumeration and quadrature")
def test_probabilities_of_all_x_under_a_label_sum_to_one():
    torch.manual_seed(0)
    model = cvae(SPEC).double()
    z, cell = quadrature.grid(2, 9.0, 201)
    every_x = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 3)
    for label in F.one_hot(torch.arange(2), 2).double():
        c = label.expand(8, 2)
        with torch.no_grad():
            log_px = model.decoder(z[:, None].expand(-1, 8, -1), c).log_prob(every_x)
            joint = log_px + model.prior(c).log_prob(z[:, None])
        assert quadrature.log_integral(joint, cell).exp().sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.certifies("cvae", claim="the rate is the KL to the prior of the row's own label")
def test_rate_is_the_kl_to_the_prior_of_the_rows_own_label():
    torch.manual_seed(0)
    model = cvae(SPEC).double()
    x, c = torch.rand(6, 3).round().double(), F.one_hot(torch.arange(6) % 2, 2).double()
    trace = model.infer(x, c)
    for i in range(6):
        q, p = model.encoder(x[i : i + 1], c[i : i + 1]), model.prior(c[i : i + 1])
        torch.testing.assert_close(trace.kl[i], kl_divergence(q, p)[0], atol=1e-10, rtol=0)


def test_every_part_reads_the_label():
    torch.manual_seed(0)
    model = cvae(SPEC)
    x, a, b = torch.ones(1, 3), torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    z = torch.zeros(1, 1, 2)
    assert not torch.equal(model.encoder(x, a).mean, model.encoder(x, b).mean)
    assert not torch.equal(model.decoder(z, a).mean, model.decoder(z, b).mean)
    assert not torch.equal(model.prior(a).mean, model.prior(b).mean)


def test_data_without_labels_is_refused_and_so_is_a_sample_without_a_label():
    with pytest.raises(Unsupported, match="labels"):
        cvae(Spec((3,)))
    with pytest.raises(Unsupported, match="condition"):
        cvae(SPEC).sample(2)
