"""What `evaluate` promises as a whole: repeatable, without traces on the model, and a reason for
all that is left out.
"""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vaezoo.core import VAE, Model, Unsupported
from vaezoo.evaluation import builtin_metrics, controls, evaluate
from vaezoo.evaluation.metrics import likelihood
from vaezoo.hooks import Column, Metric
from vaezoo.losses import ELBO
from vaezoo.networks import Deterministic, Gaussian, StandardNormal, Write
from vaezoo.use import dataset

from .conftest import digits, gaussian_vae


class Zero(ELBO):
    """Takes any model, so that a model without a density can be built."""

    def check(self, model: Model) -> None:
        pass


def test_one_seed_gives_one_answer_and_another_seed_another(data, model, cache):
    first, again = (evaluate(model, data, 0, cache=cache) for _ in range(2))
    other = evaluate(model, data, 1, metrics=likelihood.vaezoo_metrics(), cache=cache)
    assert first == again
    assert first["nll"] != other["nll"]
    assert all(isinstance(value, float) for value in first.values())


def test_model_and_random_stream_are_as_they_were(data, model, cache):
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(3)
    state = torch.get_rng_state()
    evaluate(model, data, cache=cache)
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_every_column_has_a_number_or_a_reason(data, cache):
    columns = {column.name for metric in builtin_metrics() for column in metric.columns}
    spec = data.spec
    for model in (
        gaussian_vae(spec),
        VAE(Deterministic(spec), Write(spec), StandardNormal(spec), Zero()),
    ):
        answer = evaluate(model, data, cache=cache)
        assert set(answer) | set(answer.reasons) == columns
        assert not set(answer) & set(answer.reasons)
        assert all(math.isfinite(value) for value in answer.values())


def test_a_deterministic_encoder_has_no_bound_but_a_reconstruction(data, cache):
    model = VAE(Deterministic(data.spec), Write(data.spec), StandardNormal(data.spec), Zero())
    answer = evaluate(model, data, cache=cache)
    assert answer.reasons["elbo"] == answer.reasons["nll"] == "deterministic encoder"
    assert {"reconstruction_nll", "mse", "fid"} <= set(answer)


def test_a_density_does_not_stand_beside_a_probability_mass(data, cache):
    spec = replace(data.spec, likelihood="normal")
    answer = evaluate(gaussian_vae(spec), data, cache=cache)
    assert (
        answer.reasons["elbo"] == "its p(x|z) is a density, the other rows' is a probability mass"
    )
    assert "reconstruction_nll" not in answer
    assert "mse" in answer


def test_a_conditional_model_says_that_its_likelihood_is_given_the_label(data, cache):
    spec = data.spec.conditioned()
    model = VAE(Gaussian(spec), Write(spec), StandardNormal(spec), ELBO())
    assert evaluate(model, data, cache=cache).settings["likelihood_is"] == "given the label"
    assert "likelihood_is" not in evaluate(gaussian_vae(data.spec), data, cache=cache).settings


def test_unlabelled_data_are_evaluated_too(cache):
    data = digits(labelled=False)
    answer = evaluate(gaussian_vae(data.spec), data, cache=cache)
    assert answer.settings["extractor"] == "random network"
    assert math.isfinite(answer["fid"])


def test_samples_that_are_not_finite_are_a_reason_not_a_number(data, model, cache):
    class Broken(VAE):
        def sample(self, n: int, c: Tensor | None = None, mean: bool = False) -> Tensor:
            return super().sample(n, c, mean) / 0 * 0

    broken = Broken(model.encoder, model.decoder, model.prior, model.loss)
    assert (
        evaluate(broken, data, cache=cache).reasons["fid"] == "the model's samples are not finite"
    )


def test_a_metric_that_cannot_be_had_gives_its_reason_and_the_rest_go_on(data, model):
    def refuse(evaluation: object) -> dict[str, float]:
        raise Unsupported("needs two latents")

    metrics = [
        Metric("no", (Column("no", "", ""),), refuse),
        Metric("yes", (Column("yes", "", ""),), lambda e: {"yes": 1.0}),
    ]
    seen: list[tuple[str, int, int]] = []
    answer = evaluate(model, data, metrics=metrics, progress=lambda *at: seen.append(at))
    assert answer == {"yes": 1.0}
    assert answer.reasons == {"no": "needs two latents"}
    assert seen == [("no", 1, 2), ("yes", 2, 2)]


