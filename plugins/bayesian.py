"""Decoders whose weights are random: a Gaussian over every weight, or dropout that stays on.

Each draw k of each row has its own weights: log_w of K draws targets E_θ p(x|θ), the predictive
density, whose bound E_θ E_q(z|x) log p(x|z, θ) - KL(q(z|x) ‖ p(z)) the tables call elbo. What is
known of the weights is not charged there. Random are the layers that a code passes once: all of the
decoder mlp; the linear layers before the convolutions of conv, or before the recurrence of rnn. In
what comes after, one weight meets a code many times, and stays a point estimate.
"""

import math
from abc import abstractmethod
from collections.abc import Sequence
from copy import deepcopy
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from vaezoo.core import VAE, Loss, Model, Spec, Terms, Unsupported, require_parts
from vaezoo.distributions import Drawable, draw, noise
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.hyperparameters import Positive
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write

Rate = Annotated[float, Field(ge=0, lt=1)]


class Random(nn.Module):
    """A layer with a new draw of its weights for every code."""

    @abstractmethod
    def fixed(self) -> nn.Module:
        """The layer with one draw of its weights."""


class Uncertain(Random):
    """A linear layer under q(θ) = N(μ, diag σ²), with p(θ) = N(0, scale²).

    Local reparameterisation: given h, the output is N(μ h, σ² h²), drawn directly (Kingma, Salimans
    & Welling 2015, arXiv:1506.02557, eq. 6). Rows are independent, as if each had its own draw of
    θ.
    """

    def __init__(self, linear: nn.Linear, scale: float = 1.0, start: float = 0.03) -> None:
        super().__init__()
        self.prior_scale = scale
        self.weight = nn.Parameter(linear.weight.detach().clone())
        self.bias = nn.Parameter(linear.bias.detach().clone())
        log_start = math.log(start)
        self.log_scale_weight = nn.Parameter(torch.full_like(self.weight, log_start))
        self.log_scale_bias = nn.Parameter(torch.full_like(self.bias, log_start))

    def forward(self, h: Tensor) -> Tensor:
        loc = F.linear(h, self.weight, self.bias)
        weight_variance = (2 * self.log_scale_weight).exp()
        bias_variance = (2 * self.log_scale_bias).exp()
        variance = F.linear(h.square(), weight_variance, bias_variance)
        return loc + variance.sqrt() * noise(*loc.shape, like=loc)

    @property
    def kl(self) -> Tensor:
        """KL(q(θ) ‖ p(θ)), in nats."""
        of_weight = self._kl(self.weight, self.log_scale_weight)
        of_bias = self._kl(self.bias, self.log_scale_bias)
        return torch.stack([of_weight, of_bias]).sum()

    def _kl(self, loc: Tensor, log_scale: Tensor) -> Tensor:
        ratio = 2 * (log_scale - math.log(self.prior_scale))  # log σ²/s²
        return 0.5 * (ratio.exp() + (loc / self.prior_scale).square() - 1 - ratio).sum()

    def fixed(self) -> nn.Linear:
        layer = nn.Linear(self.weight.shape[1], self.weight.shape[0]).to(self.weight)
        noise_weight = torch.randn_like(self.weight)
        layer.weight.data = self.weight + self.log_scale_weight.exp() * noise_weight
        layer.bias.data = self.bias + self.log_scale_bias.exp() * torch.randn_like(self.bias)
        return layer.requires_grad_(False)


