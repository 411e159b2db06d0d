"""BibTeX of a run: every variant of ours has an entry, and no text breaks out of one."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from vaezoo.bench.cite.cite import cite
from vaezoo.bench.cite.methods import BOLD, METRICS, RANKS
from vaezoo.bench.cite.references import bibliography, references
from vaezoo.registry.registry import load_registry

KNOWN = load_registry()
PAPERS = {
    name: variant.paper
    for name, variant in KNOWN.variants.items()
    if variant.plugin.distribution == "vaezoo" and name != "mix"
}
METHODS = [*METRICS.values(), BOLD, RANKS]
JSB = Path(__file__).parents[2] / "results" / "jsb"
ENTRY = re.compile(r"@misc\{(\w+),\n((?:  \w+ = \{.*\},\n)+)\}")


def balanced(text: str) -> bool:
    depth = 0
    for letter in re.sub(r"\\[{}]", "", text):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if depth < 0:
            return False
    return depth == 0


@pytest.mark.parametrize("name", sorted(PAPERS))
def test_every_variant_of_ours_has_a_paper_with_authors_title_and_year(name):
    (first, *_) = references(PAPERS[name])
    assert first.title
    assert first.authors
    assert first.key.isalnum()


def test_every_method_has_a_title_and_is_found_once():
    for text in METHODS:
        found = references(text)
        assert len(found) == text.count('", ') + text.endswith('"')
        assert all(one.title for one in found)


def test_a_reference_is_read_word_for_word():
    text = (
        'van den Oord, Vinyals & Kavukcuoglu 2017, "Neural Discrete Representation\n    Learning", '
        "arXiv:1711.00937, eq. 3; the restart is that of Dhariwal et al. 2020, arXiv:2005.00341."
    )
    (first, second) = references(text)
    assert first.authors == ("van den Oord", "Vinyals", "Kavukcuoglu")
    assert (first.title, first.arxiv) == (
        "Neural Discrete Representation Learning", "1711.00937",
    )  # fmt: skip
    assert first.key == "oord2017neural"
    assert (second.authors, second.others, second.arxiv) == (("Dhariwal",), True, "2005.00341")


def test_one_paper_of_two_variants_is_one_entry_and_keys_differ():
    first = 'Kim et al. 2018, "One", arXiv:1802.00001'
    other = 'Kim et al. 2018, "One", arXiv:1802.00002'
    uses = [
        (str(i), one) for i, text in enumerate((first, other, first)) for one in references(text)
    ]
    text = bibliography(uses)
    assert [key for key, _ in ENTRY.findall(text)] == ["kim2018one", "kim2018oneb"]
    assert text.startswith("% 0, 2\n")


def test_a_hostile_title_stays_in_its_entry():
    title = "a } @misc{evil, b \\\\input{x} % c"
    text = bibliography([("x", one) for one in references(f'Kim 2018, "{title}"')])
    assert len(ENTRY.findall(text)) == 1
    assert balanced(text)
    assert r"\input" not in text


def test_what_a_run_used_is_cited():
    text = cite(JSB, KNOWN)
    keys = [key for key, _ in ENTRY.findall(text)]
    assert len(keys) == len(set(keys)) == text.count("@misc{")
    assert balanced(text)
    for key in ("chung2015recurrent", "heusel2017gans", "smyth2004linear"):
        assert key in keys
    assert "burgess2018understanding" not in keys
    assert "demsar2006statistical" not in keys


def test_a_data_set_is_cited_by_its_card():
    text = cite(JSB.parent / "digits", KNOWN)
    assert "author = {E. Alpaydin and C. Kaynak}" in text
    assert "title = {{Optical recognition of handwritten digits, " in text


@pytest.mark.slow
def test_bibtex_reads_every_entry(tmp_path):
    if shutil.which("bibtex") is None:
        pytest.skip("there is no BibTeX here")
    texts = [*PAPERS.items(), *enumerate(METHODS)]
    uses = [(str(name), one) for name, text in texts for one in references(text)]
    (tmp_path / "a.bib").write_text(bibliography(uses), encoding="utf-8")
    aux = "\\citation{*}\n\\bibstyle{plain}\n\\bibdata{a}\n"
    (tmp_path / "a.aux").write_text(aux, encoding="utf-8")
    done = subprocess.run(["bibtex", "a"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "error" not in done.stdout.lower()
