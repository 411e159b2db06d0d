"""Densities fitted to codes: moments, and codes as a network may leave them."""

import pytest
import torch
from vaezoo_plugins.autoencoder import Fitted
from vaezoo_plugins.rae import FittedMixture

from tests.conftest import VECTOR
from vaezoo.fitted import Scale, fitted_mixture, fitted_normal


def wide_codes(dtype: torch.dtype) -> torch.Tensor:
    """(300, 4): standard, of size 10⁶ far from 0, constant, of size 10⁻⁶."""
    torch.manual_seed(0)
    z = torch.randn(300, 4, dtype=torch.float64)
    scale = torch.tensor([1.0, 1e6, 0.0, 1e-6], dtype=torch.float64)
    shift = torch.tensor([0.0, 1e7, 5.0, 0.0], dtype=torch.float64)
    return (z * scale + shift).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_gaussian_has_the_moments_of_the_codes_whatever_their_scale(dtype):
    z = wide_codes(dtype)
    mean, tril = fitted_normal(z)
    torch.testing.assert_close(mean, z.double().mean(0), rtol=1e-12, atol=0)
    covariance = tril @ tril.T
    expected = z.double().T.cov()
    size = expected.diagonal().sqrt().clamp_min(1e-8)
    assert ((covariance - expected).abs() / size.outer(size))[:, [0, 1, 3]].max() < 1e-5
    assert 0 < covariance[2, 2] < 1e-9


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rows", [1, 2, 300])
def test_every_number_of_rows_gives_a_density(rows, dtype):
    z = wide_codes(dtype)[:rows]
    for tensors in (fitted_normal(z), fitted_mixture(z, 10, 0)):
        assert all(t.isfinite().all() for t in tensors)
        assert (tensors[-1].diagonal(dim1=-2, dim2=-1) > 0).all()


@pytest.mark.parametrize("prior", [Fitted, FittedMixture])
@pytest.mark.parametrize("rows", [1, 300])
def test_priors_draw_from_where_the_codes_are(prior, rows):
    torch.manual_seed(1)
    z = wide_codes(torch.float32)[:rows]
    density = prior(VECTOR)
    density.fit(z[:, None])
    drawn = density().sample((2000,))
    assert drawn.isfinite().all()
    scale = Scale(z)
    assert (scale.standard(drawn).mean(0).abs() < 0.2).all()


def test_the_mixture_does_not_depend_on_units():
    """Codes in other units give the same mixture in those units."""
    torch.manual_seed(2)
    z = torch.cat([torch.randn(200, 2), 5 + torch.randn(200, 2)]).double()
    units = torch.tensor([1e-4, 1e5], dtype=torch.float64)
    weights, loc, tril = fitted_mixture(z, 2, 0)
    weights_2, loc_2, tril_2 = fitted_mixture(z * units, 2, 0)
    torch.testing.assert_close(weights_2, weights)
    torch.testing.assert_close(loc_2, loc * units)
    torch.testing.assert_close(tril_2, tril * units[:, None])