class Kept(Drawable):
    """0 with probability `rate`, else 1/(1 - rate), for every entry: its mean is 1."""

    def __init__(self, like: Tensor, rate: float) -> None:
        super().__init__(like.shape[:-1], like.shape[-1:])
        self.like = like
        self.rate = rate

    def draw(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        like = self.like.expand(*shape, *self.like.shape)
        kept = (torch.rand_like(like) >= self.rate).to(like.dtype) / (1 - self.rate)
        return kept, kept.new_zeros(kept.shape[:-1])

    def centre(self) -> Tensor:
        return torch.ones_like(self.like)


class Dropout(Random):
    """Numbers left out at random, in evaluation too."""

    def __init__(self, rate: float, features: int) -> None:
        super().__init__()
        self.rate = rate
        self.features = features

    def forward(self, h: Tensor) -> Tensor:
        return h * draw(Kept(h.detach(), self.rate))[0]

    def fixed(self) -> nn.Module:
        return Scaled(draw(Kept(torch.zeros(self.features), self.rate))[0])


class Scaled(nn.Module):
    """Each number times a constant."""

    factor: Tensor

    def __init__(self, factor: Tensor) -> None:
        super().__init__()
        self.register_buffer("factor", factor)

    def forward(self, h: Tensor) -> Tensor:
        return h * self.factor.to(h)


def layers(module: nn.Module) -> list[tuple[nn.Module, str, nn.Module]]:
    """(owner, name, layer) of all that a code passes once.

    These are the linear layers, and recurrent bodies as a whole.
    """
    found = []
    for name, child in module.named_children():
        recurrent = any(isinstance(part, nn.RNNBase) for part in child.modules())
        if recurrent or isinstance(child, nn.Linear):
            found.append((module, name, child))
        else:
            found += layers(child)
    return found


class RandomWeights(VAE):
    """A VAE whose decoder has random layers."""

    def check(self) -> None:
        super().check()
        uncertain = any(isinstance(part, Uncertain) for part in self.decoder.modules())
        if uncertain and not isinstance(self.loss, WeightsKL):
            raise Unsupported(
                "this decoder's weights have a posterior, whose KL the loss of bayes alone counts; "
                f"{type(self.loss).__name__} would let it shrink to a point"
            )

    def members(self, n: int) -> Sequence[Model]:
        return [self._member() for _ in range(n)]

    def _member(self) -> Model:
        member = deepcopy(self)
        for owner in list(member.decoder.modules()):
            for name, child in list(owner.named_children()):
                if isinstance(child, Random):
                    setattr(owner, name, child.fixed())
        return member.to(next(self.parameters()).device)


class WeightsKL(ELBO):
    """R + KL + KL(q(θ) ‖ p(θ))/N."""

    def __init__(self, n_train: int) -> None:
        super().__init__()
        self.n_train = n_train

    def check(self, model: Model) -> None:
        super().check(model)
        if not self._layers(model):
            raise Unsupported("WeightsKL needs a decoder with uncertain layers")

    def _layers(self, model: Model) -> list[Uncertain]:
        decoder = require_parts(model, "WeightsKL").decoder
        return [layer for layer in decoder.modules() if isinstance(layer, Uncertain)]

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        terms = super().forward(model, x, c, progress)
        kls = torch.stack([layer.kl for layer in self._layers(model)])
        weights = kls.sum() / self.n_train
        return terms | {"loss": terms["loss"] + weights, "weights": weights}


def _with(spec: Spec, decoder: Write, loss: Loss) -> RandomWeights:
    return RandomWeights(Gaussian(spec), decoder, StandardNormal(spec), loss)


@tags("bayesian")
def bayes(spec: Spec, scale: Positive = 1.0, start: Positive = 0.03) -> VAE:
    """The decoder's weights have a variational posterior too.

    R + KL + KL(q(θ) ‖ p(θ))/N, q(θ) = N(μ, diag σ²) with σ = `start` at first, p(θ) = N(0, scale²)

    Paper: Kingma & Welling 2014, "Auto-Encoding Variational Bayes", arXiv:1312.6114, appendix F;
    drawn by local reparameterisation (Kingma, Salimans & Welling 2015, arXiv:1506.02557). With few
    rows the weights' KL outweighs what the data say of them, and a narrower prior empties the
    codes. Of conv and rnn decoders the first linear layers are random.
    """
    decoder = Write(spec)
    for owner, name, layer in layers(decoder):
        if isinstance(layer, nn.Linear):
            setattr(owner, name, Uncertain(layer, scale, start))
    return _with(spec, decoder, WeightsKL(spec.n_train))


@tags("bayesian")
def dropout(spec: Spec, rate: Rate = 0.1) -> VAE:
    """Dropout in the decoder that stays on in evaluation: p(x) averages over masks.

    R + KL, where every draw has its own masks

    Paper: Gal & Ghahramani 2016, "Dropout as a Bayesian Approximation: Representing Model
    Uncertainty in Deep Learning", arXiv:1506.02142, there for regression and classification and
    with weight decay, which is left out here. Dropout is on the outputs of the decoder's hidden
    layers, not on the code.
    """
    decoder = Write(spec)
    for owner, name, layer in layers(decoder):
        if name != "into":
            setattr(owner, name, nn.Sequential(Dropout(rate, _inputs(layer, spec)), layer))
    return _with(spec, decoder, ELBO())


def _inputs(layer: nn.Module, spec: Spec) -> int:
    return layer.in_features if isinstance(layer, nn.Linear) else spec.hidden


@hookimpl
def vaezoo_variants() -> Variants:
    return [bayes, dropout]
