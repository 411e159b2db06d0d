"""Fair tuning: as many draws of hyperparameters for every variant, judged by the validation split
alone.
"""
