"""`python -m dewy`."""

from .cli import main

main()
