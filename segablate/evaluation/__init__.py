"""Evaluations: measure a checkpoint on a dataset, image by image, and keep the counts and values as a run."""
