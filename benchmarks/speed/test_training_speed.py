"""One epoch of our trainer beside a bare hand-written loop over the same model, data and batch
size.

Run with `make speed`. A claim is the ratio of two medians of one run: ours divided by the bare
loop's.
"""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaezoo.core import VAE, Spec
from vaezoo.data.data import Card, Data
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write
from vaezoo.training.training import fit

torch.set_num_threads(1)
SIZES = {
    "digits": Spec((1, 8, 8), n_train=1200, latent=8, hidden=128),
    "mnist": Spec((1, 28, 28), n_train=10_000, latent=16, hidden=512),
}
EPOCHS = {"digits": 10, "mnist": 1}


def rows(spec: Spec) -> Tensor:
    return torch.rand(spec.n_train, *spec.shape, generator=torch.Generator().manual_seed(0)).round()


class Bare(nn.Module):
    """The VAE one would write by hand: the same layers, no distributions, no trace."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        d = spec.size
        h = spec.hidden
        z = spec.latent
        self.read = nn.Sequential(
            nn.Linear(d, h), nn.SiLU(), nn.Linear(h, h), nn.SiLU(), nn.Linear(h, 2 * z)
        )
        self.write = nn.Sequential(
            nn.Linear(z, h), nn.SiLU(), nn.Linear(h, h), nn.SiLU(), nn.Linear(h, d)
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        loc, raw = self.read(x).chunk(2, -1)
        scale = F.softplus(raw) + 1e-3
        logits = self.write(loc + scale * torch.randn_like(loc))
        kl = 0.5 * (scale.square() + loc.square() - 1 - 2 * scale.log()).sum()
        return (F.binary_cross_entropy_with_logits(logits, x, reduction="sum") + kl) / len(x)


def bare_loop(spec: Spec, x: Tensor, epochs: int) -> None:
    model = Bare(spec)
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    flat = x.flatten(1)
    for _ in range(epochs):
        for i in torch.randperm(len(x))[: len(x) // 128 * 128].split(128):
            loss = model(flat[i])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            loss.item()


def ours(spec: Spec, data: Data, epochs: int) -> None:
    fit(
        VAE(Gaussian(spec), Write(spec), StandardNormal(spec), ELBO()),
        data,
        epochs=epochs,
        batch=128,
    )


@pytest.mark.parametrize("size", list(SIZES))
@pytest.mark.parametrize("who", ["bare", "vaezoo"])
def test_an_epoch(benchmark, size, who):
    spec = SIZES[size]
    epochs = EPOCHS[size]
    benchmark.group = f"{epochs} epochs of {size}"
    x = rows(spec)
    data = Data(size, spec, x, x[:128], x[:1], Card("noise", "made here", "none", "none"))
    run = (
        (lambda: bare_loop(spec, x, epochs))
        if who == "bare"
        else (lambda: ours(spec, data, epochs))
    )
    benchmark.pedantic(run, rounds=7, warmup_rounds=1)
