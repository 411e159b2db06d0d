"""The loggers that come with vaezoo, each with its package as an extra."""
