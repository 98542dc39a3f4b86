"""One thread: the pictures here are small, and threads that wait for each other are slower than one."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
