"""BibTeX of what a run used: its variants, data sets, metrics and statistics."""
