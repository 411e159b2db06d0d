"""Networks as parts: how x is read and how raw numbers are written, for all variants alike.

A network is a pair, `reader(spec)` and `writer(spec)`; the spec names it in text with its options,
such as "mlp[layers=2,width=300,activation=tanh]", see `parts`. Ours are `mlp` for vectors and small
images and `rnn` for sequences, here, and `conv` and `resnet` for larger images, in `convolutions`.

Weights start as PyTorch leaves them: uniform in ±1/√fan_in, weights and biases, for linear and
convolutional layers (He et al. 2015 with a = √5), and ±1/√hidden for recurrent ones; init=xavier
asks for Glorot & Bengio 2010 with biases of 0.
"""

from abc import ABC, abstractmethod
from itertools import pairwise
from typing import Annotated, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from .core import Spec, Unsupported, steps_asked_for
from .distributions import to_length
from .gru import gru_states, gru_states_of_one
from .hooks import Part, Parts, hookimpl
from .hyperparameters import Count, HyperparameterError
from .likelihoods import numbers_of
from .parts import find, register
from .steps import from_steps, step_mask, to_steps, without_gaps

__all__ = [
    "MLP",
    "RNN",
    "Network",
    "network",
    "raw_shape",
]

Activation = Literal["silu", "tanh", "relu", "softplus"]
Init = Literal["torch", "xavier"]
Bias = Literal["torch", "mean"]  # of the last layer: as PyTorch leaves it, or the data's mean
Width = Annotated[int, Field(ge=0)]  # of hidden layers; 0: the spec's
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "softplus": nn.Softplus,
}


class Network(ABC):
    """A reader of x and a writer of raw numbers. Its keyword arguments are the network's options.

    Around them `Read` and `Write` put `tail` (from features to what is asked for) and a first layer
    from z; a network that has sizes of its own says so by `width_of`, `layer`, `act` and `tail`.
    """

    part_kind = "network"
    starts_at_mean = False  # whether the decoder's bias starts at the training mean

    @abstractmethod
    def reader(self, spec: Spec) -> nn.Module:
        """x (B, *shape) -> features (B, width), `width` an attribute (spec.hidden without it)."""

    @abstractmethod
    def writer(self, spec: Spec) -> nn.Module:
        """(K, B, spec.hidden) -> raw (K, B, *shape[, n]), see `raw_shape`."""

    def width_of(self, spec: Spec) -> int:
        """Numbers in the features of x, and in what the writer reads."""
        return spec.hidden

    def act(self) -> nn.Module:
        """What follows every hidden layer."""
        return nn.SiLU()

    def layer(self, inputs: int, width: int) -> nn.Linear:
        """A hidden layer whose activation gives `width` numbers."""
        return nn.Linear(inputs, width)

    def tail(self, inputs: int, out: int, spec: Spec) -> nn.Sequential:
        """From features (and a condition) to `out` numbers, by one hidden layer."""
        return self.stack(inputs, self.width_of(spec), out)

    def stack(self, *sizes: int) -> nn.Sequential:
        """Linear layers of these sizes, activations between them."""
        layers: list[nn.Module] = []
        for inputs, width in pairwise(sizes[:-1]):
            layers += [self.layer(inputs, width), self.act()]
        return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))

    def initialise(self, module: nn.Module) -> None:
        """Called once when all layers around reader or writer are there."""
        return


class Sized(Network):
    """A network with options of size: `width` in place of the spec's hidden, activation, gates."""

    def __init__(
        self,
        width: Width = 0,
        activation: Activation = "silu",
        gated: bool = False,
        init: Init = "torch",
        bias: Bias = "torch",
    ) -> None:
        self.width = width
        self.activation = activation
        self.gated = gated
        self.init = init
        self.starts_at_mean = bias == "mean"

    def width_of(self, spec: Spec) -> int:
        return self.width or spec.hidden

    def act(self) -> nn.Module:
        return nn.GLU() if self.gated else ACTIVATIONS[self.activation]()

    def layer(self, inputs: int, width: int) -> nn.Linear:
        return nn.Linear(inputs, 2 * width if self.gated else width)

    def initialise(self, module: nn.Module) -> None:
        if self.init == "torch":
            return
        for part in module.modules():
            if isinstance(part, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                nn.init.xavier_uniform_(part.weight)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)


def network(spec: Spec) -> Network:
    """The network that the spec names.

    Raises: Unsupported for an unknown name or option.
    """
    try:
        build, options = find("network", spec.network)
    except HyperparameterError as error:
        raise Unsupported(str(error)) from None
    return build(**options)


def raw_shape(spec: Spec) -> tuple[int, ...]:
    """The shape of one x's raw numbers: spec.shape, with a last axis where the head asks several
    numbers an entry.
    """
    numbers = numbers_of(spec)
    return spec.shape if numbers == 1 else (*spec.shape, numbers)


