"""What the site has beyond the pages in docs/: the results, the changes, and a reference of every
public module from its docstrings. The hooks are those of MkDocs.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
BESIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "README.md")  # pages of ours outside of docs/
MODULE = re.compile(r"^\| `(vaezoo\.\w+)` \| (.+) \|$", re.MULTILINE)
LINK = re.compile(r"\[([^\]]*)\]\((?!https?:|#|mailto:)([^)\s]+)\)")
SHOWN = (".md", ".png", ".svg", ".ipynb")  # what the site has of the project's files


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """A folder in the navigation stands for all pages in it."""
    config.nav = [_unfolded(entry) for entry in config.nav or []]
    return config


def _unfolded(entry: Any) -> Any:
    if not isinstance(entry, dict):
        return entry
    ((title, place),) = entry.items()
    if isinstance(place, list):
        return {title: [_unfolded(one) for one in place]}
    if place == "reference/":
        return {title: [{module: f"{place}{module}.md"} for module, _ in _modules()]}
    if place.endswith("/"):
        return {title: [f"{place}{path.name}" for path in sorted((DOCS / place).glob("*.md"))]}
    return entry


def _modules() -> list[tuple[str, str]]:
    """(module, what it gives) of every public one."""
    found = MODULE.findall((DOCS / "public.md").read_text("utf-8"))
    return [(module, words.replace("\\|", "|")) for module, words in found]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds what pages of docs/ link to outside of it, and the pages of the reference."""
    for name in BESIDE:
        source = _beside(name)
        files.append(File.generated(config, source, content=(ROOT / name).read_text("utf-8")))
    for path in sorted((ROOT / "results").rglob("*")):
        name = path.relative_to(ROOT).as_posix()
        if path.suffix in (".md", ".png") and "/trials/" not in name:
            files.append(File.generated(config, name, abs_src_path=str(path)))
    for module, words in _modules():
        files.append(File.generated(config, f"reference/{module}.md", content=_page(module, words)))
    return files


def _beside(name: str) -> str:
    """Where a page from outside of docs/ stands on the site; README.md is another one's name."""
    return "project.md" if name == "README.md" else name


def _page(module: str, words: str) -> str:
    """All names that a stranger may import from the module, each by its docstring."""
    from importlib import import_module

    found = import_module(module)
    # what is no class and no function has no docstring of its own: annotated types, markers
    entries = []
    plain = []
    for name in found.__all__:
        has_doc = str(getattr(getattr(found, name), "__module__", "")).startswith("vaezoo")
        (entries if has_doc else plain).append(name)
    texts = [f"# {module}", f"{words[0].upper()}{words[1:]}."]
    texts += [f"Also: {', '.join(f'`{name}`' for name in plain)}."] if plain else []
    return "\n\n".join([*texts, *(f"::: {module}.{name}" for name in entries)]) + "\n"


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """The page with its links as they stand on the site."""
    here = page.file.src_uri
    place = posixpath.dirname("README.md" if here in map(_beside, BESIDE) else f"docs/{here}")
    if here.startswith(("results/", "reference/")):
        return markdown

    def moved(match: re.Match[str]) -> str:
        words, target = match.groups()
        path, hash_, anchor = target.partition("#")
        in_project = posixpath.normpath(posixpath.join(place, path))
        if not in_project.endswith(SHOWN):
            return words  # source code is not on the site
        on_site = _beside(in_project) if in_project in BESIDE else in_project.removeprefix("docs/")
        shown = posixpath.relpath(on_site, posixpath.dirname(here) or ".")
        return f"[{words}]({shown}{hash_}{anchor})"

    return LINK.sub(moved, markdown)
