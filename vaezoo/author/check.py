"""Does a variant keep the contract? Every rule is a function; `check` runs them on small data of
each kind.

A rule that is broken says what was seen and how to mend it. `vaezoo.testing` makes pytest cases of
the same rules.
"""

import contextlib
import io
import math
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core import Model, Spec, Unsupported
from ..distributions import at_centre
from ..likelihoods import head
from ..registry.entries import Variant
from ..seeds import seeded

SPECS = {
    "image": Spec((1, 8, 8), n_train=256, classes=3, latent=4, hidden=16),
    "vector": Spec((6,), "normal", n_train=256, latent=4, hidden=16),
    "sequence": Spec((7, 5), n_train=256, latent=4, hidden=16, network="rnn", has_gaps=True),
    "large image": Spec((1, 28, 28), n_train=256, classes=3, latent=4, hidden=16, network="conv"),
    "grey image": Spec(
        (1, 8, 8), "continuous_bernoulli", n_train=256, classes=3, latent=4, hidden=16
    ),
}
FAST = ("image", "vector", "sequence")


class Broken(AssertionError):
    """A rule is broken: what was seen, and how to mend it."""

    def __init__(self, seen: str, mend: str) -> None:
        super().__init__(f"{seen}; {mend}")
        self.seen = seen
        self.mend = mend


@dataclass
class Case:
    """A variant on one kind of small data."""

    variant: Variant
    kind: str
    hyperparameters: dict[str, Any]

    @property
    def spec(self) -> Spec:
        return SPECS[self.kind]

    @cached_property
    def refusal(self) -> str:
        """Why the variant cannot be had for this data; empty where it can."""
        try:
            self.build()
        except Unsupported as why:
            return str(why) or "Unsupported, without a reason"
        return ""

    def build(self) -> Model:
        """A new model, always with the same weights."""
        with seeded("check", self.kind):
            return self.variant(self.spec, **self.hyperparameters)

    def rows(self, n: int) -> tuple[Tensor, Tensor | None]:
        """x (n, *shape) and c, the same every time; sequences of several lengths."""
        with seeded("check", "rows", self.kind):
            x = torch.randn(n, *self.spec.shape)
            likelihood = head(self.spec)
            if likelihood.levels == 2:
                x = (x > 0).float()
            elif likelihood.is_bounded:
                x = x.sigmoid()
            if self.spec.has_gaps:
                lengths = torch.randint(2, self.spec.shape[0] + 1, (n, 1))
                x[torch.arange(self.spec.shape[0]) >= lengths] = math.nan
            c = (
                torch.eye(self.spec.classes)[torch.randint(self.spec.classes, (n,))]
                if self.spec.classes
                else None
            )
        return x, c

    def terms(
        self, model: Model, n: int, progress: float = 0.5, noise: int = 0
    ) -> dict[str, Tensor]:
        """The terms of one minibatch."""
        with seeded("check", "noise", noise):
            return model(*self.rows(n), progress)


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
    for n, progress in ((1, 0.5), (7, 0.0), (7, 1.0), (64, 0.5)):
        terms = case.terms(case.build().train(), n, progress)
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
                seen = f"with {n} rows, at progress {progress:g}, the term {name!r} is {value.item():g}"
                raise Broken(seen, "look for 0/0, log 0 or a NaN of padding")


def learns(case: Case) -> None:
    """When one minibatch is overfitted for 60 steps, the loss falls, or what early stopping watches
    of two players.

    It ends where five values lie below all of the first five. Learning-rate factors are kept, as
    the trainer keeps them.
    """
    model = case.build().train()
    seen = []
    rates = [
        (p, 5e-3 * model.lr.get(name.split(".")[0], 1.0)) for name, p in model.named_parameters()
    ]
    adam = torch.optim.Adam([{"params": [p], "lr": rate} for p, rate in rates])
    for step in range(60):
        terms = case.terms(model, 16, 1.0, step)
        adam.zero_grad()
        terms["loss"].backward()
        adam.step()
        seen.append((terms["loss"].item(), terms.get("monitor", terms["loss"]).item()))
        if step >= 14 and any(max(v[-5:]) < min(v[:5]) for v in zip(*seen, strict=True)):
            return
    means = [(sum(v[:5]) / 5, sum(v[-5:]) / 5) for v in zip(*seen, strict=True)]
    if not any(last < first for first, last in means):
        raise Broken(
            f"after 60 steps on one minibatch the loss went from {means[0][0]:.3f} to {means[0][1]:.3f}",
            "check its sign; if players pull against each other, give the term to watch as 'monitor'",
        )


def trains_every_parameter(case: Case) -> None:
    """Within thirty steps a gradient reaches every parameter, and none is NaN or infinite."""
    model = case.build().train()
    adam = torch.optim.Adam(model.parameters(), lr=1e-2)
    untouched = {name for name, p in model.named_parameters() if p.requires_grad}
    for step in range(30):
        if not untouched:
            return
        adam.zero_grad()
        case.terms(model, 16, (step + 1) / 30, step)["loss"].backward()
        gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
        if bad := [n for n, g in gradients.items() if not g.isfinite().all()]:
            raise Broken(
                f"the gradient of {bad[0]} is not finite",
                "look for √0, |0| to a power, or torch.where over a NaN",
            )
        untouched -= {n for n, g in gradients.items() if g.abs().sum() > 0}
        adam.step()
    if untouched:
        raise Broken(
            f"no gradient reaches {', '.join(sorted(untouched)[:4])}",
            "use it in the loss, make it a buffer, or set requires_grad_(False) if it is fitted after training",
        )


