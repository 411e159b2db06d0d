"""Looks before a run: what a data set is, whether a variant can be built, what trials share.

A `Probe` asks in processes of its own, where a plugin may crash or hang; `InProcess` asks right
here, for tests and for plugins that are trusted.
"""

import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch

from ...core import Model, Unsupported
from ...data.data import Data
from ...evaluation.failures import one_line, sentence, words
from ...networks import require_bf16
from ...training.budget import BF16, Budget
from ..printed_log import silence
from ..trial import Json, Trial
from .costs import costs
from .memory import limit_this_process, share
from .processes import Places, pool_of, result_of
from .rebuild import build_model, data_of, load_data, registry_of, spec_of

LIMIT = 60.0  # seconds that a variant may take to be built
LOADED = 3600.0  # and a data set to be loaded, or fetched
TOLD = 10.0  # between two sentences on how far it is
TRIED = 600.0  # and that a few of its steps may take, data read and metrics too


class Probe(Protocol):
    def describe(self, places: Places, name: str, options: Json, sizes: Sequence[Json]) -> Json:
        """See `describe_data`."""

    def why_not(self, places: Places, trials: Sequence[Trial]) -> list[Json]:
        """See `why_not`, of each trial."""

    def costs(self, places: Places, trials: Sequence[Trial]) -> list[Json]:
        """See `costs`, of each trial."""


@dataclass(frozen=True)
class Processes:
    """Each question in a process of its own; costs that are not known `within` so many seconds are
    not waited for. `say` is told every now and then how far it is.
    """

    within: float = math.inf
    say: Callable[[str], object] = lambda _: None

    def describe(self, places: Places, name: str, options: Json, sizes: Sequence[Json]) -> Json:
        arguments = [places, name, options, list(sizes)]
        with pool_of(1) as pool:
            future = pool.schedule(describe_data, args=arguments, timeout=LOADED)
            self._wait([future], f"data set {name} is being read: {{0}} of {{1}} done")
            return result_of(future)

    def why_not(self, places: Places, trials: Sequence[Trial]) -> list[Json]:
        with pool_of(2) as pool:
            futures = [
                pool.schedule(why_not, args=[places, trial, True], timeout=LIMIT)
                for trial in trials
            ]
            self._wait(futures, "built {0} of {1} rows, to see which can be trained")
            return [result_of(future) for future in futures]

    def costs(self, places: Places, trials: Sequence[Trial]) -> list[Json]:
        with pool_of(os.cpu_count() or 1, fresh=True) as pool:
            futures = [
                pool.schedule(costs_apart, args=[places, trial], timeout=TRIED) for trial in trials
            ]
            left = self._wait(futures, "tried {0} of {1} rows", self.within)
            for future in left:
                future.cancel()
            if left:
                self.say(
                    f"after {self.within:.0f} s {len(left)} rows are not tried, and are estimated "
                    "from the others"
                )
            return [result_of(future) for future in futures]

    def _wait(self, futures: Sequence[Any], words: str, within: float = math.inf) -> list[Any]:
        """Waits for these, and says how many there are; those that are not done after all."""
        end = time.monotonic() + within
        left = list(futures)
        while left and time.monotonic() < end:
            wait(left, min(TOLD, end - time.monotonic()))
            left = [future for future in left if not future.done()]
            if left:
                self.say(words.format(len(futures) - len(left), len(futures)))
        return left


class InProcess:
    """The same, here and now."""

    def describe(self, places: Places, name: str, options: Json, sizes: Sequence[Json]) -> Json:
        return describe_data(places, name, options, sizes)

    def why_not(self, places: Places, trials: Sequence[Trial]) -> list[Json]:
        return [why_not(places, trial) for trial in trials]

    def costs(self, places: Places, trials: Sequence[Trial]) -> list[Json]:
        return [costs(places, trial) for trial in trials]


def describe_data(places: Places, name: str, options: Json, sizes: Sequence[Json] = ({},)) -> Json:
    """Spec, hashes and budget of a data set, and for each of the sizes (fields of the spec that
    `--set` changes) why its likelihood is not for these values, or "".

    {"error": why} where the data cannot be loaded.
    """
    try:
        data = load_data(places, name, options)
        facts = {
            "spec": data.spec.stated(),
            "hashes": dict(data.hashes),
            "budget": dict(data.budget),
        }
        return facts | {"unfit": [_why_unfit(data, size) for size in sizes]}
    except BaseException as error:  # a plugin's SystemExit is no end of ours
        return {"error": words(error)}


def _why_unfit(data: Data, size: Json) -> str:
    spec = replace(data.spec, **size)
    why = replace(data, spec=spec).why_not(spec.likelihood)
    return f"{why}; there it can be {', '.join(data.likelihoods)}" if why else ""


def why_not(places: Places, trial: Trial, is_apart: bool = False) -> Json:
    """{"skip": reason} where the variant says `Unsupported` when built for this spec, or cannot be
    trained in the trial's precision; {"alone": reason} where it is to be trained in a stack and
    cannot be; else {}.

    In a process of its own (`is_apart`) what the builder prints is thrown away.
    """
    try:
        if is_apart:
            silence(Path(os.devnull))
        model = build_model(places, trial)
        if trial.precision == BF16:
            require_bf16(model, trial.name)
        if trial.stacking > 1:
            return _alone(model, trial)
    except Unsupported as why:
        return {"skip": sentence(why)}
    except BaseException as error:  # its trial will fail with the cause
        return {"error": words(error)}
    return {}


def _alone(model: Model, trial: Trial) -> Json:
    from ...training.stacks import why_alone

    why = why_alone(model, spec_of(trial), Budget(**trial.budget))
    return {"alone": why} if why else {}


def costs_apart(places: Places, trial: Trial) -> Json:
    """See `costs`; what the trial prints is thrown away, and what it may hold is its share of the
    machine, whatever variant comes.
    """
    silence(Path(os.devnull))
    if trial.device == "cpu":  # CUDA reserves more than it takes
        limit_this_process(share(os.cpu_count() or 1))
    return costs(places, trial)


def prepare(places: Places, trial: Trial, metrics: Sequence[str]) -> Json:
    """The control rows that these metrics bring for one data set; what is expensive about them,
    such as the feature extractor, trials then find in the cache.

    {"controls": row -> column -> number} or {"error": why there are none}.
    """
    from ...evaluation.measurement import controls

    try:
        torch.set_num_threads(max(1, trial.threads))
        data = data_of(places, trial)
        known = registry_of(places).metrics
        return {"controls": controls(data, [known[name] for name in metrics])}
    except BaseException as error:
        return {"error": one_line(error)}
