"""What there is by name: plugins are found, guarded, looked up and chosen here."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
