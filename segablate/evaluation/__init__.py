"""An evaluation: a checkpoint, a dataset and what to measure in; counts and values per image out, kept as a run."""
