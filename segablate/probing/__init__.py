"""Which preprocessing was a network trained with? The usual ones, tried on a few images of a dataset."""
