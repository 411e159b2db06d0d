"""Sequence metrics against known answers: an AR(1) process that its own model predicts, a perfect
generator, and noise.
"""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vaezoo.core import Spec, Unsupported
from vaezoo.data.data import Card, Data
from vaezoo.evaluation import judges
from vaezoo.evaluation.baselines import APART, NOISE, REAL, apart
from vaezoo.evaluation.context import Evaluation
from vaezoo.evaluation.measuring import measure
from vaezoo.evaluation.metrics import sequence
from vaezoo.evaluation.metrics.likelihood import per_step
from vaezoo.evaluation.metrics.sequence import (
    LAST,
    MEAN,
    controls,
    filtered,
    naive,
    vaezoo_metrics,
)
from vaezoo.evaluation.prediction import predictions
from vaezoo.registry import registry
from vaezoo.seeds import seeded
from vaezoo.stepwise import Normals, Stepwise

A, SIGMA = 0.9, 0.3
SPEC = Spec((20, 1), "normal", latent=1, hidden=8, network="rnn")
VARIANTS = registry.load_registry().variants


class AR1(Stepwise):
    """x_t = A x_t-1 + SIGMA e_t, from x_0 = 0: the state is x_t-1, nothing reads the latent."""

    def __init__(self) -> None:
        super().__init__(SPEC, state=1)
        self.likelihood.head.log_scale.data.fill_(math.log(SIGMA))

    def features(self, x: Tensor, inputs: Tensor, mask: Tensor | None) -> Tensor:
        return x

    def p(self, state: Tensor) -> Normals:
        return Normals(torch.zeros_like(state), torch.ones_like(state))

    def q(self, state: Tensor, feature: Tensor) -> Normals:
        return self.p(state)

    def emit(self, state: Tensor, z: Tensor) -> Tensor:
        return A * state

    def advance(self, state: Tensor, seen: Tensor, z: Tensor) -> Tensor:
        return seen.expand_as(state)


def ar1(n: int, *seed: object) -> Tensor:
    with seeded("ar1", *seed):
        return AR1().sample(n)


def data(n: int = 400) -> Data:
    return Data(
        "ar1",
        SPEC,
        ar1(n, "train"),
        ar1(50),
        ar1(n, "test"),
        Card("AR(1)", "made here", "none", "none"),
    )


def test_one_step_error_of_an_ar1_process_is_the_deviation_of_its_innovations():
    n, x = 2000, ar1(2000, "one step")
    forced, _ = predictions(AR1(), x, None, 8, 12, 4)
    error = float((x[:, 8:12] - forced).square().mean().sqrt())
    assert abs(error - SIGMA) < 4 * SIGMA / math.sqrt(2 * 4 * n)  # 4 n innovations, z = 4


def test_free_running_error_of_an_ar1_process_grows_as_its_variance():
    x, k = ar1(4000, "free"), 64
    _, free = predictions(AR1(), x, None, 8, 14, k)
    for ahead in range(6):
        variance = SIGMA**2 * sum(A ** (2 * i) for i in range(ahead + 1))
        # the k paths' own noise, but for the last step, of which the mean is taken
        expected = variance + (variance - SIGMA**2) / k
        found = float((x[:, 8 + ahead] - free[:, ahead, :]).square().mean())
        # a χ² of 4000 degrees, z = 4
        assert abs(found - expected) < 4 * expected * math.sqrt(2 / 4000)


def test_naive_predictions_of_an_ar1_process_err_as_its_moments_say(monkeypatch):
    n = 20_000
    monkeypatch.setattr(sequence, "ROWS", n)
    x = ar1(n, "naive")
    rows = naive(replace(data(), train=x, test=x))
    start, stop = 10, 18

    def variance(t: int) -> float:
        """Of x after t steps from 0."""
        return SIGMA**2 * (1 - A ** (2 * t)) / (1 - A**2)

    steps = range(start, stop)  # x[:, t] has made t + 1 steps
    of_mean = sum(variance(t + 1) for t in steps) / len(steps)
    of_last = sum((1 - A) ** 2 * variance(t) + SIGMA**2 for t in steps) / len(steps)
    free = [(1 - A ** (t + 1 - start)) ** 2 * variance(start) for t in steps]
    of_held = sum(free[i] + variance(i + 1) for i in range(len(steps))) / len(steps)
    error = 4 * math.sqrt(2 / n)  # of a mean square over n sequences of one number each
    found = rows[MEAN]["one_step_error"] ** 2
    assert found == pytest.approx(of_mean, rel=error)
    assert rows[MEAN]["free_running_error"] == rows[MEAN]["one_step_error"]
    assert rows[LAST]["one_step_error"] ** 2 == pytest.approx(of_last, rel=error)
    assert rows[LAST]["free_running_error"] ** 2 == pytest.approx(of_held, rel=error)