@pytest.mark.parametrize("labelled", [True, False])
def test_the_random_network_has_a_column_of_its_own_where_fid_is_by_another(labelled):
    data = digits(labelled, n_test=60)
    chosen = [metric for metric in builtin_metrics() if metric.name == "samples"]
    answer = evaluate(gaussian_vae(data.spec), data, metrics=chosen)
    assert ("fid_random" in answer) == labelled
    if not labelled:
        assert answer.reasons["fid_random"].startswith("the data has no labels")
    assert all(("fid_random" in row) == labelled for row in controls(data, chosen).values())


def test_control_rows_are_in_the_order_that_they_must_be(data, cache):
    rows = controls(data)
    assert set(rows) == {
        "test vs train (floor)",
        "copy of the training set",
        "Gaussian noise",
        "independent pixels",
    }
    fid = {name: row["fid"] for name, row in rows.items()}
    assert fid["test vs train (floor)"] < fid["independent pixels"] < fid["Gaussian noise"]
    assert (
        rows["copy of the training set"]["copied"] > 0.95 > 0.6 > rows["Gaussian noise"]["copied"]
    )
    assert abs(rows["test vs train (floor)"]["fid_above_floor"]) < 0.1 < fid["independent pixels"]
    rates = (data.train.sum(0) + 1) / (len(data.train) + 2)
    expected = -torch.distributions.Bernoulli(rates).log_prob(data.test).sum((1, 2, 3)).mean()
    assert rows["independent pixels"]["nll"] == pytest.approx(float(expected), rel=1e-5)
    assert controls(data) == rows


def test_what_is_known_and_what_is_published_stands_in_rows_of_its_own(cache):
    published = {"published: somebody 2020": {"elbo_per_step": -3.0}}
    lgssm = replace(dataset("lgssm[rows=200]"), published=published)
    rows = controls(lgssm, likelihood.vaezoo_metrics())
    known = lgssm.exact(lgssm.test)
    assert (
        rows["exact log p(x)"]["elbo"]
        == -rows["exact log p(x)"]["nll"]
        == pytest.approx(float(known.mean()))
    )
    assert rows["exact log p(x)"]["nll_per_step"] == pytest.approx(
        -float(known.mean()) / lgssm.spec.shape[0]
    )
    assert rows["exact log p(x)"]["nll"] < rows["independent pixels"]["nll"]
    assert rows["published: somebody 2020"] == published["published: somebody 2020"]


def test_a_metric_that_raises_costs_only_its_own_columns(data, model, cache):
    def broken(evaluation) -> dict[str, float]:
        raise KeyError("no such thing")

    bad = Metric("broken", (Column("a", "", "lower"), Column("b", "", "lower")), broken)
    good = Metric("good", (Column("one", "", "lower"),), lambda evaluation: {"one": 1})
    answer = evaluate(model, data, metrics=[bad, good], cache=cache)
    assert answer == {"one": 1.0}
    assert answer.reasons["a"] == answer.reasons["b"]
    assert answer.reasons["a"].startswith(
        "broken failed: KeyError: 'no such thing' (test_evaluate.py:"
    )


def test_a_metric_that_answers_nothing_is_one_that_fails(data, model, cache):
    answer = evaluate(
        model,
        data,
        metrics=[Metric("mute", (Column("a", "", ""),), lambda evaluation: None)],
        cache=cache,
    )
    assert "mute failed: TypeError" in answer.reasons["a"]


def test_k_is_100_unless_asked_for(data, model, cache):
    likelihood = [metric for metric in builtin_metrics() if metric.name == "likelihood"]
    assert (
        evaluate(model, data, metrics=likelihood, cache=cache).settings["importance_samples"] == 100
    )
    asked = evaluate(model, data, metrics=likelihood, cache=cache, importance_samples=7)
    assert asked.settings["importance_samples"] == 7
