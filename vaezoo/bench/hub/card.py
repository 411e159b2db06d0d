"""The card of a model: what stands on its page, made of vaezoo.json and nothing else."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..text import in_markdown

SHOWN = ("elbo", "nll", "kl", "reconstruction_nll", "bits_per_dim", "fid", "active_units")


def card(repo: str, facts: Mapping[str, Any]) -> str:
    """README.md of the repository."""
    return "\n".join(_lines(repo, facts)) + "\n"


def _lines(repo: str, facts: Mapping[str, Any]) -> Iterator[str]:
    variant = facts["variant"]
    trial = facts["trial"] or {}
    yield from ("---", "library_name: vaezoo", "tags:")
    yield from (f"- {tag}" for tag in ("variational-autoencoder", "vae", "vaezoo"))
    yield from ("---", "", f"# {in_markdown(variant)}", "")
    trained = f" trained on {in_markdown(str(trial['dataset']))}" if trial.get("dataset") else ""
    yield f"A variational autoencoder{trained}, written by `vaezoo push`."
    yield from ("", "```sh", f"vaezoo pull {repo} -o model.safetensors")
    yield from ("vaezoo sample model.safetensors -n 64 -o samples.npz", "```", "")

    yield from _table("hyperparameter", facts["hyperparameters"])
    yield from _table("size", {name: value for name, value in facts["spec"].items() if value})
    metrics = trial.get("metrics") or {}
    measured = {name: f"{metrics[name]:.4g}" for name in SHOWN if metrics.get(name) is not None}
    yield from _table("on the test split", measured)
    if measured:
        seed = in_markdown(str(trial.get("seed")))
        yield f"One training, seed {seed}: another seed gives other numbers."
        yield ""

    plugin = facts["plugin"]
    made_by = f"{plugin['distribution']} {plugin['version']}".strip() or "a loose file"
    text = in_markdown(plugin["source_hash"][:16])
    yield f"Made by {in_markdown(made_by)}; text of the plugin: {text}."
    yield f"SHA-256 of the weights: `{facts['sha256']}`, {facts['bytes']:,} bytes."


def _table(head: str, values: Mapping[str, Any]) -> Iterator[str]:
    if not values:
        return
    yield from (f"| {head} | |", "|---|---|")
    for name, value in values.items():
        yield f"| {in_markdown(name.replace('_', ' '))} | {in_markdown(str(value))} |"
    yield ""
