"""Seeds by name: every random stream is derived from words by SHA-256, so that adding a variant
changes no other trial.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["generator_for", "seed_for", "seeded"]


def seed_for(*names: object) -> int:
    """A seed of 63 bits for these words, in this order."""
    words = [_without_nul(str(name)) for name in names]
    digest = hashlib.sha256("\0".join(words).encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _without_nul(word: str) -> str:
    """The word, or its digest where it holds the mark that stands between words."""
    if "\0" not in word:
        return word
    return hashlib.sha256(word.encode(errors="surrogatepass")).hexdigest()


def generator_for(*names: object) -> torch.Generator:
    """A generator of its own, seeded by `seed_for`, on the CPU."""
    return torch.Generator().manual_seed(seed_for(*names))


@contextmanager
def seeded(*names: object) -> Iterator[None]:
    """Inside the block torch's global generators are seeded by `seed_for`; afterwards they are as
    they were.
    """
    with torch.random.fork_rng():
        _seed_generators(seed_for(*names))
        yield


def _seed_generators(seed: int) -> None:
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:
        # `manual_seed` would format the stack once for each kind of accelerator that may come
        # later, milliseconds where the stack is deep, and keep the words for good
        torch.default_generator.manual_seed(seed)
