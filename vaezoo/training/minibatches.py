"""Minibatches: the splits on the device, and the order in which rows are drawn from them."""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor

from ..data.data import Data
from ..networks import step_mask
from ..seeds import generator_for


class Minibatches:
    """The splits on the device, and the order in which minibatches are drawn from them.

    A minibatch of padded sequences is cut to its own longest row: padding changes no result, only
    the time it takes.
    """

    def __init__(
        self,
        data: Data,
        batch: int,
        seed: int,
        device: torch.device | str,
        pool: int = 1,
        steps: int = 0,
    ) -> None:
        self.data = data
        self.batch = min(batch, len(data.train))
        self.pool = pool
        self.steps = steps
        # on the CPU: no transfer a step
        self.lengths = {name: _lengths(data, name) for name in ("train", "validation")}
        self.x = {name: data.split(name).to(device) for name in ("train", "validation")}
        self.conditions = {
            name: _to(data.condition(name), device) for name in ("train", "validation")
        }
        self._begin(seed)

    def _begin(self, seed: int) -> None:
        device = self.x["train"].device
        self.order = generator_for("order", self.data.identity, seed)
        self.pixels = generator_for("pixels", self.data.identity, seed)
        if device.type != "cpu":
            self.pixels = torch.Generator(device).manual_seed(self.pixels.initial_seed())

    def of_seed(self, seed: int) -> "Minibatches":
        """The same rows, which lie on the device once, in the order of another seed."""
        other = copy.copy(self)
        other._begin(seed)
        return other

    @property
    def batches(self) -> int:
        """Minibatches of an epoch."""
        return self.steps or len(self.data.train) // self.batch

    def minibatches(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        """One epoch in a new order, rows that do not fill a batch left for another epoch; with
        `steps`, so many minibatches of as many passes as they take, each in an order of its own.
        """
        order = self._order()
        while len(order) < self.steps:
            order += self._order()
        for rows in order[: self.batches]:
            x, c = self._rows("train", rows)
            yield self.data.binarised(x, self.pixels), c

    def _order(self) -> list[Tensor]:
        """The rows of each minibatch; of `pool` minibatches at a time, the first gets the shortest
        sequences, and so on.
        """
        n = len(self.data.train)
        lengths = self.lengths["train"]
        order = torch.randperm(n, generator=self.order)[: n // self.batch * self.batch]
        if lengths is None or self.pool == 1:
            return list(order.split(self.batch))
        pools = [
            part[lengths[part].argsort(stable=True)] for part in order.split(self.pool * self.batch)
        ]
        batches = [rows for part in pools for rows in part.split(self.batch)]
        return [batches[i] for i in torch.randperm(len(batches), generator=self.order)]

    def in_order(self, split: str, size: int = 1000) -> Iterator[tuple[Tensor, Tensor | None]]:
        for rows in torch.arange(len(self.x[split])).split(size):
            yield self._rows(split, rows)

    def _rows(self, split: str, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        lengths = self.lengths[split]
        c = self.conditions[split]
        here = rows.to(self.x[split].device)
        x = (
            self.x[split][here]
            if lengths is None
            else self.x[split][:, : int(lengths[rows].max())][here]
        )
        return x, None if c is None else c[here]

    def seen_train(self) -> Tensor:
        """The training split as a model sees it, binarised once where it is dynamic."""
        return self.data.binarised(self.x["train"], self.pixels)


def _lengths(data: Data, split: str) -> Tensor | None:
    """The steps of each row, (N,), one at least; None where no row is padded."""
    if not (data.spec.is_sequence and data.spec.has_gaps):
        return None
    return step_mask(data.split(split)).sum(1).clamp_min(1)


def _to(x: Tensor | None, device: torch.device | str) -> Tensor | None:
    return None if x is None else x.to(device)
