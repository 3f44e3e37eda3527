"""The sources of checkpoints, one file each, with ``open_source(rest, loading)``.

The first line of a source's docstring says what the source is and, after a colon, the form of a specification.
``SUFFIXES``, where defined, lists the suffixes of files that the source opens without being named.
"""
