"""Where checkpoints come from, one file each, with ``open_source(rest, loading)``.

The first line of its docstring says what it is and, after a colon, how a specification is written. ``SUFFIXES``, where
there is one, names the suffixes of files that are opened by it without saying so.
"""
