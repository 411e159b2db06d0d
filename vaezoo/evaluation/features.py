"""The features in which samples are compared: a small classifier, trained once per data set by a
fixed recipe and seed.

Its weights are hashed, and the hash goes beside the numbers: rows are comparable when it is the
same. Data without labels get the same network as it is before training. Features are the layer
before the last, float64, `WIDTH` of them, each with mean 0 and deviation 1 over the training split.

What is expensive is kept in one file a data set: many processes may share the folder, and a damaged
file is made anew.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..core import Spec
from ..data import sealed
from ..data.data import Data
from ..networks import step_mask
from ..seeds import generator_for, seeded
from ..training.adam import FlatAdam
from .batches import batches
from .entries import VERSION, Entries, cached, entries_of, folder_of, one_thread

WIDTH = 32
HIDDEN = 64
STEPS = 800
BATCH = 128
RATE = 2e-3


class Network(nn.Module):
    """x (B, *shape) -> features (B, WIDTH). NaN reads as 0; a sequence's features read the mean
    state of its GRU.
    """

    mean: Tensor
    scale: Tensor
    centre: Tensor
    spread: Tensor

    def __init__(self, spec: Spec, entries: Entries) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("mean", entries.mean.clone())
        self.register_buffer("scale", entries.deviation.clamp_min(1e-6))
        self.body, width = _body(spec)
        self.out = nn.Linear(width, WIDTH)
        self.register_buffer("centre", torch.zeros(WIDTH))
        self.register_buffer("spread", torch.ones(WIDTH))

    @torch.no_grad()
    def standardise(self, train: Tensor) -> None:
        """From here on every feature has mean 0 and deviation 1 over the training split."""
        features = torch.cat([self(piece) for piece, _ in batches(train, None, 1000)])
        self.centre.copy_(features.mean(0))
        self.spread.copy_(features.std(0).clamp_min(1e-6))

    def forward(self, x: Tensor) -> Tensor:
        return (torch.tanh(self.out(self._read(x))) - self.centre) / self.spread

    def _read(self, x: Tensor) -> Tensor:
        seen = ~x.isnan()
        filled = torch.where(seen, (x - self.mean) / self.scale, 0.0)
        if not self.spec.is_sequence:
            return self.body(filled)
        states, _ = self.body(filled)
        there = step_mask(x)[..., None]
        return torch.where(there, states, 0.0).sum(1) / there.sum(1).clamp_min(1)


def _body(spec: Spec) -> tuple[nn.Module, int]:
    if spec.is_sequence:
        return nn.GRU(spec.shape[1], HIDDEN, batch_first=True), HIDDEN
    if spec.is_image and min(spec.shape[1:]) >= 8:
        channels, height, width = spec.shape
        convolutions = (
            nn.Conv2d(channels, 16, 4, 2, 1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 4, 2, 1),
            nn.ReLU(),
            nn.Flatten(),
        )
        return nn.Sequential(*convolutions), 32 * (height // 4) * (width // 4)

    return nn.Sequential(nn.Flatten(), nn.Linear(spec.size, 2 * HIDDEN), nn.ReLU()), 2 * HIDDEN


@dataclass(eq=False)
class Extractor:
    """A network in which samples are compared, and the real data's features."""

    network: Network
    data: Data
    folder: Path
    trained: bool

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the weights."""
        return sealed.digest(self.network.state_dict())

    @property
    def words(self) -> str:
        """What it is, for a table's header."""
        return "classifier" if self.trained else "random network"

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """(N, *shape) -> (N, WIDTH), float64 on the CPU."""
        size = max(1, 2**20 // self.data.spec.size)
        return torch.cat(
            [self.network(piece.cpu()) for piece, _ in batches(x, None, size)]
        ).double()

    def real(self, split: str) -> Tensor:
        """The features of a split, as a model's samples are compared with them: computed once, and
        by later processes mapped into memory from the cache. Nobody changes them.
        """
        if split not in self._real:
            path = self.folder / f"{split}-{self.hash[:16]}.safetensors"
            found = cached(path, lambda: {"features": self(as_seen(self.data, split))})
            self._real[split] = found["features"]
        return self._real[split]

    @cached_property
    def _real(self) -> dict[str, Tensor]:
        """Those of `real` that were asked for: to read them is to hash them."""
        return {}


def extractor_for(data: Data, cache: Path | None = None, trained: bool = True) -> Extractor:
    """The extractor of a data set: a classifier where there are labels, else (or unless `trained`)
    a random network.
    """
    trained = trained and bool(data.labels)
    folder = folder_of(data, cache)
    entries = entries_of(data, cache)
    with one_thread():
        with seeded("extractor", VERSION, folder.name):
            network = Network(data.spec, entries)
        name = "classifier" if trained else "random"
        weights = cached(folder / f"{name}.safetensors", lambda: _made(network, data, trained))
        network.load_state_dict(weights)
    return Extractor(network.eval(), data, folder, trained)


def as_seen(data: Data, split: str) -> Tensor:
    """A split as samples are compared with it: binarised once where the data is dynamic."""
    x = data.split(split)
    return (
        data.binarised(x, generator_for("features", data.identity, split))
        if split == "train"
        else x
    )


def _made(network: Network, data: Data, trained: bool) -> dict[str, Tensor]:
    if trained:
        _train(network, data)
    network.standardise(as_seen(data, "train"))
    return {name: value.detach() for name, value in network.state_dict().items()}


def _train(network: Network, data: Data) -> None:
    """`STEPS` steps of Adam on the labels of the training split."""
    with seeded("classifier", VERSION, folder_of(data).name):
        head = nn.Linear(WIDTH, data.spec.classes)
        x = as_seen(data, "train")
        y = data.labels["train"]
        if data.spec.unlabelled:
            x = x[y >= 0]
            y = y[y >= 0]
        parameters = [*network.parameters(), *head.parameters()]
        adam = FlatAdam(parameters, [RATE] * len(parameters))

        with torch.enable_grad():
            for _ in range(STEPS):
                rows = torch.randint(len(x), (min(BATCH, len(x)),))
                loss = F.cross_entropy(head(network(x[rows])), y[rows])
                for parameter in parameters:
                    parameter.grad = None
                loss.backward()
                adam.step()
