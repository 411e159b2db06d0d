"""Figures."""

from .rows import Row
from .store import Store


def draw_all(rows: list[Row], store: Store) -> None:
    """Draws."""
