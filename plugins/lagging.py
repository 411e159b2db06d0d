"""Aggressive training of the encoder: the decoder waits while the codes gain information."""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaezoo.core import VAE, Loss, Model, Spec, Terms
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count
from vaezoo.losses import log_q_at, require_density, require_separate_parts
from vaezoo.networks import Gaussian, StandardNormal, Write, frozen

WHO = "aggressive training"


def mutual_information(q: Distribution, z: Tensor) -> Tensor:
    """Mean over rows of log q(z_i|x_i) - log mean_j q(z_i|x_j), nats, at most log B.

    z is (B, *event), one draw a row.
    """
    pairs = log_q_at(
        q, z[:, None], "the mutual information"
    )  # (B, B): draw of row i, posterior of row j
    return (pairs.diagonal() - pairs.logsumexp(1) + math.log(len(z))).mean()


class Lagging(Loss):
    """R + KL; at first decoder and prior learn at one step in `inner` + 1 only."""

    step: Tensor
    aggressive: Tensor
    total: Tensor
    previous: Tensor

    def __init__(self, spec: Spec, inner: Count = 10) -> None:
        super().__init__()
        self.inner = inner
        self.n_train = spec.n_train
        self.register_buffer("step", torch.tensor(0.0))
        self.register_buffer("aggressive", torch.tensor(1.0))
        self.register_buffer("total", torch.tensor(0.0))  # of the information, in this epoch
        self.register_buffer("previous", torch.tensor(0.0))  # mean information of the epoch before

    def check(self, model: Model) -> None:
        require_density(self, model)
        require_separate_parts(model, WHO)

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        vae = require_separate_parts(model, WHO)
        # the encoder's gradient
        with frozen(vae.decoder, vae.prior):
            trace = vae.infer(x, c)
            distortion = -trace.log_px.mean()
            rate = trace.kl.mean()
        # the gradient of decoder and prior, without a value
        with frozen(vae.encoder):
            again = vae.infer(x, c)
            for_decoder = -again.log_px.mean() + again.kl.mean()
        loss = distortion + rate + self.turn() * (for_decoder - for_decoder.detach())

        information = self._information(trace.latents[0].q, trace.z[0])
        if self.training:
            self._observe(information, max(1, self.n_train // len(x)))
        return {"loss": loss, "distortion": distortion, "rate": rate, "information": information}

    def turn(self) -> Tensor:
        """1 at a step at which the decoder learns, else 0."""
        waits = (self.aggressive > 0) & (self.step.remainder(self.inner + 1) > 0)
        return 1 - waits.to(self.step.dtype)

    @torch.no_grad()
    def _information(self, q: Distribution, z: Tensor) -> Tensor:
        return mutual_information(q, z)

    @torch.no_grad()
    def _observe(self, information: Tensor, epoch: int) -> None:
        """Counts the step, and ends the aggressive phase when the information falls.

        That is after the first epoch whose information is below the epoch's before.
        """
        step = self.step + 1
        total = self.total + information
        ends = step.remainder(epoch) == 0
        mean = total / epoch
        self.aggressive.copy_(torch.where(ends & (mean < self.previous), 0.0, self.aggressive))
        self.previous.copy_(torch.where(ends, mean, self.previous))
        self.total.copy_(torch.where(ends, 0.0, total))
        self.step.copy_(step)


@tags("collapse", "schedule")
def lagging(spec: Spec, inner: Count = 10) -> VAE:
    """Lets the encoder catch up with the decoder while I(x; z) still rises.

    R + KL

    At first the encoder learns at every step, decoder and prior at one in `inner` + 1; from the
    first epoch in which I(x; z) fell, all learn together.

    The paper runs the encoder to convergence (at most 100 steps) between two steps of the decoder,
    with plain gradient descent, and measures I(x; z) on the validation split. Here a step is a step
    of the common budget, I(x; z) is the mean over the epoch's minibatches (at most the log of their
    size), and Adam spreads the decoder's one gradient over the steps at which it waits. The
    minibatch is inferred twice, once for each side.

    Paper: He, Spokoyny, Neubig & Berg-Kirkpatrick 2019, "Lagging Inference Networks and Posterior
    Collapse in Variational Autoencoders", arXiv:1901.05534, alg. 1 and §4.
    """
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), Lagging(spec, inner))


@hookimpl
def vaezoo_variants() -> Variants:
    return [lagging]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("lagging", Lagging)]
