"""TimeVAE's decoder adds a polynomial of time and a cycle of seasons to the shared one."""

import pytest
import torch
from vaezoo_plugins.timevae import TimeDecoder, timevae

from vaezoo.core import Spec
from vaezoo.seeds import seeded

T, C = 16, 3  # t/16 is exact in float32
SPEC = Spec((T, C), "normal", latent=4, hidden=8, network="rnn")


def decoder(spec: Spec = SPEC, **dials) -> TimeDecoder:
    with seeded("weights"):
        return TimeDecoder(spec, **dials).double()


@pytest.mark.certifies("timevae", claim="the trend is a polynomial of its degree")
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_the_trend_is_a_polynomial_of_its_degree_without_a_constant(degree):
    # One season for all steps is a constant: differences of order degree + 1 vanish, those of order
    # degree do not
    pattern = decoder(degree=degree, seasons=1).pattern(torch.randn(2, 5, 4).double())
    differences = pattern
    for _ in range(degree):
        differences = differences.diff(dim=2)
    assert differences.abs().max() > 1e-6
    assert differences.diff(dim=2).abs().max() < 1e-12


@pytest.mark.certifies("timevae", claim="seasons come back after a cycle")
def test_seasons_come_back_after_a_cycle_and_last_their_duration():
    pattern = decoder(degree=0, seasons=3, duration=2).pattern(torch.randn(1, 4, 4).double())
    torch.testing.assert_close(pattern[:, :, :6], pattern[:, :, 6:12])
    torch.testing.assert_close(pattern[:, :, 0:6:2], pattern[:, :, 1:6:2])
    assert not torch.allclose(pattern[:, :, 0], pattern[:, :, 2])


def test_the_rest_is_the_shared_decoder():
    model, z = decoder(degree=2, seasons=4), torch.randn(2, 5, 4).double()
    rest = model.rest(z).base.loc
    torch.testing.assert_close(model(z).base.loc - rest, model.pattern(z), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("likelihood", ["bernoulli", "normal", "categorical"])
@pytest.mark.parametrize("shape", [(6, 2), (2, 6, 3)])
def test_it_serves_sequences_and_images(shape, likelihood):
    spec = Spec(
        shape, likelihood, latent=2, hidden=8, levels=3, network="rnn" if len(shape) == 2 else "mlp"
    )
    model = timevae(spec)
    assert model.infer(torch.zeros(4, *shape), None, 3).log_w.shape == (3, 4)
    assert model.sample(5).shape == (5, *shape)
