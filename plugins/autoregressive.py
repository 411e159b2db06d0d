"""A recurrent network without latents: what a latent variable is to be measured against on sequences."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vaezoo.core import Latent, Model, Spec, Trace
from vaezoo.distributions import draw
from vaezoo.hooks import hookimpl, tags
from vaezoo.losses import ELBO
from vaezoo.networks import StandardNormal, from_steps, mlp
from vaezoo.stepwise import StepsLikelihood, as_steps, before


class RNN(Model):
    """Π_t p(x_t|x_<t), the past summed up by a GRU.

    The trace must hold a latent: this one is a standard normal that nothing reads, q = p, so that KL is exactly 0 and the
    bound, every importance weight and log p(x) are one number.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(ELBO())
        self.spec, (self.steps, self.channels) = spec, spec.as_steps
        self.likelihood, self.unread = StepsLikelihood(spec), StandardNormal(spec, (1,))
        self.rnn = nn.GRU(self.channels, spec.hidden, batch_first=True)
        self.out = mlp(spec.hidden, spec.hidden, self.likelihood.raw_channels)

    def infer(self, x: Tensor, c: Tensor | None = None, k: int = 1) -> Trace:
        _, full, _ = as_steps(x, self.spec)
        raw = self.out(self.rnn(before(full))[0])
        q = self.unread(c).expand(torch.Size((len(x),)))
        z, log_q = draw(q, (k,))
        return Trace(x, self.likelihood(raw.expand(k, *raw.shape)), (Latent(z, log_q, q, q),))

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, mean: bool = False) -> Tensor:
        like = next(self.parameters())
        x, state, xs = like.new_zeros(n, 1, self.channels), None, []
        for _ in range(self.steps):
            states, state = self.rnn(x, state)
            px = self.likelihood.of_step(self.out(states))
            x = px.sample()
            xs.append(px.mean if mean else x)
        return from_steps(torch.cat(xs, 1)[None], self.spec)[0]


@tags("recurrent", "baseline")
def rnn(spec: Spec) -> RNN:
    """No latent at all: a recurrent network that predicts each step from those before it.

    −Σ_t log p(x_t|x_<t), the exact −log p(x): elbo is log p(x), KL is 0.

    Paper: Boulanger-Lewandowski, Bengio, Vincent 2012, arXiv:1206.6392, whose plain RNN it is, with a GRU (Cho et al. 2014,
    arXiv:1406.1078) in place of tanh units.
    """
    return RNN(spec)


@hookimpl
def vaezoo_variants() -> list[Callable[..., RNN]]:
    return [rnn]
