"""The contract that every variant of vaezoo keeps, and one claim of our own."""

import torch
from vaezoo_laplace import Laplace

from vaezoo.testing import contract

test_contract = contract("laplace")


def test_the_density_is_that_of_torchs_laplace():
    z = torch.linspace(-3, 3, 7)
    expected = torch.distributions.Laplace(0.0, 0.5).log_prob(z)
    torch.testing.assert_close(Laplace(torch.full((), 0.5), 1).log_prob(z[:, None]), expected)
