"""Uncertainty of scores: resampling of exact dataset scores over images, intervals, tests and their correction.

::

    plan = by_image(500)                                            # or by_cluster(drives)
    first, second = resample([region_scores(a), region_scores(b)], plan)    # the same replicates: paired
    estimate(first["miou"])                                         # value, standard error, intervals
    change = compare(first["iou"], second["iou"])                   # per class: difference, intervals, p
    holm(change.p)

bootstrap       bootstrap and jackknife of any statistic
scores          statistics that are functions of sums over images: IoU, recall, boundary F, means
intervals       percentile and BCa intervals, standard errors, two-sided p
paired          differences of two systems; Wilcoxon; power
multiplicity    Holm, Benjamini-Hochberg
correlation     Spearman over images
influences      exact scores and the influence of each image on them
half_widths     half-widths from several sources of variance, and the p-values that agree with them
trainings       settings trained several times: a score of each, and its difference from a baseline
pools           which settings share their variance over seeds
shared_seeds    intervals of trainings under shared seeds, over seeds and images
separate_seeds  intervals of trainings that no seed pairs, over trainings and images
"""
