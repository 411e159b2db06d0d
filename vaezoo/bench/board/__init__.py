"""The board: published tables beside what we have, cell by cell."""
