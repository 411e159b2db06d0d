"""newcomer: a network; say here in one sentence what is new."""

import torch
from torch import Tensor, nn

from vaezoo.bodies import Network, raw_shape
from vaezoo.core import Spec
from vaezoo.hooks import Part, Parts, hookimpl


class Reader(nn.Module):
    """(B, *shape) -> (B, hidden)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.net = nn.Linear(spec.size, spec.hidden)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.flatten(1))


class Writer(nn.Module):
    """(K, B, hidden) -> raw (K, B, *shape[, n])."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.shape = raw_shape(spec)
        self.net = nn.Linear(spec.hidden, torch.Size(self.shape).numel())

    def forward(self, h: Tensor) -> Tensor:
        return self.net(h).unflatten(-1, self.shape)


class Newcomer(Network):
    """One layer either way. Put your layers here."""

    def reader(self, spec: Spec) -> nn.Module:
        return Reader(spec)

    def writer(self, spec: Spec) -> nn.Module:
        return Writer(spec)


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("newcomer", Newcomer)]
