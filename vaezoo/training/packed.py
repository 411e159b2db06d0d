"""A model as the bytes of a checkpoint: what a pickle of ours holds in place of modules."""

from pathlib import Path
from tempfile import TemporaryDirectory

from ..core import Model
from .checkpoint import load, save

NAME = "model.safetensors"


def to_bytes(model: Model) -> bytes:
    """What `save` writes. Raises: CheckpointError for a model that no registered variant made."""
    with TemporaryDirectory() as folder:
        return save(model, Path(folder) / NAME).read_bytes()


def from_bytes(content: bytes) -> Model:
    """The model, ready to evaluate. Raises: CheckpointError where the bytes are none that
    `to_bytes` gave.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / NAME
        path.write_bytes(content)
        return load(path)
