"""σ-VAEs: a Normal likelihood whose variance is set by the errors themselves, or learned."""

import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from vaezoo.core import VAE, Model, Spec, Terms, Unsupported, require_parts
from vaezoo.distributions import Normal
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Fraction, Positive
from vaezoo.likelihoods import Likelihood, head
from vaezoo.losses import ELBO, residuals
from vaezoo.networks import Gaussian, StandardNormal, Write

# The variance below which the bound would grow without limit; Rybkin et al. clip log σ at -6.
SMALLEST = math.exp(-12.0)


def as_normal(spec: Spec) -> Spec:
    """The spec with a Normal likelihood.

    Raises: Unsupported for discrete data, on which a density compares with no other row's
    probability.
    """
    if head(spec).is_discrete:
        raise Unsupported(
            "a Normal density does not compare with probabilities; "
            f"this data is discrete ({spec.likelihood})"
        )
    return replace(spec, likelihood="normal")


class RunningNormal(Likelihood):
    """N(raw, σ²), σ² a running mean over the minibatches of the errors that training saw."""

    support = constraints.real
    values = "the real numbers"
    variance: Tensor

    def __init__(self, spec: Spec, memory: float) -> None:
        super().__init__(spec)
        self.memory = memory
        self.register_buffer("variance", torch.tensor(1.0))

    def each(self, raw: Tensor) -> Distribution:
        return Normal(raw, self.variance.sqrt().expand_as(raw), validate_args=False)

    @torch.no_grad()
    def follow(self, variance: Tensor) -> None:
        self.variance.copy_(self.memory * self.variance + (1 - self.memory) * variance)


class RunningWrite(Write):
    """The shared decoder under a Normal, its variance a running mean of the squared error."""

    likelihood: RunningNormal

    def __init__(self, spec: Spec, memory: Fraction = 0.95) -> None:
        super().__init__(as_normal(spec))
        self.likelihood = RunningNormal(self.spec, memory)

    def check(self, model: Model) -> None:
        if not isinstance(model.loss, OptimalVariance):
            raise Unsupported(
                "the variance of the decoder running is moved by the loss sigma alone; "
                f"{type(model.loss).__name__} would leave it at 1"
            )


class OptimalVariance(ELBO):
    """R + KL, R = (n/2)(log 2π σ*² + 1) for n numbers in x, σ*² the mean squared error.

    In training σ*² is the minibatch's own, at which ∂R/∂σ = 0; in evaluation p(x|z) is a density
    with the running variance.
    """

    def check(self, model: Model) -> None:
        super().check(model)
        if not isinstance(require_parts(model, "an optimal variance").decoder, RunningWrite):
            raise Unsupported(
                "an optimal variance needs the decoder that keeps it: decoder=running"
            )

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        trace = model.infer(x, c, self.k)
        if not self.training:
            return self.combine(-trace.log_px.mean(), trace.kl.mean(), progress)

        error, seen = residuals(trace)
        numbers = seen.sum()
        squared = error.square().sum() / len(error)  # over the batch, a mean over the K draws
        variance = (squared / numbers).clamp_min(SMALLEST)
        require_parts(model, "an optimal variance").decoder.likelihood.follow(variance.detach())  # type: ignore[operator, union-attr]
        each = (2 * math.pi * variance).log() + squared / numbers / variance  # 2 R / n
        return self.combine(numbers / len(x) * 0.5 * each, trace.kl.mean(), progress)


@tags("likelihood")
def sigma(spec: Spec, memory: Fraction = 0.95) -> VAE:
    """Sets the likelihood's variance to its optimum, the mean squared error, at every step.

    (n/2)(log 2π σ*² + 1) + KL, σ*² = mean of (x - x̂)² over the minibatch and the n numbers of x

    Evaluation needs a density that does not look at its own x: there σ² is the running mean of σ*²
    over training.

    Paper: Rybkin, Daniilidis & Levine 2021, "Simple and Effective VAE Training with Calibrated
    Decoders", arXiv:2006.13202, §3 (a shared σ and its analytic optimum).
    """
    return VAE(Gaussian(spec), RunningWrite(spec, memory), StandardNormal(spec), OptimalVariance())


class LearnedNormal(Likelihood):
    """N(raw, γ), γ = exp(20 a), a learned.

    Adam moves a by the learning rate, and log γ has farther to go than a weight.
    """

    support = constraints.real
    values = "the real numbers"

    def __init__(self, spec: Spec, start: float) -> None:
        super().__init__(spec)
        self.a = torch.nn.Parameter(torch.tensor(math.log(start) / 20))

    def each(self, raw: Tensor) -> Distribution:
        return Normal(raw, (10 * self.a).exp().expand_as(raw), validate_args=False)


class LearnedWrite(Write):
    """The shared decoder with a Normal whose variance γ is learned from a start at `start`."""

    def __init__(self, spec: Spec, start: Positive = 1.0) -> None:
        super().__init__(as_normal(spec))
        self.likelihood = LearnedNormal(self.spec, start)


@tags("likelihood")
def gamma(spec: Spec, start: Positive = 1.0) -> VAE:
    """Learns the variance γ of the likelihood, from a start at which the code carries little.

    (1/2γ) ‖x - x̂‖² + (n/2) log 2π γ + KL, minimised over γ with all else

    Where the data has a Normal likelihood already, the plain VAE learns its scale too, from the
    errors of the first batch.

    Paper: Dai & Wipf 2019, "Diagnosing and Enhancing VAE Models", arXiv:1903.05789, §2 and §4 (a
    trainable γ, which tends to 0 where the data fill a manifold).
    """
    return VAE(Gaussian(spec), LearnedWrite(spec, start), StandardNormal(spec), ELBO())


@hookimpl
def vaezoo_variants() -> Variants:
    return [sigma, gamma]


@hookimpl
def vaezoo_parts() -> Parts:
    return [
        Part("running", RunningWrite),
        Part("learned_variance", LearnedWrite),
        Part("sigma", OptimalVariance),
    ]
