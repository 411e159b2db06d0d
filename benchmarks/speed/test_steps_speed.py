"""Training steps of models with a latent at every step: latents drawn at once, and a compiled step,
beside the plain loop.

Run with `make speed-steps`. A claim is the ratio of two medians of one run.
"""

import pytest
import torch
from torch import Tensor

from vaezoo.core import Spec
from vaezoo.registry.registry import load_registry
from vaezoo.stepwise import Normals, Seen, Stepwise

torch.set_num_threads(1)
SPEC = Spec((64, 88), n_train=32, latent=16, hidden=128, network="rnn")
ROUNDS = {"rounds": 7, "warmup_rounds": 2}


def model_of(name: str) -> Stepwise:
    torch.manual_seed(0)
    return load_registry().variants[name](SPEC)


def step_of(model: Stepwise, x: Tensor) -> None:
    model.zero_grad()
    model(x)["loss"].backward()


def rows() -> Tensor:
    return torch.bernoulli(
        torch.full((32, *SPEC.shape), 0.05), generator=torch.Generator().manual_seed(0)
    )


@pytest.mark.parametrize("how", ["loop", "at once"])
@pytest.mark.parametrize("name", ["storn", "dkf", "frames"])
def test_latents_drawn_at_once(benchmark, monkeypatch, name, how):
    benchmark.group = f"a training step of {name}, 32 sequences of 64 steps"
    model = model_of(name)
    x = rows()
    if how == "loop":
        monkeypatch.setattr(model, "path", lambda seen, k: Stepwise.path(model, seen, k))
    benchmark.pedantic(step_of, (model, x), **ROUNDS)


@pytest.mark.slow  # the compiler takes minutes
@pytest.mark.parametrize("how", ["loop", "compiled"])
@pytest.mark.parametrize("name", ["vrnn", "srnn", "dmm"])
def test_a_compiled_step(benchmark, monkeypatch, name, how):
    benchmark.group = f"a training step of {name}, 32 sequences of 64 steps"
    model = model_of(name)
    x = rows()

    def step(state: Tensor, feature: Tensor, inputs: Tensor, e: Tensor) -> tuple[Tensor, ...]:
        q = model.q(state, feature)
        z = q.loc + q.scale * e
        return z, *q, model.advance(state, inputs, z)

    compiled = torch.compile(step)

    def path(seen: Seen, k: int) -> tuple[Tensor, Tensor, Normals, Tensor]:
        state = model.begin(k, len(seen.x), seen.features)
        trail = []
        for feature, inputs in zip(seen.features.unbind(1), seen.inputs.unbind(1), strict=True):
            z, loc, scale, after = compiled(
                state, feature, inputs, torch.randn(k, len(seen.x), SPEC.latent)
            )
            trail.append((state, z, loc, scale))
            state = after
        states, z, loc, scale = (torch.stack(each, 2) for each in zip(*trail, strict=True))
        return states, z, Normals(loc, scale), model.emit(states, z)

    if how == "compiled":
        monkeypatch.setattr(model, "path", path)
    benchmark.pedantic(step_of, (model, x), **ROUNDS)
