"""A zoo of VAE variants as plugins, and one benchmark that compares them on equal terms.

The names stand once, in `__init__.pyi`, and are imported when they are first used: `import vaezoo`
loads no torch.
"""

from typing import Any

import lazy_loader

_find, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("vaezoo")
    if name not in __all__:
        raise AttributeError(f"module 'vaezoo' has no attribute {name!r}")
    return _find(name)
