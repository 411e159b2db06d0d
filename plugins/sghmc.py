"""A Bayesian VAE: the decoder's weights are sampled by stochastic-gradient Hamiltonian Monte Carlo.

The chain's state is in the model, and so in a checkpoint. It moves inside the training step, by its
own gradients; the optimiser finds no gradient there. In training the decoder has the chain's
current weights, in evaluation each draw k has one of the last samples, so that log_w targets the
mean of p(x|θ) over them. elbo is the bound on the log of that mean, E_θ E_q(z|x) log p(x|z, θ) -
KL(q(z|x) ‖ p(z)).
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.func import functional_call

from vaezoo.core import VAE, Decoder, Loss, Model, Spec, Terms, Trace, Unsupported, require_parts
from vaezoo.distributions import noise
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.hyperparameters import Count, Fraction, Positive
from vaezoo.losses import require_density
from vaezoo.networks import Gaussian, StandardNormal, Write


class Chain(nn.Module):
    """θ ~ p(θ|data) ∝ exp(-N U(θ)), U = R(θ) + ½ Σ θ²/(N s²), from noisy gradients of R.

    R is in nats per x.

    v <- (1 - α) v - η G ∇U + N(0, 2 α η G / N),  θ <- θ + v

    Chen, Fox & Guestrin 2014, arXiv:1402.4102, eq. 15 with β̂ = 0, in which η stands for their η N.
    The mass 1/G is a running root mean square of the gradient, as in Springenberg et al. 2016
    (NeurIPS 29, "Bayesian Optimization with Robust Bayesian Neural Networks"); it holds still once
    `adapt` is false, so that what is then drawn is from p(θ|data).
    """

    momentum: Tensor
    square: Tensor
    prior_scale: Tensor
    samples: Tensor
    count: Tensor

    def __init__(
        self,
        start: Tensor,
        prior_scale: Tensor,
        n_train: int,
        step: float,
        friction: float,
        kept: int,
        every: int,
    ) -> None:
        super().__init__()
        self.n_train = n_train
        self.step = step
        self.friction = friction
        self.every = every
        # a parameter, so that it is counted as one
        self.theta = nn.Parameter(start.clone(), requires_grad=False)
        self.register_buffer("momentum", torch.zeros_like(start))
        self.register_buffer("square", torch.ones_like(start))
        self.register_buffer("prior_scale", prior_scale)
        self.register_buffer("samples", start.expand(kept, -1).clone())
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def move(self, gradient: Tensor, adapt: bool) -> None:
        """One step, from ∇R at θ. Every `every` steps the oldest sample gives way."""
        slope = gradient + self.theta / (self.n_train * self.prior_scale.square())
        if adapt:
            keep = torch.where(self.count == 0, 0.0, 0.99)
            self.square.copy_(keep * self.square + (1 - keep) * slope.square())

        # v <- (1 - α) v - η G ∇U + N(0, 2 α η G / N),  θ <- θ + v
        g = 1 / (self.square.sqrt() + 1e-3)
        kick = (2 * self.friction * self.step * g / self.n_train).sqrt() * torch.randn_like(g)
        self.momentum.copy_((1 - self.friction) * self.momentum - self.step * g * slope + kick)
        self.theta.add_(self.momentum)
        self.samples[self.count // self.every % len(self.samples)] = self.theta
        self.count.add_(1)


class Raw(nn.Module):
    """`Write` without its likelihood."""

    def __init__(self, write: Write) -> None:
        super().__init__()
        self.write = write

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return self.write.raw(z, c)


class Sampled(Decoder):
    """p(x|z, θ) with θ from a chain. The likelihood's own scale is a point estimate."""

    def __init__(
        self, spec: Spec, scale: float, step: float, friction: float, kept: int, every: int
    ) -> None:
        super().__init__()
        write = Write(spec)
        self.width = write.width
        self.likelihood = write.likelihood
        self._template = (Raw(write),)  # in a tuple: its weights are the chain's
        start = {
            f"write.{name}": parameter.detach()
            for name, parameter in write.named_parameters()
            if not name.startswith("likelihood")
        }
        self.named = {name: weight.shape for name, weight in start.items()}
        # weights start uniform in ±1/√inputs, whose deviation is 1/√(3 inputs)
        widths = [scale * math.sqrt(3) * _deviation(weight) for weight in start.values()]
        prior_scale = _end_to_end(widths)
        flat = _end_to_end(start.values())
        self.chain = Chain(flat, prior_scale, spec.n_train, step, friction, kept, every)
        self._chosen: Tensor | None = None

    @contextmanager
    def at(self, theta: Tensor) -> Iterator[None]:
        """Inside the block the weights are these (P,)."""
        self._chosen = theta
        try:
            yield
        finally:
            self._chosen = None

    def forward(self, z: Tensor, c: Tensor | None = None) -> Distribution:
        if self._chosen is not None:
            return self.likelihood(self.raw(self._chosen, z, c))
        if self.training:
            return self.likelihood(self.raw(self.chain.theta.detach().clone(), z, c))
        return self.likelihood(self._of_samples(z, c))

    def raw(self, theta: Tensor, z: Tensor, c: Tensor | None) -> Tensor:
        """Raw numbers (K, B, …) of the decoder with the weights theta (P,)."""
        pieces = theta.split([shape.numel() for shape in self.named.values()])
        weights = {}
        for (name, shape), piece in zip(self.named.items(), pieces, strict=True):
            weights[name] = piece.view(shape)
        return functional_call(self._template[0], weights, (z, c))

    def _of_samples(self, z: Tensor, c: Tensor | None) -> Tensor:
        """Draw k has sample k + s, in a circle, s random: an unbiased average over samples."""
        kept = len(self.chain.samples)
        samples = self.chain.samples
        uniform = torch.special.ndtr(noise(1, like=z))  # one half at the centre
        turn = (uniform * kept).long().clamp_max(kept - 1)
        used = min(kept, len(z))

        # the draws of one sample at a time: i, i + kept, i + 2 kept …; then back in their order
        every = [self.raw(samples[(turn + i) % kept][0], z[i::kept], c) for i in range(used)]
        places = torch.cat([torch.arange(i, len(z), kept) for i in range(used)])
        return torch.cat(every)[places.argsort().to(z.device)]


