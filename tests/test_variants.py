"""What our variants keep beyond the contract that `vaezoo check` asks of everyone's: a new variant
adds no test here.
"""

import inspect
from functools import cache

import pytest
import torch
from torch import Tensor

from vaezoo.author.case import SPECS, Case, kinds_for
from vaezoo.core import Model
from vaezoo.distributions import at_centre
from vaezoo.registry import registry
from vaezoo.seeds import seeded
from vaezoo.testing import contract

VARIANTS = {name: v for name, v in registry.load_registry().variants.items() if name != "mix"}
ROWS = 8
every_variant = pytest.mark.parametrize("name", list(VARIANTS))

# What a fit and a bound can break lies in the posterior, the prior and the loss. These see of the
# data its steps and its density, so two kinds that differ in both, such as "vector" and "sequence",
# stand for all five. Every other rule runs on every kind that a variant takes.
test_contract = contract(*VARIANTS, fast=False, thorough=False)


@cache
def cases_of(name: str) -> list[Case]:
    return [Case(VARIANTS[name], kind, {}) for kind in kinds_for(VARIANTS[name])]


@cache  # for tests that leave a model as it is
def taken(name: str) -> list[tuple[Model, Tensor, Tensor | None]]:
    """A model in evaluation and its rows for every kind of data that the variant takes."""
    cases = [case for case in cases_of(name) if not case.refusal]
    return [(case.build().eval(), *case.rows(ROWS)) for case in cases]


@every_variant
def test_docstring_says_what_is_new_gives_the_objective_and_cites_the_paper(name: str):
    first, *rest = [part for part in VARIANTS[name].doc.split("\n\n") if part.strip()]
    assert first.strip().endswith("."), f"{name}: the first line is a sentence"
    assert any(part.strip().startswith("Paper:") for part in rest), (
        f"{name}: no paragraph begins with Paper:"
    )
    assert len(rest) >= 2, f"{name}: no paragraph with the objective"


@every_variant
def test_it_takes_some_kind_of_data_and_refuses_the_others_in_a_sentence(name: str):
    reasons = [case.refusal for case in cases_of(name) if case.refusal]
    assert len(reasons) < len(SPECS), f"{name} refuses every kind of data: {reasons}"
    assert all(len(reason) > 15 for reason in reasons)


@every_variant
def test_the_trace_has_its_shapes(name: str):
    for model, x, c in taken(name):
        with torch.no_grad():
            trace = model.infer(x, c, k=3)
        assert trace.log_px.shape == trace.log_w.shape == (3, ROWS)
        assert trace.z.shape[:2] == (3, ROWS)
        assert all(latent.log_q.shape == (3, ROWS) for latent in trace.latents)
        assert trace.log_w.isfinite().all()


@every_variant
def test_samples_can_be_drawn_after_the_prior_was_fitted(name: str):
    case = next(case for case in cases_of(name) if not case.refusal)
    model = case.build().eval()
    x, c = case.rows(ROWS)
    with seeded("prior"):
        model.fit_prior(x.repeat(5, *[1] * (x.dim() - 1)), None if c is None else c.repeat(5, 1))
    assert model.sample(5, None if c is None else c[:5]).isfinite().all()


@every_variant
def test_other_rows_of_a_batch_change_nothing_in_evaluation(name: str):
    for model, x, c in taken(name):
        with torch.no_grad(), at_centre():
            both, alone = model.infer(x, c), model.infer(x[:1], None if c is None else c[:1])
        torch.testing.assert_close(both.log_px[:, :1], alone.log_px, atol=1e-4, rtol=1e-5)


@every_variant
def test_every_hyperparameter_has_a_default_and_a_range(name: str):
    for key, h in VARIANTS[name].hyperparameters.items():
        assert not h.required, f"{name}[{key}] has no default"
        assert h.annotation is not inspect.Parameter.empty, f"{name}[{key}] has no type"
