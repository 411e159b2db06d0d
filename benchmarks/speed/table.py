"""Our trainer beside a bare loop over the same layers, data and batch size; and what commands cost.

    python benchmarks/speed/table.py              the table, in a few minutes
    python benchmarks/speed/table.py --rounds 3 --report 10000

One thread, processor time. The loops take turns; a number is the median over the rounds of the
ratio to the bare loop with PyTorch's default Adam in the same round. pythae's column is there where
that package is installed, those of bf16 where the processor multiplies bfloat16.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

# before torch is imported
os.environ["OMP_NUM_THREADS"] = "1"

import bare
import many_trials
import pythae_loop
import torch
from cpuinfo import get_cpu_info

from vaezoo.bench.workers.memory import keep_what_is_freed
from vaezoo.core import VAE, Spec
from vaezoo.data.data import Card, Data
from vaezoo.evaluation.metrics.likelihood import estimate_all
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write
from vaezoo.training.training import fit

ROOT = Path(__file__).parents[2]
MLP = "MLP 784-512-16, B=128"
SIZES = {
    MLP: (Spec((1, 28, 28), n_train=10_000, latent=16, hidden=512, network="mlp"), 4),
    "digits (64-64-64)": (Spec((1, 8, 8), n_train=1200, latent=8, hidden=64, network="mlp"), 20),
    "conv 28×28": (Spec((1, 28, 28), n_train=2560, latent=16, hidden=256, network="conv"), 3),
}
DEFAULT = "bare, default Adam"
Runs = dict[str, Callable[[], object]]
# Elsewhere bfloat16 is emulated, and a round of it takes minutes that say nothing.
HAS_BF16 = not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(get_cpu_info().get("flags", ()))


def vae(spec: Spec) -> VAE:
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), ELBO())


def loops(name: str, spec: Spec, epochs: int) -> Runs:
    """Who trains the model, by column."""
    x = torch.rand(spec.n_train, *spec.shape, generator=torch.Generator().manual_seed(0)).round()
    data = Data(name, spec, x, x[:128], x[:1], Card("noise", "made here", "none", "none"))
    _must_be_alike(spec)
    runs: Runs = {
        DEFAULT: partial(bare.train, spec, x, epochs),
        "bare, fused Adam": partial(bare.train, spec, x, epochs, fused=True),
        "vaezoo": partial(ours, spec, data, epochs),
    }
    if HAS_BF16:
        runs["bare, fused, bf16"] = partial(bare.train, spec, x, epochs, fused=True, bf16=True)
        runs["vaezoo, bf16"] = partial(ours, spec, data, epochs, precision="bf16")
    if name == MLP and pythae_loop.IS_THERE:
        runs["pythae"] = partial(pythae_loop.train, bare.Bare(spec), x, epochs)
    return runs


def ours(spec: Spec, data: Data, epochs: int, precision: str = "float32") -> None:
    """Trains a new model by `fit`."""
    fit(vae(spec), data, epochs=epochs, batch=bare.BATCH, precision=precision)


def _must_be_alike(spec: Spec) -> None:
    ours, theirs = (
        sum(p.numel() for p in one.parameters()) for one in (vae(spec), bare.Bare(spec))
    )
    if ours != theirs:
        raise SystemExit(f"the two models differ: {ours} and {theirs} parameters")


def interleaved(runs: Runs, rounds: int) -> dict[str, list[float]]:
    """Who -> processor seconds of each round, after one that is not counted."""
    seconds: dict[str, list[float]] = {who: [] for who in runs}
    for turn in range(rounds + 1):
        for who, run in runs.items():
            torch.manual_seed(0)
            start = time.process_time()
            run()
            if turn:
                seconds[who].append(time.process_time() - start)
    return seconds


def ratios(seconds: dict[str, list[float]], base: str) -> dict[str, float]:
    """Who -> the median of the ratio to `base` in the same round."""
    found = {}
    for who, each in seconds.items():
        found[who] = statistics.median(a / b for a, b in zip(each, seconds[base], strict=True))
    return found


def share_of_products(rounds: int) -> float:
    """Of importance sampling with K = 5,000 draws and two layers of 200: the part of its time that
    its matrix products alone would take.
    """
    spec = Spec((1, 28, 28), n_train=64, latent=16, hidden=200, network="mlp")
    model = vae(spec).eval()
    x = torch.rand(4, *spec.shape).round()
    layers = [layer.weight.T for layer in model.decoder.modules() if hasattr(layer, "weight")]

    def products() -> None:
        for _ in range(len(x) * 5000 // 500):
            h = torch.randn(500, spec.latent)
            for weight in layers:  # they follow one another
                h = h @ weight

    with torch.no_grad():
        whole: Callable[[], object] = partial(estimate_all, model, x, None, 5000, 2**18)
        seconds = interleaved({"whole": whole, "products": products}, rounds)
    return ratios(seconds, "whole")["products"]


def command(*words: str) -> tuple[float, float]:
    """Processor seconds and MB of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "vaezoo", *words], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, after.ru_maxrss / 1024


def report(n: int) -> tuple[float, float]:
    """What `vaezoo report` of n trials costs."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "many")
        many_trials.make(ROOT / "results" / "digits", out, n, max(1, n // 234))
        return command("report", "--no-figures", str(out))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="How fast vaezoo is.")
    parser.add_argument("--rounds", type=int, default=5, help="Of each loop.")
    parser.add_argument("--only", default="", help="Only trainings whose name holds this.")
    parser.add_argument("--report", type=int, default=0, help="Of how many trials; 0: none.")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    keep_what_is_freed()  # as every process that trains and measures does

    columns = [DEFAULT, "bare, fused Adam", "bare, fused, bf16", "vaezoo", "vaezoo, bf16", "pythae"]
    print(f"| a training | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}")
    for name in (name for name in SIZES if asked.only in name):
        spec, epochs = SIZES[name]
        found = ratios(interleaved(loops(name, spec, epochs), asked.rounds), DEFAULT)
        cells = [f"{found[who]:.2f}" if who in found else "–" for who in columns]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)

    print("\n| what | measured |\n|---|---:|")
    share = share_of_products(asked.rounds)
    print(f"| importance sampling, K=5,000, 2×200: share of the matrix products | {share:.0%} |")
    command("list", "variants")  # fills the cache
    warm = statistics.median(command("list", "variants")[0] for _ in range(asked.rounds))
    print(f"| `vaezoo list variants` | {warm:.2f} s |", flush=True)
    if asked.report:
        seconds, size = report(asked.report)
        print(f"| `vaezoo report` of {asked.report:,} trials | {seconds:.1f} s, {size:.0f} MB |")


if __name__ == "__main__":
    main()
