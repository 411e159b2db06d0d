"""A plan with its prices, as `bench --dry-run` and `vaezoo plan` print it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict

from .plan import Plan
from .price import Price, bytes_in_words, in_words
from .report.typeset import Grid
from .trial import Json, Trial

HEAD = [
    "variant",
    "data set",
    "seeds",
    "epochs",
    "at limit",
    "likely",
    "memory",
    "disk",
    "price by",
    "key",
    "status",
]
UNKNOWN = "–"


def estimate(
    plan: Plan,
    prices: Mapping[str, Price],
    finished: Collection[str],
    jobs: int,
) -> Grid:
    """The rows of the plan, each with what all of its trials cost that are not finished, and the
    sum.
    """
    rows: dict[tuple[str, str, str], list[Trial]] = {}
    for trial in plan.trials:
        row = (trial.variant, trial.dataset, str(sorted((trial.spec | trial.budget).items())))
        rows.setdefault(row, []).append(trial)
    body = [_row(trials, prices, finished) for trials in rows.values()]
    todo = [trial for trial in plan.trials if not trial.skip and trial.key not in finished]
    skipped = sum(bool(trial.skip) for trial in plan.trials)
    title = f"{len(todo)} trials to train, {skipped} skipped"
    done = len(plan.trials) - len(todo) - skipped
    title += f", {done} finished" if done else ""
    return Grid(title, HEAD, body, caption=_sum(todo, prices, jobs))


def _row(
    trials: Sequence[Trial], prices: Mapping[str, Price], finished: Collection[str]
) -> list[str]:
    first = trials[0]
    seeds = ",".join(str(trial.seed) for trial in trials)
    left = [trial for trial in trials if trial.key not in finished]
    lead = [first.variant, first.dataset, seeds, str(first.budget["epochs"])]
    return [*lead, *_costs(left, prices), first.key[:8], _status(trials, left)]


def _costs(left: Sequence[Trial], prices: Mapping[str, Price]) -> list[str]:
    """Cells of what these trials cost, all of them together; memory is that of one."""
    known = [prices[trial.key] for trial in left if trial.key in prices]
    if not known:
        return [UNKNOWN] * 5
    likely = sum(price.likely for price in known)
    has_stops = any(price.likely_epochs for price in known)
    memory = max(price.memory for price in known)
    disk = sum(price.disk for price in known)
    return [
        in_words(sum(price.most for price in known)),
        in_words(likely) if has_stops else UNKNOWN,
        bytes_in_words(memory) if memory else UNKNOWN,
        bytes_in_words(disk) if disk else UNKNOWN,
        known[0].source,
    ]


def _status(trials: Sequence[Trial], left: Sequence[Trial]) -> str:
    if trials[0].skip:
        return f"skipped: {trials[0].skip}"
    if not left:
        return "finished"
    done = len(trials) - len(left)
    words = [f"planned, {done} finished" if done else "planned"]
    words += [f"seeds one by one: {trials[0].alone}"] if trials[0].alone else []
    words += [f"stacks of {trials[0].stacking}"] if trials[0].stacking > 1 else []
    return "; ".join(words)


def _sum(todo: Sequence[Trial], prices: Mapping[str, Price], jobs: int) -> str:
    """What the run costs, in a sentence or two."""
    known = [prices[trial.key] for trial in todo if trial.key in prices]
    if not known:
        return ""
    most = sum(price.most for price in known)
    likely = sum(price.likely for price in known)
    side = f"; {jobs} side by side: {in_words(_spread(most, known, jobs))}" if jobs > 1 else ""
    memory = bytes_in_words(max(price.memory for price in known) * min(jobs, len(known)))
    disk = bytes_in_words(sum(price.disk for price in known))
    unknown = len(todo) - len(known)
    return (
        f"At the limit of epochs {in_words(most)}{side}. "
        f"As like trials stopped {in_words(likely)}; training that stops early makes the limit an "
        f"upper estimate. {memory} of memory, {disk} of disk."
        + (f" {unknown} trials could not be tried and are not counted." if unknown else "")
    )


def _spread(seconds: float, known: Sequence[Price], jobs: int) -> float:
    """Seconds until the last trial ends, of those side by side."""
    return max(seconds / jobs, max(price.most for price in known))


def priced_trial(trial: Trial, prices: Mapping[str, Price], finished: Collection[str]) -> Json:
    """One trial of the plan, as JSON."""
    price = prices.get(trial.key)
    facts = {"key": trial.key, "variant": trial.variant, "dataset": trial.dataset}
    about = {"skip": trial.skip, "alone": trial.alone, "finished": trial.key in finished}
    cost = asdict(price) | {"most": price.most, "likely": price.likely} if price else None
    return {**facts, **about, **trial.ingredients, "price": cost}
