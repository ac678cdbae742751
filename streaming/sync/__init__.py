"""How late the sound is beside the picture: marks in both, their offset, and what comes of it."""
