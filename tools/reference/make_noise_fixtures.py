#!/usr/bin/env python3
"""Writes what torch's generators draw for 30 seeds in odd shapes: on a CPU by torch, as on a GPU by a Philox in numpy.

No GPU is needed: the Philox is written after Salmon et al. ("Parallel Random Numbers: As Easy as 1, 2, 3", 2011), and
its layout after ATen's `DistributionTemplates.h`, for all values at once."""

import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from reference.fixture_files import write_lines

OUTPUT = Path(__file__).resolve().parents[2] / "pipelines/diffusion/fixtures/noise.json"
SEEDS = (
    *range(20),
    42,
    1234567890,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
    2**32 + 42,
    2**40 + 7,
    2**53 - 31,
    2**53,
)
# None but the first is a multiple of the 16 values that a CPU makes at a time.
SHAPES = ((4, 8, 6), (3,), (1, 5, 3), (4, 13, 9), (16, 3, 7, 5), (4, 37, 91))
# More values than an A100 has threads: of two seeds only.
LARGE = (4, 251, 243)
LARGE_SEEDS = (7, 2**40 + 7)
A100_THREADS = 108 * 2048
WORD = np.uint64(0xFFFFFFFF)


def philox(counter: list[np.ndarray], key: tuple[int, int]) -> list[np.ndarray]:
    """Ten rounds of Philox 4x32 over the four words of each counter, held in 64 bits."""
    a, b, c, d = (word.astype(np.uint64) for word in counter)
    for number in range(10):
        left = np.uint64((key[0] + number * 0x9E3779B9) & 0xFFFFFFFF)
        right = np.uint64((key[1] + number * 0xBB67AE85) & 0xFFFFFFFF)
        first, second = np.uint64(0xD2511F53) * a, np.uint64(0xCD9E8D57) * c
        high1, high2 = first >> np.uint64(32), second >> np.uint64(32)
        a, b, c, d = high2 ^ b ^ left, second & WORD, high1 ^ d ^ right, first & WORD
    return [a, b, c, d]


def gpu_normals(seed: int, size: int) -> np.ndarray:
    """Value i is the one of its thread's four that its place says; a thread begins again after all have made theirs."""
    threads = min(A100_THREADS, -(-size // 256) * 256)
    index = np.arange(size)
    call, rest = index // (4 * threads), index % (4 * threads)
    slot, thread = rest // threads, rest % threads
    zero = np.zeros_like(index)
    words = np.stack(philox([call, zero, thread, zero], (seed & 0xFFFFFFFF, seed >> 32)))
    pair = 2 * (slot // 2)
    # Rounded to float32 where cuRAND is; logarithm, sine and cosine are exact here.
    first = words[pair, index].astype(np.float32) * np.float32(2**-32) + np.float32(2**-33)
    scale = np.float32(2**-32) * np.float32(2 * np.pi)
    angle = (words[pair + 1, index].astype(np.float32) * scale + scale / np.float32(2)).astype(np.float64)
    radius = np.sqrt(-2 * np.log(first.astype(np.float64)))
    return radius * np.where(slot % 2 == 0, np.sin(angle), np.cos(angle))


def cpu_normals(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    return torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed)).flatten().double().numpy()


def case_of(kind: str, seed: int, shape: tuple[int, ...]) -> dict:
    """The values at both ends, and the sum of all, each times its place modulo 97 less 48."""
    values = cpu_normals(seed, shape) if kind == "cpu" else gpu_normals(seed, int(np.prod(shape)))
    ends = {"first": values[:3], "last": values[-3:]}
    weights = np.arange(values.size) % 97 - 48
    return {
        "kind": kind,
        "seed": seed,
        "shape": list(shape),
        **{name: [round(float(value), 7) for value in part] for name, part in ends.items()},
        "weighted_sum": round(float(np.sum(values * weights)), 4),
    }


def main() -> int:
    sizes = [(seed, shape) for shape in SHAPES for seed in SEEDS] + [(seed, LARGE) for seed in LARGE_SEEDS]
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    write_lines(OUTPUT, [case_of(kind, seed, shape) for kind in ("cpu", "cuda") for seed, shape in sizes])
    return 0


if __name__ == "__main__":
    sys.exit(main())
