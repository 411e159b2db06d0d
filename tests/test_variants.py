"""What every variant must keep, checked on all that the registry knows: a new variant adds no test here."""

import inspect
import math
import warnings
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vaezoo import registry
from vaezoo.core import Model, Spec, Unsupported
from vaezoo.distributions import at_centre
from vaezoo.seeds import seeded

from .conftest import IMAGE, labels_of, rows_of
from .conftest import SPECS as COMMON

VARIANTS = {name: v for name, v in registry.load().variants.items() if name != "mix"}
GREY = replace(IMAGE, likelihood="continuous_bernoulli")  # only for those that refuse binary images
SPECS = COMMON | {"grey": GREY}
ROWS = 8
every_variant = pytest.mark.parametrize("name", list(VARIANTS))
every_spec = pytest.mark.parametrize("data", list(SPECS))


def built(name: str, spec: Spec) -> Model:
    """A fresh model; the test is skipped where the variant refuses the data, and gives its reason."""
    try:
        with seeded("weights"):
            if spec is GREY and VARIANTS[name](IMAGE):
                pytest.skip("runs on binary images")
    except Unsupported:
        pass
    try:
        with seeded("weights"):
            return VARIANTS[name](spec)
    except Unsupported as reason:
        pytest.skip(f"{name}: {reason}")


def rows(spec: Spec, n: int = ROWS) -> tuple[Tensor, Tensor | None]:
    return rows_of(spec, n), labels_of(spec, n)


def loss_of(model: Model, spec: Spec, progress: float = 0.5) -> Tensor:
    with seeded("noise"):
        return model(*rows(spec), progress)["loss"]


@every_variant
def test_docstring_says_what_is_new_gives_the_objective_and_cites_the_paper(name: str) -> None:
    doc = VARIANTS[name].doc
    first, *rest = [part for part in doc.split("\n\n") if part.strip()]
    assert first.strip().endswith("."), f"{name}: the first line is a sentence"
    assert any(part.strip().startswith("Paper:") for part in rest), f"{name}: no paragraph begins with Paper:"
    assert len(rest) >= 2, f"{name}: no paragraph with the objective"


@every_variant
def test_it_builds_or_says_why_not(name: str) -> None:
    reasons = []
    for spec in SPECS.values():
        try:
            assert isinstance(VARIANTS[name](spec), Model)
        except Unsupported as reason:
            reasons.append(str(reason))
    assert len(reasons) < len(SPECS), f"{name} refuses every kind of data: {reasons}"
    assert all(len(reason) > 15 for reason in reasons)


@every_spec
@every_variant
def test_every_term_is_finite_and_a_gradient_reaches_every_parameter(name: str, data: str) -> None:
    spec = SPECS[data]
    model = built(name, spec).train()
    reached = {n: False for n, p in model.named_parameters() if p.requires_grad}
    for progress in (0.0, 0.5, 1.0):  # a schedule may leave a part out at either end
        with seeded("noise", progress):
            terms = model(*rows(spec), progress)
        assert "loss" in terms
        assert all(value.numel() == 1 and torch.isfinite(value) for value in terms.values()), terms
        model.zero_grad()
        terms["loss"].backward()
        for n, p in model.named_parameters():
            if not p.requires_grad and n not in reached:  # moved by other means than the optimiser's
                continue
            assert p.grad is None or p.grad.isfinite().all(), n
            reached[n] = reached.get(n, False) or (p.grad is not None and p.grad.abs().sum() > 0)
    assert not (left := [n for n, hit in reached.items() if not hit]), f"no gradient reaches {left}"


@every_spec
@every_variant
def test_the_trace_has_its_shapes_and_log_w_is_log_p_over_q(name: str, data: str) -> None:
    spec = SPECS[data]
    model = built(name, spec).eval()
    x, c = rows(spec)
    with torch.no_grad():
        trace = model.infer(x, c, k=3)
    assert trace.log_px.shape == trace.log_w.shape == (3, ROWS)
    assert trace.z.shape[:2] == (3, ROWS)
    assert all(latent.log_q.shape == (3, ROWS) for latent in trace.latents)
    assert trace.log_w.isfinite().all()


