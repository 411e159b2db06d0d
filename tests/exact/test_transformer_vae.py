"""Attention over steps: what a step may see, its bounds against quadrature, and irregular times."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from vaezoo_plugins.transformer_vae import TransformerVAE, seen_before, transformer_vae

from tests.exact import _bounds as bounds, _quadrature as quadrature
from vaezoo.core import Spec
from vaezoo.distributions import at_centre
from vaezoo.seeds import seeded

TIMES = (0.0, 0.3, 1.5, 1.9, 4.0)
T, C = len(TIMES), 3
SPEC = Spec((T, C), "normal", latent=2, hidden=8, has_gaps=True, network="rnn", times=TIMES)


def built(spec: Spec = SPEC) -> TransformerVAE:
    with seeded("weights"):
        return transformer_vae(spec).double().eval()


def rows() -> Tensor:
    """(4, T, C): complete, with a step missing, with the first missing, and padded."""
    with seeded("x"):
        x = torch.randn(4, T, C).double()
    x[1, 2] = x[2, 0] = x[3, 3:] = math.nan
    return x


def test_of_each_step_the_last_one_seen_before_it():
    x = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]])[..., None]
    past, index = seen_before(x, torch.tensor([[False, True, False, True, True]]))
    assert index.tolist() == [[-1, -1, 1, 1, 3]]
    assert past.flatten().tolist() == [0, 0, 2, 2, 4]


@pytest.mark.certifies(
    "transformer_vae", claim="p(x_t|z, x_<t) reads all steps before t, and none else"
)
def test_a_step_reads_all_before_it_and_no_other():
    model = built()
    with seeded("x"):
        x = torch.randn(2, T, C).double().requires_grad_()
        z = torch.randn(2, 2).double().requires_grad_()
    seen = torch.ones(2, T, dtype=torch.bool)
    raw = model.writer(z, x, model.when, seen)
    for t in range(T):
        of_x, of_z = torch.autograd.grad(raw[0, t].sum(), (x, z), retain_graph=True)
        assert (of_x[0].abs().amax(1) > 0).tolist() == [s < t for s in range(T)]
        assert not of_x[1].any()
        assert of_z[0].all()


@pytest.mark.certifies(
    "transformer_vae", claim="ELBO ≤ IWAE ≤ log p(x) of quadrature, which IWAE comes to"
)
def test_bounds_lie_below_quadrature_and_meet_it():
    """One number for the sequence. n = 4,000 draws, z-score below 5."""
    model, x, n = built(replace(SPEC, latent=1)), rows(), 4000
    z, cell = quadrature.grid(1, 8.0, 201)
    full = torch.where(x.isnan(), 0.0, x)
    seen = ~x.isnan().all(-1)
    with torch.no_grad(), seeded("draws"):
        each = [model.writer(at.expand(4, 1), full, model.when, seen) for at in z]
        log_px = model.writer.likelihood(torch.stack(each)).log_prob(x)  # (201, 4)
        exact = quadrature.log_integral(log_px + model.prior().log_prob(z)[:, None], cell)
        trace = model.infer(x, k=n)
    bounds.meet(trace.log_w, exact, trace.log_px - trace.kl)


@pytest.mark.certifies("transformer_vae", claim="a step that nobody saw changes no density")
def test_a_time_at_which_nothing_was_seen_changes_nothing():
    times = (*TIMES[:3], 1.7, *TIMES[3:])
    few, many = built(), built(replace(SPEC, shape=(T + 1, C), times=times))
    x = rows()
    bounds.read_the_same(few, many, x, 3)


def test_a_row_of_which_nothing_was_seen_says_nothing():
    model, x = built(), rows()
    x[1] = math.nan
    padded = torch.cat([x, torch.full((4, 2, C), math.nan)], 1)
    with at_centre():
        trace, longer = model.infer(x), model.infer(padded)
    assert trace.log_w.isfinite().all()
    assert trace.log_px[0, 1] == 0
    torch.testing.assert_close(trace.log_w, longer.log_w, rtol=0, atol=1e-10)


def test_times_move_code_and_density():
    near, far = built(), built(replace(SPEC, times=(*TIMES[:4], 9.0)))
    x = rows()[:1]
    with at_centre():
        traces = [model.infer(x) for model in (near, far)]
    assert (traces[0].z - traces[1].z).abs().max() > 1e-4
    assert (traces[0].log_px - traces[1].log_px).abs().max() > 1e-4
