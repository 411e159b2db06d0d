"""Hamiltonian dynamics: reversible, of known volume, an unbiased estimate of p(x), and the plain
VAE with no steps.
"""

import math
from dataclasses import replace

import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap
from vaezoo_plugins.hamiltonian import hvae

from tests.conftest import VECTOR, rows_of
from vaezoo.distributions import at_centre

from . import _bounds as bounds


@pytest.mark.certifies("hvae", claim="log |det| of the dynamics is that of autograd's Jacobian")
def test_the_volume_changes_by_the_tempering_alone():
    torch.manual_seed(0)
    q = hvae(VECTOR, steps=3).double().encoder(rows_of(VECTOR, 2).double())

    def pair(both: torch.Tensor) -> torch.Tensor:
        z, momentum = both.chunk(2)
        return torch.cat(
            [part[0, 0] for part in q.evolve(z.expand(1, 2, -1), momentum.expand(1, 2, -1))]
        )

    jacobian = torch.autograd.functional.jacobian(pair, torch.randn(8).double())
    expected = -4 * q.scales[0].log()  # D = 4 momenta scaled by 1/√T_0
    torch.testing.assert_close(
        torch.linalg.slogdet(jacobian).logabsdet, expected.detach(), rtol=1e-10, atol=1e-10
    )


@pytest.mark.certifies("hvae", claim="leapfrog run backwards returns to its start")
def test_dynamics_run_backwards_return_to_the_start():
    """Without tempering, with the momentum turned round, leapfrog is its own inverse."""
    torch.manual_seed(1)
    q = hvae(VECTOR, steps=5).double().encoder(rows_of(VECTOR, 3).double())
    q.scales = torch.ones_like(q.scales)
    z, momentum = torch.randn(2, 4, 3, 4).double()
    end, last = q.evolve(z, momentum)
    assert (end - z).abs().max() > 1e-2
    back, first = q.evolve(end, -last)
    torch.testing.assert_close(back, z, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(-first, momentum, rtol=1e-10, atol=1e-10)


def test_no_steps_is_the_plain_vae():
    bounds.is_plain(lambda: hvae(VECTOR, steps=0))


@pytest.mark.certifies("hvae", claim="the weights have the mean p(x) of quadrature")
def test_weights_have_the_mean_of_the_likelihood():
    """E exp(log p(x, z) - log q) = p(x), by quadrature over two dimensions; n = 40,000, z-score
    below 4.
    """
    torch.manual_seed(4)
    spec = replace(VECTOR, latent=2)
    model, x, n = hvae(spec, steps=3).double(), rows_of(spec, 3).double(), 40_000
    with torch.no_grad():
        # a start wider than the posterior, so that weights have no long tail
        model.encoder.net.net.out[-1].bias[2:] += 1
    axis = torch.linspace(-8, 8, 401, dtype=torch.double)
    z = torch.cartesian_prod(axis, axis)[:, None].expand(-1, 3, -1)
    with torch.no_grad():
        log_joint = model.decoder(z).log_prob(x) + model.prior().log_prob(z)
        exact = log_joint.logsumexp(0) + 2 * (axis[1] - axis[0]).log()
        w = (model.infer(x, k=n).log_w - exact).exp()
    assert w.std(0).max() < 5
    assert ((w.mean(0) - 1).abs() < 4 * w.std(0) / math.sqrt(n)).all()


def test_dynamics_come_nearer_to_the_posterior_than_a_start_from_the_prior():
    torch.manual_seed(5)
    model, x = (
        hvae(VECTOR, steps=4, largest=0.3, hottest=0.01).double(),
        2 * rows_of(VECTOR, 200).double(),
    )
    with torch.no_grad():
        q = model.encoder(x)
        target = model.decoder(q.start.mean[None]).log_prob(x) + model.prior().log_prob(
            q.start.mean
        )
        moved = model.decoder(q.mean[None]).log_prob(x) + model.prior().log_prob(q.mean)
    assert (moved > target).double().mean() > 0.9


def test_stacked_seeds_give_the_single_ones_centres():
    models, x = [hvae(VECTOR), hvae(VECTOR)], rows_of(VECTOR, 4)
    params, buffers = stack_module_state(models)
    with at_centre():
        single = torch.stack([m.infer(x).z for m in models])
        stacked = vmap(lambda p, b: _codes(models[0], p, b, x), randomness="different")(
            params, buffers
        )
    torch.testing.assert_close(stacked, single)


class _Codes(torch.nn.Module):
    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model.infer(x).z


def _codes(model, params, buffers, x):
    named = {f"model.{k}": v for k, v in {**params, **buffers}.items()}
    return functional_call(_Codes(model), named, (x,))


def test_decoder_and_prior_are_saved_once():
    """The encoder moves in their density, and must not bring copies of their weights."""
    assert not any(name.startswith("encoder._target") for name in hvae(VECTOR).state_dict())
