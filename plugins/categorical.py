"""Categorical codes: relaxed by the Gumbel-softmax in training, exact one-hot draws in evaluation.

A code is (G, M): G independent variables of M classes each, one-hot along the last axis. The model
is the discrete one: in evaluation z is one-hot and log q(z|x) that of the classes, so every bound,
and the importance-sampled likelihood, is of it. In training z is relaxed so that gradients pass;
the relaxed objective is no bound, and validation uses the discrete one.

Both variants are in this one file, since a trial is known by the hash of its plugin's file.
"""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaezoo.core import (
    VAE,
    Encoder,
    Latent,
    Loss,
    Model,
    Prior,
    Spec,
    Terms,
    Trace,
    Unsupported,
    require_parts,
)
from vaezoo.distributions import Classes, EqualClasses, RelaxedClasses, draw
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count, NonNegative, Positive
from vaezoo.losses import require_density
from vaezoo.networks import Gaussian, Read, StandardNormal, Write


class Categorical(Encoder):
    """q(z|x) = Π_g Categorical(softmax(l_g(x))).

    In training it is relaxed, at the temperature that the loss set last.
    """

    space = "simplex"
    temperature: Tensor

    def __init__(
        self, spec: Spec, groups: Count = 8, classes: Count = 8, temperature: Positive = 1.0
    ) -> None:
        super().__init__()
        self.groups = groups
        self.classes = classes
        self.width = groups * classes
        self.net = Read(spec, groups * classes)
        self.register_buffer("temperature", torch.tensor(float(temperature)))

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        logits = self.net(x, c).unflatten(-1, (self.groups, self.classes))  # (B, G, M)
        return RelaxedClasses(logits, self.temperature) if self.training else Classes(logits)


class UniformClasses(Prior):
    """p(z) = M^{-G}, for the codes of the given encoder."""

    space = "simplex"
    logits: Tensor

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        if not isinstance(encoder, Categorical):
            raise Unsupported(
                "a prior over classes needs the posterior categorical, "
                f"not {type(encoder).__name__}"
            )
        self.register_buffer("logits", torch.zeros(encoder.groups, encoder.classes))

    def forward(self, c: Tensor | None = None) -> Distribution:
        return EqualClasses(self.logits)


def codes(spec: Spec, encoder: Encoder) -> Write:
    """The shared decoder, as wide at its input as the encoder's codes are."""
    return Write(spec, encoder.width or spec.latent)


class Annealed(Loss):
    """R + KL, with a temperature that falls from `hottest` to `coldest` over the training.

    What "loss" is follows from the mode: relaxed in training, discrete in evaluation and so in
    validation.
    """

    def __init__(self, hottest: float, coldest: float) -> None:
        super().__init__()
        self.hottest = hottest
        self.coldest = coldest

    def check(self, model: Model) -> None:
        require_density(self, model)

    def encoder_of(self, model: Model) -> Categorical:
        encoder = require_parts(model, type(self).__name__).encoder
        if not isinstance(encoder, Categorical):
            raise Unsupported(
                "an annealed temperature needs the posterior categorical, "
                f"not {type(encoder).__name__}"
            )
        return encoder

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        encoder = self.encoder_of(model)
        if encoder.training:
            encoder.temperature.fill_(self.hottest * (self.coldest / self.hottest) ** progress)
        trace = model.infer(x, c)
        other = self.other(model, encoder, x, c)
        relaxed, discrete = (trace, other) if encoder.training else (other, trace)
        return self.terms(trace, progress) | {
            "relaxed": negative_bound(relaxed),
            "discrete": negative_bound(discrete),
        }

    @torch.no_grad()
    def other(self, model: Model, encoder: Categorical, x: Tensor, c: Tensor | None) -> Trace:
        """A trace of the mode that the model is not in, for the record."""
        mode = encoder.training
        encoder.training = not mode
        try:
            return model.infer(x, c)
        finally:
            encoder.training = mode

    def terms(self, trace: Trace, progress: float) -> Terms:
        distortion = -trace.log_px.mean()
        rate = trace.kl.mean()
        return {"loss": distortion + rate, "distortion": distortion, "rate": rate}


