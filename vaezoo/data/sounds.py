"""Recordings: .wav files as sequences (T, channels), in the numbers that stand in the file."""

import warnings
from collections.abc import Sequence
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
    rate, first = read[0]
    for path, (other, steps) in zip(paths, read, strict=True):
        if other != rate or steps.shape[1] != first.shape[1]:
            raise BadData(
                f"{path} has {_kind(other, steps)}, and {paths[0].name} {_kind(rate, first)}; "
                "make all recordings of one kind"
            )
    raw = from_list([steps for _, steps in read], who)
    return replace(raw, words=(f"recordings with {_kind(rate, first)}",))


def _recording(path: Path) -> tuple[int, Array]:
    """Steps a second, and (T, channels) in float64."""
    from scipy.io import wavfile

    try:
        with warnings.catch_warnings(action="ignore"):  # of parts that are no sound
            rate, steps = wavfile.read(path)
    except Exception:  # of a damaged file scipy raises whatever its parsing comes to
        raise CorruptData(f"{path} is no recording (.wav), or a damaged one") from None
    if not steps.size:
        raise BadData(f"{path} is a recording of length 0; leave it out")
    return int(rate), steps.reshape(len(steps), -1).astype(float)


def _kind(rate: int, steps: Array) -> str:
    channels = steps.shape[1]
    return f"{channels} channel{'s' * (channels > 1)} at {rate:,} Hz"
