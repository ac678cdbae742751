"""Alignment of modalities: in time without a shared clock (`dtw`), in meaning (`contrastive`).

Alignment in time with a shared clock is the grid of windows; soft alignment is what the causal
cross-modal attention of models/fusions does.
"""
