"""The rules of the contract. A rule that is broken says what was seen and how to mend it."""

import contextlib
import io
import math
import tempfile
import warnings
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor

from ..core import Model, Trace
from ..distributions import at_centre
from ..seeds import seeded
from .case import Broken, Case
from .learning import learns, trains_every_parameter
from .trained import refuses_nothing_once_trained
from .watch import written

Rule = Callable[[Case], None]


def builds(case: Case) -> None:
    """It builds, or says `Unsupported` and why."""
    if case.refusal.startswith("Unsupported"):
        raise Broken(
            "Unsupported was raised without a reason",
            "say why in one sentence: Unsupported('needs …')",
        )


def names_its_paper(case: Case) -> None:
    """Its docstring says what is new and cites a source."""
    if not case.variant.doc:
        raise Broken(
            "there is no docstring",
            "say in its first line what is new, then the objective, then `Paper: …`",
        )
    if not case.variant.paper:
        raise Broken(
            "the docstring has no paragraph that starts with `Paper:`",
            "cite authors, year and equation there",
        )


def takes_any_batch(case: Case) -> None:
    """Batches of 1, 7 and 64 rows give finite terms at the start, in the middle and at the end of
    training.
    """
    model = case.build().train()
    start = deepcopy(model.state_dict())
    for n, progress in ((1, 0.5), (7, 0.0), (7, 1.0), (64, 0.5)):
        model.load_state_dict(start)  # statistics of an earlier batch tell nothing of this one
        terms = case.terms(model, n, progress)
        if "loss" not in terms:
            raise Broken(
                f"the terms are {', '.join(terms) or 'none'}", "give what is minimised as 'loss'"
            )
        for name, value in terms.items():
            if value.numel() != 1:
                raise Broken(
                    f"the term {name!r} has shape {tuple(value.shape)}",
                    "give its mean over the batch",
                )
            if not torch.isfinite(value).all():
                seen = (
                    f"with {n} rows, at progress {progress:g}, "
                    f"the term {name!r} is {value.item():g}"
                )
                raise Broken(seen, "look for 0/0, log 0 or a NaN of padding")


def has_a_sound_bound(case: Case) -> None:
    """KL ≥ 0, each latent's where it is in closed form; ELBO ≤ IWAE_64; the closed form is the mean
    of log q - log p.
    """
    model = case.untrained
    with torch.no_grad(), seeded("check", "bound"):
        trace = model.infer(*case.rows(8), 2 if model.no_density else 512)
    for i, latent in enumerate(trace.latents):
        if latent.kl_is_exact and latent.kl.min() < -1e-4:
            raise Broken(
                f"the closed KL of latent {i} is {latent.kl.min().item():.4f}",
                "a KL is never negative",
            )
    if not model.no_density:
        _must_have_a_true_kl(trace)
        _must_lie_below_iwae(trace)


def _must_have_a_true_kl(trace: Trace) -> None:
    """KL is not negative, and is the mean of log q - log p over the draws."""
    sampled = trace.log_px - trace.log_w  # Σ log q - log p of each draw, (K, B)
    error = sampled.std(0) / math.sqrt(len(sampled)) + 1e-4
    kl = trace.kl.expand(len(sampled), -1).mean(0)
    if (kl < -5 * error).any():
        raise Broken(
            f"KL is {kl.min().item():.4f}, below 0",
            "the density of the draws or of the prior is wrong",
        )
    worst = ((kl - sampled.mean(0)).abs() / error).max().item()
    if worst > 6:
        raise Broken(
            f"trace.kl and the mean of log q - log p over {len(sampled)} draws "
            f"are {worst:.1f} standard errors apart",
            "check the closed form, or the log density that `draw` gives",
        )


def _must_lie_below_iwae(trace: Trace) -> None:
    """ELBO ≤ IWAE_64, in the mean over eight groups of 64 draws."""
    draws = len(trace.log_w)
    elbo = (trace.log_px - trace.kl).mean(0)
    groups = trace.log_w.unflatten(0, (-1, 64))  # (8, 64, B)
    iwae = (groups.logsumexp(1) - math.log(64)).mean(0)
    error = trace.log_w.std(0) / math.sqrt(draws) + 1e-4
    if (elbo > iwae + 6 * error).any():
        raise Broken(
            "the ELBO is above IWAE_64", "log_w must be log p(x,z) - log q(z|x) of the same draw"
        )


def repeats_itself(case: Case) -> None:
    """The same seed gives the same loss, bit for bit."""
    first, second = (case.terms(case.build().train(), 16)["loss"] for _ in range(2))
    if not torch.equal(first, second):
        raise Broken(
            f"one seed gave {first.item():.6f} and {second.item():.6f}",
            "draw from torch's generator and no other",
        )


