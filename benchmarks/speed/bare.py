"""The VAE and the training loop that one would write by hand: the same layers as `vae` has, no
distributions, no trace, no look at a loss while it trains.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaezoo.core import Spec

BATCH = 128
RATE = 1e-3


class Bare(nn.Module):
    """-ELBO of a batch: Bernoulli pixels, a diagonal Gaussian q."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        read, write = _conv(spec) if spec.network == "conv" else _mlp(spec)
        self.read = nn.Sequential(*read, nn.SiLU(), nn.Linear(spec.hidden, 2 * spec.latent))
        self.write = nn.Sequential(nn.Linear(spec.latent, spec.hidden), nn.SiLU(), *write)

    def forward(self, x: Tensor) -> Tensor:
        loc, raw = self.read(x).chunk(2, -1)
        scale = F.softplus(raw) + 1e-3
        logits = self.write(loc + scale * torch.randn_like(loc))
        kl = 0.5 * (scale.square() + loc.square() - 1 - 2 * scale.log()).sum()
        return (F.binary_cross_entropy_with_logits(logits, x, reduction="sum") + kl) / len(x)


def _mlp(spec: Spec) -> tuple[list[nn.Module], list[nn.Module]]:
    d = spec.size
    h = spec.hidden
    read = [nn.Flatten(), nn.Linear(d, h), nn.SiLU(), nn.Linear(h, h)]
    write = [nn.Linear(h, h), nn.SiLU(), nn.Linear(h, d), nn.Unflatten(1, spec.shape)]
    return read, write


def _conv(spec: Spec) -> tuple[list[nn.Module], list[nn.Module]]:
    h = spec.hidden
    _, height, width = spec.shape
    small = 32, height // 4, width // 4
    flat = torch.Size(small).numel()
    read = [nn.Conv2d(1, 16, 4, 2, 1), nn.SiLU(), nn.Conv2d(16, 32, 4, 2, 1), nn.SiLU()]
    read += [nn.Flatten(), nn.Linear(flat, h), nn.SiLU(), nn.Linear(h, h)]
    write = [nn.Linear(h, flat), nn.SiLU(), nn.Unflatten(1, small)]
    write += [nn.ConvTranspose2d(32, 16, 4, 2, 1), nn.SiLU(), nn.ConvTranspose2d(16, 1, 4, 2, 1)]
    return read, write


def train(spec: Spec, x: Tensor, epochs: int, fused: bool = False, bf16: bool = False) -> None:
    """Trains a new model; `fused` is Adam's, `bf16` an autocast of the forward pass."""
    model = Bare(spec)
    optimiser = torch.optim.Adam(model.parameters(), RATE, fused=fused)
    for _ in range(epochs):
        for rows in torch.randperm(len(x))[: len(x) // BATCH * BATCH].split(BATCH):
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = model(x[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
