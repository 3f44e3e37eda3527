"""Formats of annotation tools, one file each, with ``TITLE``, ``find(source)`` and ``read(files, source)``.

- `find` returns the files of this format that a file or folder holds, none where it holds another.
- `read` returns their :class:`~segablate.datasets.conversion.shapes.Annotations`.
"""