@every_spec
@every_variant
def test_samples_have_the_shape_of_the_data(name: str, data: str) -> None:
    spec = SPECS[data]
    model = built(name, spec).eval()
    for mean in (False, True):
        x = model.sample(5, labels_of(spec, 5), mean=mean)
        assert x.shape == (5, *spec.shape)
        assert x.isfinite().all()
        assert not x.requires_grad


@every_variant
def test_samples_can_be_drawn_after_the_prior_was_fitted(name: str) -> None:
    spec = SPECS["image"]
    model = built(name, spec).eval()
    with seeded("prior"):
        model.fit_prior(*rows(spec, 40))
    assert model.sample(5, labels_of(spec, 5)).isfinite().all()


@every_variant
def test_the_same_seed_gives_the_same_bits(name: str) -> None:
    spec = SPECS["image"]
    losses = [loss_of(built(name, spec), spec) for _ in range(2)]
    assert torch.equal(*losses)


@every_spec
@every_variant
def test_evaluation_changes_no_buffer_and_no_parameter(name: str, data: str) -> None:
    spec = SPECS[data]
    model = built(name, spec).eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with torch.no_grad():
        x, c = rows(spec)
        model(x, c)
        model.infer(x, c, k=2)
        model.sample(2, labels_of(spec, 2))
    changed = [key for key, value in model.state_dict().items() if not torch.equal(value, before[key])]
    assert not changed


@every_variant
def test_a_rate_that_is_known_in_closed_form_is_never_negative(name: str) -> None:
    spec = SPECS["image"]
    model = built(name, spec).eval()
    with torch.no_grad():
        latents = model.infer(*rows(spec), k=2).latents
    for latent in latents:
        if latent.kl_is_exact:
            assert (latent.kl > -1e-4).all()


@every_variant
def test_longer_padding_changes_nothing(name: str) -> None:
    spec = SPECS["sequence"]
    model = built(name, spec).eval()
    x, c = rows(spec)
    longer = torch.cat([x, torch.full_like(x[:, :4], math.nan)], 1)
    with torch.no_grad(), at_centre():
        a, b = model.infer(x, c), model.infer(longer, c)
    torch.testing.assert_close(a.log_px, b.log_px, atol=1e-6, rtol=1e-6)


@every_variant
def test_other_rows_of_a_batch_change_nothing_in_evaluation(name: str) -> None:
    spec = SPECS["image"]
    model = built(name, spec).eval()
    x, c = rows(spec)
    with torch.no_grad(), at_centre():
        both, alone = model.infer(x, c), model.infer(x[:1], None if c is None else c[:1])
    torch.testing.assert_close(both.log_px[:, :1], alone.log_px, atol=1e-5, rtol=1e-5)


@every_variant
def test_seeds_can_be_stacked_or_the_model_says_why_not(name: str) -> None:
    """Two models in one `torch.func.vmap`, gradient included, as stacked training runs them."""
    spec = SPECS["image"]
    models = [built(name, spec) for _ in range(2)]
    if models[0].unstackable:
        pytest.skip(f"{name}: {models[0].unstackable}")
    x, c = rows(spec)
    parameters, buffers = torch.func.stack_module_state(models)

    def loss(p: dict[str, Tensor], b: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(models[0], (p, b), (x, c, 0.5))["loss"]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gradients, losses = torch.func.vmap(torch.func.grad_and_value(loss), randomness="different")(parameters, buffers)
    assert losses.shape == (2,)
    assert losses.isfinite().all()
    assert all(g.isfinite().all() for g in gradients.values())


@every_variant
def test_every_hyperparameter_has_a_default_and_a_range(name: str) -> None:
    for key, h in VARIANTS[name].hyperparameters.items():
        assert not h.required, f"{name}[{key}] has no default"
        assert h.annotation is not inspect.Parameter.empty, f"{name}[{key}] has no type"
