"""Metrics: one kind a file, found by the hook that plugins use."""