def _deviation(weight: Tensor) -> Tensor:
    """The root mean square of a weight's numbers, in its shape."""
    return weight.square().mean().sqrt().expand_as(weight)


def _end_to_end(weights: Iterable[Tensor]) -> Tensor:
    """(P,)."""
    return torch.cat([weight.flatten() for weight in weights])


class SGHMC(Loss):
    """R + KL for the encoder, at the chain's weights, which ∇R moves in every training step."""

    def __init__(self, settle: float) -> None:
        super().__init__()
        self.settle = settle

    def check(self, model: Model) -> None:
        require_density(self, model)
        self.decoder_of(model)

    def decoder_of(self, model: Model) -> Sampled:
        decoder = require_parts(model, "SGHMC").decoder
        if not isinstance(decoder, Sampled):
            raise Unsupported("SGHMC needs a decoder whose weights are a chain's")
        return decoder

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        learns = model.training and torch.is_grad_enabled()
        trace = self._moving(model, x, c, progress) if learns else model.infer(x, c)
        distortion = -trace.log_px.mean()
        rate = trace.kl.mean()
        return {"loss": distortion + rate, "distortion": distortion, "rate": rate}

    def _moving(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Trace:
        decoder = self.decoder_of(model)
        theta = decoder.chain.theta.detach().clone().requires_grad_()
        with decoder.at(theta):
            trace = model.infer(x, c)
        gradient = torch.autograd.grad(-trace.log_px.mean(), theta, retain_graph=True)[0]
        decoder.chain.move(gradient, adapt=progress < self.settle)
        return trace


class Bayesian(VAE):
    """A VAE with several samples of the decoder's weights."""

    unstackable = "the decoder's weights move inside the training step"

    def check(self) -> None:
        super().check()
        if not isinstance(self.loss, SGHMC):
            raise Unsupported(
                "this decoder's weights are a chain's, which the loss of bvae alone moves; "
                f"{type(self.loss).__name__} would leave them as they were drawn"
            )

    def members(self, n: int) -> Sequence[Model]:
        kept = len(cast(Sampled, self.decoder).chain.samples)
        return [self._member(i) for i in range(min(n, kept))]

    def _member(self, i: int) -> Model:
        member = deepcopy(self)
        chain = cast(Sampled, member.decoder).chain
        chain.samples = chain.samples[i : i + 1].clone()
        return member


@tags("bayesian")
def bvae(
    spec: Spec,
    scale: Positive = 1.0,
    step: Positive = 3e-4,
    friction: Fraction = 0.1,
    kept: Count = 10,
    every: Count = 10,
    settle: Fraction = 0.5,
) -> VAE:
    """The decoder's weights are drawn from their posterior, by a Hamiltonian chain.

    R + KL for the encoder; θ ~ p(θ|x) ∝ p(θ) Π_n p(x_n|z_n, θ), z_n ~ q(z|x_n), p(θ) = N(0,
    scale²/inputs)

    Paper: Daxberger & Hernández-Lobato 2019, "Bayesian Variational Autoencoders for Unsupervised
    Out-of-Distribution Detection", arXiv:1912.05651. Of one chain the last `kept` samples, `every`
    steps apart, stand for the posterior. Until the progress is `settle`, the chain's mass follows
    the gradients. The samples are those of the best epoch. The paper samples the scale of the prior
    too and has two ways to train the encoder; here it is the first.
    """
    decoder = Sampled(spec, scale, step, friction, kept, every)
    return Bayesian(Gaussian(spec), decoder, StandardNormal(spec), SGHMC(settle))


@hookimpl
def vaezoo_variants() -> Variants:
    return [bvae]