class Capacities(Annealed):
    """R + γ |KL_z - C_z| + γ |KL_c - C_c|, with capacities that rise linearly until `until`.

    C_c stops at the most that the classes can carry, G log M (Dupont 2018, arXiv:1804.00104).
    """

    def __init__(
        self, temperature: float, gamma: float, continuous: float, discrete: float, until: float
    ) -> None:
        super().__init__(temperature, temperature)
        self.gamma = gamma
        self.continuous = continuous
        self.discrete = discrete
        self.until = until

    def encoder_of(self, model: Model) -> Categorical:
        if not isinstance(model, Joint):
            raise Unsupported(
                f"two capacities need the variant joint; {type(model).__name__} has no two codes"
            )
        return model.classes

    def terms(self, trace: Trace, progress: float) -> Terms:
        risen = min(1.0, progress / self.until)
        kl_z, kl_c = (latent.kl.mean() for latent in trace.latents)
        missed = (kl_z - self.continuous * risen).abs() + (kl_c - self.discrete * risen).abs()
        distortion = -trace.log_px.mean()
        return {
            "loss": distortion + self.gamma * missed,
            "distortion": distortion,
            "rate": kl_z + kl_c,
            "rate_classes": kl_c,
        }


def negative_bound(trace: Trace) -> Tensor:
    """-ELBO, mean over the batch, with no gradient."""
    return (trace.kl - trace.log_px).mean().detach()


class Joint(Model):
    """p(z) p(c) p(x|z, c) and q(z|x) q(c|x), with z normal and c classes (Dupont 2018)."""

    def __init__(self, spec: Spec, groups: int, classes: int, loss: Loss) -> None:
        super().__init__(loss)
        self.spec = spec
        self.normal = Gaussian(spec)
        self.classes = Categorical(spec, groups, classes)
        self.normal_prior = StandardNormal(spec)
        self.classes_prior = UniformClasses(self.classes)
        self.decoder = Write(spec, spec.latent + groups * classes)
        loss.check(self)

    def infer(self, x: Tensor, c: Tensor | None = None, k: int = 1) -> Trace:
        q_z = self.normal(x, c)
        q_c = self.classes(x, c)
        of_z = Latent(*draw(q_z, (k,)), q_z, self.normal_prior(c))
        of_c = Latent(*draw(q_c, (k,)), q_c, self.classes_prior(c))
        return Trace(x, self.decode(of_z.z, of_c.z, c), (of_z, of_c))

    def decode(self, z: Tensor, classes: Tensor, c: Tensor | None) -> Distribution:
        both = torch.cat([z, classes.flatten(-2)], -1)  # (K, B, D + G M)
        return self.decoder(both, c)

    def draw_px(self, n: int, c: Tensor | None = None) -> Distribution:
        shape = torch.Size((1, n))
        z = self.normal_prior(c).sample(shape)
        return self.decode(z, self.classes_prior(c).sample(shape), c)


@tags("posterior", "prior", "discrete")
def gumbel(
    spec: Spec,
    groups: Count = 8,
    classes: Count = 8,
    hottest: Positive = 1.0,
    coldest: Positive = 0.3,
) -> Model:
    """The codes are G categorical variables, relaxed by the Gumbel-softmax in training.

    E_relaxed[-log p(x|z)] + KL(q(z|x) ‖ p(z)), with the KL of the classes

    The temperature falls exponentially over the training. Evaluation is of the discrete model; the
    terms `relaxed` and `discrete` are both bounds. spec.latent is not used.

    Paper: Jang, Gu & Poole 2017, "Categorical Reparameterization with Gumbel-Softmax",
    arXiv:1611.01144; the falling temperature: §2.2.
    """
    encoder = Categorical(spec, groups, classes, hottest)
    return VAE(encoder, codes(spec, encoder), UniformClasses(encoder), Annealed(hottest, coldest))


@tags("posterior", "prior", "discrete", "disentanglement")
def joint(
    spec: Spec,
    groups: Count = 1,
    classes: Count = 10,
    gamma: Positive = 3.0,
    continuous: NonNegative = 5.0,
    discrete: NonNegative = 5.0,
    until: Positive = 0.25,
    temperature: Positive = 0.67,
) -> Model:
    """A normal code and a categorical one, each held to a capacity that rises in training.

    R + γ |KL_z - C_z| + γ |KL_c - C_c|

    C_z rises to `continuous` nats and C_c to `discrete` nats, but not above G log M. The table's
    bound is that of the discrete model with β = 1.

    Paper: Dupont 2018, "Learning Disentangled Joint Continuous and Discrete Representations",
    arXiv:1804.00104; both capacities 5 and temperature 0.67 are the paper's for MNIST. Here γ is 3.
    The paper's 30 is for images with R of about 100 nats; on 8×8 digits, where R is about 20, it
    would dominate R, and the bound would end below that of independent pixels.
    """
    most = min(discrete, groups * math.log(classes))
    return Joint(spec, groups, classes, Capacities(temperature, gamma, continuous, most, until))


@hookimpl
def vaezoo_variants() -> Variants:
    return [gumbel, joint]


@hookimpl
def vaezoo_parts() -> Parts:
    return [
        Part("categorical", Categorical),
        Part("uniform_classes", UniformClasses),
        Part("codes", codes),
    ]
