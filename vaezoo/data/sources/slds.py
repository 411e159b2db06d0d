"""Sequences from a switching linear dynamical system: a state space whose dynamics change with a
hidden Markov chain.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ...core import Spec
from ...hooks import hookimpl, tags
from ...hyperparameters import Count, Fraction
from ...seeds import generator_for
from ..data import SPLITS, Card, Data, named
from .gaussian import GENERATED

NOISE = 0.2  # standard deviation of an observation


@tags("sequence", "real", "generated")
def slds(
    steps: Count = 40,
    channels: Count = 4,
    modes: Count = 3,
    stay: Fraction = 0.9,
    rows: Count = 1000,
) -> Data:
    """Switching linear sequences, steps × channels.

    A planar rotation whose speed and centre depend on the mode.
    """
    name = named(slds, steps=steps, channels=channels, modes=modes, stay=stay, rows=rows)
    others = max(rows // 5, 1)
    h = torch.randn(2, channels, generator=generator_for("slds", channels), dtype=torch.float64)
    x = {s: _draw(h, rows if s == "train" else others, steps, modes, stay, name, s) for s in SPLITS}
    return Data(
        name=name,
        spec=Spec((steps, channels), "normal", rows, latent=4, hidden=64, network="rnn"),
        train=x["train"],
        validation=x["validation"],
        test=x["test"],
        card=Card(
            "Switching linear dynamical system", GENERATED, "MIT, as vaezoo",
            f"{modes} modes, each kept with probability {stay}; not standardised; "
            f"{rows}/{others}/{others} rows",
        ),
        budget={"epochs": 100, "learning_rate": 2e-3, "patience": 15},
    )  # fmt: skip


def _draw(h: Tensor, rows: int, steps: int, modes: int, stay: float, *names: object) -> Tensor:
    """(rows, steps, C), float32."""
    g = generator_for("slds", *names)
    mode = _chain(rows, steps, modes, stay, g)
    kinds = torch.arange(modes, dtype=torch.float64)
    angle = 2 * math.pi * kinds / modes
    speed = 0.2 + 0.4 * kinds
    centres = torch.stack([angle.cos(), angle.sin()], -1)
    turn = torch.stack([speed.cos(), -speed.sin(), speed.sin(), speed.cos()], -1).reshape(
        modes, 2, 2
    )
    z = torch.randn(rows, 2, generator=g, dtype=torch.float64)
    states = []
    for t in range(steps):
        centre = centres[mode[:, t]]
        z = centre + 0.95 * (turn[mode[:, t]] @ (z - centre)[..., None]).squeeze(-1)
        z = z + 0.05 * torch.randn(rows, 2, generator=g, dtype=torch.float64)
        states.append(z)
    x = torch.stack(states, 1) @ h
    return (x + NOISE * torch.randn(x.shape, generator=g, dtype=torch.float64)).float()


def _chain(rows: int, steps: int, modes: int, stay: float, g: torch.Generator) -> Tensor:
    """(rows, steps), int64: each step keeps the mode before it or draws one anew."""
    fresh = torch.randint(modes, (rows, steps), generator=g)
    keeps = torch.rand(rows, steps, generator=g) < stay
    keeps[:, 0] = False
    last_fresh = torch.where(keeps, 0, torch.arange(steps)).cummax(1).values
    return fresh.gather(1, last_fresh)


@hookimpl
def vaezoo_datasets() -> list[Callable[..., Data]]:
    return [slds]
