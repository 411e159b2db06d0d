"""The names of the control rows, and which of them say how good or how bad a number can be. No
torch: a report reads them.
"""

# what no model can be expected to beat
FLOOR = "test vs train (floor)"
REAL = "training rows"  # in the place of samples, where no test row is looked at
FACTORS = "true factors as the code"
PAIRS = "real pairs"
BEST = (FLOOR, REAL, FACTORS, PAIRS)

# what every model should beat
NOISE = "Gaussian noise"
INDEPENDENT = "independent pixels"
APART = "independent steps"
CODE = "noise as the code"
SHUFFLED = "shuffled pairs"
MADE_UP = (NOISE, INDEPENDENT, APART, CODE, SHUFFLED)

COPY = "copy of the training set"
