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
from ..data import Card, Data, by_split, named
from ..generated import GENERATED, LICENCE, sizes, sizes_in_words

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
    h = torch.randn(2, channels, generator=generator_for("slds", channels), dtype=torch.float64)
    x = {s: _draw(h, n, steps, modes, stay, name, s) for s, n in sizes(rows).items()}

    return Data(
        name=name,
        spec=Spec((steps, channels), "normal", rows, latent=4, hidden=64, network="rnn"),
        **by_split(x),
        card=Card(
            "Switching linear dynamical system",
            GENERATED,
            LICENCE,
            f"{modes} modes, each kept with probability {stay}; not standardised; "
            f"{sizes_in_words(rows)}",
        ),
        budget={"epochs": 100, "learning_rate": 2e-3, "patience": 15},
    )


def _draw(h: Tensor, rows: int, steps: int, modes: int, stay: float, *names: object) -> Tensor:
    """(rows, steps, C), float32."""
    g = generator_for("slds", *names)
    mode = _chain(rows, steps, modes, stay, g)
    z = torch.randn(rows, 2, generator=g, dtype=torch.float64)
    centres, turns = _dynamics(modes)
    states = []
    for t in range(steps):
        centre = centres[mode[:, t]]
        turned = (turns[mode[:, t]] @ (z - centre)[..., None]).squeeze(-1)  # (rows, 2)
        z = centre + 0.95 * turned
        z = z + 0.05 * torch.randn(rows, 2, generator=g, dtype=torch.float64)
        states.append(z)

    x = torch.stack(states, 1) @ h  # (rows, steps, C)
    return (x + NOISE * torch.randn(x.shape, generator=g, dtype=torch.float64)).float()


def _dynamics(modes: int) -> tuple[Tensor, Tensor]:
    """The centre (M, 2) and the rotation of a step (M, 2, 2) of each mode, float64."""
    kinds = torch.arange(modes, dtype=torch.float64)
    angle = 2 * math.pi * kinds / modes
    centres = torch.stack([angle.cos(), angle.sin()], -1)
    speed = 0.2 + 0.4 * kinds
    cosine = speed.cos()
    sine = speed.sin()
    turns = torch.stack([cosine, -sine, sine, cosine], -1).reshape(modes, 2, 2)
    return centres, turns


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
