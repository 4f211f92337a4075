"""What every training stage shares: a work folder, checkpoints that survive a kill, a pause, a time budget, a curve."""

import math
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

import torch

PAUSE_POLL_SECONDS = 1.0
# No step counts for more: a process that was stopped from outside has not trained in the meantime.
STEP_LIMIT_SECONDS = 30.0
PICTURE_SIZE = 128


def add_arguments(parser: ArgumentParser, minutes: float) -> None:
    parser.add_argument("--work", type=Path, default=Path("tools/.train"), help="folder of checkpoints and caches")
    parser.add_argument("--minutes", type=float, default=minutes, help=f"time of the whole stage (default: {minutes})")
    parser.add_argument("--size", type=int, default=PICTURE_SIZE, help="picture size in pixels, a multiple of 64 (default: 128)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: torch decides)")
    parser.add_argument("--pause-file", type=Path, help="training waits for as long as this file exists")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")


class Session:
    """One stage's run. Time counts from the stage's first start, without pauses, across restarts."""

    def __init__(self, stage: str, options: Namespace):
        if options.threads:
            torch.set_num_threads(options.threads)
        options.work.mkdir(parents=True, exist_ok=True)
        self.device = torch.device(options.device)
        self.checkpoint = options.work / f"{stage}.pt"
        self.curve = options.work / f"{stage}.csv"
        self.budget_seconds = options.minutes * 60
        self.pause_file = options.pause_file
        self.step = 0
        self.used_seconds = 0.0
        self.start()

    def start(self) -> None:
        """Call before the first step: what went on until then does not count as training time."""
        self._ticked = time.monotonic()
        self._saved = time.monotonic()

    def resume(self) -> dict | None:
        """The last checkpoint's state, if there is one; the step and the time used go on from there."""
        if not self.checkpoint.is_file():
            return None
        state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        self.step, self.used_seconds = state["step"], state["used_seconds"]
        print(f"resumed at step {self.step}, {self.used_seconds / 60:.1f} minutes used", flush=True)
        return state

    @property
    def progress(self) -> float:
        """Share of the time budget that is used, 0..1."""
        return min(1.0, self.used_seconds / self.budget_seconds)

    def tick(self) -> bool:
        """Call once a step: counts it, waits while paused, and says whether there is time for another one."""
        self.used_seconds += min(time.monotonic() - self._ticked, STEP_LIMIT_SECONDS)
        while self.pause_file is not None and self.pause_file.exists():
            time.sleep(PAUSE_POLL_SECONDS)
        self._ticked = time.monotonic()
        self.step += 1
        return self.used_seconds < self.budget_seconds

    def is_due(self, minutes: float) -> bool:
        """Whether the last checkpoint is older than this."""
        return time.monotonic() - self._saved > minutes * 60

    def save(self, state: dict) -> None:
        """Writes a checkpoint beside the old one, then puts it in its place: a kill never leaves half a file."""
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(state | {"step": self.step, "used_seconds": self.used_seconds}, partial)
        partial.replace(self.checkpoint)
        self._saved = time.monotonic()

    def log(self, **values: float) -> None:
        """Adds a line to the training curve and shows it."""
        row = {"step": self.step, "minutes": self.used_seconds / 60} | values
        if not self.curve.is_file():
            self.curve.write_text(",".join(row) + "\n", encoding="utf-8")
        with self.curve.open("a", encoding="utf-8") as file:
            file.write(",".join(f"{value:.6g}" for value in row.values()) + "\n")
        print(" ".join(f"{name} {value:.4g}" for name, value in row.items()), flush=True)


def falling_rate(peak: float, session: Session, warmup_steps: int, flat: float = 1 / 3) -> float:
    """Learning rate: a linear warm-up, level for the first share of the time, then a cosine down to a hundredth."""
    fall = max(0.0, (session.progress - flat) / (1 - flat))
    return peak * min(1.0, (session.step + 1) / warmup_steps) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * fall)))
