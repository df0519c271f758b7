"""`python -m wsol` is `wsol`."""

from wsol.cli import main

main()
