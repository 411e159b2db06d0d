"""Images of a model as one PNG: a grid of them, each of a size that one can see."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

SEEN = 64  # pixels that an image has at least on its longer side
BEYOND = 0.25  # so far from [0, 1] a few values of images within it may come


def draw(out: Path, x: "Tensor", width: int = 8) -> None:
    """x (N, C, H, W) as a grid, `width` a row: of one channel grey, of three or four colours, else
    one grey image a channel, side by side.
    """
    from matplotlib import image

    shown = beside(in_unit(x.cpu().float()))
    times = max(1, math.ceil(SEEN / max(shown.shape[2:])))
    large = shown.repeat_interleave(times, 2).repeat_interleave(times, 3)
    rows = in_rows(large, width)  # (R, width, C, H, W)
    grid = rows.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)  # (R·H, width·W, C)
    colours = grid.expand(*grid.shape[:2], 3) if grid.shape[-1] == 1 else grid
    image.imsave(out, colours.numpy(), format="png")


def in_unit(x: "Tensor") -> "Tensor":
    """x in [0, 1]: as it is, cut, where nearly all of it is there, else by its own range."""
    low, high = (float(x.flatten().kthvalue(k)[0]) for k in _hundredths(x.numel()))
    if low >= -BEYOND and high <= 1 + BEYOND:
        return x.clamp(0, 1)
    lowest = x.min()
    return (x - lowest) / (x.max() - lowest).clamp_min(1e-12)


def _hundredths(n: int) -> tuple[int, int]:
    """Which of n sorted values, counted from 1, leave a hundredth below and above."""
    cut = n // 100
    return 1 + cut, n - cut


def beside(x: "Tensor") -> "Tensor":
    """(N, C, H, W) -> the same of 1, 3 or 4 channels, else (N, 1, H, C·W)."""
    if x.shape[1] in (1, 3, 4):
        return x
    return x.permute(0, 2, 1, 3).flatten(2)[:, None]  # (N, H, C·W)


def in_rows(x: "Tensor", width: int = 8) -> "Tensor":
    """(N, *shape) -> (⌈N/width⌉, width, *shape), the last row filled with zeros."""
    import torch

    gap = -len(x) % width
    return torch.cat([x, x.new_zeros(gap, *x.shape[1:])]).unflatten(0, (-1, width))