class MLP(Sized):
    """Fully connected, `layers` hidden layers on either side.

    gated=true takes h = (A x + a) ⊙ σ(B x + b) in place of the activation (Dauphin et al. 2017,
    arXiv:1612.08083; in VAEs Tomczak & Welling 2018, arXiv:1705.07120).
    """

    def __init__(
        self,
        layers: Count = 2,
        width: Width = 0,
        activation: Activation = "silu",
        gated: bool = False,
        init: Init = "torch",
        bias: Bias = "torch",
    ) -> None:
        super().__init__(width, activation, gated, init, bias)
        self.layers = layers

    def tail(self, inputs: int, out: int, spec: Spec) -> nn.Sequential:
        return self.stack(inputs, *[self.width_of(spec)] * (self.layers - 1), out)

    def reader(self, spec: Spec) -> nn.Module:
        return _ReadFlat(spec, self)

    def writer(self, spec: Spec) -> nn.Module:
        return _WriteFlat(spec, self)


class RNN(Sized):
    """A GRU over the steps of a sequence, or over the rows of an image."""

    def reader(self, spec: Spec) -> nn.Module:
        return _ReadSteps(spec, self)

    def writer(self, spec: Spec) -> nn.Module:
        return _WriteSteps(spec, self)


class _ReadFlat(nn.Module):
    """(B, *shape) -> (B, width). A gap reads as 0; a sequence is cut or padded to the spec's
    length.
    """

    def __init__(self, spec: Spec, sizes: Sized) -> None:
        super().__init__()
        self.spec = spec
        self.net = sizes.layer(spec.size, sizes.width_of(spec))

    def forward(self, x: Tensor) -> Tensor:
        if self.spec.is_sequence:
            x = to_length(x, self.spec.shape[0])
        return self.net(without_gaps(x, self.spec).flatten(1))


class _WriteFlat(nn.Module):
    """(K, B, width) -> raw (K, B, *shape[, n])."""

    def __init__(self, spec: Spec, sizes: MLP) -> None:
        super().__init__()
        self.shape = raw_shape(spec)
        self.net = sizes.tail(sizes.width_of(spec), torch.Size(self.shape).numel(), spec)

    @torch.no_grad()
    def start_at(self, raw: Tensor) -> None:
        """The bias becomes these raw numbers, (*shape[, n])."""
        cast(Tensor, self.net[-1].bias).copy_(raw.flatten())

    def forward(self, h: Tensor) -> Tensor:
        return self.net(h.flatten(0, 1)).view(*h.shape[:2], *self.shape)


class _ReadSteps(nn.Module):
    """(B, T, C) -> (B, width): the state of a GRU after the last step that is there."""

    def __init__(self, spec: Spec, sizes: Sized) -> None:
        super().__init__()
        self.spec = spec
        self.net = nn.GRU(spec.as_steps[1], sizes.width_of(spec), batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = to_steps(x, self.spec)
        if not self.spec.has_gaps:
            return gru_states(self.net, x)[:, -1]
        mask = step_mask(x)
        # Padding comes after the steps that count, so it touches none of them.
        h = gru_states(self.net, without_gaps(x, self.spec))  # (B, T, width)
        last = (mask.sum(1) - 1).clamp_min(0)
        index = last[:, None, None].expand(-1, 1, h.shape[-1])
        return torch.take_along_dim(h, index, 1).squeeze(1)


class _WriteSteps(nn.Module):
    """(K, B, width) -> raw (K, B, *shape[, n]): h starts a GRU and drives every step of it (Fabius
    2014).
    """

    def __init__(self, spec: Spec, sizes: Sized) -> None:
        super().__init__()
        self.spec = spec
        self.steps, channels = spec.as_steps
        self.numbers = numbers_of(spec)
        width = sizes.width_of(spec)
        self.rnn = nn.GRU(width, width, batch_first=True)
        self.out = nn.Linear(width, channels * self.numbers)

    @torch.no_grad()
    def start_at(self, raw: Tensor) -> None:
        """The bias of each channel becomes its mean over the steps of raw numbers (*shape[, n])."""
        flat = raw.unflatten(-1, (-1, 1)) if self.numbers == 1 else raw  # (*shape, n)
        steps = to_steps(flat.movedim(-1, 0), self.spec)  # (n, T, C)
        self.out.bias.copy_(steps.mean(1).T.flatten())

    def forward(self, h: Tensor) -> Tensor:
        flat = h.flatten(0, 1)
        steps = steps_asked_for(self.steps)
        states = gru_states_of_one(self.rnn, flat, steps, torch.tanh(flat))
        raw = self.out(states).unflatten(0, h.shape[:2])  # (K, B, T, C·n)
        if self.numbers > 1:
            raw = raw.unflatten(-1, (-1, self.numbers))
        return from_steps(raw, self.spec)


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("mlp", MLP), Part("rnn", RNN)]


for _part in vaezoo_parts():
    register("network", _part.name, _part.build)
