"""The public API: what ``import segablate`` offers, above the layers that compute.

Import from :mod:`segablate` itself; the files here are where the names live.
"""
