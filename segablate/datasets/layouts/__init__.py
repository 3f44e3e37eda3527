"""Dataset layouts, one file each, with ``LAYOUT``, ``splits(root)`` and ``open_split(root, split)``.

The docstring of a layout shows the expected folders.
"""
