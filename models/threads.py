"""How many threads the nets may use. They are small: a second thread costs more than it brings."""

from __future__ import annotations

import torch


def limit_threads(threads: int = 1) -> None:
    """Have torch compute on `threads` threads in this process."""
    torch.set_num_threads(threads)
