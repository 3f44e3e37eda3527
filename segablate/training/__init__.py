"""Training: recipes, augmentation, the loop and its states, and sweeps of settings × seeds."""