def test_the_filter_gives_the_exact_log_likelihood_where_no_latent_is_read():
    evaluation = Evaluation(AR1(), data())
    x = evaluation.x
    before = torch.cat([torch.zeros(len(x), 1, 1), x[:, :-1]], 1)
    exact = -float(torch.distributions.Normal(A * before, SIGMA).log_prob(x).sum()) / len(x)
    with torch.no_grad():
        found = filtered(evaluation)
    assert found["filter_nll"] == pytest.approx(exact, abs=1e-4)
    assert (
        found["filter_nll_per_step"]
        == found["filter_nll_mean_per_step"]
        == pytest.approx(exact / 20, abs=1e-5)
    )


def test_the_two_means_over_steps_differ_where_lengths_do():
    x = torch.zeros(2, 4, 1)
    x[1, 1:] = math.nan
    found = per_step("nll", torch.tensor([8.0, 1.0]), x)  # 2 a step for four steps, 1 for one
    assert found == {
        "nll_per_step": pytest.approx(9 / 5),
        "nll_mean_per_step": pytest.approx(3 / 2),
    }


def test_a_perfect_generator_cannot_be_told_from_the_data():
    x = [judges.windows(ar1(500, "judge", i)) for i in range(4)]
    with seeded("judge"):
        score = judges.discriminative(*x)
    assert score < 4 * 0.5 / math.sqrt(1000)  # accuracy on 1000 sequences of a coin, z = 4


def test_noise_is_told_from_the_data():
    real, test = (judges.windows(ar1(500, "real", i)) for i in range(2))
    with seeded("noise"):
        noise = [torch.randn_like(x) * real.std() for x in (real, test)]
        assert judges.discriminative(real, noise[0], test, noise[1]) > 0.4


def test_a_predictor_trained_on_the_process_errs_by_its_innovations_and_one_trained_on_noise_by_more():  # noqa: E501, RUF100
    real, test = (judges.windows(ar1(1000, "predict", i)) for i in range(2))
    with seeded("predict"):
        good = judges.predictive(real, test)
        bad = judges.predictive(torch.randn_like(real) * real.std(), test)
    floor = SIGMA * (1 - 4 / math.sqrt(2 * 19 * 1000))  # the best predictor's error, z = 4
    assert floor < good < 1.1 * SIGMA
    assert bad > 1.5 * SIGMA


def test_control_rows_of_the_judges_are_real_rows_steps_in_any_order_and_noise(monkeypatch):
    """The best predictor of the process errs by its innovations, of steps on their own by the
    deviation of x.
    """
    monkeypatch.setattr(sequence, "JUDGES", 1)
    monkeypatch.setattr(judges, "STEPS", 60)
    rows = controls(data())
    assert set(rows) == {REAL, APART, NOISE}
    assert rows[REAL]["discriminative_score"] < 0.1 < 0.4 < rows[APART]["discriminative_score"]
    deviation = float(data().test[:, 1:].std())
    assert rows[REAL]["predictive_score"] == pytest.approx(SIGMA, rel=0.15)
    assert rows[APART]["predictive_score"] == pytest.approx(deviation, rel=0.15)
    assert rows[NOISE]["predictive_score"] == pytest.approx(deviation, rel=0.15)


def test_independent_steps_are_steps_of_training_rows_as_long_as_real_ones():
    x = torch.arange(24.0).reshape(4, 3, 2)
    x[1, 2] = x[3, 1:] = math.nan
    made = apart(replace(data(), train=x), x, torch.Generator().manual_seed(0))
    assert torch.equal(made.isnan(), x.isnan())
    steps = made[~made.isnan()].view(-1, 2)
    assert (steps[:, 1] == steps[:, 0] + 1).all()  # the channels of a step stay together
    assert (steps[:, 0] % 2 == 0).all()


def test_windows_lie_within_their_sequences():
    x = torch.arange(60.0).reshape(1, 60, 1).repeat(50, 1, 1)
    x[:25, 40:], x[25:30, 10:] = math.nan, math.nan
    with seeded("windows"):
        found = judges.windows(x)
    assert found.shape == (50, judges.WINDOW, 1)
    assert not found[:25].isnan().any()
    assert (~found[25:30].isnan()).sum() == 50
    assert ((found.diff(dim=1) == 1) | found.diff(dim=1).isnan()).all()


