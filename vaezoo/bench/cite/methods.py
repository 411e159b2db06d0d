"""The papers of our own metrics and statistics, in the words that a `Paper:` paragraph has.

A metric of a plugin says its paper in such a paragraph of its docstring.
"""

SAMPLES = (
    'Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash '
    'Equilibrium", arXiv:1706.08500; Bińkowski et al. 2018, "Demystifying MMD GANs", '
    'arXiv:1801.01401; Kynkäänniemi et al. 2019, "Improved Precision and Recall Metric for '
    'Assessing Generative Models", arXiv:1904.06991; Naeem et al. 2020, "Reliable Fidelity and '
    'Diversity Metrics for Generative Models", arXiv:2002.09797'
)
DISENTANGLEMENT = (
    'Chen, Li, Grosse & Duvenaud 2018, "Isolating Sources of Disentanglement in Variational '
    'Autoencoders", arXiv:1802.04942; Kumar, Sattigeri & Balakrishnan 2018, "Variational Inference '
    'of Disentangled Latent Concepts from Unlabeled Observations", arXiv:1711.00848; Eastwood & '
    'Williams 2018, "A Framework for the Quantitative Evaluation of Disentangled Representations", '
    'openreview By-7dz-AZ; Kim & Mnih 2018, "Disentangling by Factorising", arXiv:1802.05983'
)
ANNEALED = (
    'Neal 2001, "Annealed Importance Sampling", doi:10.1023/A:1008923215028; Grosse, Ghahramani & '
    'Adams 2015, "Sandwiching the Marginal Likelihood using Bidirectional Monte Carlo", '
    "arXiv:1511.02543"
)
METRICS = {
    "samples": SAMPLES,
    "disentanglement": DISENTANGLEMENT,
    "annealed": ANNEALED,
    "inference_gaps": 'Cremer, Li & Duvenaud 2018, "Inference Suboptimality in Variational '
    'Autoencoders", arXiv:1801.03558',
    "active_units": 'Burda, Grosse & Salakhutdinov 2016, "Importance Weighted Autoencoders", '
    "arXiv:1509.00519",
    "likelihood": 'Burda, Grosse & Salakhutdinov 2016, "Importance Weighted Autoencoders", '
    'arXiv:1509.00519; Vehtari et al. 2015, "Pareto Smoothed Importance Sampling", '
    "arXiv:1507.02646",
    "aggregate": 'Hoffman & Johnson 2016, "ELBO Surgery: Yet Another Way to Carve Up the '
    'Variational Evidence Lower Bound"',
    "filter": 'Maddison et al. 2017, "Filtering Variational Objectives", arXiv:1705.09279',
    "forecasts": 'Gneiting & Raftery 2007, "Strictly Proper Scoring Rules, Prediction, and '
    'Estimation", doi:10.1198/016214506000001437',
    "reconstruction": 'Wang, Bovik, Sheikh & Simoncelli 2004, "Image Quality Assessment: From '
    'Error Visibility to Structural Similarity", doi:10.1109/TIP.2003.819861',
    "judges": 'Yoon, Jarrett & van der Schaar 2019, "Time-series Generative Adversarial Networks"',
    "outliers": 'Nalisnick et al. 2019, "Detecting Out-of-Distribution Inputs to Deep Generative '
    'Models Using Typicality", arXiv:1906.02994',
    "modes": 'Metz et al. 2017, "Unrolled Generative Adversarial Networks", arXiv:1611.02163; Lin '
    'et al. 2018, "PacGAN: The Power of Two Samples in Generative Adversarial Networks", '
    "arXiv:1712.04086",
}
BOLD = (
    'Smyth 2004, "Linear Models and Empirical Bayes Methods for Assessing Differential Expression '
    'in Microarray Experiments", doi:10.2202/1544-6115.1027'
)
RANKS = 'Demšar 2006, "Statistical Comparisons of Classifiers over Multiple Data Sets"'
