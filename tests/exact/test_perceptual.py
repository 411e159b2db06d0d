"""Structural similarity against torchmetrics, log cosh against NumPy, and what happens at gaps."""

import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure as reference_ssim
from vaezoo_plugins.perceptual import (
    SCALE_WEIGHTS,
    log_cosh,
    logcosh,
    ms_ssim,
    msssim,
    n_scales,
    window,
)

from vaezoo.core import Spec, Unsupported
from vaezoo.similarity import similarities


def images(side, n=4, channels=1):
    g = torch.Generator().manual_seed(0)
    x = torch.rand(n, channels, side, side, dtype=torch.float64, generator=g)
    # smooth, so that structure is positive at all scales
    x = torch.nn.functional.avg_pool2d(x, 3, 1, 1)
    return x, (0.8 * x + 0.2 * torch.rand(x.shape, dtype=torch.float64, generator=g)).clamp(0, 1)


def reference(x, y):
    """SSIM and its contrast by torchmetrics, means over the windows that lie inside the image, as
    in Wang et al. 2003.
    """
    _, full = reference_ssim(x, y, data_range=1.0, reduction="none", return_full_image=True)
    _, contrast = reference_ssim(
        x, y, data_range=1.0, reduction="none", return_contrast_sensitivity=True
    )
    return full[..., 5:-5, 5:-5].flatten(1).mean(1), contrast


@pytest.mark.parametrize(("side", "channels"), [(28, 1), (20, 3), (11, 1)])
def test_ssim_is_that_of_torchmetrics(side, channels):
    x, y = images(side, channels=channels)
    torch.testing.assert_close(
        similarities(x, y, window(min(x.shape[2:])))[0], reference(x, y)[0], rtol=1e-6, atol=1e-8
    )
    torch.testing.assert_close(
        similarities(x, y, window(min(x.shape[2:])))[1], reference(x, y)[1], rtol=1e-6, atol=1e-8
    )


@pytest.mark.certifies("msssim", claim="MS-SSIM is that of torchmetrics at each scale")
def test_ms_ssim_is_the_weighted_product_of_what_torchmetrics_finds_at_each_scale():
    x, y = images(180, n=2)
    weights, expected = torch.tensor(SCALE_WEIGHTS) / sum(SCALE_WEIGHTS), 1.0
    for s, weight in enumerate(weights.double()):
        expected = expected * reference(x, y)[0 if s == 4 else 1] ** weight
        x, y = torch.nn.functional.avg_pool2d(x, 2), torch.nn.functional.avg_pool2d(y, 2)
    torch.testing.assert_close(ms_ssim(*images(180, n=2)), expected, rtol=1e-6, atol=1e-8)


def test_small_images_have_fewer_scales_and_narrower_windows():
    assert [n_scales(side) for side in (8, 11, 28, 44, 200)] == [1, 1, 2, 3, 5]
    assert [len(window(side)) for side in (4, 8, 11, 28)] == [3, 7, 11, 11]
    assert window(8).sum().item() == pytest.approx(1)


@pytest.mark.parametrize("side", [8, 28])
def test_ms_ssim_is_1_for_equal_images_and_less_for_others_and_has_a_gradient(side):
    x, y = images(side)
    torch.testing.assert_close(ms_ssim(x, x), torch.ones(4, dtype=torch.float64))
    y.requires_grad_()
    value = ms_ssim(x, y)
    assert (value < 1).all()
    value.sum().backward()
    assert y.grad.isfinite().all()
    assert (ms_ssim(x, (y + 0.001 * y.grad.sign()).detach()) > value).all()


@pytest.mark.certifies("logcosh", claim="log cosh is NumPy's")
def test_log_cosh_is_that_of_numpy_and_does_not_overflow():
    t = torch.linspace(-20, 20, 101, dtype=torch.float64)
    np.testing.assert_allclose(log_cosh(t), np.log(np.cosh(t.numpy())), atol=1e-12)
    assert log_cosh(torch.tensor([1e4, -1e4], dtype=torch.float64)).tolist() == pytest.approx(
        [1e4 - math.log(2)] * 2
    )


@pytest.mark.certifies(
    "logcosh", claim="the loss is λ error + KL, the error a sum over the entries that are there"
)
def test_logcosh_sums_over_the_entries_that_are_there():
    spec = Spec((1, 8, 8), latent=2, hidden=8, has_gaps=True)
    model, x = (
        logcosh(spec, weight=3.0, steepness=2.0).double(),
        torch.ones(5, 1, 8, 8, dtype=torch.float64),
    )
    x[0, :, :4] = math.nan
    torch.manual_seed(1)
    terms = model(x)
    torch.manual_seed(1)
    made = model.infer(x).px.mean[0]
    each = torch.where(x.isnan(), 0.0, (2 * (made - x.nan_to_num())).cosh().log() / 2)
    torch.testing.assert_close(terms["error"], each.sum((1, 2, 3)).mean())
    torch.testing.assert_close(terms["loss"], 3 * terms["error"] + terms["rate"])


def test_only_the_scale_of_the_likelihood_is_trained_by_the_density():
    torch.manual_seed(0)
    spec = Spec((4,), "normal", latent=2, hidden=8)
    model, x = logcosh(spec).double(), torch.randn(6, 4, dtype=torch.float64)
    torch.manual_seed(1)
    model(x)["loss"].backward()
    torch.manual_seed(1)
    trace = model.infer(x)
    error = 10 * log_cosh(trace.px.mean[0] - x).sum(1).mean() + trace.kl.mean()
    for name, p in model.named_parameters():
        own = -trace.log_px.mean() if "likelihood" in name else error
        torch.testing.assert_close(p.grad, torch.autograd.grad(own, p, retain_graph=True)[0])


@pytest.mark.parametrize("spec", [Spec((5,), "normal"), Spec((6, 3)), Spec((1, 8, 8), "normal")])
def test_ms_ssim_refuses_what_is_no_image_with_values_in_0_to_1(spec):
    with pytest.raises(Unsupported):
        msssim(spec)
