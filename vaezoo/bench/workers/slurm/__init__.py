"""The executor `slurm`: trials as arrays of jobs on a cluster, by submitit.

Nothing but files joins the driver and its jobs, so either may die and come back elsewhere.
"""
