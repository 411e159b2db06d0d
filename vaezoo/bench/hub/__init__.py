"""Checkpoints on the Hugging Face hub: `push`, `pull`, and the card of a model."""
