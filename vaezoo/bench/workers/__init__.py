"""Processes of a run: pools, what is rebuilt from a trial, and the trial itself."""
