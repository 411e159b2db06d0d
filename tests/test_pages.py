"""Pages are as `make docs` writes them: tables of results, family pages, width."""

import re
from pathlib import Path

import pytest

from docs.fill.__main__ import MATRIX, due, is_ours
from docs.fill.entry import escaped, linked
from docs.fill.families import families, order, page_of, tags_of
from docs.fill.results import with_results
from docs.fill.width import WIDTH, wrapped
from vaezoo.bench.report.families import FAMILIES, family_of
from vaezoo.hooks import TAGS, tags
from vaezoo.registry.entries import Function, Variant
from vaezoo.registry.registry import load_registry

ROOT = Path(__file__).parent.parent
KNOWN = load_registry()
OURS = {name: variant for name, variant in KNOWN.variants.items() if is_ours(variant)}
DUE = due(KNOWN)


@pytest.mark.parametrize("page", sorted(DUE), ids=lambda page: str(page.relative_to(ROOT)))
def test_the_page_is_as_it_is_written(page: Path):
    assert page.read_text(encoding="utf-8") == DUE[page], f"{page.name} is stale: run `make docs`"


def test_every_page_is_written():
    named = {ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")}
    assert set(DUE) | {MATRIX} == named | set((ROOT / "docs").rglob("*.md"))


def test_every_page_can_be_reached_from_the_index():
    docs = ROOT / "docs"
    text = "".join((docs / name).read_text() for name in ("README.md", "write-a-part.md"))
    for page in set(docs.rglob("*.md")) - {docs / "README.md"}:
        assert f"]({page.relative_to(docs)})" in text, page.name


def test_the_gallery_has_every_figure_and_its_pictures_are_small():
    gallery = ROOT / "docs" / "gallery.md"
    text = gallery.read_text(encoding="utf-8")
    shown = set(re.findall(r"^## (.+)$", text, re.MULTILINE))
    assert shown == set(KNOWN.figures), "a new kind of figure: add it to SHOWN, run `make gallery`"
    linked_to = set(re.findall(r"\]\(gallery/([^)]+)\)", text))
    pictures = {path.name: path.stat().st_size for path in gallery.with_suffix("").iterdir()}
    assert linked_to == set(pictures)
    assert sum(pictures.values()) < 700_000


def test_every_family_page_has_a_place_in_the_index_and_its_tags():
    stems = {page.stem for page in (ROOT / "docs" / "variants").glob("*.md")}
    found = families(OURS)
    assert set(found) == stems
    assert all(tags_of(page) and variants for page, variants in found.items())
    assert set().union(*map(tags_of, found)) <= TAGS.keys()


def test_a_variant_is_on_the_page_of_its_most_special_tag():
    variant = tagged("sphere", "posterior")
    assert families({"new": variant})["spaces"] == [variant]


def test_a_variant_without_a_family_is_told_which_tags_there_are():
    with pytest.raises(ValueError, match=r"new has no tag of a family page.*recurrent"):
        families({"new": tagged("unheard")})


def tagged(*names: str) -> Variant:
    """A variant that only has tags."""
    mark = tags(*names)
    return Variant("new", Function(mark(lambda spec: None)), OURS["vae"].plugin)


def test_a_variants_entry_says_what_its_docstring_and_certificate_say():
    page = (ROOT / "docs" / "variants" / "bounds.md").read_text(encoding="utf-8")
    entry = page.partition("### `iwae`\n")[2].partition("### ")[0]
    for words in ("-L_k = -log (1/k)", "arxiv.org/abs/1509.00519", "`k=5` (int ≥ 1)"):
        assert words in entry
    assert "](../../plugins/importance.py)" in entry
    assert "](../../tests/exact/test_importance.py)" in entry


def test_text_is_escaped_but_for_code_and_papers_are_links():
    assert escaped("a*b <c> < d [0, 1] `e*`") == r"a\*b \<c> < d [0, 1] `e*`"
    assert (
        linked("arXiv:1312.6114, eq. 3")
        == "[arXiv:1312.6114](https://arxiv.org/abs/1312.6114), eq. 3"
    )
    assert (
        linked("doi:10.1126/science.1.")
        == "[doi:10.1126/science.1](https://doi.org/10.1126/science.1)."
    )


LONG = "word " * 30
LIST = f"* {LONG}\n  {LONG}\n  * `one code {'x' * 90}` {LONG}\n\n1. {LONG}\n"


def test_prose_is_wrapped_and_stays_what_it_was():
    text = wrapped(f"# {LONG}\n\n{LONG}\n{LIST}")
    assert text.split() == f"# {LONG}\n\n{LONG}\n{LIST}".split()
    assert [line for line in text.splitlines()[1:] if len(line) > WIDTH and "`" not in line] == []
    assert wrapped(text) == text
    assert "\n  * `one code" in text
    assert "\n    word" in text


@pytest.mark.parametrize(
    "kept",
    [
        "```sh\n" + LONG + "\n```",
        f"| {LONG} |",
        f"<!-- {LONG} -->",
        f"![{LONG}](a.png)",
        f"[1] {LONG}",
        "short\nlines",
    ],
)
def test_code_tables_comments_pictures_and_what_fits_are_not_touched(kept: str):
    assert wrapped(f"a\n\n{kept}\n\nb") == f"a\n\n{kept}\n\nb"


def test_a_line_never_begins_with_what_would_open_a_list():
    text = wrapped(("x" * 47 + " ") * 2 + "aaa - b")
    assert text == "x" * 47 + " " + "x" * 47 + "\naaa - b"


def test_filling_copies_rows_in_the_columns_that_are_shown_with_their_notes(tmp_path: Path):
    write_table(
        tmp_path / "digits" / "elbo.md",
        "| variant | n | kl largest (nats) |\n|---|---:|---:|\n| **vae** | 3 | 1 |\n"
        "| iwae[k=5] | 2 | 1 [1] |\n| iwaex | 3 | 1 |\n| ae [3] | – [2] | 1 |\n\nMean.\n\n"
        "[1] failed\n\n[2] deterministic\n\n[3] given the label\n",
    )
    page = "a\n<!-- rows: vae, iwae -->\nold\n<!-- end -->\nb <!-- rows: family -->\n<!-- end -->\n"
    head = "| variant | n |\n|---|---:|\n"
    expected = (
        f"a\n<!-- rows: vae, iwae -->\n\n{head}| **vae** | 3 |\n| iwae[k=5] | 2 |\n\n<!-- end -->\n"
        f"b <!-- rows: family -->\n\n{head}| ae [3] | – [2] |\n\n"
        "[2] deterministic\n[3] given the label\n\n<!-- end -->\n"
    )
    assert with_results(page, ["ae"], tmp_path) == expected
    assert with_results(expected, ["ae"], tmp_path) == expected


def test_filling_across_sets_one_column_of_every_table_side_by_side(tmp_path: Path):
    (tmp_path / "elbo.md").write_text(
        "# Likelihood\n\n## Likelihood: coin\n\n"
        "| variant | n | elbo | nll (nats) |\n|---|---:|---:|---:|\n"
        "| vae | 3 | -2 | **1** |\n| (tree) |  | – | 3 |\n\n[1] a note\n\n"
        "## Likelihood: ring\n\n"
        "| variant | n | nll (nats) |\n|---|---:|---:|\n| iwae | 3 | 5 |\n| vae | 3 | 4 |\n"
    )
    page = "<!-- across: elbo.md: nll -->\n<!-- end -->\n"
    assert with_results(page, results=tmp_path) == (
        "<!-- across: elbo.md: nll -->\n\n"
        "| data set | vae | (tree) | iwae |\n|---|---:|---:|---:|\n"
        "| coin | **1** | 3 | – |\n| ring | 4 | – | 5 |\n\n"
        "<!-- end -->\n"
    )


def test_filling_a_whole_table_keeps_the_columns_asked_for_and_the_control_rows(
    tmp_path: Path,
):
    write_table(
        tmp_path / "jsb" / "elbo.md",
        "| variant | n | elbo (nats) ↑ | kl (nats) | s |\n|---|---:|---:|---:|---:|\n"
        "| **vae** | 3 | -1 | 2 [1] | 7 |\n| (published: x) |  | -3 | – |  |\n\nMean.\n\n"
        "[1] why\n\n"
        "## Likelihood: other\n\n| variant | n |\n|---|---:|\n| ae | 3 |\n",
    )
    table = (
        "| variant | n | kl (nats) |\n|---|---:|---:|\n| **vae** | 3 | 2 [1] |\n"
        "| (published: x) |  | – |\n\n[1] why\n"
    )
    page = "<!-- table: jsb/elbo.md: kl, nll -->\nold\n<!-- end -->\n"
    expected = f"<!-- table: jsb/elbo.md: kl, nll -->\n\n{table}\n<!-- end -->\n"
    assert with_results(page, results=tmp_path) == expected
    assert with_results(expected, results=tmp_path) == expected


def write_table(file: Path, table: str) -> None:
    """A file as `vaezoo bench` writes it, with this as its first section."""
    file.parent.mkdir()
    file.write_text(f"# Likelihood\n\n## Likelihood: data\n\n{table}", encoding="utf-8")


def test_without_results_a_table_is_empty(tmp_path: Path):
    page = "<!-- table: jsb/elbo.md: kl -->\nold\n<!-- end -->\n"
    assert with_results(page, results=tmp_path) == "<!-- table: jsb/elbo.md: kl -->\n<!-- end -->\n"


def test_the_families_of_a_report_are_those_of_the_pages():
    assert [family.name for family in FAMILIES] == order()
    for family in FAMILIES:
        title = page_of(family.name).read_text(encoding="utf-8").partition("\n")[0]
        assert title == f"# {family.title}"
        assert family.tags == tags_of(family.name)
    for name, variants in families(OURS).items():
        assert {family_of(variant.tags).name for variant in variants} == {name}
