"""A recurrent network without latents: the measure of what a latent is worth on sequences."""

import torch
from torch import Tensor, nn

from vaezoo.core import Spec
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.networks import mlp
from vaezoo.recurrent import gru_states
from vaezoo.stepwise import Normals, Parallel, Seen


class RNN(Parallel):
    """Π_t p(x_t|x_<t), the past summed up by a GRU.

    The trace must hold a latent: this one is a standard normal number a step that nothing reads, q
    = p, so that KL is exactly 0 and the bound, every importance weight and log p(x) are one number.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec, spec.hidden)
        self.rnn = nn.GRU(self.channels, spec.hidden, batch_first=True)
        self.out = mlp(spec.hidden, spec.hidden, self.raw_channels)

    def features(self, x: Tensor, inputs: Tensor, mask: Tensor | None) -> Tensor:
        return x[..., :0]

    def inputs(self, x: Tensor, state: Tensor | None = None) -> Tensor:
        return gru_states(self.rnn, x, None if state is None else state[0])

    def p(self, state: Tensor) -> Normals:
        zero = state.new_zeros(*state.shape[:-1], 1)
        return Normals(zero, torch.ones_like(zero))

    def q(self, state: Tensor, feature: Tensor) -> Normals:
        return self.p(state)

    def emit(self, state: Tensor, z: Tensor) -> Tensor:
        return self.out(state)

    def advance(self, state: Tensor, seen: Tensor, z: Tensor) -> Tensor:
        return seen.expand_as(state)

    def states(self, first: Tensor, seen: Seen, z: Tensor) -> Tensor:
        after = seen.inputs.expand(len(z), *seen.inputs.shape)  # (B, T, H) -> (K, B, T, H)
        return torch.cat([first[:, :, None], after], 2)


@tags("recurrent", "baseline")
def rnn(spec: Spec) -> RNN:
    """No latent at all: a recurrent network that predicts each step from those before it.

    −Σ_t log p(x_t|x_<t), the exact −log p(x): elbo is log p(x), KL is 0

    Paper: Boulanger-Lewandowski, Bengio, Vincent 2012, "Modeling Temporal Dependencies in
    High-Dimensional Sequences", arXiv:1206.6392, whose plain RNN it is, with a GRU (Cho et al.
    2014, arXiv:1406.1078) in place of tanh units.
    """
    return RNN(spec)


@hookimpl
def vaezoo_variants() -> Variants:
    return [rnn]
