"""Data sets: one source a file, each with a card, fixed splits and its own checks. The registry
finds their hooks.
"""
