"""Each place of a stack draws from a generator of its own, what its seed draws alone.

`torch.func.vmap` with randomness="different" hands torch one operation with the places as its first
axis, and one generator draws for all of them. `OwnDraws` stands below vmap, where every operation
is seen as it will be run, and has each random one done place by place.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ...core import Unsupported

aten = torch.ops.aten
Fill = Callable[..., Tensor]
# What takes no generator in torch's schema: how many arguments go before the size, or the tensor
# that the draw is like, and what fills an empty tensor in its place.
FILLS: dict[Any, tuple[int, Fill]] = {
    aten.randn.default: (0, Tensor.normal_),
    aten.randn_like.default: (0, Tensor.normal_),
    aten.rand.default: (0, Tensor.uniform_),
    aten.rand_like.default: (0, Tensor.uniform_),
    aten.randint.default: (1, lambda row, high, **more: row.random_(0, high, **more)),
    aten.randint.low: (2, Tensor.random_),
}


class OwnDraws(TorchDispatchMode):
    """Inside the block place s draws from `generators[s]`."""

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        super().__init__()
        self.generators = generators
        self.turn = 0  # of draws that vmap asks for place by place

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        if func in FILLS:
            return self._filled(func, args, kwargs)
        if func in (aten.randperm.default, aten.randperm.generator):
            return self._in_turn(args, kwargs)
        if not any(argument.name == "generator" for argument in func._schema.arguments):
            raise Unsupported(f"it draws by {func}, which takes no generator")
        return self._by_place(func, args, kwargs)

    def _filled(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        before, fill = FILLS[func]
        like = args[before]
        is_whole = {"dtype": torch.int64} if before else {}
        if isinstance(like, Tensor):
            out = torch.empty_like(like, **kwargs)
        else:
            out = torch.empty(like, **is_whole | kwargs)
        self._must_be_stacked(out, func)
        for row, generator in zip(out, self.generators, strict=True):
            fill(row, *args[:before], generator=generator)
        return out

    def _in_turn(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        """A permutation: vmap asks for one a place, the places in order."""
        generator = self.generators[self.turn % len(self.generators)]
        self.turn += 1
        return torch.randperm(*args, **kwargs | {"generator": generator})

    def _by_place(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        first = args[0]
        if not isinstance(first, Tensor):
            raise Unsupported(f"it draws by {func}, which is not stacked")
        # Rows of `multinomial` come with the places: (S·B, classes).
        width = self._must_be_stacked(first, func)
        found = []
        for s, generator in enumerate(self.generators):
            own = [self._own(value, s, width) for value in args]
            found.append(func(*own, **kwargs | {"generator": generator}))
        if func._schema.is_mutable:
            return first
        return torch.stack(found) if width == 1 else torch.cat(found)

    def _own(self, value: Any, s: int, width: int) -> Any:
        """What place s has of an argument; all of it where it is one number."""
        if not isinstance(value, Tensor) or not value.dim():
            return value
        return value[s] if width == 1 else value[s * width : (s + 1) * width]

    def _must_be_stacked(self, x: Tensor, func: Any) -> int:
        """Rows of the first axis that each place has. Raises: Unsupported for no whole number."""
        count = len(self.generators)
        if not x.dim() or not x.shape[0] or x.shape[0] % count:
            raise Unsupported(f"it draws by {func} a tensor that is not each seed's own")
        return x.shape[0] // count
