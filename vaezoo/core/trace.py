"""What one passage of x through a model gives: draws, and the distributions that judge them."""

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor
from torch.distributions import Distribution

from ..distributions import kl
from .weighing import weighed


@dataclass(frozen=True)
class Latent:
    """One latent variable of one trace, with the two distributions it is judged by."""

    z: Tensor  # (K, B, *event)
    log_q_of_draw: Tensor | None  # log q(z), (K, B); None where it is q.log_prob(z)
    q: Distribution
    p: Distribution
    stepwise: bool = False  # q and p were read along the drawn path, one step after the other
    # p was read from a draw that was itself read from z: KL(q ‖ p) then holds one draw fixed that
    # varies with z, so the closed form is another number than E_q [log q - log p]
    p_follows_z: bool = False
    is_code: bool = True  # whether probes and scores of codes read it

    @cached_property
    def log_q(self) -> Tensor:
        """log q(z), (K, B)."""
        return self.q.log_prob(self.z) if self.log_q_of_draw is None else self.log_q_of_draw

    @cached_property
    def log_p(self) -> Tensor:
        """log p(z), (K, B)."""
        return self.p.log_prob(self.z)

    @cached_property
    def _closed_kl(self) -> Tensor | None:
        return None if self.p_follows_z else kl(self.q, self.p)

    @property
    def kl_is_exact(self) -> bool:
        """Whether `kl` is the closed form (of a stepwise latent: in closed form at each step, given
        the drawn path).
        """
        return self._closed_kl is not None

    @property
    def kl(self) -> Tensor:
        """KL(q ‖ p), (K, B) or (B,): the closed form if there is one, else log q(z) - log p(z)."""
        return self.log_q - self.log_p if self._closed_kl is None else self._closed_kl


@dataclass(frozen=True)
class Trace:
    """What one passage of x through a model gives. Every loss, metric and estimator reads it."""

    x: Tensor  # (B, *shape)
    px: Distribution  # p(x|z), (K, B)
    latents: tuple[Latent, ...]  # the deepest first

    @property
    def z(self) -> Tensor:
        """The draws of the first latent, (K, B, *event)."""
        return self.latents[0].z

    @cached_property
    def log_px(self) -> Tensor:
        """log p(x|z), (K, B)."""
        return self.px.log_prob(self.x)

    @cached_property
    def kl(self) -> Tensor:
        """Σ KL(q ‖ p) over the latents, (K, B) or (B,)."""
        return weighed(sum((latent.kl for latent in self.latents[1:]), self.latents[0].kl))

    @cached_property
    def log_w(self) -> Tensor:
        """log p(x, z) - log q(z|x), (K, B): the log importance weights."""
        first, *others = self.latents
        ratio = sum((one.log_p - one.log_q for one in others), first.log_p - first.log_q)
        return self.log_px + weighed(ratio)
