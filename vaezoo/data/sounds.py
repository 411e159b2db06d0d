"""Recordings: .wav files as sequences (T, channels), in the numbers that stand in the file."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from .files import BadData, CorruptData
from .formats import Array
from .raw import Raw, from_list

ENDINGS = (".wav", ".wave")


def recordings(paths: Sequence[Path], who: str) -> Raw:
    """The recordings, padded to the longest; all at one rate and with one number of channels.

    Raises: BadData.
    """
    read = [_recording(path) for path in paths]
    first = _kind(*read[0])
    for path, each in zip(paths, read, strict=True):
        if _kind(*each) != first:
            raise BadData(
                f"{path} has {_kind(*each)}, and {paths[0].name} {first}; "
                "make all recordings of one kind"
            )
    raw = from_list([steps.astype(float) for _, steps in read], who)
    return replace(raw, words=(f"recordings with {first}",))


def must_be_alike(splits: Mapping[str, Raw], who: str) -> None:
    """Raises: BadData where the recordings of one split are of another kind than those of another,
    of which each alone is of one.
    """
    for split, raw in splits.items():
        if raw.words != splits["train"].words:
            found, wanted = (part.words[0] if part.words else "pictures"
                             for part in (raw, splits["train"]))  # fmt: skip
            raise BadData(f"{who}: {split} holds {found}, and train {wanted}; make all of one kind")


def _recording(path: Path) -> tuple[int, Array]:
    """Steps a second, and (T, channels) in the type that they have in the file."""
    from scipy.io import wavfile

    try:
        with warnings.catch_warnings(action="ignore"):  # of parts that are no sound
            rate, steps = wavfile.read(path)
    except Exception:  # of a damaged file scipy raises whatever its parsing comes to
        raise CorruptData(f"{path} is no recording (.wav), or a damaged one") from None
    if not steps.size:
        raise BadData(f"{path} is a recording of length 0; leave it out")
    return int(rate), steps.reshape(len(steps), -1)


def _kind(rate: int, steps: Array) -> str:
    channels = steps.shape[1]
    return f"{channels} channel{'s' * (channels > 1)} at {rate:,} Hz, {steps.dtype.name}"
