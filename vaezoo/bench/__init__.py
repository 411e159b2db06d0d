"""The benchmark. The module can be called, `vaezoo.bench("vae", "digits")`: see `call.bench`."""

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    def __call__(self, *args: Any, **options: Any) -> Any:
        from .call import bench

        return bench(*args, **options)


sys.modules[__name__].__class__ = _Callable
