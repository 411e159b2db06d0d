"""KL stays above what the two constructions promise, whatever the network says."""

import math

import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap
from vaezoo_plugins.delta import EPSILON, BatchNormalised, bn, delta, widest_scale

from tests.conftest import VECTOR, rows_of


@pytest.mark.certifies("bn", claim="the mean KL of any batch is at least ½ Σ (γ² + β²)")
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_the_mean_kl_of_any_batch_is_above_the_bound(scale):
    torch.manual_seed(0)
    model = bn(VECTOR, gamma=0.6).double()
    with torch.no_grad():
        model.encoder.shift.normal_()
    for n in (2, 3, 50):
        x = scale * rows_of(VECTOR, n, seed=n).double()
        m = model.encoder.net(x).chunk(2, -1)[0]
        # what the ε of the normalisation takes away
        share = m.var(0, correction=0) / (m.var(0, correction=0) + 1e-5)
        bound = 0.5 * (0.36 * share + model.encoder.shift**2).sum()
        assert model.infer(x).kl.mean() >= bound - 1e-9


def test_means_of_a_batch_have_the_fixed_spread():
    torch.manual_seed(1)
    encoder, x = bn(VECTOR, gamma=0.6).double().encoder, rows_of(VECTOR, 64).double()
    q = encoder(x)
    torch.testing.assert_close(q.mean.mean(0), torch.zeros(4).double(), rtol=0, atol=1e-10)
    raw = encoder.net(x)[:, :4].var(0, correction=0)
    expected = 0.6 * (raw / (raw + EPSILON)).sqrt()
    torch.testing.assert_close(q.mean.std(0, correction=0), expected, rtol=1e-10, atol=0)


def test_running_moments_change_in_training_only_and_are_used_in_evaluation():
    torch.manual_seed(2)
    encoder, x = BatchNormalised(VECTOR), rows_of(VECTOR, 40)
    reference = torch.nn.BatchNorm1d(4)
    for _ in range(5):
        encoder(x)
        reference(encoder.net(x)[:, :4])
    torch.testing.assert_close(encoder.mean, reference.running_mean)
    # torch's is the unbiased one
    torch.testing.assert_close(encoder.variance, reference.running_var, rtol=0.03, atol=0)
    encoder.eval()
    before = encoder.mean.clone()
    torch.testing.assert_close(encoder(x).mean[:1], encoder(x[:1]).mean)
    assert torch.equal(before, encoder.mean)


def test_batch_normalisation_works_under_stacked_seeds():
    models = [BatchNormalised(VECTOR), BatchNormalised(VECTOR)]
    x, (params, buffers) = rows_of(VECTOR, 20), stack_module_state(models)
    means = vmap(
        lambda p, b: functional_call(models[0], (p, b), (x,)).mean, randomness="different"
    )(params, buffers)
    torch.testing.assert_close(means, torch.stack([m(x).mean for m in models]))


@pytest.mark.parametrize("rate", [1e-6, 0.01, 0.5, 3.0, 40.0])
def test_the_widest_scale_solves_its_equation(rate):
    s = widest_scale(rate)
    assert 0 < s < 1
    assert math.isclose((math.expm1(2 * math.log(s))) / 2 - math.log(s), rate, rel_tol=1e-9)


@pytest.mark.certifies("delta", claim="the KL of every row is at least δ")
@pytest.mark.parametrize("rate", [0.1, 2.0, 20.0])
def test_every_row_spends_at_least_delta(rate):
    torch.manual_seed(3)
    model = delta(VECTOR, delta=rate).double()
    with torch.no_grad():
        for p in model.encoder.parameters():
            p.mul_(10)
    assert (model.infer(100 * rows_of(VECTOR, 500).double()).kl >= rate * (1 - 1e-9)).all()


@pytest.mark.certifies("delta", claim="the limit δ is reached, so that it is the least KL there is")
def test_delta_is_reached_by_the_widest_posterior_at_the_origin():
    model = delta(VECTOR, delta=2.0).double()
    with torch.no_grad():
        for p in model.encoder.parameters():
            p.zero_()
        model.encoder.net.out[-1].bias[4:] = 100
    torch.testing.assert_close(
        model.infer(rows_of(VECTOR, 3).double()).kl, torch.full((3,), 2.0).double()
    )
