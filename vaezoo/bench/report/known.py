"""What a page says of the plugins that are installed here, as plain facts: the command line keeps
them between two reports, so that a report need not import plugins, nor torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...author.certificates import Claim
    from ...registry.entries import Variant
    from ...registry.registry import Registry

Json = dict[str, Any]


@dataclass(frozen=True)
class KnownVariant:
    """A variant: its words, what is proven of it, and by which text it is brought."""

    name: str
    doc: str
    paper: str
    tags: Sequence[str]  # sorted
    claims: "Sequence[Claim]"
    source_hash: str | None  # SHA-256 of its plugin; None where hyperparameters say which files

    @classmethod
    def of(cls, variant: "Variant") -> "KnownVariant":
        """What the registry has of it."""
        from ...author.certificates import claims_of
        from ...registry.entries import Function

        is_of_one_file = isinstance(variant.builder, Function)
        return cls(
            name=variant.name,
            doc=variant.doc,
            paper=variant.paper,
            tags=sorted(variant.tags),
            claims=claims_of(variant),
            source_hash=variant.plugin.source_hash if is_of_one_file else None,
        )


@dataclass(frozen=True)
class KnownFigure:
    """A figure: what it is of, "dataset" or "run", and its words."""

    of: str
    doc: str


@dataclass(frozen=True)
class Known:
    """Variants and figures by name, and metric -> SHA-256 of the file that brings it."""

    variants: Mapping[str, KnownVariant] = field(default_factory=dict)
    figures: Mapping[str, KnownFigure] = field(default_factory=dict)
    metric_sources: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, registry: "Registry") -> "Known":
        """What the registry has."""
        variants = {name: KnownVariant.of(one) for name, one in registry.variants.items()}
        figures = {name: KnownFigure(one.of, one.doc) for name, one in registry.figures.items()}
        return cls(variants, figures, registry.metric_sources)

    @classmethod
    def from_json(cls, facts: Json) -> "Known":
        """What `to_json` gave."""
        variants = {name: KnownVariant(**one) for name, one in facts["variants"].items()}
        figures = {name: KnownFigure(**one) for name, one in facts["figures"].items()}
        return cls(variants, figures, facts["metric_sources"])

    def to_json(self) -> Json:
        """All of it as JSON has it."""
        return asdict(self)