def evaluates_without_a_trace(case: Case) -> None:
    """Evaluation changes neither a parameter nor a buffer."""
    model = case.untrained
    before = deepcopy(model.state_dict())
    with torch.no_grad():
        case.terms(model, 16)
        model.infer(*case.rows(16), 3)
        _sample(case, model)
    changed = [name for name, value in model.state_dict().items() if not _same(value, before[name])]
    if changed:
        raise Broken(
            f"evaluation changed {', '.join(changed[:4])}", "change buffers only `if self.training`"
        )


def samples_the_data(case: Case) -> None:
    """`sample` gives joint draws of the shape of the data, finite ones, and means where asked."""
    model = case.untrained
    wanted = (5, *case.spec.shape)
    for mean in (False, True):
        with seeded("check", "sample"):
            drawn = _sample(case, model, mean)
        if tuple(drawn.shape) != wanted:
            raise Broken(
                f"sample(5, mean={mean}) has shape {tuple(drawn.shape)}", f"it must be {wanted}"
            )
        if not drawn.isfinite().all():
            raise Broken(
                f"sample(5, mean={mean}) is not finite",
                "generate every step; padding is applied elsewhere",
            )
        if drawn.requires_grad:
            raise Broken(
                f"sample(5, mean={mean}) carries a gradient",
                "decorate sample with @torch.no_grad()",
            )


def ignores_padding(case: Case) -> None:
    """Three more steps of padding change nothing."""
    if not (case.spec.has_gaps and case.spec.is_sequence):
        return
    model = case.untrained
    (x, c) = case.rows(9)
    longer = torch.nn.functional.pad(x, (0, 0, 0, 3), value=math.nan)
    with torch.no_grad(), at_centre():
        short = model.infer(x, c).log_px
        long = model.infer(longer, c).log_px
    difference = (short - long).abs().max().item()
    if not difference < 1e-5 * (1 + short.abs().max().item()):
        raise Broken(
            f"log p(x|z) changes by {difference:g}",
            "read x through without_gaps and step_mask of vaezoo.networks",
        )


def saves_and_loads(case: Case) -> None:
    """A model that is saved and loaded gives the same outputs."""
    from ..registry.registry import Registry
    from ..training.checkpoint import load, save

    model = case.untrained
    (x, c) = case.rows(5)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = load(
            save(model, Path(folder) / "m.safetensors"),
            Registry(variants={case.variant.name: case.variant}),
        )
    with torch.no_grad(), at_centre():
        before = model.infer(x, c).log_px
        after = again.infer(x, c).log_px
    if not torch.equal(before, after):
        raise Broken(
            "a loaded model gives other outputs", "keep all state in parameters and buffers"
        )


def stacks(case: Case) -> None:
    """Three seeds run as one under `torch.func.vmap`, or the model's `unstackable` says why not."""
    model = case.build().train()
    if model.unstackable:
        return
    from torch.func import functional_call, grad_and_value, stack_module_state, vmap

    parameters, buffers = stack_module_state([model] * 3)
    x, c = case.rows(8)

    def loss(p: dict[str, Tensor], b: dict[str, Tensor]) -> Tensor:
        return functional_call(model, (p, b), (x, c, 0.5))["loss"]

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of operations that vmap does one by one
            gradients, value = vmap(grad_and_value(loss), randomness="different")(
                parameters, buffers
            )
    except RuntimeError as error:
        line = str(error).strip().splitlines()[0][:160]
        raise Broken(
            f"vmap over seeds fails: {line}",
            "see vaezoo.distributions, or set `unstackable` on the model",
        ) from None
    if not all(found.isfinite().all() for found in (value, *gradients.values())):
        raise Broken(
            "with stacked seeds a loss or gradient is not finite",
            "look for state that is a Python attribute",
        )


def is_silent(case: Case) -> None:
    """Building, training and sampling print nothing and write no file."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), written() as files:
        model = case.build().train()
        case.terms(model, 8)["loss"].backward()
        _sample(case, model.eval())
    if out.getvalue():
        raise Broken(
            f"it printed {out.getvalue().strip().splitlines()[0][:80]!r}",
            "return numbers as terms of the loss",
        )
    if files:
        raise Broken(
            f"it wrote to {files[0]}", "a variant leaves files alone; the benchmark stores results"
        )


RULES: tuple[Rule, ...] = (
    builds, names_its_paper, takes_any_batch, learns, trains_every_parameter, has_a_sound_bound,
    refuses_nothing_once_trained, repeats_itself, evaluates_without_a_trace, samples_the_data,
    ignores_padding, saves_and_loads, stacks, is_silent,
)  # fmt: skip


def _sample(case: Case, model: Model, mean: bool = False) -> Tensor:
    _, c = case.rows(5)
    return model.sample(5, c, mean)


def _same(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a.nan_to_num(), b.nan_to_num())
