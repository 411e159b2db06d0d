"""What one trial may take."""

from typing import NamedTuple


class Limits(NamedTuple):
    """None of these enters a trial's key."""

    timeout: float | None = None  # seconds
    retries: int = 0  # how often one is tried again whose process died
    memory: int = 0  # bytes; 0 for no limit
