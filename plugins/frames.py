"""A VAE of single steps: a sequence as a bag of frames, so that what order is worth can be seen."""

from torch import Tensor

from vaezoo.core import Spec
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.networks import mlp
from vaezoo.stepwise import Normals, Parallel, Seen, normals, same_for_every_state


class Frames(Parallel):
    """Π_t N(z_t; 0, I) p(x_t|z_t) with q = Π_t q(z_t|x_t).

    The state is empty: no step knows of another.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec, state=0)
        self.read = mlp(self.channels, spec.hidden, spec.hidden, 2 * spec.latent)
        self.write = mlp(spec.latent, spec.hidden, spec.hidden, self.raw_channels)
        self.width = spec.latent

    def features(self, x: Tensor, inputs: Tensor, mask: Tensor | None) -> Tensor:
        return self.read(x)

    def p(self, state: Tensor) -> Normals:
        zero = state.new_zeros(*state.shape[:-1], self.width)
        return Normals(zero, zero + 1)

    def q(self, state: Tensor, feature: Tensor) -> Normals:
        return same_for_every_state(normals(feature), state)

    def emit(self, state: Tensor, z: Tensor) -> Tensor:
        return self.write(z)

    def advance(self, state: Tensor, seen: Tensor, z: Tensor) -> Tensor:
        return state

    def states(self, first: Tensor, seen: Seen, z: Tensor) -> Tensor:
        return z.new_zeros(*z.shape[:2], z.shape[2] + 1, 0)


@tags("recurrent", "baseline")
def frames(spec: Spec) -> Frames:
    """No recurrence: one VAE for single steps, applied to each.

    Σ_t −E_q log p(x_t|z_t) + KL(q(z_t|x_t) ‖ N(0, I)), the bound of a VAE whose rows are steps

    Paper: Kingma & Welling 2014, "Auto-Encoding Variational Bayes", arXiv:1312.6114, eq. 10, a step
    in place of a data point.
    """
    return Frames(spec)


@hookimpl
def vaezoo_variants() -> Variants:
    return [frames]
