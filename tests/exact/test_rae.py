"""Regularised autoencoders: the penalty against autograd, the norm against singular values, the fit
against the codes.
"""

import pytest
import torch
from torch.nn.utils import parametrize
from vaezoo_plugins.rae import (
    FittedMixture,
    SmoothWrite,
    Spectral,
    rae_gp,
    rae_l2,
    rae_sn,
    squared_jacobian,
    weights,
)

from vaezoo.core import Spec, Unsupported
from vaezoo.fitted import Scale

SPEC = Spec((1, 8, 8), n_train=100, latent=3, hidden=8)
CONV = Spec((1, 28, 28), n_train=100, latent=3, hidden=8, network="conv")


def bits(spec, n=10):
    g = torch.Generator().manual_seed(0)
    return torch.bernoulli(torch.full((n, *spec.shape), 0.5, dtype=torch.float64), generator=g)


@pytest.mark.certifies(
    "rae_gp", claim="the penalty's mean is the squared norm of autograd's Jacobian"
)
def test_squared_jacobian_is_unbiased_for_that_of_autograd():
    torch.manual_seed(0)
    model = rae_gp(SPEC).double()
    z = torch.randn(1, 4, 3, dtype=torch.float64)
    f = lambda code: model.decoder(code).mean  # noqa: E731
    rows = [
        torch.autograd.functional.jacobian(lambda row: f(row[None, None]).flatten(), z[0, i])
        for i in range(4)
    ]
    exact = torch.stack([j.square().sum() for j in rows]).mean()
    estimates = torch.stack([squared_jacobian(f, z) for _ in range(400)])
    assert (estimates.mean() - exact).abs() < 4 * estimates.std() / 400**0.5


def test_the_gradient_of_the_penalty_is_that_of_the_jacobian_in_a_linear_decoder():
    # f(z) = z W: ‖∂f/∂z‖² = ‖W‖², whose gradient is 2 W; n = 1000, each entry within 5 standard
    # errors
    torch.manual_seed(0)
    w = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    z = torch.randn(1, 3, 2, dtype=torch.float64)
    gradients = torch.stack(
        [torch.autograd.grad(squared_jacobian(lambda c: c @ w, z), w)[0] for _ in range(1000)]
    )
    assert ((gradients.mean(0) - 2 * w).abs() < 5 * gradients.std(0) / 1000**0.5).all()


@pytest.mark.parametrize("variant", [rae_l2, rae_gp, rae_sn])
def test_the_loss_is_the_sum_of_its_terms_in_training_and_in_validation(variant):
    model, x = variant(SPEC).double(), bits(SPEC)
    model(x)["loss"].backward()
    assert all(p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in model.parameters())
    with torch.no_grad():
        t = model.eval()(x)
    z = model.encoder(x).mean
    torch.testing.assert_close(t["size"], z.square().sum(1).mean() / 2)
    torch.testing.assert_close(
        t["loss"], t["distortion"] + model.loss.beta * t["size"] + model.loss.weight * t["penalty"]
    )
    assert model.no_density


@pytest.mark.certifies("rae_l2", claim="the penalty is the sum of the decoder's squared weights")
def test_weight_decay_leaves_the_scale_of_the_likelihood_alone():
    model = rae_l2(Spec((4,), "normal", latent=2, hidden=4))
    total = (
        sum(p.square().sum() for p in model.decoder.parameters())
        - model.decoder.likelihood.log_scale.square()
    )
    torch.testing.assert_close(model.loss.penalty(model, torch.zeros(1), None), total)
    assert len(weights(model.decoder)) == len(list(model.decoder.parameters())) - 1


@pytest.mark.certifies("rae_sn", claim="every layer has the spectral norm that was asked for")
@pytest.mark.parametrize("spec", [SPEC, CONV])
def test_every_layer_of_the_decoder_has_the_spectral_norm_asked_for(spec):
    torch.manual_seed(0)
    decoder = SmoothWrite(spec, norm=2.0).double()
    layers = [m for m in decoder.modules() if parametrize.is_parametrized(m)]
    assert len(layers) == 3 + (spec is CONV)
    for layer in layers:
        outputs = 1 if layer.weight.ndim == 4 else 0
        largest = torch.linalg.matrix_norm(layer.weight.movedim(outputs, 0).flatten(1), 2)
        assert largest.item() == pytest.approx(2.0, rel=1e-6)


def test_power_iteration_finds_the_norm_again_after_the_weight_has_moved_but_only_in_training():
    torch.manual_seed(0)
    spectral = Spectral(torch.randn(6, 4, dtype=torch.float64), outputs=0, norm=1.0)
    moved, u = torch.randn(6, 4, dtype=torch.float64), spectral.u.clone()
    spectral.eval()(moved)
    assert torch.equal(spectral.u, u)
    spectral.train()
    for _ in range(500):
        out = spectral(moved)
    torch.testing.assert_close(out, moved / torch.linalg.svdvals(moved)[0])


def test_spectral_norm_of_a_recurrent_decoder_is_refused():
    with pytest.raises(Unsupported, match="recurrent"):
        rae_sn(Spec((6, 3), network="rnn"))


@pytest.mark.certifies("rae_l2", "rae_gp", "rae_sn", claim="the fitted mixture is scikit-learn's")
def test_the_mixture_is_standard_normal_at_first_and_then_that_of_scikit_learn():
    from sklearn.mixture import GaussianMixture

    torch.manual_seed(0)
    prior, z = (
        FittedMixture(Spec((4,), latent=2), parts=3),
        torch.randn(400, 2) @ torch.tensor([[2.0, 0.5], [0.0, 1.0]]) + 3,
    )
    standard = torch.distributions.Independent(
        torch.distributions.Normal(torch.zeros(2), torch.ones(2)), 1
    )
    torch.testing.assert_close(prior().log_prob(z), standard.log_prob(z))
    prior.fit(z)
    scale = Scale(z.double())
    e = scale.standard(z.double()).numpy()  # fitted in units of each column's deviation
    expected = GaussianMixture(3, reg_covar=1e-6, max_iter=200, random_state=0).fit(e)
    torch.testing.assert_close(
        prior().log_prob(z).double(),
        torch.as_tensor(expected.score_samples(e)) - scale.deviation.log().sum(),
        rtol=1e-4,
        atol=1e-4,
    )


def test_the_mixture_takes_fewer_codes_than_parts():
    prior = FittedMixture(Spec((4,), latent=2), parts=10)
    prior.fit(torch.randn(4, 2))
    assert prior().sample((50,)).isfinite().all()
    assert prior().log_prob(torch.zeros(2)).isfinite()
