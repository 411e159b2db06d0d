"""One-step errors against the Kalman filter's, with the chain's own model in place of a trained
one.
"""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import vaezoo
from vaezoo.core import Spec, Unsupported
from vaezoo.data.kalman import kalman_filter
from vaezoo.data.sources.lgssm import state_space
from vaezoo.evaluation.context import Evaluation
from vaezoo.evaluation.metrics.forecasts import covered, crps, forecasts
from vaezoo.evaluation.metrics.sequence import exact_of_paths, filtered, prediction
from vaezoo.evaluation.prediction import draws_of_means, squared_error
from vaezoo.stepwise import Normals, Stepwise
from vaezoo.use import dataset

CHAIN = state_space(2, 4)
A = CHAIN.transition.float()
H = CHAIN.observation.float()
NOISE = 0.05  # variance of every channel

WHOLE = Spec((8, 2), "normal", latent=2, hidden=4, network="rnn")  # sequences without gaps


@pytest.mark.parametrize("name", ["vae", "hvae", "savae"])
def test_who_reads_a_sequence_whole_says_so(name: str):
    """hvae and savae score the steps that they are shown, fewer than the decoder writes."""
    model = vaezoo.variants()[name](WHOLE).eval()
    with torch.no_grad(), pytest.raises(Unsupported, match="reads x whole"):
        draws_of_means(model, torch.randn(3, 8, 2), None, 5, 8, 4, has_gaps=False)


class Chain(Stepwise):
    """The chain that `lgssm` draws from. Its q is the posterior given x_t, moved and narrowed."""

    def __init__(self, spec: Spec, narrow: float, moved: float) -> None:
        super().__init__(spec, state=3)  # z_t-1, and 1 at the first step
        self.likelihood.head.log_scale.data.fill_(0.5 * math.log(NOISE))
        self.narrow = narrow
        self.moved = moved

    def start(self, k: int, rows: int, like: Tensor) -> Tensor:
        return F.pad(like.new_zeros(k, rows, 2), (0, 1), value=1.0)

    def features(self, x: Tensor, inputs: Tensor, mask: Tensor | None) -> Tensor:
        return x

    def p(self, state: Tensor) -> Normals:
        is_first = state[..., -1:] > 0
        loc = torch.where(is_first, 0.0, state[..., :2] @ A.T)
        return Normals(loc, torch.where(is_first, 1.0, math.sqrt(1 - 0.95**2)).expand_as(loc))

    def q(self, state: Tensor, feature: Tensor) -> Normals:
        p = self.p(state)
        precision = torch.diag_embed(p.scale**-2) + H.T @ H / NOISE
        covariance = torch.linalg.inv(precision)
        loc = (covariance @ (p.loc / p.scale**2 + feature @ H / NOISE)[..., None]).squeeze(-1)
        scale = covariance.diagonal(dim1=-2, dim2=-1).sqrt()
        return Normals(loc + self.moved, self.narrow * scale)

    def emit(self, state: Tensor, z: Tensor) -> Tensor:
        return z @ H.T

    def advance(self, state: Tensor, seen: Tensor, z: Tensor) -> Tensor:
        return F.pad(z, (0, 1))


@pytest.mark.parametrize(("narrow", "moved"), [(1.0, 0.0), (0.4, 0.2)])
def test_the_errors_are_those_of_the_kalman_filter(narrow: float, moved: float):
    """With 16 particles drawn from p alone the first was 5 to 8 % too large."""
    data = dataset("lgssm[rows=320]")  # 64 test rows
    x = data.test
    known = kalman_filter(CHAIN, x)
    start = 12
    ahead = known.predicted_mean[:, start : start + 8] @ CHAIN.observation.T
    mean = known.mean[:, start - 1]
    onward = []
    for _ in range(8):
        mean = mean @ CHAIN.transition.T
        onward.append(mean @ CHAIN.observation.T)

    with torch.no_grad():
        found = prediction(Evaluation(Chain(data.spec, narrow, moved), data))
    truth = x[:, start : start + 8].double()
    exact = [float((truth - m).square().mean().sqrt()) for m in (ahead, torch.stack(onward, 1))]
    assert found["one_step_error"] == pytest.approx(exact[0], rel=0.006)
    assert found["free_running_error"] == pytest.approx(exact[1], rel=0.02)


