"""Auto Seg-Loss's search: curves of the surrogate loss of a metric that, trained with, reach the most of the metric.

Li et al., Auto Seg-Loss: Searching Metric Surrogates for Semantic Segmentation, ICLR 2021, arXiv:2010.07930. A sampler
(:mod:`segablate.search.samplers`) proposes curves (:mod:`segablate.search.space`) round by round; with each a proxy is
trained, a cell of a sweep, and its reward (:mod:`segablate.search.rewards`) is the metric on a hold-out of the train
split.
"""

METRICS = ("miou", "fwiou", "biou", "bf1", "macc", "gacc")
"""The metrics that have surrogates."""
