"""Small shapes rendered from five known factors, in the manner of dSprites (Matthey et al. 2017).

A factor's values are 0 … n-1. Every combination is rendered once: the grid is the data set, split
by a fixed seed.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ...core import Spec
from ...hooks import hookimpl, tags
from ..data import Card, Data, by_split
from ..splits import duplicates, shuffled

# square, ellipse, heart; angles of less than 90°
FACTORS = {
    "shape": 3,
    "scale": 4,
    "angle": 8,
    "x": 8,
    "y": 8,
}
SIDE = 32


@tags("image", "binary", "generated", "labelled", "factors")
def sprites() -> Data:
    """Squares, ellipses and hearts, 1×32×32, rendered from five factors; labelled by shape."""
    factors = torch.cartesian_prod(*map(torch.arange, FACTORS.values()))  # (6144, 5)
    # small pieces stay in the processor's cache
    images = torch.cat([render(some) for some in factors.split(64)])
    rows = shuffled(len(images), 768, 768, "sprites", labels=factors[:, 0])
    x = rows.of(images)
    return Data(
        name="sprites",
        spec=Spec(
            (1, SIDE, SIDE),
            "bernoulli",
            len(rows.train),
            classes=3,
            latent=8,
            hidden=256,
            network="conv",
        ),
        **by_split(x),
        card=Card(
            "Sprites",
            "rendered here, after L. Matthey et al. 2017, "
            "github.com/google-deepmind/dsprites-dataset",
            "MIT, as vaezoo",
            f"factors {', '.join(f'{name} ({n})' for name, n in FACTORS.items())}, "
            "each combination once; 4608/768/768 rows, stratified by shape, by a fixed seed",
            ("angles span 90° only, because a square turned by 90° is the same square",),
        ),
        labels=rows.of(factors[:, 0]),
        factors=rows.of(factors),
        budget={"epochs": 60, "patience": 10},
        split_hash=rows.sha256,
        duplicates=duplicates(x["train"], x["test"]),
    )


def render(factors: Tensor) -> Tensor:
    """Factor values (N, 5) -> images (N, 1, 32, 32) of 0 and 1: a pixel is 1 where its centre is
    inside the shape.
    """
    shape, scale, angle, x, y = factors.double().T[..., None, None]  # each (N, 1, 1)

    # the place of each pixel's centre in the shape's own coordinates, u and v (N, 32, 32)
    pixel = (torch.arange(SIDE, dtype=torch.float64) + 0.5) / SIDE * 2 - 1
    size = 0.24 + 0.06 * scale
    dx = pixel[None, None, :] - _place(x, "x")
    dy = pixel[None, :, None] - _place(y, "y")
    turn = math.pi / 2 * angle / FACTORS["angle"]
    u = (turn.cos() * dx + turn.sin() * dy) / size
    v = (turn.cos() * dy - turn.sin() * dx) / size

    curved = torch.where(shape == 1, _ellipse(u, v), _heart(u, v))
    inside = torch.where(shape == 0, _square(u, v), curved)
    return inside.float()[:, None]  # (N, 1, 32, 32)


def _place(value: Tensor, factor: str) -> Tensor:
    """The centre's coordinate, so that the largest shape stays in the picture."""
    return -0.4 + 0.8 * value / (FACTORS[factor] - 1)


def _square(u: Tensor, v: Tensor) -> Tensor:
    return (u.abs() <= 1) & (v.abs() <= 1)


def _ellipse(u: Tensor, v: Tensor) -> Tensor:
    return (u / 1.3).square() + (v / 0.7).square() <= 1


def _heart(u: Tensor, v: Tensor) -> Tensor:
    u = 1.1 * u
    v = -1.1 * v
    return (u * u + v * v - 1) ** 3 <= u * u * v**3


@hookimpl
def vaezoo_datasets() -> list[Callable[..., Data]]:
    return [sprites]
