"""VRNN: prior, posterior and likelihood of every step share one recurrent state."""

from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from vaezoo.core import Spec
from vaezoo.fivo import Particles, fivo_or_elbo
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.networks import mlp
from vaezoo.paths import gated_path
from vaezoo.recurrent import Gates
from vaezoo.stepwise import Normals, Path, Seen, Stepwise, normals


class VRNN(Stepwise):
    """h_t = f(φ_x(x_t), φ_z(z_t), h_t-1), with p(z_t|h_t-1), q(z_t|x_t, h_t-1), p(x_t|z_t, h_t-1).

    Chung et al. 2015, arXiv:1506.02216: prior eq. 5, likelihood eq. 6, recurrence eq. 7, posterior
    eq. 9.
    """

    def __init__(self, spec: Spec, particles: int) -> None:
        super().__init__(spec, spec.hidden, fivo_or_elbo(particles))
        d = spec.latent
        h = spec.hidden
        # what x_t and z_t look like to every other network
        self.phi_x = nn.Sequential(nn.Linear(self.channels, h), nn.SiLU())
        self.phi_z = nn.Sequential(nn.Linear(d, h), nn.SiLU())

        # p(z_t|h), q(z_t|x_t, h), p(x_t|z_t, h), and the next h
        self.prior = mlp(h, h, 2 * d)
        self.see = nn.Linear(h, h)
        self.recall = nn.Linear(h, h, bias=False)
        self.posterior = nn.Linear(h, 2 * d)
        self.write_z = nn.Linear(h, h)
        self.write_h = nn.Linear(h, h, bias=False)
        self.write = nn.Linear(h, self.raw_channels)
        self.gates = Gates(h, h, h)

    def features(self, x: Tensor, inputs: Tensor, mask: Tensor | None) -> Tensor:
        return self.see(self.phi_x(x))

    def inputs(self, x: Tensor, state: Tensor | None = None) -> Tensor:
        return self.gates.known(self.phi_x(x))

    def p(self, state: Tensor) -> Normals:
        return normals(self.prior(state))

    def q(self, state: Tensor, feature: Tensor) -> Normals:
        return normals(self.posterior(F.silu(feature + self.recall(state))))

    def emit(self, state: Tensor, z: Tensor) -> Tensor:
        return self.write(F.silu(self.write_z(self.phi_z(z)) + self.write_h(state)))

    def advance(self, state: Tensor, seen: Tensor, z: Tensor) -> Tensor:
        return self.gates(state, seen, self.phi_z(z))

    def path(self, seen: Seen, k: int) -> Path:
        embed = cast(nn.Linear, self.phi_z[0])
        return gated_path(self, seen, k, self.recall, self.posterior, embed, self.gates)


@tags("recurrent")
def vrnn(spec: Spec, particles: Particles = 0) -> VRNN:
    """Prior, posterior and likelihood of every step share one recurrent state.

    Σ_t −log p(x_t|z_≤t, x_<t) + KL(q(z_t|x_≤t, z_<t) ‖ p(z_t|x_<t, z_<t)), eq. 11

    With `particles`, the loss is −log p̂ of a particle filter of that many (FIVO).

    Paper: Chung, Kastner, Dinh, Goel, Courville, Bengio 2015, "A Recurrent Latent Variable Model
    for Sequential Data", arXiv:1506.02216, eqs. 5 to 11. One layer in place of four in every
    network, and a GRU in place of an LSTM, as everywhere here.
    """
    return VRNN(spec, particles)


@hookimpl
def vaezoo_variants() -> Variants:
    return [vrnn]
