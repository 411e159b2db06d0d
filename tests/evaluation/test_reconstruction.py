"""Errors of reconstructions against torchmetrics on the same images."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from vaezoo.distributions import at_centre
from vaezoo.evaluation import evaluate
from vaezoo.evaluation.context import Evaluation
from vaezoo.evaluation.metrics.reconstruction import psnr, reconstruction, ssim, window_for


@pytest.mark.parametrize(
    ("shape", "window"), [((1, 28, 28), 11), ((3, 16, 12), 11), ((1, 8, 8), 11), ((1, 5, 4), 7)]
)
def test_ssim_is_that_of_torchmetrics(shape: tuple[int, ...], window: int):
    assert window_for(shape) == window
    g = torch.Generator().manual_seed(0)
    x = torch.rand(6, *shape, generator=g, dtype=torch.float64)
    y = (x + 0.2 * torch.randn(x.shape, generator=g, dtype=torch.float64)).clamp(0, 1)
    # torchmetrics knows no smaller window than 11 for this sigma
    hand = _by_hand(x, y, window)
    theirs = (
        hand
        if window < 11
        else structural_similarity_index_measure(y, x, data_range=1.0, reduction="none")
    )
    if x.shape[1] == 1:
        torch.testing.assert_close(ssim(x, y, window), hand, rtol=0, atol=1e-10)
    torch.testing.assert_close(ssim(x, y, window), theirs, rtol=0, atol=1e-10)


def _by_hand(x: torch.Tensor, y: torch.Tensor, size: int) -> torch.Tensor:
    """The formula window by window, for one channel."""
    margin = size // 2
    x, y = (torch.nn.functional.pad(image, (margin,) * 4, mode="reflect") for image in (x, y))
    offset = torch.arange(size).double() - size // 2
    w = (-(offset[:, None] ** 2 + offset**2) / (2 * 1.5**2)).exp()
    w = w / w.sum()
    answers = []
    for a, b in zip(x[:, 0], y[:, 0], strict=True):
        local = []
        for i in range(a.shape[0] - size + 1):
            for j in range(a.shape[1] - size + 1):
                p, q = a[i : i + size, j : j + size], b[i : i + size, j : j + size]
                mp, mq = (w * p).sum(), (w * q).sum()
                vp, vq, cov = (
                    (w * (p - mp) ** 2).sum(),
                    (w * (q - mq) ** 2).sum(),
                    (w * (p - mp) * (q - mq)).sum(),
                )
                local.append(
                    (2 * mp * mq + 1e-4)
                    * (2 * cov + 9e-4)
                    / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4))
                )
        answers.append(torch.stack(local).mean())
    return torch.stack(answers)


def test_identical_images_have_similarity_one_and_infinite_ratio():
    x = torch.rand(2, 1, 20, 20)
    torch.testing.assert_close(ssim(x, x), torch.ones(2))
    assert psnr(0.0) == math.inf


def test_errors_are_those_of_the_mean_at_the_posteriors_centre(data, model, cache):
    answer = evaluate(model, data, cache=cache)
    with at_centre(), torch.no_grad():
        mean = model.infer(data.test).px.mean[0]
    assert answer["mse"] == pytest.approx(float((mean - data.test).square().mean()), rel=1e-5)
    assert answer["psnr"] == pytest.approx(
        float(peak_signal_noise_ratio(mean, data.test, data_range=1.0)), rel=1e-5
    )
    assert "ssim_window" not in answer.settings  # said only where it is not 11


def test_pixels_of_another_range_have_the_ratio_and_similarity_of_the_same_pictures(data, model):
    """A picture in other units, reconstructed as well, is as good: 3 x - 7 of the model's own x̂."""

    class Scaled(type(model)):
        def infer(self, x, c=None, k=1):
            trace = super().infer((x + 7) / 3, c, k)
            mean = 3 * trace.px.mean - 7
            return SimpleNamespace(px=SimpleNamespace(mean=mean))

    parts = {name: 3 * data.split(name) - 7 for name in ("train", "validation", "test")}
    spec = replace(data.spec, likelihood="normal")
    scaled = Scaled(model.encoder, model.decoder, model.prior, model.loss)
    ours = Evaluation(model, data)
    theirs = Evaluation(scaled, replace(data, spec=spec, **parts))
    theirs.is_conditional = False
    with torch.no_grad():
        plain = reconstruction(ours)
        other = reconstruction(theirs)
    assert other["mse"] == pytest.approx(9 * plain["mse"], rel=1e-5)
    assert other["psnr"] == pytest.approx(plain["psnr"], rel=1e-5)
    assert other["ssim"] == pytest.approx(plain["ssim"], rel=1e-5)
    assert theirs.settings["pixels"] == "-7 to -4"
    assert "pixels" not in ours.settings
