"""Readers of the training data: files on disk to arrays, with the traps of each set handled."""