@pytest.mark.parametrize("name", ["vrnn", "vae"])
def test_every_column_has_a_number_or_a_reason(name):
    spec = Spec((14, 3), has_gaps=True, latent=2, hidden=8, network="rnn")
    with seeded("rows"):
        x = torch.bernoulli(torch.full((40, 14, 3), 0.4))
        x[:10, 9:] = math.nan
    with seeded("weights"):
        model = VARIANTS[name](spec)
    rows = Data("bits", spec, x, x, x, Card("bits", "made here", "none", "none"))
    found = measure(Evaluation(model, rows), vaezoo_metrics())
    columns = {c.name for metric in vaezoo_metrics() for c in metric.columns}
    assert columns == set(found) | set(found.reasons)
    assert all(math.isfinite(value) for value in found.values())
    # fair-ish bits, an untrained model
    assert found["one_step_error"] == pytest.approx(0.49, abs=0.1)
    # the same every time
    assert measure(Evaluation(model, rows), vaezoo_metrics()[:2]).items() <= found.items()


def test_padding_and_later_steps_do_not_reach_a_prediction():
    spec = Spec((14, 3), has_gaps=True, latent=2, hidden=8, network="rnn")
    with seeded("rows"):
        x = torch.bernoulli(torch.full((6, 14, 3), 0.4))
    for name in ("vrnn", "srnn", "vrae", "vae", "rnn"):
        with seeded("weights"):
            model = VARIANTS[name](spec).eval()
        other = torch.cat([x[:, :6], 1 - x[:, 6:]], 1)
        with torch.no_grad():
            with seeded("draws"):
                forced, _ = predictions(model, x, None, 6, 7, 3)
            with seeded("draws"):
                again, _ = predictions(model, other, None, 6, 7, 3)
        torch.testing.assert_close(forced, again, rtol=0, atol=0)


def test_an_image_is_no_sequence():
    spec = Spec((1, 8, 8), latent=2, hidden=8)
    x = torch.zeros(10, 1, 8, 8)
    found = measure(
        Evaluation(VARIANTS["vae"](spec), Data("i", spec, x, x, x, Card("", "", "", ""))),
        vaezoo_metrics(),
    )
    assert not found
    assert set(found.reasons.values()) == {"not a sequence"}


@pytest.mark.parametrize("name", ["vae", "vrae"])
@pytest.mark.parametrize("network", ["mlp", "rnn"])
def test_a_model_that_reads_x_whole_says_so_where_no_step_can_be_withheld(name, network):
    spec = Spec((14, 3), latent=2, hidden=8, network=network)
    x = torch.zeros(10, 14, 3)
    rows = Data("w", spec, x, x, x, Card("", "", "", ""))
    found = measure(Evaluation(VARIANTS[name](spec), rows), [vaezoo_metrics()[0]])
    assert found.reasons["one_step_error"]
    assert not found


def test_a_causal_model_predicts_data_without_gaps():
    spec = Spec((14, 3), latent=2, hidden=8)
    with seeded("weights"):
        model = VARIANTS["rnn"](spec).double().eval()
        x = torch.bernoulli(torch.full((5, 14, 3), 0.4, dtype=torch.float64))
    with torch.no_grad():
        forced, free = predictions(model, x, None, 6, 9, 2, has_gaps=False)
        exact = model.infer(x).px.mean[0, :, 6:9]
    torch.testing.assert_close(forced, exact, rtol=0, atol=1e-12)
    torch.testing.assert_close(free[:, 0], exact[:, 0], rtol=0, atol=1e-12)


def test_a_latent_at_every_step_without_a_step_function_has_no_prediction():
    spec = Spec((14, 3), has_gaps=True, latent=2, hidden=8, network="rnn")
    with pytest.raises(Unsupported, match="no step function"):
        predictions(VARIANTS["rvae"](spec, causal=False), torch.zeros(4, 14, 3), None, 6, 7, 2)


def test_a_generator_that_leaves_all_bounds_has_no_scores():
    class Lost(AR1):
        def sample(self, n, c=None, mean=False):
            x = super().sample(n, c, mean)
            x[0, 5] = math.nan
            return x

    found = measure(Evaluation(Lost(), data()), [m for m in vaezoo_metrics() if m.name == "judges"])
    assert not found
    assert found.reasons["discriminative_score"] == "the model's samples are not finite"
