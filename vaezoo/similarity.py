"""Structural similarity of images (Wang, Bovik, Sheikh & Simoncelli 2004), for values in [0, 1]."""

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["SIGMA", "WINDOW", "gaussian_window", "similarities"]

WINDOW = 11
SIGMA = 1.5  # Wang et al. 2004, §III-C
C1 = 0.01**2
C2 = 0.03**2  # for a data range of 1


def gaussian_window(size: int, sigma: float = SIGMA) -> Tensor:
    """(size,), float64, sums to 1: the window is its outer product with itself."""
    offset = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    line = (-offset.square() / (2 * sigma**2)).exp()
    return line / line.sum()


def sliding(window: Tensor, side: int) -> Tensor:
    """(side - size + 1, side): the window (size,) at each of its places along a side."""
    free = side - len(window)
    return F.pad(window, (free, free)).unfold(0, side, 1).flip(0)


def similarities(x: Tensor, y: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
    """(B, C, H, W) twice -> SSIM (eq. 13), and its factor of contrast and structure: (B,) each.

    Both are means over channels and the windows that lie inside the image; who wants one for every
    pixel mirrors the image first.
    """
    down, along = (sliding(window.to(x), side) for side in x.shape[2:])
    stacked = torch.cat([x, y, x * x, y * y, x * y])
    means = down @ stacked @ along.mT

    # means, variances and covariance inside every window
    mx, my, xx, yy, xy = means.chunk(5)
    vx = xx - mx * mx
    vy = yy - my * my
    covariance = xy - mx * my

    structure = (2 * covariance + C2) / (vx + vy + C2)
    ssim = (2 * mx * my + C1) / (mx * mx + my * my + C1) * structure
    return ssim.flatten(1).mean(1), structure.flatten(1).mean(1)  # (B, C, H, W) -> (B,)
