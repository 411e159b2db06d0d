"""Trials on a real Slurm and a real Ray that die at random: `make test-slurm`, `make test-ray`."""
