"""Seeded fuzzing of every reader of the program through its command line.

A case is a valid input, a mutation of it and a command that reads it, all decided by a seed and a number. It runs in a
forked process under limits of memory and processor time. An exception that leaves the program, a crash, a hang or
memory beyond the limit is a finding. From the root of the repository::

    python -m tests.fuzzing 20000 --processes 2         run 20 000 cases of seed 0
    python -m tests.fuzzing --seed 0 --only 1234        run one again, with all that it prints
    python -m tests.fuzzing 100 --script                run through the console script instead

`sites` writes the valid inputs, `readers` lists them with their commands; `byte_damage`, `text_damage`, `tree_damage`,
`archive_damage`, `bombs` and `surroundings` mutate; `cases` chooses; `processes` runs; `findings` judges and keeps.
"""
