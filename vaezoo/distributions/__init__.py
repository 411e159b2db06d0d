"""Distributions as this package needs them: drawn together with their log density, and safe under
`torch.func.vmap`.

K draws, B rows, then one event: a tensor of draws is (K, B, *event), a log density is (K, B), in
nats.

torch's own distributions are used where they will do. `Normal.rsample` will not: it fills an empty
tensor in place, which vmap refuses under randomness="different". Arguments are not validated here:
under stacked training one seed's NaN would end all seeds, and the trainer looks for NaN anyway.
"""

from .classes import Classes, EqualClasses, RelaxedClasses
from .draws import (
    Drawable,
    Point,
    Push,
    Pushed,
    at_centre,
    detached,
    draw,
    draw_alone,
    kl,
    noise,
    one_hot,
)
from .normals import MaskedNormals, Normal, Normals, StandardNormals, mixture, normal
from .observations import (
    Bernoulli,
    ContinuousBernoulli,
    DiscretisedLogistic,
    Grid,
    Levels,
    Observed,
    bernoulli,
    to_length,
)
from .spheres import OnSphere, PowerSpherical, UniformOnSphere, VonMisesFisher

__all__ = [
    "Bernoulli",
    "Classes",
    "ContinuousBernoulli",
    "DiscretisedLogistic",
    "Drawable",
    "EqualClasses",
    "Grid",
    "Levels",
    "MaskedNormals",
    "Normal",
    "Normals",
    "Observed",
    "OnSphere",
    "Point",
    "PowerSpherical",
    "Push",
    "Pushed",
    "RelaxedClasses",
    "StandardNormals",
    "UniformOnSphere",
    "VonMisesFisher",
    "at_centre",
    "bernoulli",
    "detached",
    "draw",
    "draw_alone",
    "kl",
    "mixture",
    "noise",
    "normal",
    "one_hot",
    "to_length",
]
