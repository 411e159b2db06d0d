"""Clockwork VAE: levels of recurrent states, each ticking slower than the one below it."""

from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from vaezoo.core import Latent, Model, Spec, Trace
from vaezoo.distributions import MaskedNormals, noise
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.hyperparameters import Count
from vaezoo.losses import EveryRate
from vaezoo.networks import mlp
from vaezoo.recurrent import gru_step
from vaezoo.stepwise import Normals, StepsLikelihood, as_steps, normals

Factor = Annotated[int, Field(ge=2)]


class Cell(nn.Module):
    """One level.

    The state of one level: d = GRU(d, [z, above]), p(z|d), q(z|d, e) (Hafner et al. 2019's RSSM,
    as Saxena et al. 2021 take it for each level).
    """

    def __init__(self, latent: int, above: int, hidden: int) -> None:
        super().__init__()
        self.embed = nn.Linear(latent + above, hidden)
        self.recall = nn.GRU(hidden, hidden, batch_first=True)
        self.prior = mlp(hidden, hidden, 2 * latent)
        self.posterior = mlp(2 * hidden, hidden, 2 * latent)

    def move(self, d: Tensor, z: Tensor, above: Tensor) -> Tensor:
        """d of this tick, from d and z of the one before, and what the level above says."""
        return gru_step(self.recall, F.silu(self.embed(torch.cat([z, above], -1))), d)

    def p(self, d: Tensor) -> Normals:
        return normals(self.prior(d))

    def q(self, d: Tensor, e: Tensor) -> Normals:
        """q(z|d, e), from e (B, H) or (K, B, H)."""
        return normals(self.posterior(torch.cat([d, e.expand_as(d)], -1)))


class State(NamedTuple):
    """What a level keeps from one of its ticks to the next, (K, B, ·) each."""

    d: Tensor
    z: Tensor


class Tick(NamedTuple):
    """What one level was at one of its ticks, (K, B, ·) each."""

    d: Tensor
    z: Tensor
    p: Normals


# how z of a level's tick is chosen: from level, tick, d and p(z|d)
Choose = Callable[[int, int, Tensor, Normals], Tensor]


