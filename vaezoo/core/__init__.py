"""The four interfaces, the trace, and the VAE that is made of them.

    encoder(x, c) -> q(z|x)    decoder(z, c) -> p(x|z)    prior(c) -> p(z)
    loss(model, x, c, progress) -> terms

x is (B, *spec.shape), NaN where a sequence is padded or an entry is missing. z is (K, B, *event): K
draws first. A log density is (K, B), in nats. c is a condition (B, C) or None. progress runs from 0
to 1 over the training. What training changes is a parameter or a buffer, never a Python attribute:
many seeds may share one object.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from ..distributions import Point, draw, draw_alone
from .extent import as_long_as, steps_asked_for
from .spec import Spec, Unsupported, View
from .trace import Latent, Trace

if TYPE_CHECKING:
    from ..data.reader import Reader

__all__ = [
    "VAE",
    "Decoder",
    "Encoder",
    "Latent",
    "Loss",
    "Model",
    "Point",
    "Prior",
    "Recipe",
    "Spec",
    "Terms",
    "Trace",
    "Unsupported",
    "View",
    "as_long_as",
    "require_parts",
    "steps_asked_for",
]

Terms = dict[str, Tensor]  # scalars; "loss" is the one that is minimised


class Encoder(nn.Module):
    """q(z|x)."""

    part_kind = "encoder"
    no_density = ""  # why q(z|x) has no density, in a few words; empty where it has one
    # Whether q(z|x) is one code of countably many, with probability 1. Then log p(x|z) + log p(z)
    # of it is a bound on log p(x), though there is no density and more draws are the same draw.
    is_one_code = False
    # where its codes live: "real", "sphere", "ball", "simplex" …; the prior must live there too
    space = "real"
    width = 0  # numbers in one code, for the decoder to agree with; 0 where it does not say
    scores_any_code = True  # whether q(z|x) knows its density at every z, not only at its own draws

    @abstractmethod
    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        """q(z|x, c), a batch of B."""


class Decoder(nn.Module):
    """p(x|z)."""

    part_kind = "decoder"
    width = 0  # numbers in one code that it reads; 0 where it does not say
    space = ""  # where the codes live that it reads, see `Encoder.space`; empty where it is all one

    @abstractmethod
    def forward(self, z: Tensor, c: Tensor | None = None) -> Distribution:
        """p(x|z, c), a batch of (K, B), from z (K, B, *event)."""

    def check(self, model: "Model") -> None:
        """Called when a variant is built. Raises: Unsupported where the model's loss is not right
        for this decoder.
        """


class Prior(nn.Module):
    """p(z)."""

    part_kind = "prior"
    space = "real"  # where it puts its mass, see `Encoder.space`

    @abstractmethod
    def forward(self, c: Tensor | None = None) -> Distribution:
        """p(z|c), a batch that broadcasts against (K, B)."""

    def fit(self, z: Tensor) -> None:
        """Called once after training with the codes (N, *event) of the training set. Most priors
        have nothing to do.
        """


class Loss(nn.Module):
    """What is minimised. A second player (a critic) is a submodule of the loss."""

    part_kind = "loss"
    no_density = ""  # why a model trained by this has no meaningful bound; empty where it has one
    lr = 1.0  # learning-rate factor of its own parameters, such as a critic's

    @abstractmethod
    def forward(self, model: "Model", x: Tensor, c: Tensor | None, progress: float) -> Terms:
        """The terms of one minibatch in nats per x: "loss", and "monitor" where early stopping must
        watch another.
        """

    def check(self, model: "Model") -> None:
        """Called when a variant is built. Raises: Unsupported where this loss is not right for the
        model.
        """


@dataclass(frozen=True)
class Recipe:
    """How a model was made, so that it can be made again: what a checkpoint holds beside the
    weights.
    """

    variant: str
    hyperparameters: Mapping[str, Any]  # all of them, resolved
    spec: Spec
    distribution: str  # of the plugin; "" for a loose file
    version: str
    source_hash: str  # SHA-256 of the plugin's file


class Model(nn.Module):
    """What the trainer and the benchmark ask of a variant. Most variants are the `VAE` below."""

    recipe: Recipe | None = None  # set where the model was made by a registered variant
    # set by training: between the values of a user's file and x; None where x is the values
    data_reader: "Reader | None" = None
    unstackable = ""  # why seeds cannot be stacked under torch.func.vmap; empty where they can

    def __init__(
        self, loss: Loss, lr: Mapping[str, float] | None = None, no_density: str = ""
    ) -> None:
        super().__init__()
        self.loss = loss
        self.lr = dict(lr or {})  # learning-rate factor by part, such as {"loss": 0.5}
        self._no_density = no_density

    def lr_of(self, part: str) -> float:
        """The learning-rate factor of a part, such as "encoder"; that of the loss is its own."""
        return self.lr.get(part, self.loss.lr if part == "loss" else 1.0)

    def check(self) -> None:
        """Called when a variant is built. Raises: Unsupported where its parts cannot be trained
        together.
        """
        self.loss.check(self)

    @property
    def no_density(self) -> str:
        """Why the tables print "–" for its bound; empty where it has one."""
        return self._no_density or self.loss.no_density

    @property
    def is_one_code(self) -> bool:
        """Whether its codes are those of an encoder that says so, see `Encoder.is_one_code`."""
        return False

    @abstractmethod
    def infer(self, x: Tensor, c: Tensor | None = None, k: int = 1) -> Trace:
        """k draws of the posterior of x, and all that is needed to judge them."""

    def draw_px(self, n: int, c: Tensor | None = None) -> Distribution:
        """p(x|z) at n joint draws of z, a batch of (1, n): what `sample` draws x from.

        A model whose x cannot be drawn all at once has its own `sample` in place of this.
        """
        raise NotImplementedError(f"{type(self).__name__} has neither `draw_px` nor `sample`")

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, mean: bool = False) -> Tensor:
        """n joint draws of x, (n, *shape); with `mean`, the means of p(x|z) in place of the last
        draw.
        """
        px = self.draw_px(n, c)
        return (px.mean if mean else px.sample())[0]

    def fit_prior(self, x: Tensor, c: Tensor | None = None) -> None:
        """Called once after training with the training set. Most models have nothing to do."""

    def members(self, n: int) -> "Sequence[Model]":
        """At most n models of fixed weights, drawn from what is known of the weights.

        Raises: Unsupported where one set of weights is all there is.
        """
        raise Unsupported("one set of weights")

    def classify(self, x: Tensor) -> Tensor:
        """log q(class|x), (B, classes).

        Raises: Unsupported where the model has no classifier.
        """
        raise Unsupported("no classifier")

    def forward(self, x: Tensor, c: Tensor | None = None, progress: float = 1.0) -> Terms:
        return self.loss(self, x, c, progress)


class VAE(Model):
    """Four parts put together. A loss that treats parts apart asks for this class."""

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        prior: Prior,
        loss: Loss,
        lr: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(loss, lr, encoder.no_density)
        self.encoder = encoder
        self.decoder = decoder
        self.prior = prior
        _must_agree(encoder, decoder, prior)
        self.check()

    def check(self) -> None:
        super().check()
        self.decoder.check(self)

    @property
    def is_one_code(self) -> bool:
        return self.encoder.is_one_code

    def infer(self, x: Tensor, c: Tensor | None = None, k: int = 1) -> Trace:
        q = self.encoder(x, c)
        z, log_q = draw_alone(q, (k,))
        with as_long_as(x):
            px = self.decoder(z, c)
        return Trace(x, px, (Latent(z, log_q, q, self.p_of(q, c)),))

    def p_of(self, q: Distribution, c: Tensor | None = None) -> Distribution:
        """p(z) for the codes of a minibatch whose posteriors are q."""
        return self.prior(c)

    def draw_px(self, n: int, c: Tensor | None = None) -> Distribution:
        p = self.prior(c)
        z = p.sample(torch.Size((1,) if p.batch_shape == (n,) else (1, n)))
        return self.decoder(z, c)

    def fit_prior(self, x: Tensor, c: Tensor | None = None) -> None:
        if type(self.prior).fit is Prior.fit:
            return
        with torch.no_grad():
            codes = torch.cat([draw(self.encoder(*rows))[0] for rows in _chunks(x, c)])
        self.prior.fit(codes)


def _must_agree(encoder: Encoder, decoder: Decoder, prior: Prior) -> None:
    """Raises: Unsupported where posterior, prior and decoder differ about the space of codes, or
    about their width.
    """
    if encoder.space != prior.space:
        raise Unsupported(
            f"the posterior's codes live in the space {encoder.space!r}, "
            f"the prior's in {prior.space!r}; "
            "choose two of one space"
        )
    if decoder.space and decoder.space != encoder.space:
        raise Unsupported(
            f"{type(decoder).__name__} reads codes of the space {decoder.space!r}, "
            f"and the posterior's live in {encoder.space!r}"
        )
    if encoder.width and decoder.width and encoder.width != decoder.width:
        raise Unsupported(
            f"a code of {type(encoder).__name__} has {encoder.width} numbers, "
            f"{type(decoder).__name__} reads {decoder.width}; choose a decoder that reads as many"
        )


def _chunks(x: Tensor, c: Tensor | None, size: int = 1000) -> list[tuple[Tensor, Tensor | None]]:
    return [
        (x[i : i + size], None if c is None else c[i : i + size]) for i in range(0, len(x), size)
    ]


def require_parts(model: Model, who: str) -> VAE:
    """The model as a `VAE` of four parts.

    Raises: Unsupported for a model whose parts share networks.
    """
    if not isinstance(model, VAE):
        raise Unsupported(
            f"{who} treats encoder, decoder and prior apart; "
            f"{type(model).__name__} has no such parts"
        )
    return model
