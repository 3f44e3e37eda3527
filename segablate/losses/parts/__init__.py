"""Formulas that several losses share, or that one needs room for."""