class Clockwork(Model):
    """Π_l Π_t p(z_t^l|z_<t^l, z_≤t^l+1) Π_t p(x_t|z_≤t^1, …), z^l at every k^(l-1)-th step.

    q(z_t^l|…) sees besides what p sees all x until the level's next tick. The slowest level comes
    first in `Trace.latents`; a latent is (K, B, ticks, D).
    """

    def __init__(self, spec: Spec, levels: int, factor: int) -> None:
        super().__init__(EveryRate())
        d = spec.latent
        h = spec.hidden
        self.spec = spec
        self.steps, channels = spec.as_steps
        self.latent = d
        self.hidden = h
        self.periods = [factor**level for level in range(levels)]  # of the fastest level first
        self.likelihood = StepsLikelihood(spec)
        self.frame = mlp(channels, h, h)
        self.windows = nn.ModuleList(mlp(h * period, h, h) for period in self.periods)
        aboves = [d + h] * (levels - 1) + [0]
        self.cells = nn.ModuleList(Cell(d, above, h) for above in aboves)
        self.write = mlp(d + h, h, self.likelihood.raw_channels)

    def _cells(self) -> list[Cell]:
        return [cell for cell in self.cells if isinstance(cell, Cell)]

    def embedded(self, full: Tensor, mask: Tensor | None) -> list[Tensor]:
        """What the ticks of each level see.

        What x (B, T, C) says to each tick of each level, (B, ticks, H): all of its steps until
        the next tick; padding says nothing.
        """
        frames = self.frame(full)
        if mask is not None:
            frames = torch.where(mask[..., None], frames, 0.0)
        found = []
        for period, window in zip(self.periods, self.windows, strict=True):
            whole = F.pad(frames, (0, 0, 0, -frames.shape[1] % period))
            found.append(window(whole.unflatten(1, (-1, period)).flatten(2)))  # (B, ticks, k H)
        return found

    def unroll(self, k: int, rows: int, steps: int, choose: Choose) -> list[list[Tick]]:
        """The ticks of each level, the fastest first."""
        like = next(self.parameters())
        levels = range(len(self.periods))
        d = like.new_zeros(k, rows, self.hidden)
        z = like.new_zeros(k, rows, self.latent)
        states = [State(d, z) for _ in levels]
        found: list[list[Tick]] = [[] for _ in levels]
        for t in range(steps):
            above = like.new_zeros(k, rows, 0)
            for level in reversed(levels):
                if t % self.periods[level] == 0:
                    tick = self.tick(level, t // self.periods[level], states[level], above, choose)
                    states[level] = State(tick.d, tick.z)
                    found[level].append(tick)
                above = torch.cat([states[level].z, states[level].d], -1)
        return found

    def tick(self, level: int, number: int, before: State, above: Tensor, choose: Choose) -> Tick:
        """The tick of this number of one level, after its state before it."""
        cell = self._cells()[level]
        d = cell.move(before.d, before.z, above)
        p = cell.p(d)
        return Tick(d, choose(level, number, d, p), p)

    def px(self, fastest: Sequence[Tick]) -> Distribution:
        """p(x|z) from the ticks of the fastest level."""
        states = torch.stack([torch.cat([tick.z, tick.d], -1) for tick in fastest], 2)
        return self.likelihood(self.write(states))  # (K, B, T, D + H)

    def infer(self, x: Tensor, c: Tensor | None = None, k: int = 1) -> Trace:
        _, full, mask = as_steps(x, self.spec)
        found, moments = self.told(full, mask, k)
        latents = []
        for ticks, qs, period in zip(found, moments, self.periods, strict=True):
            there = None if mask is None else mask[:, ::period]
            latents.append(_latent(ticks, qs, there))
        return Trace(x, self.px(found[0]), tuple(reversed(latents)))

    def told(
        self, full: Tensor, mask: Tensor | None, k: int
    ) -> tuple[list[list[Tick]], list[list[Normals]]]:
        """The ticks of each level as x (B, T, C) tells them, and q of each; the fastest first."""
        seen = self.embedded(full, mask)
        cells = self._cells()
        moments: list[list[Normals]] = [[] for _ in cells]

        def drawn(level: int, tick: int, d: Tensor, p: Normals) -> Tensor:
            q = cells[level].q(d, seen[level][:, tick])
            moments[level].append(q)
            return q.loc + q.scale * noise(*q.loc.shape, like=q.loc)

        rows, steps, _ = full.shape
        return self.unroll(k, rows, steps, drawn), moments

    def given(self, zs: Sequence[Tensor]) -> tuple[Tensor, Distribution]:
        """log p(z), (K, B), and p(x|z), of latents z^l (K, B, ticks, D), the slowest first."""
        fastest_first = list(reversed(zs))
        k, rows, steps, _ = fastest_first[0].shape
        found = self.unroll(k, rows, steps, lambda level, t, d, p: fastest_first[level][:, :, t])
        log_p = zs[0].new_zeros(k, rows)
        for ticks in found:
            log_p = log_p + sum(tick.p.log_prob(tick.z) for tick in ticks)
        return log_p, self.px(found[0])

    def draw_px(self, n: int, c: Tensor | None = None) -> Distribution:
        def drawn(level: int, tick: int, d: Tensor, p: Normals) -> Tensor:
            return p.loc + p.scale * torch.randn_like(p.loc)

        return self.px(self.unroll(1, n, self.steps, drawn)[0])


def _latent(ticks: Sequence[Tick], qs: Sequence[Normals], there: Tensor | None) -> Latent:
    """One level over all its ticks, of which those that are `there` (B, ticks) count."""
    z = torch.stack([tick.z for tick in ticks], 2)  # (K, B, ticks, D)
    q = MaskedNormals(*_along(qs), there)
    p = MaskedNormals(*_along([tick.p for tick in ticks]), there)
    return Latent(z, q.log_prob(z), q, p, stepwise=True)


def _along(ticks: Sequence[Normals]) -> Normals:
    """The moments of all ticks, (K, B, ticks, D) each."""
    locs = torch.stack([each.loc for each in ticks], 2)
    return Normals(locs, torch.stack([each.scale for each in ticks], 2))


@tags("recurrent", "hierarchical")
def cwvae(spec: Spec, levels: Count = 3, factor: Factor = 2) -> Clockwork:
    """Levels of recurrent latents, each ticking slower than the one below, which reads it.

    Σ_t −log p(x_t|z_t^1) + Σ_l Σ_t KL(q(z_t^l|z_<t^l, z_t^l+1, x) ‖ p(z_t^l|z_<t^l, z_t^l+1))

    The level l of `levels` ticks at every factor^(l−1)-th step, and keeps its state between. Its
    posterior reads all steps until its next tick. history.csv has the rate of each level.

    Paper: Saxena, Ba, Hafner 2021, "Clockwork Variational Autoencoders", arXiv:2102.09532, the
    model, its cells after the RSSM of Hafner et al. 2019, arXiv:1811.04551. Dense networks stand in
    place of convolutions over frames. `factor` is 2 where the paper takes 2, 4, 6 and 8, for its
    videos are a thousand frames long. Times that are not equally spaced are not read.
    """
    return Clockwork(spec, levels, factor)


@hookimpl
def vaezoo_variants() -> Variants:
    return [cwvae]
