"""The variants that vaezoo brings, one idea a file: every module here is a plugin."""
