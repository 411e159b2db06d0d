"""Seeds that are trained as one, beside one alone: the ratio of their times, and how far apart the
weights are that they come to.

    python benchmarks/speed/stack.py                          ten seeds on a GPU
    python benchmarks/speed/stack.py --device cpu --seeds 3   what it costs on a CPU

Alone and stacked take turns; a number is the median over the rounds. A first run of each, which
loads kernels, does not count.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch

from vaezoo.core import Model, Spec
from vaezoo.data.data import Card, Data
from vaezoo.registry.registry import load_registry
from vaezoo.seeds import seeded
from vaezoo.training import fit
from vaezoo.training.budget import Budget
from vaezoo.training.stacks import Seat, train_stack

PICTURES = Spec((1, 28, 28), n_train=10_000, latent=16, hidden=512, network="mlp")
STEPS = Spec((24, 8), n_train=2_000, latent=8, hidden=64, network="rnn")
MODELS = {"vae": PICTURES, "iwae": PICTURES, "vamp": PICTURES, "vrnn": STEPS}


def data_of(spec: Spec) -> Data:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(spec.n_train, *spec.shape, generator=generator).round()
    return Data("noise", spec, x, x[:500], x[:1], Card("noise", "made here", "none", "none"))


def built(variant: str, data: Data, seed: int) -> Model:
    with seeded("weights", seed):
        return load_registry().variants[variant](data.spec)


def seconds(work: Callable[[], object], device: str) -> float:
    start = time.perf_counter() if device != "cpu" else time.process_time()
    work()
    if device == "cpu":
        return time.process_time() - start
    torch.cuda.synchronize()
    return time.perf_counter() - start


def measured(variant: str, seeds: int, budget: Budget, rounds: int, device: str) -> str:
    """A line of the table."""
    data = data_of(MODELS[variant])
    ratios = []
    for _ in range(rounds + 1):
        model = built(variant, data, 0)
        seats = [Seat(built(variant, data, seed), seed) for seed in range(seeds)]
        alone = seconds(partial(fit, model, data, budget=budget, device=device), device)
        together = partial(train_stack, seats, data, seeds, budget, device=device)
        stacked = seconds(together, device)
        ratios.append(stacked / alone)

    apart = 0.0
    for one, other in zip(model.parameters(), seats[0].model.parameters(), strict=True):
        apart = max(apart, (one - other).abs().max().item())
    return f"{variant:8} {statistics.median(ratios[1:]):6.2f} x one   {apart:.0e} apart"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    if asked.device != "cpu" and not torch.cuda.is_available():
        print("not run: there is no GPU here")
        return
    budget = Budget(epochs=asked.epochs, patience=asked.epochs)
    for variant in asked.models:
        line = measured(variant, asked.seeds, budget, asked.rounds, asked.device)
        print(f"{asked.seeds} seeds, {line}", flush=True)


if __name__ == "__main__":
    main()
