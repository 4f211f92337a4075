"""The motions: where the subject is in each frame, how large, how turned and how solid. The same on every run."""

import math
from dataclasses import dataclass

import numpy as np

FRAMES = 17
# In shares of the picture's side: how wide the subject is, and how far from the middle a move begins and ends.
WIDTH = 0.5625
REACH = 0.2
# A grown subject's width over a small one's is the square of this.
GROWTH = 1.7
# How far a bounce reaches, and how many there are; at four times the speed the latents would blur them.
HEIGHT, BOUNCES = 0.12, 2


@dataclass(frozen=True)
class Pose:
    """Middle of the subject from the picture's, in sides; size 1 is `WIDTH`; turn in radians, clockwise."""

    right: float = 0.0
    down: float = 0.0
    size: float = 1.0
    turn: float = 0.0
    alpha: float = 1.0


def _pose(motion: str, time: float) -> Pose:
    """`time` goes from 0 in the first frame to 1 in the last one."""
    way = REACH * (2 * time - 1)
    match motion:
        case "moves left":
            return Pose(right=-way)
        case "moves right":
            return Pose(right=way)
        case "moves up":
            return Pose(down=-way)
        case "moves down":
            return Pose(down=way)
        case "grows":
            return Pose(size=GROWTH ** (2 * time - 1))
        case "shrinks":
            return Pose(size=GROWTH ** (1 - 2 * time))
        case "spins":
            return Pose(turn=math.pi * time)
        case "bounces":
            return Pose(down=HEIGHT * (1 - 2 * abs(math.sin(BOUNCES * math.pi * time))))
        case "fades in":
            return Pose(alpha=time)
        case _:
            return Pose()


MOTIONS = (
    "still",
    "moves left",
    "moves right",
    "moves up",
    "moves down",
    "grows",
    "shrinks",
    "spins",
    "bounces",
    "fades in",
)


def poses(motion: str, frames: int = FRAMES) -> list[Pose]:
    return [_pose(motion, float(time)) for time in np.linspace(0, 1, frames)]
