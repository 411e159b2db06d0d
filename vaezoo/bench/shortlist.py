"""Which variants are worth a first try on data of a kind, and what to measure of them.

A density that can be compared, codes, samples, and a training of minutes: a baseline, the exact
linear model where there is one, and one variant each of a richer prior, a richer posterior and a
bound of many draws. Sequences get the recurrent variants that lead on the chorales of results/jsb.
"""

from dataclasses import dataclass

from ..core import Spec

METRICS = ("likelihood", "generalisation", "reconstruction", "active_units")


@dataclass(frozen=True)
class ShortList:
    """A selection of variants for one kind of data."""

    kind: str  # in words
    variants: str
    metrics: tuple[str, ...] = METRICS


TABLE = ShortList("a table", "linear,vae,vamp,iaf,vr_iwae")
GAPS = ShortList("a table with gaps", "vae,missing,vamp,iaf")
IMAGES = ShortList("images", "vae,vamp,iaf,vr_iwae")
MIXED = ShortList("a table of mixed columns", GAPS.variants)
SEQUENCES = ShortList("sequences", "vrnn,srnn,storn,vrae")


def short_list(spec: Spec) -> ShortList:
    """The list for data of this spec."""
    if spec.is_sequence:
        return SEQUENCES
    if spec.is_image:
        return IMAGES
    if spec.likelihood.partition("[")[0] == "mixed":
        return MIXED
    return GAPS if spec.has_gaps else TABLE
