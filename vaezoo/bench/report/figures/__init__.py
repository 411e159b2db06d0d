"""Figures: one kind a file, found by the hook that plugins use.

matplotlib is used without its global state, and imported only to draw; the same trials give the
same bytes.
"""
