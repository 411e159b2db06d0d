"""Checkpoints on the Hugging Face hub: `push`, `pull`."""

from pathlib import Path

import click

from .common import FILE, as_json, common, echo, print_json


@click.command()
@click.argument("source", metavar="CHECKPOINT|TRIAL", type=click.Path(path_type=Path))
@click.argument("repo", metavar="OWNER/NAME")
@click.option("--private", is_flag=True, help="Of a repository that is made anew.")
@click.option("--revision", default="main", show_default=True, help="The branch to write to.")
@common
def push(source: Path, repo: str, private: bool, revision: str, plugins_dir: Path | None) -> None:
    """Write a checkpoint to the Hugging Face hub, with a card; that of a TRIAL's folder with its
    metrics.

    Needs the extra `hub`, and a token: HF_TOKEN, or `hf auth login`.
    """
    from ..bench.hub.hub import HubError, push as pushed

    try:
        address = pushed(source, repo, private=private, revision=revision)
    except HubError as why:
        raise click.UsageError(str(why)) from None
    echo(f"wrote {address}")


@click.command()
@click.argument("repo", metavar="OWNER/NAME")
@click.option(
    "-o", "--out", type=FILE, required=True, help="The checkpoint to write, NAME.safetensors."
)
@click.option("--revision", default="main", show_default=True, help="A branch, tag or commit.")
@click.option("--sha256", default="", help="What the weights must have, beside what is said there.")
@as_json
@common
def pull(
    repo: str,
    out: Path,
    revision: str,
    sha256: str,
    wants_json: bool,
    plugins_dir: Path | None,
) -> None:
    """Fetch a checkpoint that `push` wrote to the Hugging Face hub, and verify its hash.

    Only .safetensors and JSON are fetched. Needs the extra `hub`.
    """
    from ..bench.hub.hub import HubError, pull as pulled
    from ..training.checkpoint import must_be_writable

    must_be_writable(out)
    try:
        found = pulled(repo, out, revision=revision, sha256=sha256)
    except HubError as why:
        raise click.UsageError(str(why)) from None
    if wants_json:
        facts = {"checkpoint": str(out), "sha256": found.sha256}
        return print_json({**facts, "variant": found.variant, "commit": found.commit})
    echo(f"{out}: {found.variant}, SHA-256 {found.sha256}, commit {found.commit}")
