"""Padding is no data: longer padding, or other rows in the batch, change no loss, code, likelihood
or reconstruction.
"""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from vaezoo_plugins.cwvae import cwvae
from vaezoo_plugins.dkf import dkf, dmm
from vaezoo_plugins.dsae import dsae
from vaezoo_plugins.gpvae import gpvae
from vaezoo_plugins.kvae import kvae
from vaezoo_plugins.latent_ode import latent_ode
from vaezoo_plugins.rvae import rvae
from vaezoo_plugins.srnn import srnn
from vaezoo_plugins.storn import storn
from vaezoo_plugins.timevae import timevae
from vaezoo_plugins.transformer_vae import transformer_vae
from vaezoo_plugins.vrae import vrae
from vaezoo_plugins.vrnn import vrnn

from vaezoo.core import VAE, Model, Spec
from vaezoo.distributions import at_centre
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write
from vaezoo.seeds import seeded

SPEC = Spec((7, 3), has_gaps=True, latent=2, hidden=8, network="rnn")
LENGTHS = (7, 5, 4, 1)


def static(spec: Spec) -> VAE:
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), ELBO())


def rvae_both(spec: Spec) -> Model:
    return rvae(spec, causal=False)


def timed(spec: Spec) -> VAE:
    return timevae(spec, degree=2, seasons=3)


BUILDERS = [
    *(static, vrae, vrnn, storn, srnn, dkf, dmm, rvae, rvae_both, dsae, kvae),
    *(gpvae, latent_ode, transformer_vae, cwvae),
]


def made(build, spec: Spec) -> Model:
    with seeded("weights", build.__name__):
        return build(spec).double().eval()


def padded(steps: int = 7) -> Tensor:
    """Four sequences of 7, 5, 4 and 1 steps, padded with NaN to `steps`."""
    with seeded("x"):
        x = torch.bernoulli(torch.full((4, 7, 3), 0.4, dtype=torch.float64))
    for row, length in zip(x, LENGTHS, strict=True):
        row[length:] = math.nan
    x[0, 2, 1] = math.nan  # a missing entry in the middle is not padding
    return F.pad(x, (0, 0, 0, steps - 7), value=math.nan)


def longer(build) -> tuple[Model, Model]:
    """A model for at most 7 steps and the same one for at most 12: T is no part of the weights."""
    model, other = made(build, SPEC), made(build, replace(SPEC, shape=(12, 3)))
    other.load_state_dict(model.state_dict())
    return model, other


@pytest.mark.parametrize("build", BUILDERS)
def test_longer_padding_changes_no_loss_and_no_likelihood(build):
    model, other = longer(build)
    with at_centre():
        short, long = model.infer(padded()), other.infer(padded(12))
        torch.testing.assert_close(
            model(padded())["loss"], other(padded(12))["loss"], rtol=0, atol=1e-10
        )
    for name in ("log_px", "kl"):
        torch.testing.assert_close(getattr(short, name), getattr(long, name), rtol=0, atol=1e-10)


@pytest.mark.parametrize("build", BUILDERS)
def test_longer_padding_changes_no_importance_weight(build):
    # The noise of a step is drawn at that step, so that one seed gives the same draws whatever
    # follows.
    model, other = longer(build)
    with seeded("draws"):
        short = model.infer(padded(), None, 3)
    with seeded("draws"):
        long = other.infer(padded(12), None, 3)
    torch.testing.assert_close(short.log_w, long.log_w, rtol=0, atol=1e-10)


@pytest.mark.parametrize("build", BUILDERS)
def test_longer_padding_changes_no_code_and_no_reconstruction(build):
    model, other = longer(build)
    with at_centre():
        short, long = model.infer(padded()), other.infer(padded(12))
    for row, length in enumerate(LENGTHS):
        torch.testing.assert_close(
            short.px.mean[0, row, :length], long.px.mean[0, row, :length], rtol=0, atol=1e-10
        )
        if short.latents[-1].stepwise:
            torch.testing.assert_close(
                short.latents[-1].z[0, row, :length], long.latents[-1].z[0, row, :length]
            )
        else:
            torch.testing.assert_close(short.z[0, row], long.z[0, row])


@pytest.mark.parametrize("build", BUILDERS)
def test_other_rows_of_the_batch_change_nothing(build):
    model, x = made(build, SPEC), padded()
    with at_centre():
        together = model.infer(x)
        alone = [model.infer(row[None]) for row in x]
    torch.testing.assert_close(
        together.log_px, torch.cat([t.log_px for t in alone], 1), rtol=0, atol=1e-10
    )
    torch.testing.assert_close(
        together.log_w, torch.cat([t.log_w for t in alone], 1), rtol=0, atol=1e-10
    )


@pytest.mark.parametrize("build", BUILDERS)
def test_gradients_are_the_same_under_longer_padding(build):
    model, other = longer(build)
    with at_centre():
        model(padded())["loss"].backward()
        other(padded(12))["loss"].backward()
    for p, o in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p.grad, o.grad, rtol=0, atol=1e-10)


@pytest.mark.parametrize("build", BUILDERS)
def test_padding_behind_the_longest_of_the_spec_changes_nothing(build):
    model = made(build, SPEC)
    with at_centre():
        short, long = model.infer(padded()), model.infer(padded(9))
    torch.testing.assert_close(short.log_w, long.log_w, rtol=0, atol=1e-10)


@pytest.mark.parametrize("build", BUILDERS)
def test_a_sequence_may_be_shorter_than_the_longest(build):
    model, x = made(build, SPEC), padded()[1:, :5]
    with at_centre():
        torch.testing.assert_close(
            model.infer(x).log_px, model.infer(padded()[1:]).log_px, rtol=0, atol=1e-10
        )


@pytest.mark.parametrize("build", [static, timed])
def test_a_decoder_writes_no_step_beyond_the_rows_at_hand(build):
    model, x = made(build, SPEC), padded()[1:, :5]
    with at_centre():
        short = model.infer(x)
        whole = model.decoder(short.z)  # nobody says which x it is for
    assert short.px.event_shape == (5, 3)
    assert whole.event_shape == (7, 3)
    torch.testing.assert_close(short.px.mean, whole.mean[:, :, :5], rtol=0, atol=1e-12)
    torch.testing.assert_close(short.log_px, whole.log_prob(x), rtol=0, atol=1e-10)