def has_a_sound_bound(case: Case) -> None:
    """KL ≥ 0, each latent's where it is in closed form; ELBO ≤ IWAE_64; the closed form is the mean
    of log q - log p.
    """
    model = case.build().eval()
    with torch.no_grad(), seeded("check", "bound"):
        trace = model.infer(*case.rows(8), 2 if model.no_density else 512)
    for i, latent in enumerate(trace.latents):
        if latent.kl_is_exact and latent.kl.min() < -1e-4:
            raise Broken(
                f"the closed KL of latent {i} is {latent.kl.min().item():.4f}",
                "a KL is never negative",
            )
    if model.no_density:
        return
    sampled = trace.log_px - trace.log_w  # Σ log q - log p of each draw, (512, 8)
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
            f"trace.kl and the mean of log q - log p over 512 draws are {worst:.1f} standard errors apart",
            "check the closed form, or the log density that `draw` gives",
        )
    elbo = (trace.log_px - trace.kl).mean(0)
    iwae = (trace.log_w.unflatten(0, (8, 64)).logsumexp(1) - math.log(64)).mean(0)
    if (elbo > iwae + 6 * (trace.log_w.std(0) / math.sqrt(512) + 1e-4)).any():
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
    model = case.build().eval()
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
    model = case.build().eval()
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
    if not case.spec.has_gaps:
        return
    model = case.build().eval()
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

    model = case.build().eval()
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
    """Three seeds run as one under `torch.func.vmap`, or the model says in `unstackable` why not."""
    models = [case.build().train() for _ in range(3)]
    if models[0].unstackable:
        return
    from torch.func import functional_call, grad_and_value, stack_module_state, vmap

    parameters, buffers = stack_module_state(models)
    x, c = case.rows(8)

    def loss(p: dict[str, Tensor], b: dict[str, Tensor]) -> Tensor:
        return functional_call(models[0], (p, b), (x, c, 0.5))["loss"]

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
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), _written() as files:
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
    builds, names_its_paper, takes_any_batch, learns, trains_every_parameter, has_a_sound_bound, repeats_itself,
    evaluates_without_a_trace, samples_the_data, ignores_padding, saves_and_loads, stacks, is_silent,
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """What one rule found on one kind of data."""

    rule: str
    kind: str
    passed: bool
    seen: str = (
        ""  # what was seen where it did not pass, the reason where the variant refuses the data
    )
    mend: str = ""
    seconds: float = 0.0


def check(variant: Variant, fast: bool = False, **hyperparameters: Any) -> list[Finding]:
    """Every rule on every kind of data (on the three quickest where `fast`)."""
    kinds = FAST if fast else tuple(SPECS)
    return [
        finding for kind in kinds for finding in _findings(Case(variant, kind, hyperparameters))
    ]


def _findings(case: Case) -> Iterator[Finding]:
    for rule in RULES:
        start = time.perf_counter()
        finding = run(rule, case)
        yield Finding(*finding, seconds=time.perf_counter() - start)
        if rule is builds and (not finding[2] or case.refusal):
            return


def run(rule: Rule, case: Case) -> tuple[str, str, bool, str, str]:
    """(rule, kind, passed, seen, mend). An exception that no rule foresaw is a failure of that
    rule.
    """
    try:
        rule(case)
    except Broken as broken:
        return rule.__name__, case.kind, False, broken.seen, broken.mend
    except Exception as error:  # whatever a plugin raises is an answer, not a crash of the check
        words = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
        return rule.__name__, case.kind, False, words, _place(error)
    return rule.__name__, case.kind, True, case.refusal if rule is builds else "", ""


def _place(error: Exception) -> str:
    traceback = error.__traceback__
    while traceback and traceback.tb_next:
        traceback = traceback.tb_next
    return f"see {traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno}" if traceback else ""


def _sample(case: Case, model: Model, mean: bool = False) -> Tensor:
    _, c = case.rows(5)
    return model.sample(5, c, mean)


def _same(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a.nan_to_num(), b.nan_to_num())


_watched: list[
    list[str]
] = []  # an audit hook cannot be taken off again, so one stays and writes to whoever watches


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if (
        _watched
        and event == "open"
        and isinstance(arguments[1], str)
        and set(arguments[1]) & set("wax+")
    ):
        _watched[-1].append(str(arguments[0]))


@contextlib.contextmanager
def _written() -> Iterator[list[str]]:
    """The files that are opened for writing inside the block."""
    if not _audit_installed:
        sys.addaudithook(_audit)
        _audit_installed.append(True)
    _watched.append([])
    try:
        yield _watched[-1]
    finally:
        _watched.pop()


_audit_installed: list[bool] = []
