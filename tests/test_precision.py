"""Training that multiplies in bfloat16: what is rounded, what is not, and who says so."""

from dataclasses import replace

import pytest
import torch

from tests.conftest import IMAGE, SEQUENCE, rows_of
from vaezoo.core import Unsupported
from vaezoo.data.data import Card, Data
from vaezoo.networks import in_bf16
from vaezoo.registry.registry import load_registry
from vaezoo.training import fit

CARD = Card("bits", "made here", "none", "none")
VARIANTS = ("vae", "iwae", "iaf", "vamp", "factor", "vae_gan", "wae_mmd", "vmf", "gumbel", "hvae")


def bits() -> Data:
    """Images of one colour with a tenth of the pixels turned, so that there is something to
    learn.
    """
    x = rows_of(IMAGE, 700)[..., :1, :1].expand(-1, 1, 8, 8).clone()
    turned = torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) < 0.1
    x = torch.where(turned, 1 - x, x)
    return Data("bits", IMAGE, x[:400], x[400:600], x[600:], CARD)


def model_of(name: str, spec=IMAGE):
    torch.manual_seed(0)
    return load_registry().variants[name](spec)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_loss_in_bf16_is_that_of_float32_to_bf16s_rounding_and_its_gradient_is_float32(name):
    model = model_of(name)
    x = rows_of(IMAGE, 64)
    torch.manual_seed(1)
    expected = model(x, None, 0.5)["loss"].detach()
    torch.manual_seed(1)
    with in_bf16():
        found = model(x, None, 0.5)["loss"]
    found.backward()
    assert found.dtype == torch.float32
    assert 0 < (found - expected).abs() < 0.02 * (1 + expected.abs())
    assert {p.grad.dtype for p in model.parameters() if p.grad is not None} == {torch.float32}


def test_what_networks_say_is_handed_on_in_float32():
    model = model_of("vae")
    with in_bf16():
        trace = model.infer(rows_of(IMAGE, 4))
    (latent,) = trace.latents
    for tensor in (trace.px.base.logits, latent.q.mean, latent.q.stddev, latent.kl, trace.log_px):
        assert tensor.dtype == torch.float32
    # bfloat16 has eight bits: a density that was worked out in it would be a multiple of them
    assert (trace.log_px != trace.log_px.bfloat16()).any()


def test_a_training_in_bf16_ends_within_noise_of_one_in_float32():
    losses = {}
    for precision in ("float32", "bf16"):
        for seed in (0, 1):
            history = fit(model_of("vae"), bits(), epochs=30, seed=seed, precision=precision)
            losses[precision, seed] = history.rows[history.best_epoch - 1]["validation_loss"]
        start = history.rows[0]["validation_loss"]
    gain = start - losses["float32", 0]
    assert gain > 5
    for seed in (0, 1):
        difference = abs(losses["bf16", seed] - losses["float32", seed])
        assert 0 < difference < 0.05 * gain


def test_weights_and_evaluation_stay_in_float32():
    model = model_of("vae")
    fit(model, bits(), epochs=1, precision="bf16")
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    z = torch.randn(1, 5, model.decoder.width)
    logits = model.decoder(z).base.logits
    assert (logits != logits.bfloat16()).any()
    with in_bf16():
        logits = model.decoder(z).base.logits
    assert (logits == logits.bfloat16()).all()


@pytest.mark.parametrize(
    ("name", "spec", "why"),
    [
        ("vrnn", SEQUENCE, "has no network but its own"),
        ("vrae", SEQUENCE, "has a recurrence"),
        ("vae", replace(IMAGE, network="rnn"), "has a recurrence"),
    ],
)
def test_what_cannot_run_in_bf16_is_refused_in_one_sentence(name, spec, why):
    x = rows_of(spec, 40)
    data = Data("few", spec, x[:20], x[20:30], x[30:], CARD)
    with pytest.raises(Unsupported, match=rf"^{name} {why}, which .*precision float32$"):
        fit(model_of(name, spec), data, epochs=1, precision="bf16")


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="precision is one of float32, bf16, not 'half'"):
        fit(model_of("vae"), bits(), epochs=1, precision="half")
