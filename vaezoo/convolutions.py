"""Networks for images: `conv`, two convolutions either way, and `resnet`, which a GPU is for."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .bodies import Activation, Bias, Init, Sized, Width
from .core import Spec, Unsupported
from .gru import on_plain_cpu
from .hooks import Part, Parts, hookimpl
from .hyperparameters import Count
from .likelihoods import numbers_of
from .parts import register
from .steps import without_gaps

__all__ = ["Conv", "ResNet"]

FEW = 3  # channels of a picture up to which torch's own transposed convolution is slow


class Conv(Sized):
    """Two convolutions of stride 2 and their mirror image, for images of 8×8 and more."""

    def reader(self, spec: Spec) -> nn.Module:
        return _ReadConv(spec, self)

    def writer(self, spec: Spec) -> nn.Module:
        return _WriteConv(spec, self)


class ResNet(Sized):
    """Residual blocks at full, half and quarter size, for images such as 28×28 and 32×32.

    A block is h + conv(act(conv(act(h)))), the activations before the convolutions (He et al. 2016,
    arXiv:1603.05027), without normalisation over the batch, so that rows stay apart.
    """

    def __init__(
        self,
        channels: Count = 64,
        blocks: Count = 2,
        width: Width = 0,
        activation: Activation = "silu",
        init: Init = "torch",
        bias: Bias = "torch",
    ) -> None:
        super().__init__(width, activation, False, init, bias)
        self.channels = channels
        self.blocks = blocks

    def reader(self, spec: Spec) -> nn.Module:
        return _ReadResidual(spec, self)

    def writer(self, spec: Spec) -> nn.Module:
        return _WriteResidual(spec, self)

    def residual(self) -> nn.Sequential:
        """The blocks at one size."""
        return nn.Sequential(*[_Block(self.channels, self) for _ in range(self.blocks)])


class _Block(nn.Module):
    """(B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int, sizes: Sized) -> None:
        super().__init__()
        self.net = nn.Sequential(
            sizes.act(),
            nn.Conv2d(channels, channels, 3, padding=1),
            sizes.act(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, h: Tensor) -> Tensor:
        return h + self.net(h)


class _ReadResidual(nn.Module):
    """(B, C, H, W) -> (B, width)."""

    def __init__(self, spec: Spec, sizes: ResNet) -> None:
        super().__init__()
        self.spec = spec
        channels, height, width = image_shape(spec, "resnet")
        c = sizes.channels
        self.net = nn.Sequential(
            nn.Conv2d(channels, c, 3, padding=1),
            sizes.residual(),
            nn.Conv2d(c, c, 4, 2, 1),  # half the size
            sizes.residual(),
            nn.Conv2d(c, c, 4, 2, 1),  # a quarter
            sizes.residual(),
            sizes.act(),
            nn.Flatten(),
            sizes.layer(c * (height // 4) * (width // 4), sizes.width_of(spec)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(without_gaps(x, self.spec))


class _ReadConv(nn.Module):
    """(B, C, H, W) -> (B, width), by two convolutions of stride 2."""

    def __init__(self, spec: Spec, sizes: Sized) -> None:
        super().__init__()
        self.spec = spec
        channels, height, width = image_shape(spec, "conv")
        self.net = nn.Sequential(
            nn.Conv2d(channels, 16, 4, 2, 1),
            sizes.act(),
            nn.Conv2d(16, 32, 4, 2, 1),
            sizes.act(),
            nn.Flatten(),
            sizes.layer(32 * (height // 4) * (width // 4), sizes.width_of(spec)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(without_gaps(x, self.spec))


class Doubling(nn.ConvTranspose2d):
    """(N, C, H, W) -> (N, O, 2 H, 2 W), and a pixel more of a side that has output padding.

    Without gradients on a CPU the same numbers to rounding in less time, for importance sampling
    decodes a million times. With gradients it is torch's own, to the bit.
    """

    def __init__(self, channels: int, out: int, output_padding: tuple[int, int] = (0, 0)) -> None:
        super().__init__(channels, out, 4, 2, 1, output_padding=output_padding)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        if torch.is_grad_enabled() or not on_plain_cpu(x):
            return super().forward(x, output_size)
        if self.out_channels <= FEW:
            return self.by_phases(x)
        return super().forward(x.contiguous(memory_format=torch.channels_last), output_size)

    def by_phases(self, x: Tensor) -> Tensor:
        """Pixels of even and odd places read 2×2 pixels of x each: four convolutions in one."""
        taps = self.weight.flip(2, 3).unflatten(3, (2, 2)).unflatten(2, (2, 2))
        taps = taps.permute(1, 3, 5, 0, 2, 4)  # (C, O, 2, p, 2, q) -> (O, p, q, C, 2, 2)
        found = F.conv2d(x, taps.flatten(0, 2), padding=1).unflatten(1, taps.shape[:3])
        sides = (
            2 * side + more for side, more in zip(x.shape[2:], self.output_padding, strict=True)
        )
        out = x.new_empty(len(x), self.out_channels, *sides)
        for p in (0, 1):
            for q in (0, 1):
                into = out[:, :, p::2, q::2]
                into.copy_(found[:, :, p, q, p : p + into.shape[2], q : q + into.shape[3]])
        return out.add_(cast(Tensor, self.bias)[:, None, None])


class _WriteImage(nn.Module):
    """(K, B, width) -> raw (K, B, C, H, W[, n]), by a `net` of its own."""

    net: nn.Sequential

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.numbers = numbers_of(spec)

    @torch.no_grad()
    def start_at(self, raw: Tensor) -> None:
        """The bias of each channel becomes its mean of these raw numbers, (C, H, W[, n])."""
        cast(Tensor, self.net[-1].bias).copy_(raw.mean((1, 2)).flatten())

    def forward(self, h: Tensor) -> Tensor:
        raw = self.net(h.flatten(0, 1)).unflatten(0, h.shape[:2])  # (K, B, C·n, H, W)
        return raw if self.numbers == 1 else raw.unflatten(2, (-1, self.numbers)).movedim(3, -1)


class _WriteConv(_WriteImage):
    """(K, B, width) -> raw (K, B, C, H, W[, n]), the mirror image of `_ReadConv`."""

    def __init__(self, spec: Spec, sizes: Sized) -> None:
        super().__init__(spec)
        channels, height, width = image_shape(spec, "conv")
        small = (32, height // 4, width // 4)
        halves = (height // 2 % 2, width // 2 % 2)
        wholes = (height % 2, width % 2)
        self.net = nn.Sequential(
            nn.Linear(sizes.width_of(spec), torch.Size(small).numel()),
            sizes.act(),
            nn.Unflatten(1, small),
            Doubling(32, 16, halves),
            sizes.act(),
            Doubling(16, channels * self.numbers, wholes),
        )


class _WriteResidual(_WriteImage):
    """(K, B, width) -> raw (K, B, C, H, W[, n]), the mirror image of `_ReadResidual`."""

    def __init__(self, spec: Spec, sizes: ResNet) -> None:
        super().__init__(spec)
        channels, height, width = image_shape(spec, "resnet")
        c = sizes.channels
        small = (c, height // 4, width // 4)

        # a pixel that halving an odd side lost comes back as output padding
        halves = (height // 2 % 2, width // 2 % 2)
        wholes = (height % 2, width % 2)
        self.net = nn.Sequential(
            nn.Linear(sizes.width_of(spec), torch.Size(small).numel()),
            nn.Unflatten(1, small),
            sizes.residual(),
            nn.ConvTranspose2d(c, c, 4, 2, 1, output_padding=halves),
            sizes.residual(),
            nn.ConvTranspose2d(c, c, 4, 2, 1, output_padding=wholes),
            sizes.residual(),
            sizes.act(),
            nn.Conv2d(c, channels * self.numbers, 3, padding=1),
        )


def image_shape(spec: Spec, who: str) -> tuple[int, int, int]:
    """(C, H, W).

    Raises: Unsupported where the data are no images of 8×8 or more.
    """
    if not spec.is_image or min(spec.shape[1:]) < 8:
        raise Unsupported(
            f"network={who} needs images of 8×8 or more; this data has shape {spec.shape}"
        )
    channels, height, width = spec.shape
    return channels, height, width


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("conv", Conv), Part("resnet", ResNet)]


for _part in vaezoo_parts():
    register("network", _part.name, _part.build)
