"""Numbers of a trained model: the context that measures, the tools, and one file a kind of metric
in `metrics/`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
