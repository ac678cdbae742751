"""Time, packets, windows, results and the ways in and out.

The core of this package is NumPy, Numba and msgspec. Device and network libraries are
imported only under `streaming.sources` and `streaming.sinks`.
"""
