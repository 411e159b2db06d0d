"""Networks for images: `conv`, two convolutions either way, and `resnet`, which a GPU is for."""

from typing import cast

import torch
from torch import Tensor, nn

from .bodies import Activation, Bias, Init, Sized, Width
from .core import Spec, Unsupported
from .hooks import Part, Parts, hookimpl
from .hyperparameters import Count
from .likelihoods import numbers_of
from .parts import register
from .steps import without_gaps

__all__ = ["Conv", "ResNet"]

FEW = 3  # channels of a picture up to which sums of products are faster than torch's own
PIECE = 2**20  # numbers of products that are in memory at a time


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


class ToPicture(nn.ConvTranspose2d):
    """(N, C, H, W) -> (N, O, 2 H, 2 W), and a pixel more of a side that has output padding.

    Of few channels and without gradients, on a CPU, the same numbers to rounding in a quarter of
    the time, for importance sampling decodes a million times. With gradients it is torch's own.
    """

    def __init__(self, channels: int, out: int, output_padding: tuple[int, int] = (0, 0)) -> None:
        super().__init__(channels, out, 4, 2, 1, output_padding=output_padding)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        is_plain = x.device.type == "cpu" and not torch.is_grad_enabled()
        if is_plain and self.out_channels <= FEW:
            return self.by_product(x)
        return super().forward(x, output_size)

    def by_product(self, x: Tensor) -> Tensor:
        """One matrix product gives what every pixel adds to the 4×4 around its place; these are
        then added up. torch's own is made for many channels.
        """
        x = x.permute(1, 2, 3, 0)  # (C, H, W, N): the sums run over many rows at once
        channels, height, width, rows = x.shape
        weight = self.weight.flatten(1).T  # (O·4·4, C)
        tall = 2 * height + self.output_padding[0]
        wide = 2 * width + self.output_padding[1]
        out = x.new_empty(self.out_channels, tall, wide, rows)

        size = max(16, PIECE // (len(weight) * height * width))
        for some, into in zip(x.split(size, -1), out.split(size, -1), strict=True):
            taps = weight @ some.reshape(channels, -1)
            taps = taps.view(-1, 4, 4, height, width, some.shape[-1])
            lines = overlapped(taps.transpose(2, 3))  # (O, 2 H + 2, 4, W, n)
            whole = overlapped(lines.flatten(0, 1)).unflatten(0, lines.shape[:2])
            torch.add(whole[:, 1 : 1 + tall, 1 : 1 + wide], self._shift, out=into)
        return out.permute(3, 0, 1, 2).contiguous()

    @property
    def _shift(self) -> Tensor:
        """The bias, (O, 1, 1, 1)."""
        return cast(Tensor, self.bias)[:, None, None, None]


def overlapped(taps: Tensor) -> Tensor:
    """(M, 4, L, …) -> (M, 2 L + 2, …): the sum of L fours, each two places after the one before."""
    near, far = taps.unflatten(1, (2, 2)).transpose(2, 3).unbind(1)  # (M, L, 2, …)
    length = taps.shape[2]
    pairs = taps.new_empty(len(taps), length + 1, 2, *taps.shape[3:])
    pairs[:, :length] = near
    pairs[:, length] = 0
    pairs[:, 1:] += far
    return pairs.flatten(1, 2)


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
            nn.ConvTranspose2d(32, 16, 4, 2, 1, output_padding=halves),
            sizes.act(),
            ToPicture(16, channels * self.numbers, wholes),
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
