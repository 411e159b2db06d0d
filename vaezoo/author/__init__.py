"""For whoever writes a plugin: the contract, what composes, a first file, what is proven."""
