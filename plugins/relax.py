"""RELAX: classes as codes, learned by the score less a control variate that learns too.

A code is (G, M), G independent variables of M classes each, as in `gumbel`; nothing is relaxed but
the control variate.
"""

import math

import torch
from torch import Tensor, nn

from vaezoo.core import VAE, Loss, Model, Spec, Terms, Trace, Unsupported
from vaezoo.distributions import Classes
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.hyperparameters import Count, Positive
from vaezoo.losses import require_separate_parts, valued
from vaezoo.networks import Read, Write, frozen, mlp, reading
from vaezoo.relaxed import Equal, Unrelaxed, require_scores


class Surrogate(nn.Module):
    """What a control variate adds to log w: its temperature λ, and r(z, x) of relaxed codes."""

    def __init__(self, spec: Spec, width: int, temperature: float) -> None:
        super().__init__()
        self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature)))
        self.read = Read(spec, spec.hidden)
        self.net = mlp(spec.hidden + width, spec.hidden, 1)
        with torch.no_grad():
            for parameter in self.net[-1].parameters():  # at first it adds nothing
                parameter.zero_()

    def relaxed(self, scores: Tensor) -> Tensor:
        """softmax(scores/λ), over the last axis."""
        return (scores / self.log_temperature.exp()).softmax(-1)

    def forward(self, z: Tensor, seen: Tensor) -> Tensor:
        """r, (B,), from codes (B, G, M) and features of x (B, hidden)."""
        added: Tensor = self.net(torch.cat([seen, z.flatten(1)], -1))
        return added.squeeze(-1)


def scores_given(log_p: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """The noise again, given what it chose.

    A draw of log p + Gumbel noise given that its largest entries are those of the one-hot z, and
    its derivative by log p at fixed noise, which is diagonal; (B, G, M) both.

    Grathwohl et al. 2018, appendix B: -log(E_b), and -log(E_b + E_i/p_i) for the others, of
    exponential E.
    """
    tiny = torch.finfo(log_p.dtype).tiny
    log_e = torch.rand_like(log_p).clamp_min(tiny).log().neg().clamp_min(tiny).log()
    highest = (z * log_e).sum(-1, keepdim=True)
    below = log_e - log_p
    is_drawn = z.bool()
    scores = -torch.where(is_drawn, highest, torch.logaddexp(highest, below))
    return scores, torch.where(is_drawn, 0.0, (below - highest).sigmoid())


class RELAX(Loss):
    """-E log w; the encoder's gradient is (log w - c(s̃)) ∇ log q(z) + ∇ c(s) - ∇ c(s̃).

    c is log w of relaxed codes softmax(s/λ), plus a network r. The scores s have z as their largest
    entries; s̃ are drawn given z. Both are one draw here, which differ in how they follow log q: the
    mean stays. λ and r descend the square of the gradient by the encoder's logits, relative to its
    mean, so that gradient clipping weighs all parts alike.
    """

    def __init__(self, spec: Spec, width: int, temperature: Positive = 0.5) -> None:
        super().__init__()
        self.surrogate = Surrogate(spec, width, temperature)

    def check(self, model: Model) -> None:
        require_scores(self, model)

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        vae = require_separate_parts(model, "RELAX")
        trace = vae.infer(x, c)
        latent = trace.latents[0]
        if not isinstance(latent.q, Classes) or latent.q.is_relaxed:
            raise Unsupported("RELAX needs draws that are classes, and these are relaxed")
        log_p = latent.q.log_p
        slope = self.slope(vae, trace, log_p.detach(), c)
        square = slope.square().sum((-2, -1)).mean()

        for_decoder = trace.log_w + latent.log_q  # log p(x, z)
        for_encoder = (slope.detach() * log_p).sum((-2, -1))
        for_surrogate = square / square.detach().clamp_min(1e-12)
        learned = for_surrogate - (for_decoder + for_encoder).mean()
        return {
            "loss": valued(-trace.log_w.mean(), learned),
            "distortion": -trace.log_px.mean(),
            "rate": trace.kl.mean(),
            "square": square.detach(),
        }

    def slope(self, vae: VAE, trace: Trace, log_p: Tensor, c: Tensor | None) -> Tensor:
        """The encoder's gradient by its logits, (B, G, M), which only the surrogate moves."""
        z = trace.z[0]
        with torch.no_grad():
            scores, along = scores_given(log_p, z)
        value, by_scores = self.control(vae, trace.x, c, log_p, scores)

        missed = trace.log_w[0].detach() - value
        by_log_p = missed[:, None, None] * z + by_scores * (1 - along)
        return by_log_p - log_p.exp() * by_log_p.sum(-1, keepdim=True)

    def control(
        self, vae: VAE, x: Tensor, c: Tensor | None, log_p: Tensor, scores: Tensor
    ) -> tuple[Tensor, Tensor]:
        """c(s), (B,), and its gradient by the scores s, (B, G, M)."""
        seen = self.surrogate.read(x, c)

        def variate(scores: Tensor) -> Tensor:
            codes = self.surrogate.relaxed(scores)
            log_px = vae.decoder(codes[None], c).log_prob(x)[0]
            log_ratio = vae.prior(c).log_prob(codes) - (codes * log_p).sum((-2, -1))
            return log_px + log_ratio + self.surrogate(codes, seen)

        # cuDNN's recurrent layers have no second derivative; that the control variate reads the
        # decoder moves no state of its
        with (
            frozen(vae.decoder, vae.prior),
            reading(vae.decoder, vae.prior),
            torch.backends.cudnn.flags(enabled=False),
        ):
            value, pull = torch.func.vjp(variate, scores)[:2]
            (by_scores,) = pull(torch.ones_like(value))
        return value, by_scores


@tags("discrete", "estimator")
def relax(spec: Spec, groups: Count = 8, classes: Count = 8, temperature: Positive = 0.5) -> VAE:
    """Codes are classes; the score's noise is taken off by a relaxation that learns to.

    -log w, w = p(x, z)/q(z|x), with the encoder's gradient
    (log w - c(s̃)) ∇ log q(z) + ∇ c(s) - ∇ c(s̃), c(s) = log w at softmax(s/λ) + r(s, x)

    s is log q plus Gumbel noise, z its largest entries, s̃ a draw of s given z. λ, `temperature` at
    first, and the network r learn to make the gradient's square small; the mean is exact whatever
    they are.

    Paper: Grathwohl, Choi, Wu, Roeder & Duvenaud 2018, "Backpropagation through the Void:
    Optimizing Control Variates for Black-Box Gradient Estimation", arXiv:1711.00123, §3.2,
    algorithm 2 and appendix B, with s and s̃ from one noise, and the square of the gradient by the
    logits of a row where the paper has that by all weights. The networks of r are more; spec.latent
    is not used.
    """
    encoder = Unrelaxed(spec, groups, classes)
    loss = RELAX(spec, encoder.width, temperature)
    return VAE(encoder, Write(spec, encoder.width), Equal(groups, classes), loss)


@hookimpl
def vaezoo_variants() -> Variants:
    return [relax]