def test_the_filter_of_the_right_model_is_just_above_the_exact_control_row():
    """E -log p̂(x) ≥ -log p(x), by Jensen; with a wrong proposal by more."""
    data = dataset("lgssm[rows=320]")
    (row,) = exact_of_paths(data).values()
    assert row["filter_nll"] == pytest.approx(-float(data.exact(data.test).mean()))
    assert row["filter_nll_per_step"] == pytest.approx(row["filter_nll"] / data.test.shape[1])
    above = []
    for narrow, moved in ((1.0, 0.0), (0.4, 0.2)):
        with torch.no_grad():
            found = filtered(Evaluation(Chain(data.spec, narrow, moved), data))["filter_nll"]
        difference = found.of_rows - data.exact(data.test).neg()
        error = float(difference.std()) / math.sqrt(len(difference))
        assert found - row["filter_nll"] > -4 * error
        above.append(found - row["filter_nll"])
    assert above[0] < 0.4 < 5 < above[1]
    assert exact_of_paths(dataset("digits")) == {}


def test_the_number_of_draws_does_not_move_the_error():
    """Draws of N(1, 4) about a truth of 3: E is 4 for every K, else 4 + 4/K."""
    n = 40_000
    for k in (2, 4, 32):
        g = torch.Generator().manual_seed(k)
        draws = 1 + 2 * torch.randn(k, n, generator=g, dtype=torch.float64)
        errors = squared_error(draws, torch.full((n,), 3.0).double())
        assert abs(errors.mean() - 4) < 4 * errors.std() / math.sqrt(n)


def test_a_right_forecast_has_the_coverage_and_the_crps_of_the_gaussians_that_it_is():
    data = dataset("lgssm[rows=320]")
    x = data.test
    known = kalman_filter(CHAIN, x)
    start = 12
    mean = known.mean[:, start - 1]
    covariance = known.covariance[:, start - 1]
    scores = []
    for t in range(start, start + 8):
        mean = mean @ CHAIN.transition.T
        covariance = CHAIN.transition @ covariance @ CHAIN.transition.T + CHAIN.transition_noise
        of_x = CHAIN.observation @ covariance @ CHAIN.observation.T + CHAIN.observation_noise
        scale = of_x.diagonal(dim1=1, dim2=2).sqrt()
        scores.append(gaussian_crps(x[:, t].double(), mean @ CHAIN.observation.T, scale))
    exact = float(torch.stack(scores).mean())

    with torch.no_grad():
        found = forecasts(Evaluation(Chain(data.spec, 1.0, 0.0), data))
    assert found["crps"] == pytest.approx(exact, rel=0.02)
    assert abs(found["forecast_coverage"] - 0.9) < 4 * math.sqrt(0.09 / (64 * 2))  # 2 free states


def gaussian_crps(x: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """Gneiting & Raftery 2007, eq. 22's closed form for N(loc, scale²)."""
    standard = torch.distributions.Normal(0.0, 1.0)
    z = (x - loc) / scale
    return scale * (
        z * (2 * standard.cdf(z) - 1) + 2 * standard.log_prob(z).exp() - 1 / math.sqrt(math.pi)
    )


@pytest.mark.parametrize("k", [2, 19])
def test_crps_of_few_draws_has_no_bias_and_19_draws_hold_nine_in_ten(k: int):
    n = 40_000
    g = torch.Generator().manual_seed(k)
    draws = 2 * torch.randn(k, n, generator=g, dtype=torch.float64)
    x = 2 * torch.randn(n, generator=g, dtype=torch.float64) + 1
    exact = gaussian_crps(x, torch.zeros(n).double(), torch.full((n,), 2.0).double())
    difference = crps(draws, x) - exact
    assert abs(difference.mean()) < 4 * difference.std() / math.sqrt(n)
    if k == 19:
        share = covered(draws, x - 1).double().mean()
        assert abs(share - 0.9) < 4 * math.sqrt(0.09 / n)
