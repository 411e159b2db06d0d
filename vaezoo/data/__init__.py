"""What a data set is, where its files come from, and how rows become splits. The sources are in
`sources/`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
