"""What every metric reads: the model, one split, and what several metrics share, computed once and
only when asked for.

Noise is seeded by name, so that a metric that is added changes no other. Nothing here changes a
buffer of the model.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ..core import Model
from ..data.data import Data
from ..distributions import at_centre, to_length
from ..likelihoods import head
from ..samplers import Sampler, decode, draw_codes
from ..seeds import generator_for, seeded
from .batches import batches
from .codes import Codes, codes_of
from .conditioning import infers_by_label
from .features import Extractor, extractor_for
from .masses import is_mass, unlike
from .subset import Part, some_rows

ENTRIES = {"cpu": 2**18, "cuda": 2**23}  # numbers of x that one piece of work holds, draws included

# of a sequence's numbers few are worked on at a time: so many times more fill the processor
STEPS = 8

Rows = tuple[Tensor, Tensor | None]  # x and its condition
Setting = int | float | str


@dataclass(eq=False)
class Evaluation:
    """One model on one split. A metric calls `say` for what does not apply and notes its own
    numbers in `settings`.
    """

    model: Model
    data: Data
    seed: int = 0
    split: str = "test"
    device: torch.device | str = "cpu"
    importance_samples: int | None = None  # K of the likelihood's estimate; None: 100
    # makes what draws the codes of samples; None: the model's prior
    sampler: Callable[[], Sampler | None] | None = None
    # where extractors and features of real data are kept; None: the user's cache folder
    cache: Path | None = None
    reasons: dict[str, str] = field(default_factory=dict)  # column -> why it is left out
    # column -> what was seen that cannot be, see `guards`
    refused: dict[str, str] = field(default_factory=dict)
    # density that is broken, "q", "p" or "px" -> what was seen, see `faults`
    faults: dict[str, str] = field(default_factory=dict)
    is_examined: bool = False  # whether they were looked for
    # what a table's header must say, such as K
    settings: dict[str, Setting] = field(default_factory=dict)

    def say(self, column: str, reason: str) -> None:
        """`column` is left out, and why; of one that has a number, what kind of number it is."""
        self.reasons[column] = reason

    def refuse(self, columns: Iterable[str], seen: str) -> None:
        """What was `seen` cannot be, so that numbers of these columns are left out and their row is
        marked. "" is nothing impossible.
        """
        for column in columns if seen else ():
            self.refused.setdefault(column, seen)

    def distrust(self, density: str, seen: str) -> None:
        """What was `seen` says that this density is broken. "" is nothing impossible."""
        if seen:
            self.faults.setdefault(density, seen)

    @contextmanager
    def noise(self, *names: object) -> Iterator[None]:
        """Inside the block torch draws from a stream of this name; afterwards its generators are as
        they were.
        """
        with seeded("evaluation", *names, self.data.identity, self.seed):
            yield

    def generator(self, *names: object) -> torch.Generator:
        """A generator of this name, on the CPU."""
        return generator_for("evaluation", *names, self.data.identity, self.seed)

    @cached_property
    def x(self) -> Tensor:
        """The split, (N, *shape), on the device."""
        return self.data.split(self.split).to(self.device)

    @cached_property
    def c(self) -> Tensor | None:
        """Its conditions, (N, classes), or None for unlabelled data."""
        return self._condition(self.split)

    def _condition(self, split: str) -> Tensor | None:
        c = self.data.condition(split)
        return None if c is None else c.to(self.x)

    def labels_for(self, n: int, *names: object) -> Tensor | None:
        """(n, classes): labels for n samples, those of training rows drawn with replacement; None
        for unlabelled data. Who reads them draws from Σ_c p(c) p(x|c), and knows no test row's.
        """
        c = self._condition("train")
        if c is None:
            return None
        if self.data.spec.unlabelled:
            c = c[c.sum(1) > 0]
        rows = torch.randint(len(c), (n,), generator=self.generator("labels", *names))
        return c[rows.to(c.device)]

    def say_given_label(self, setting: str) -> None:
        """Says "given the label" under this name where inference reads the label: rows that do are
        not compared with others.
        """
        if self.is_conditional:
            self.settings[setting] = "given the label"

    @property
    def entries(self) -> int:
        """Numbers of x that one piece of work may hold."""
        numbers = ENTRIES.get(torch.device(self.device).type, ENTRIES["cuda"])
        return numbers * (STEPS if self.data.spec.is_sequence else 1)

    def batches(self, k: int = 1) -> Iterator[Rows]:
        """The split in pieces, of which k draws each fit in memory."""
        return batches(self.x, self.c, max(1, self.entries // (k * self.data.spec.size)))

    @cached_property
    def is_conditional(self) -> bool:
        """Whether inference reads the label, see `conditioning`."""
        if self.c is None:
            return False
        c = self.c[:16]
        if self.data.spec.unlabelled:  # rows without a label are asked about as of the first class
            first = one_hot(torch.zeros_like(c[:, 0], dtype=torch.long), c.shape[1]).to(c)
            c = torch.where(c.sum(1, keepdim=True) > 0, c, first)
        return infers_by_label(self.model, self.x[:16], c)

    @cached_property
    def no_density(self) -> str:
        """Why there is no log-likelihood that could stand beside the other rows; empty where there
        is one.
        """
        if self.model.no_density:
            return self.model.no_density
        return self.other_measure

    @cached_property
    def is_mass(self) -> bool | None:
        """Whether the model's p(x|z) is a probability mass; None where it cannot be told."""
        with self.noise("mass"):
            return is_mass(self.model.infer(self.x[:2], None if self.c is None else self.c[:2]).px)

    @cached_property
    def exact_log_p(self) -> Tensor | None:
        """log p(x) of the split's rows, (N,), which no model's can exceed in their mean; None where
        it is not known, where the model was fitted to these rows, or where its p(x) is given the
        label.
        """
        if self.data.exact is None or self.split == "train" or self.is_conditional:
            return None
        return self.data.exact(self.data.split(self.split))

    @property
    def other_measure(self) -> str:
        """Why log p(x|z) cannot be compared with that of other rows; empty where it can."""
        return unlike(self.is_mass, head(self.data.spec).is_discrete)

    def part(self, most: int, split: str | None = None, among: Tensor | None = None) -> Part:
        """At most `most` rows of a split, of those `among` where given: drawn, see `some_rows`."""
        name = split or self.split
        rows = some_rows(self.data, name, most, among)
        c = self._condition(name)
        x = self.data.split(name)[rows].to(self.device)
        return Part(rows, x, None if c is None else c[rows.to(c.device)])

    def codes(self, split: str | None = None, limit: int = 10_000) -> Codes:
        """The centres of q(z|x) of a part of a split, `limit` rows at most."""
        name = split or self.split
        if (name, limit) not in self._codes:
            self._codes[name, limit] = self._codes_of(name, limit)
        return self._codes[name, limit]

    @cached_property
    def _codes(self) -> dict[tuple[str, int], Codes]:
        return {}

    def _codes_of(self, split: str, limit: int) -> Codes:
        rows, x, c = self.part(limit, split)
        if split == "train":
            x = self.data.binarised(x.cpu(), self.generator("pixels")).to(self.device)
        size = max(1, self.entries // self.data.spec.size)
        with self.noise("codes", split):
            return codes_of(self.model, batches(x, c, size), rows)

    def reconstructions(self) -> Iterator[tuple[Tensor, Tensor]]:
        """x and the mean of p(x|z) at the centre of q(z|x), both (B, *shape), in pieces."""
        with self.noise("reconstruction"), at_centre():
            for x, c in self.batches():
                mean = self.model.infer(x, c).px.mean[0]
                yield x, to_length(mean, x.shape[1]) if self.data.spec.is_sequence else mean

    @cached_property
    def beside_samples(self) -> Part:
        """The rows that samples are compared with: the split, and 10,000 rows at most."""
        return self.part(10_000)

    @property
    def n_samples(self) -> int:
        """Draws that the sample metrics see: as many as they are compared with."""
        return len(self.beside_samples.rows)

    @cached_property
    def samples(self) -> Tensor:
        """(n_samples, *shape) on the CPU: draws of p(x) for discrete data, means of p(x|z) for
        continuous data, of images clipped to the values that pixels have.

        Labels are drawn from the training split. Lengths are those of the real rows.
        """
        mean = not head(self.data.spec).is_discrete
        pixels = mean and self.data.spec.is_image
        words = "means of p(x|z)" + ", clipped to the range of pixels" * pixels
        self.settings |= {"samples": self.n_samples, "samples_are": words if mean else "draws"}
        size = max(1, self.entries // self.data.spec.size)
        labels = self.labels_for(self.n_samples, "samples")
        with self.noise("samples"):
            parts = [
                self.draw(len(x), c, mean).cpu()
                for x, c in batches(self.beside_samples.x, labels, size)
            ]
        samples = self._as_long(torch.cat(parts))
        return self._as_pixels(samples) if pixels else samples

    def draw(self, n: int, c: Tensor | None = None, mean: bool = False) -> Tensor:
        """n draws of x, (n, *shape), the codes by the sampler; with `mean`, the means of p(x|z)."""
        if self._fitted_sampler is None:
            return self.model.sample(n, c, mean)
        return decode(self.model, self._fitted_sampler.sample(n).to(self.x), c, mean)

    @property
    def has_sampler(self) -> bool:
        """Whether the codes of samples come from a fitted sampler, not from p(z)."""
        return self._fitted_sampler is not None

    @cached_property
    def _fitted_sampler(self) -> Sampler | None:
        """The sampler, fitted to a draw of q(z|x) for every training row; None for the model's own
        prior.
        """
        sampler = self.sampler() if self.sampler else None
        if sampler is not None:
            x = self.data.binarised(self.data.train, self.generator("pixels")).to(self.device)
            size = max(1, self.entries // self.data.spec.size)
            with self.noise("sampler codes"):
                rows = batches(x, self._condition("train"), size)
                codes = draw_codes(self.model, rows, sampler.is_discrete)
            with self.noise("sampler"), torch.enable_grad():
                sampler.fit_to(self.model, codes, self.seed)
        return sampler

    def _as_pixels(self, samples: Tensor) -> Tensor:
        """What an image file would hold: a few codes far out, whose means leave the range of pixels
        by far, would decide every distance.
        """
        train = self.data.train
        low, high = train[train.isfinite()].aminmax()
        pixels = samples.clamp(low.cpu(), high.cpu())
        return torch.where(samples.isfinite(), pixels, torch.nan)

    def _as_long(self, samples: Tensor) -> Tensor:
        """Sequences with the padding of the split's own rows."""
        if not (self.data.spec.is_sequence and self.data.spec.has_gaps):
            return samples
        real = self.beside_samples.x.cpu()
        return torch.where(real.isnan(), torch.nan, to_length(samples, real.shape[1]))

    @cached_property
    def extractor(self) -> Extractor:
        """The network whose features the sample metrics compare."""
        return extractor_for(self.data, self.cache)

    @cached_property
    def random_extractor(self) -> Extractor:
        """The same network as it is before training."""
        return extractor_for(self.data, self.cache, trained=False)
