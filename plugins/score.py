"""Classes as codes, learned without relaxing them: NVIL, VIMCO and reweighted wake-sleep.

No gradient passes a class, so the encoder learns by the score: ∇ E_q f = E_q f ∇ log q, less what
makes that noisy. A code is (G, M), G independent variables of M classes each, as in `gumbel`.
"""

import math

import torch
from torch import Tensor

from vaezoo.core import VAE, Loss, Model, Spec, Terms, Trace, Unsupported
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count, Fraction
from vaezoo.losses import log_q_at, require_separate_parts, valued
from vaezoo.networks import Read, Write, frozen
from vaezoo.relaxed import Equal, Unrelaxed, require_scores


def classes_of(loss: Loss, model: Model, x: Tensor, c: Tensor | None, k: int) -> Trace:
    """A trace of k draws. Raises: Unsupported where they are relaxed."""
    trace = model.infer(x, c, k)
    if trace.z.requires_grad:
        log_q_at(trace.latents[0].q, trace.z, type(loss).__name__)
    return trace


class NVIL(Loss):
    """-E log w; the encoder's gradient is (log w - C(x) - c)/max(1, σ) ∇ log q.

    C is a network of x, c and σ are running mean and deviation of log w - C. A step uses those that
    the steps before it left, so that its gradient is unbiased but for the factor 1/max(1, σ).
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, spec: Spec, keep: Fraction = 0.8) -> None:
        super().__init__()
        self.keep = keep
        self.baseline = Read(spec, 1)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("variance", torch.zeros(()))

    def check(self, model: Model) -> None:
        require_scores(self, model)

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        trace = classes_of(self, model, x, c, 1)
        log_q = trace.latents[0].log_q
        missed = trace.log_w.detach() - self.baseline(x, c).squeeze(-1)  # log w - C(x), (1, B)
        signal = ((missed - self.mean) / self.variance.sqrt().clamp_min(1.0)).detach()
        if self.training:
            self.update(missed.detach())

        for_decoder = trace.log_w + log_q  # log p(x, z)
        for_encoder = signal * log_q
        for_baseline = signal * (trace.log_w.detach() - missed)  # C(x) follows log w
        loss = valued(-trace.log_w, -for_decoder - for_encoder - for_baseline).mean()
        return {"loss": loss, "distortion": -trace.log_px.mean(), "rate": trace.kl.mean()}

    def update(self, missed: Tensor) -> None:
        """One step of the running mean and variance."""
        self.mean.lerp_(missed.mean(), 1 - self.keep)
        self.variance.lerp_(missed.var(unbiased=False), 1 - self.keep)


class VIMCO(Loss):
    """-E L_k; the encoder's gradient is Σ_j (L_k - L_k^{-j}) ∇ log q_j + Σ_j w̃_j ∇ log w_j.

    L_k^{-j} has in the place of w_j the geometric mean of the other weights.
    """

    def __init__(self, k: Count = 5) -> None:
        super().__init__()
        self.k = k

    def check(self, model: Model) -> None:
        require_scores(self, model)
        if self.k < 2:
            raise Unsupported("VIMCO needs two draws at least, and k is 1")

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        trace = classes_of(self, model, x, c, self.k)
        bound = trace.log_w.logsumexp(0) - math.log(self.k)  # (B,)
        signal = bound - without_each(trace.log_w)  # (K, B)
        scores = (signal.detach() * trace.latents[0].log_q).sum(0)
        return {
            "loss": valued(-bound, -bound - scores).mean(),
            "distortion": -trace.log_px.mean(),
            "elbo": trace.log_w.mean(),
        }


def without_each(log_w: Tensor) -> Tensor:
    """L_k^{-j} of every j, (K, B), from log_w (K, B), in nats."""
    k = len(log_w)
    others = (log_w.sum(0) - log_w) / (k - 1)  # log of the geometric mean of the others
    own = torch.eye(k, dtype=torch.bool, device=log_w.device)[..., None]
    replaced = torch.where(own, others[:, None], log_w)  # (K, K, B): row j without w_j
    return replaced.logsumexp(1) - math.log(k)


class ReweightedWakeSleep(Loss):
    """The decoder ascends L_k; the encoder ascends log q at the weighed draws, and at dreams.

    Wake: Σ_j w̃_j log q(z_j|x), of draws from q. Sleep: log q(z|x) of a pair from p(x, z).
    """

    def __init__(self, k: Count = 5, sleep: Fraction = 0.5) -> None:
        super().__init__()
        self.k = k
        self.sleep = sleep

    def check(self, model: Model) -> None:
        require_scores(self, model)

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        vae = require_separate_parts(model, "ReweightedWakeSleep")
        trace = classes_of(self, model, x, c, self.k)
        log_q = trace.latents[0].log_q
        weights = trace.log_w.detach().softmax(0)
        bound = (trace.log_w.logsumexp(0) - math.log(self.k)).mean()
        for_decoder = (weights * (trace.log_w + log_q)).sum(0).mean()  # log p(x, z)
        wake = (weights * log_q).sum(0).mean()
        inference = (1 - self.sleep) * wake
        if self.sleep:
            inference = inference + self.sleep * self.dreamt(vae, x, c)
        return {
            "loss": valued(-bound, -for_decoder) - inference,
            "monitor": -bound.detach(),
            "distortion": -trace.log_px.mean(),
            "inference": -inference,
        }

    def dreamt(self, vae: VAE, x: Tensor, c: Tensor | None) -> Tensor:
        """log q(z|x), a mean over as many pairs of p(x, z) as there are rows."""
        with torch.no_grad(), frozen(vae.decoder, vae.prior):
            z = vae.prior(c).sample(torch.Size((len(x),)))
            dream = vae.decoder(z[None], c).sample()[0]
        return vae.encoder(dream, c).log_prob(z).mean()


def _with(spec: Spec, groups: int, classes: int, loss: Loss) -> VAE:
    encoder = Unrelaxed(spec, groups, classes)
    return VAE(encoder, Write(spec, encoder.width), Equal(groups, classes), loss)


@tags("discrete", "estimator")
def nvil(spec: Spec, groups: Count = 8, classes: Count = 8, keep: Fraction = 0.8) -> VAE:
    """Codes are classes; the encoder learns by the score, less a baseline that reads x.

    -log w, w = p(x, z)/q(z|x), with the encoder's gradient (log w - C(x) - c)/max(1, σ) ∇ log q

    Paper: Mnih & Gregor 2014, "Neural Variational Inference and Learning in Belief Networks",
    arXiv:1402.0030, algorithm 1. There c and σ know the minibatch that they centre, which is a
    small bias; here they are those of the steps before. One network more: the baseline C.
    spec.latent is not used.
    """
    return _with(spec, groups, classes, NVIL(spec, keep))


@tags("discrete", "estimator", "bound")
def vimco(spec: Spec, groups: Count = 8, classes: Count = 8, k: Count = 5) -> VAE:
    """Codes are classes; each of k draws is judged by what it adds to the others' bound.

    -L_k = -log (1/k) Σ_i w_i, with the encoder's gradient
    Σ_j (L_k - L_k^{-j}) ∇ log q_j + Σ_j w̃_j ∇ log w_j

    Paper: Mnih & Rezende 2016, "Variational Inference for Monte Carlo Objectives",
    arXiv:1602.06725, §2, with the geometric mean in L_k^{-j}. spec.latent is not used.
    """
    return _with(spec, groups, classes, VIMCO(k))


@tags("discrete", "estimator", "bound")
def rws(
    spec: Spec, groups: Count = 8, classes: Count = 8, k: Count = 5, sleep: Fraction = 0.5
) -> VAE:
    """Codes are classes; the encoder learns from its own draws, reweighed, and from dreams.

    Decoder: -L_k. Encoder: -(1 - s) Σ_j w̃_j log q(z_j|x) - s E_p(x,z) log q(z|x), s = `sleep`

    Paper: Bornschein & Bengio 2015, "Reweighted Wake-Sleep", arXiv:1406.2751, algorithm 1, with
    both updates of q, awake and asleep, in the mean. Early stopping watches L_k. spec.latent is not
    used.
    """
    return _with(spec, groups, classes, ReweightedWakeSleep(k, sleep))


@hookimpl
def vaezoo_variants() -> Variants:
    return [nvil, vimco, rws]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("vimco", VIMCO), Part("rws", ReweightedWakeSleep)]
