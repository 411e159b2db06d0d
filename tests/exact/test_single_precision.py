"""Every distribution in float32 beside itself in float64, over all that a network can emit.

A case names leaves, tensors that a network or a parameter could hold, and what is computed from
them: log densities at given points, means, divergences, steps of a flow with their log |det|. The
same numbers go through both precisions. Values must agree to `tolerance · (1 + |value|)`, and
gradients, which must be finite, to ten times `tolerance · (1 + the largest of them)`. Where a case
states a tolerance of its own, it says what float32 loses. Distributions that compute in float64
whatever they are given have exact values in test_sphere.py, test_poincare.py and
test_hyperbolic.py too.
"""

import importlib
import pkgutil

import pytest
import torch
import vaezoo_plugins
from vaezoo_plugins import count_data, flows

import vaezoo.distributions
from vaezoo import bent, codebooks, laws, relaxed, views
from vaezoo.columns import Kind
from vaezoo.distributions import PowerSpherical, VonMisesFisher

from . import _precision_of_x as x, _precision_of_z as z
from ._precision import in_both

WIDTHS = (1, 2, 8, 128)

CASES = {
    "bernoulli": x.bernoulli,
    "continuous_bernoulli": x.continuous_bernoulli,
    "logistic": x.logistic,
    "levels": x.levels,
    "normal": z.gaussian,
    "kl of normals": z.gaussian_kl,
    "masked normals": z.masked_normals,
    "residual": z.residual,
    **{f"diffused {w}": lambda w=w: z.diffused(w) for w in (1, 2, 8)},
    "classes": z.classes,
    "one class": z.one_class,
    "product of normals": z.product_of_normals,
    "poisson": lambda: x.counts(count_data.PoissonHead),
    "negative_binomial": x.negative_binomial,
    **{f"student_t {df}": lambda df=df: x.student_t(df) for df in (0.5, 4.0, 1e3)},
    **{f"split_normal {w}": lambda w=w: z.network_gaussian(w) for w in WIDTHS},
    **{f"mixture {w}": lambda w=w: z.mixture_of_normals(w) for w in WIDTHS},
    **{
        f"{build.__name__} {w} {size}": lambda build=build, w=w, size=size: z.flow(build, w, size)
        for build in (flows.Planar, flows.Sylvester, flows.Householder)
        for w in WIDTHS
        for size in (1e-20, 1e-7, 1.0, 50.0)
    },
    **{f"full normals {w}": lambda w=w: z.full_normals(w) for w in WIDTHS},
    **{f"held scale {w}": lambda w=w: z.held_scale(w) for w in WIDTHS},
    **{f"ball {w}": lambda w=w: z.in_ball(w) for w in WIDTHS},
    **{f"chain {w}": lambda w=w: z.chain(w) for w in (1, 2, 8)},
    **{
        f"{kind.__name__} {w}": lambda kind=kind, w=w: z.on_sphere(kind, w)
        for kind in (VonMisesFisher, PowerSpherical)
        for w in (2, 8, 128)
    },
    "numbers of a column": x.numbers_of_a_column,
    "counts of a column": x.counts_of_a_column,
    "yes or no": lambda: x.words_of_a_column(laws.YesNo, Kind("yesno")),
    "a category": lambda: x.words_of_a_column(laws.OneHot, Kind("category", 5)),
    "an ordinal": lambda: x.words_of_a_column(laws.Thermometer, Kind("ordinal", 5)),
    "columns": x.columns,
    "autoregression": z.autoregression,
    "quantised": z.quantised,
    "codes": z.codes,
    "entries": z.entries,
    **{f"mixture of experts {w}": lambda w=w: z.mixture_of_experts(w) for w in WIDTHS},
    "banded precision": z.banded,
    "gaussian processes": z.processes,
    **{f"resampled {tries}": lambda tries=tries: z.resampled(tries) for tries in (1, 2, 100)},
    **{f"iaf {w}": lambda w=w: z.autoregressive(w) for w in WIDTHS},
    **{
        f"flow_prior {kind} {w}": lambda kind=kind, w=w: z.flow_as_prior(kind, w)
        for kind in ("realnvp", "nsf", "maf")
        for w in (2, 8, 128)
    },
}


@pytest.mark.parametrize("name", CASES)
def test_single_precision_agrees_with_double(name: str):
    in_both(CASES[name]())


# What has no numbers of its own: an interface, a point, or a density that another one computes.
WITHOUT = {
    "Drawable", "Point", "Pushed", "Observed", "OnSphere", "RelaxedClasses", "Rounded", "Kept",
    "Travelled", "Evolved", "Normals", "Wandered", "Annealed", "Pixels", "Hierarchical",
    "Moved", "InOrder", "Written",
}  # fmt: skip
WITH = {
    "Bernoulli", "ContinuousBernoulli", "DiscretisedLogistic", "Levels", "Normal", "MaskedNormals",
    "StandardNormals",
    "Classes", "EqualClasses", "OneClass", "VonMisesFisher", "PowerSpherical", "UniformOnSphere",
    "WrappedNormal", "Counts", "SpreadCounts", "Tailed", "Flowed", "Chain", "Entries",
    "Resampled", "Numbers", "YesNo", "OneHot",
    "Thermometer", "Mixed", "Autoregression", "Quantised",
    "MixtureOfNormals", "Banded", "Processes", "Carried", "RiemannianNormal", "Residual",
    "Diffused",
}  # fmt: skip


def test_no_distribution_is_left_out():
    """A new class of a distribution, ours or a plugin's, needs a case here."""
    modules = [laws, codebooks, views, bent, relaxed]
    for package in (vaezoo.distributions, vaezoo_plugins):
        modules += [
            importlib.import_module(f"{package.__name__}.{module.name}")
            for module in pkgutil.iter_modules(package.__path__)
        ]
    found = {
        name
        for module in modules
        for name, kind in vars(module).items()
        if isinstance(kind, type)
        and issubclass(kind, torch.distributions.Distribution)
        and not kind.__module__.startswith("torch.")
    }
    assert found == WITH | WITHOUT
