"""`make docs` runs `python -m docs.fill`: it writes every page that is not as it should be."""

from pathlib import Path

from tests.test_layout import ROWS
from vaezoo.author.matrix import document
from vaezoo.bench.report import catalogue, reference
from vaezoo.registry.entries import Variant
from vaezoo.registry.registry import Registry, load_registry

from .blocks import refilled
from .board import with_board
from .families import INDEX, families, page_of, with_index, with_variants
from .notebooks import notebooks
from .results import RESULTS, with_results
from .shapes import with_shapes
from .width import wrapped

ROOT = Path(__file__).parent.parent.parent
REFERENCE = Path(reference.__file__).with_name(reference.NAME)
MATRIX = ROOT / "docs" / "matrix.md"


def pages() -> list[Path]:
    """All pages but the matrix, which is written whole."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return [*top, *sorted(set((ROOT / "docs").rglob("*.md")) - {MATRIX})]


def due(registry: Registry) -> dict[Path, str]:
    """Each page as it should read: its prose wrapped, its blocks written."""
    variants = {name: variant for name, variant in registry.variants.items() if is_ours(variant)}
    found = families(variants)
    of_page = {page_of(name): members for name, members in found.items()}
    return {page: filled(page, of_page.get(page, [])) for page in pages()} | {
        INDEX: with_index(filled(INDEX, []), found)
    }


def is_ours(variant: Variant) -> bool:
    return variant.plugin.distribution == "vaezoo" and variant.name != "mix"


def filled(page: Path, family: list[Variant]) -> str:
    names = [variant.name for variant in family]
    text = with_layout(wrapped(page.read_text(encoding="utf-8")))
    text = with_shapes(with_variants(text, family))
    return with_board(with_results(text, names))


def with_layout(text: str) -> str:
    """The rows of the import rule, the highest first."""
    rows = "\n".join("  ".join(row) for row in reversed(ROWS))
    return refilled(text, "layout", lambda _: f"```text\n{rows}\n```")


def reference_results(results: Path = RESULTS) -> bytes:
    """The rows that come with the package: those of every run in results/."""
    return reference.packed(sorted(run.parent for run in results.glob("*/run.json")))


def main() -> None:
    """Writes the pages that differ and says which."""
    content = reference_results()
    if not REFERENCE.is_file() or REFERENCE.read_bytes() != content:
        REFERENCE.write_bytes(content)
        print(f"written: {REFERENCE.relative_to(ROOT)}")
    registry = load_registry()
    due_pages = {
        **due(registry),
        MATRIX: document(registry),
        catalogue.OURS: catalogue.written_by_ours(),
    }
    for page, text in {**due_pages, **notebooks()}.items():
        if not page.is_file() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")
            print(f"written: {page.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
