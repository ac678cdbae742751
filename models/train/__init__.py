"""Training of the shipped weights: `python -m models.train --help`."""
