"""VR-IWAE: its limits, its order in α, and a gradient with the mean of the naive one."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from vaezoo_plugins.estimators import DReG, StickTheLanding
from vaezoo_plugins.importance import Importance
from vaezoo_plugins.renyi import RenyiBound
from vaezoo_plugins.vr_iwae import VRIWAE, vr_iwae, vr_iwae_bound

from vaezoo.core import Loss, Spec
from vaezoo.losses import ELBO
from vaezoo.seeds import seeded

from . import _quadrature as quadrature

LOG_W = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3


def slopes(loss: Loss, part: str, is_trained: bool = False) -> tuple[Tensor, Tensor]:
    """The loss at one set of draws, and its gradient."""
    model, x = (quadrature.trained if is_trained else quadrature.tiny)(loss)
    with seeded(2):
        value = model(x)["loss"]
    return value, quadrature.gradient(model, value, getattr(model, part))


@pytest.mark.certifies("vr_iwae", claim="α = 0 is IWAE with DReG's gradient, α = 1 the ELBO by STL")
@pytest.mark.parametrize("is_trained", [False, True])
def test_both_limits_are_met_in_value_and_gradient(is_trained):
    torch.testing.assert_close(vr_iwae_bound(LOG_W, 1.0), LOG_W.mean(0))
    torch.testing.assert_close(vr_iwae_bound(LOG_W, 0.0), LOG_W.exp().mean(0).log())
    for part in ("encoder", "decoder"):
        at_0 = slopes(VRIWAE(0.0, 8), part, is_trained)
        dreg = slopes(DReG(8), part, is_trained)
        torch.testing.assert_close(at_0, dreg, atol=1e-12, rtol=0)
        at_1 = slopes(VRIWAE(1.0, 1), part, is_trained)
        stl = slopes(StickTheLanding(), part, is_trained)
        torch.testing.assert_close(at_1, stl, atol=1e-12, rtol=0)


@pytest.mark.certifies("vr_iwae", claim="ELBO ≤ bound ≤ IWAE ≤ log p(x), falling with α")
@pytest.mark.parametrize("is_trained", [False, True])
def test_the_bound_lies_between_elbo_and_iwae_and_below_quadrature(is_trained):
    """200,000 groups of 8 draws a row; for the same draws the order is exact."""
    model, x = (quadrature.trained if is_trained else quadrature.tiny)(ELBO())
    with torch.no_grad(), seeded(3):
        log_w = model.infer(x, k=8 * 20_000).log_w.unflatten(0, (8, -1)).flatten(1)  # (8, 20000·B)
        exact = quadrature.log_p(model, x)
    bounds = [vr_iwae_bound(log_w, a).unflatten(0, (-1, len(x))) for a in (0.0, 0.2, 0.5, 0.9, 1.0)]
    for tighter, looser in pairwise(bounds):
        assert (tighter > looser - 1e-9).all()
    error = bounds[0].std(0) / math.sqrt(20_000)
    assert (bounds[0].mean(0) < exact + 4 * error).all()
    assert (bounds[0].mean(0) - bounds[-1].mean(0) > 10 * error).all()


@pytest.mark.certifies(
    "vr_iwae", claim="the encoder's gradient has the mean of the naive one and less variance"
)
@pytest.mark.parametrize("alpha", [0.2, 0.7])
def test_the_encoder_gradient_has_the_mean_of_the_naive_one_and_less_variance(alpha):
    """80 means over 2,000 rows; 24 parameters, z-score below 4.5."""

    def gradients(loss: Loss) -> Tensor:
        model, x = quadrature.trained(loss)
        x = x.repeat(500, 1)
        with seeded("gradients", type(loss).__name__):
            losses = (model(x)["loss"] for _ in range(80))
            return torch.stack([quadrature.gradient(model, v, model.encoder) for v in losses])

    a, b = gradients(RenyiBound(alpha, 8)), gradients(VRIWAE(alpha, 8))
    error = (a.var(0) / 80 + b.var(0) / 80).sqrt().clamp_min(1e-12)
    assert ((a.mean(0) - b.mean(0)).abs() / error).max() < 4.5
    assert b.var(0).sum() < 0.7 * a.var(0).sum()


@pytest.mark.certifies("vr_iwae", claim="the decoder's gradient is that of the bound")
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_the_decoder_gradient_is_that_of_the_bound(alpha):
    found = slopes(VRIWAE(alpha, 8), "decoder")
    torch.testing.assert_close(found, slopes(RenyiBound(alpha, 8), "decoder"), atol=1e-12, rtol=0)
    if alpha == 0:
        naive = slopes(Importance(8), "decoder")
        torch.testing.assert_close(found, naive, atol=1e-12, rtol=0)


@pytest.mark.parametrize("alpha", [0.0, 0.2, 0.999, 1.0])
def test_single_precision_agrees_with_double(alpha):
    both = []
    for kind in (torch.float32, torch.float64):
        log_w = LOG_W.to(kind).requires_grad_()
        value = vr_iwae_bound(log_w, alpha)
        slope = torch.autograd.grad(value.sum(), log_w)[0]
        both.append((value.double(), slope.double()))
    torch.testing.assert_close(*both, atol=1e-4 if alpha == 0.999 else 2e-6, rtol=2e-5)


def test_the_variant_trains_that_loss():
    loss = vr_iwae(Spec((6,), latent=2, hidden=8), alpha=0.4, k=3).loss
    assert (type(loss), loss.alpha, loss.k) == (VRIWAE, 0.4, 3)
