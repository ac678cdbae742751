"""Encoders, fusion, training and weights: what turns aligned hops into scores.

Only this package imports torch, and it knows nothing of streams, actors or sockets. Dimensions
use one alphabet: B batch, T time steps, M modalities, C channels, H, W, N samples, D features.
"""
