"""One encoder per modality: each turns what arrived in a hop into one token of width D."""
