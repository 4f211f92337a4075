"""Several single-threaded processes train one network: every few steps each takes the mean of all their weights.

On CPU cores that other work shares, two threads of one process wait for each other at every operation; two processes
never wait. No step is lost when one of them is slower or ends.
"""

import time
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

EXCHANGE_STEPS = 20
STALE_SECONDS = 120.0


class Peers:
    """Weights of all processes in one file that they map into memory, `[peers, 1 + weights]`.

    Column 0 is when the row was written, by the machine's monotonic clock; 0 is never.
    """

    def __init__(self, path: Path, network: nn.Module, index: int, count: int):
        self.network, self.index = network, index
        width = 1 + sum(parameter.numel() for parameter in network.parameters())
        self.rows = torch.from_file(str(path), shared=True, size=count * width).view(count, width)
        self.rows[index] = 0

    @torch.no_grad()
    def exchange(self, step: int) -> None:
        """Call after every step. Rows of processes that have not begun, or have ended, are left out."""
        if len(self.rows) == 1 or step % EXCHANGE_STEPS != 0:
            return
        self.rows[self.index, 1:] = parameters_to_vector(self.network.parameters())
        now = time.monotonic()
        self.rows[self.index, 0] = now
        written = self.rows[:, 0]
        recent = (written > 0) & ((written - now).abs() < STALE_SECONDS)
        mean = self.rows[recent, 1:].mean(0)
        vector_to_parameters(mean.to(next(self.network.parameters()).device), self.network.parameters())
