"""The four flow posteriors: log-determinants against autograd's Jacobian, densities against the
Gaussian they start from.
"""

import math
from dataclasses import replace

import pytest
import torch
from vaezoo_plugins import flows

from vaezoo.core import Spec
from vaezoo.distributions import at_centre, draw

SPECS = [
    Spec((1, 8, 8), latent=5, hidden=16),
    Spec((6,), "normal", latent=5, hidden=16),
    Spec((7, 3), "normal", latent=5, hidden=16, network="rnn", has_gaps=True),
    Spec((1, 28, 28), latent=5, hidden=16, network="conv"),
]
VARIANTS = [flows.planar, flows.sylvester, flows.householder, flows.iaf]


def rows(spec: Spec, n: int = 6) -> torch.Tensor:
    x = torch.rand(n, *spec.shape).round()
    if spec.has_gaps:
        x[0, 3:] = math.nan
    return x


def loud(model: torch.nn.Module) -> torch.nn.Module:
    """The model with weights three times as large, so that no step is near the identity."""
    with torch.no_grad():
        for p in model.encoder.parameters():
            p.mul_(3)
    return model


@pytest.mark.certifies(
    "planar", "sylvester", "householder", "iaf", claim="log |det| is that of autograd's Jacobian"
)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("latent", [1, 2, 5])
def test_log_determinant_is_that_of_autograds_jacobian(variant, latent):
    torch.manual_seed(0)
    spec = replace(SPECS[1], latent=latent)
    q = loud(variant(spec).double()).encoder(rows(spec, 4).double())
    for _ in range(5):
        e = torch.randn(1, 4, latent, dtype=torch.double) * 2
        _, log_det = q.f(e)
        jacobian = torch.autograd.functional.jacobian(lambda e, q=q: q.f(e)[0], e)
        for b in range(4):
            expected = torch.linalg.slogdet(jacobian[0, b, :, 0, b]).logabsdet
            torch.testing.assert_close(log_det[0, b], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("part", [flows.Planar, flows.Sylvester, flows.Householder])
@pytest.mark.parametrize("size", [1e-200, 1e-35, 1e-8, 3e-7, 1e-6, 1e150])
def test_raw_numbers_near_nothing_and_huge_ones_keep_the_determinant(part, size):
    """A mirror's normal has no length that matters; a direction w near 0 bends nothing."""
    torch.manual_seed(6)
    encoder = part(replace(SPECS[1], latent=3)).double()
    raw = size * torch.randn(2, encoder.numbers).double()
    if size > 1 and part is not flows.Householder:
        return  # the step itself overflows
    z = torch.randn(1, 2, 3).double()
    _, log_det = encoder.step(z, raw)
    jacobian = torch.autograd.functional.jacobian(lambda z: encoder.step(z, raw)[0], z)
    for b in range(2):
        expected = torch.linalg.slogdet(jacobian[0, b, :, 0, b]).logabsdet
        torch.testing.assert_close(log_det[0, b], expected, rtol=1e-8, atol=1e-8)


@pytest.mark.certifies(
    "planar",
    "sylvester",
    "householder",
    "iaf",
    claim="the density of its draws is right: E_q[p/q] = 1",
)
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_mean_of_p_over_q_is_one(variant):
    """A Gaussian of four fifths the width, far inside q's tails, for a small variance; z-score
    below 4, n = 200,000.
    """
    torch.manual_seed(1)
    spec = replace(SPECS[1], latent=2)
    q = variant(spec).double().encoder(rows(spec, 1).double())
    z, log_q = draw(q, (200_000,))
    loc, scale = z.mean(0), 0.8 * z.std(0)
    w = (torch.distributions.Normal(loc, scale).log_prob(z).sum(-1) - log_q).exp()
    assert abs(w.mean() - 1) / (w.std() / math.sqrt(len(w))) < 4
    assert w.std() < 3


@pytest.mark.certifies("householder", claim="q(z|x) is the Gaussian with the turned covariance")
def test_householder_gives_the_gaussian_with_the_turned_covariance():
    torch.manual_seed(2)
    spec = SPECS[1]
    q = flows.householder(spec).double().encoder(rows(spec, 3).double())
    z, log_q = draw(q, (7,))
    turn = torch.autograd.functional.jacobian(
        lambda e: q.f(e[None, None].expand(1, 3, -1))[0][0], torch.zeros(5).double()
    )
    base = q.base.base_dist
    covariance = turn @ base.scale.square().diag_embed() @ turn.mT
    exact = torch.distributions.MultivariateNormal(
        (turn @ base.loc[..., None]).squeeze(-1), covariance
    )
    torch.testing.assert_close(log_q, exact.log_prob(z), rtol=1e-9, atol=1e-9)


@pytest.mark.certifies("iaf", claim="m and σ of dimension d read h(x) and z_1 … z_{d-1}, d = 1 too")
@pytest.mark.parametrize(("latent", "hidden"), [(1, 4), (5, 16), (5, 7), (9, 5)])
def test_every_dimension_of_an_iaf_reads_the_context_and_those_before_it_alone(latent, hidden):
    torch.manual_seed(5)
    encoder = flows.iaf(Spec((6,), "normal", latent=latent, hidden=hidden)).double().encoder
    z = torch.randn(latent).double()
    h = torch.randn(hidden).double()
    for layers in encoder.steps:
        for part in (0, 1):  # m and log σ

            def out(z, h, layers=layers, part=part):
                return encoder._masked(layers, z, h)[part]

            by_z, by_h = torch.autograd.functional.jacobian(out, (z, h))
            assert torch.equal(by_z, by_z.tril(-1))
            if hidden >= latent:
                assert (by_z + torch.ones(latent, latent).triu() != 0).all()
            assert (by_h != 0).any(1).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_planar_and_kin_can_bend_without_folding(variant):
    """In one dimension the map must be monotone, or log |det| would not give a density."""
    torch.manual_seed(3)
    spec = replace(SPECS[1], latent=1)
    q = loud(loud(variant(spec).double())).encoder(rows(spec, 1).double())
    z, _ = q.f(torch.linspace(-6, 6, 2001, dtype=torch.double)[:, None, None])
    steps = z.flatten().diff()
    assert (steps > 0).all() or (steps < 0).all()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_it_trains_and_samples_on_every_kind_of_data(variant, spec):
    torch.manual_seed(4)
    model, x = variant(spec), rows(spec)
    model(x)["loss"].backward()
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert p.grad.isfinite().all(), name
    assert model.infer(x, k=3).log_w.shape == (3, len(x))
    assert model.sample(4).shape == (4, *spec.shape)
    with at_centre():
        assert torch.equal(model.infer(x).z, model.infer(x).z)


@pytest.mark.parametrize("variant", [flows.householder, flows.iaf])
@pytest.mark.parametrize("latent", [1, 2, 5])
def test_a_flow_with_an_inverse_knows_the_density_of_its_own_draws_and_of_any_other_code(
    variant, latent
):
    torch.manual_seed(0)
    q = loud(variant(replace(SPECS[1], latent=latent)).double()).encoder(rows(SPECS[1], 4).double())
    z, log_q = draw(q, (3,))
    torch.testing.assert_close(q.log_prob(z), log_q, rtol=1e-8, atol=1e-8)
    other = torch.randn(3, 4, latent, dtype=torch.double)
    e, _ = q.inverse(other)
    torch.testing.assert_close(q.f(e)[0], other, rtol=1e-8, atol=1e-8)


def test_the_density_of_a_two_dimensional_iaf_integrates_to_one():
    torch.manual_seed(0)
    q = flows.iaf(replace(SPECS[1], latent=2)).double().encoder(rows(SPECS[1], 1).double())
    axis = torch.linspace(-9, 9, 601, dtype=torch.double)
    density = q.log_prob(torch.cartesian_prod(axis, axis)[:, None]).exp().reshape(601, 601)
    assert torch.trapezoid(torch.trapezoid(density, axis), axis).item() == pytest.approx(
        1, abs=1e-6
    )


@pytest.mark.parametrize("variant", [flows.planar, flows.sylvester])
def test_a_flow_without_an_inverse_says_so(variant):
    encoder = variant(SPECS[1]).encoder
    assert not encoder.scores_any_code
    with pytest.raises(NotImplementedError, match="its own draws alone"):
        encoder(rows(SPECS[1])).log_prob(torch.zeros(6, 5))


@pytest.mark.parametrize("variant", [flows.planar, flows.sylvester])
@pytest.mark.parametrize("size", [1.0, 12.0, 50.0])
def test_single_precision_agrees_with_double_over_all_that_a_network_can_emit(variant, size):
    """log |det| of one step, raw numbers up to ±50, where wᵀu is below -1,000; gradients finite."""
    torch.manual_seed(1)
    encoder = variant(replace(SPECS[1], latent=3)).encoder
    raw = (size * (2 * torch.rand(400, encoder.numbers) - 1)).requires_grad_()
    z = torch.randn(1, 400, 3)
    moved, log_det = encoder.step(z, raw)
    twin_moved, twin = encoder.double().step(z.double(), raw.double())
    assert log_det.isfinite().all()
    (log_det.sum() + moved.sum()).backward()
    assert raw.grad.isfinite().all()
    seen = twin > -20  # below, tanh² is a difference that float32 has lost, and so has the map
    error = (log_det - twin).abs()[seen]
    assert error.max() < 2e-4
    assert (moved - twin_moved).abs().max() < 1e-5 * (1 + size)
