"""Tensors in one .safetensors file that is checked by its digest when it is read: many processes
may share a folder, and a damaged file counts as none.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .kept import written_aside

__all__ = ["digest", "read", "write"]


def digest(tensors: Mapping[str, Tensor], about: str = "") -> str:
    """SHA-256 of the words about them, and of their names, shapes and bytes."""
    h = hashlib.sha256(about.encode())
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        h.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
        h.update(
            value.flatten().view(torch.uint8).numpy().tobytes()
        )  # as bytes: numpy has no bfloat16
    return h.hexdigest()


def read(path: Path) -> tuple[dict[str, Tensor], str] | None:
    """The tensors and the words about them; None where the file is missing or damaged."""
    try:
        with safe_open(str(path), "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
            said = file.metadata() or {}
    except (OSError, SafetensorError):
        return None
    about = said.get("about", "")
    return (tensors, about) if said.get("digest") == digest(tensors, about) else None


def write(path: Path, tensors: Mapping[str, Tensor], about: str = "") -> None:
    """Puts the file in place in one step. Raises: OSError where the folder takes none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    words = {"digest": digest(tensors, about)} | ({"about": about} if about else {})
    with written_aside(path) as aside:
        save_file({name: value.contiguous() for name, value in tensors.items()}, aside, words)
