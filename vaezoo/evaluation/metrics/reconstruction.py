"""Errors of the reconstruction: the mean of p(x|z) at the centre of q(z|x). Missing entries and
padding do not count.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from ...hooks import Column, Metric, Table, hookimpl
from ...row_mean import RowMean
from ...similarity import WINDOW, gaussian_window, similarities
from ..context import Evaluation
from ..entries import Entries, entries_of


def ssim(x: Tensor, y: Tensor, size: int = WINDOW) -> Tensor:
    """(B,): structural similarity of images (B, C, H, W) in [0, 1] (Wang et al. 2004, eq. 13).

    One window a pixel, the image mirrored at its edges, as torchmetrics has it; Wang et al. keep to
    windows inside.
    """
    margin = size // 2
    x, y = (F.pad(image, (margin,) * 4, mode="reflect") for image in (x, y))
    return similarities(x, y, gaussian_window(size))[0]


def window_for(shape: tuple[int, ...]) -> int:
    """11, or the largest odd size whose margin an image of this shape can mirror."""
    return min(WINDOW, 2 * min(shape[-2:]) - 1)


def psnr(mse: float, extent: float = 1.0) -> float:
    """Decibels, for values that extend over so much."""
    return 20 * math.log10(extent) - 10 * math.log10(mse) if mse > 0 else math.inf


def range_of(entries: Entries) -> tuple[float, float]:
    """Between which values pixels lie: 0 and 1 where all do, else the smallest and the largest of
    the training split.
    """
    low, high = float(entries.low), float(entries.high)
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)


def reconstruction(evaluation: Evaluation) -> Mapping[str, float]:
    """Squared error, peak signal-to-noise ratio and structural similarity of reconstructions."""
    evaluation.say_given_label("reconstruction_is")
    image = evaluation.data.spec.is_image
    low, high = range_of(entries_of(evaluation.data, evaluation.cache))
    extent = high - low or 1.0
    size = window_for(evaluation.data.spec.shape) if image else 0
    error, similarity = _means(evaluation, low, extent, size)

    answer = {"mse": error}
    why = "not an image" if not image else "all pixels are equal" if high == low else ""
    if why:
        evaluation.say("psnr", why)
        evaluation.say("ssim", why)
        return answer
    if (low, high) != (0.0, 1.0):
        evaluation.settings["pixels"] = f"{low:g} to {high:g}"
    if size != WINDOW:
        evaluation.settings["ssim_window"] = size
    if not error:
        evaluation.say("psnr", "every reconstruction is exact")
    return answer | {"psnr": psnr(answer["mse"], extent), "ssim": similarity}


def _means(evaluation: Evaluation, low: float, extent: float, size: int) -> tuple[RowMean, float]:
    """Squared error over what is seen, and structural similarity over rows (size 0: of none)."""
    errors = []
    counts = []
    similarity = 0.0
    for x, mean in evaluation.reconstructions():
        seen = ~x.isnan()
        x = torch.where(seen, x, mean).double()
        errors.append((x - mean).square().flatten(1).sum(1))
        counts.append(seen.flatten(1).sum(1))
        if size:
            scaled = (x - low) / extent, (mean.double() - low) / extent
            similarity += float(ssim(*scaled, size=size).sum())
    return RowMean(torch.cat(errors), torch.cat(counts)), similarity / len(evaluation.x)


@hookimpl
def vaezoo_metrics() -> list[Metric]:
    columns = (
        Column("mse", "", "lower", digits=4, lead=1, panel=True, low=0),
        Column("psnr", "dB", "higher", lead=2),
        Column("ssim", "", "higher", digits=3, lead=3, low=-1, high=1),
    )
    table = Table("reconstruction", order=2, always=True, apart="reconstruction_is")
    return [Metric("reconstruction", columns, reconstruction, table, rests_on="px")]
