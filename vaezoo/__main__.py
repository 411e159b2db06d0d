"""`python -m vaezoo` is `vaezoo`."""

from .cli import main

main()
