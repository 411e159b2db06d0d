"""The suites that vaezoo brings: what to compare, as TOML files."""
