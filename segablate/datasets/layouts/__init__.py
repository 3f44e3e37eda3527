"""How datasets lie on the disk, one file each, with ``LAYOUT``, ``splits(root)`` and ``open_split(root, split)``.

The docstring draws the expected tree.
"""
