"""`python -m attune` is `attune`."""

from attune.cli import main

main()
