"""The cases of VACE's fixtures: few steps and small clips, one property each."""

from dataclasses import asdict, dataclass, field

import numpy as np
from PIL import Image

from .wan_frames import picture


@dataclass(frozen=True)
class VaceCase:
    """Settings of one clip, under the names that the fixture's JSON has."""

    name: str
    prompt: str
    model: str = "vace"
    negative_prompt: str | None = None
    width: int = 48
    height: int = 32
    frames: int = 9
    steps: int = 3
    guidance_scale: float = 4.0
    guidance_scale_2: float | None = None
    # Frames of the control video; 0 is none.
    video: int = 0
    # As bytes of `mask_values`: "disc" moves and has a soft edge; "hard" has two values; None is no mask.
    mask: str | None = None
    # Frames that are known, by their number; the rest is gray, and the mask keeps the known ones.
    known: list[int] = field(default_factory=list)
    # Sizes of reference pictures, [width, height].
    references: list[tuple[int, int]] = field(default_factory=list)
    scale: float | list[float] = 1.0
    seed: int = 1

    def settings(self) -> dict:
        return asdict(self)


def mask_values(kind: str, width: int, height: int, index: int) -> np.ndarray:
    """`[height, width]` in bytes; the tests' `formulaMask` computes the same."""
    y, x = np.mgrid[0:height, 0:width]
    if kind == "hard":
        return np.where((x + 2 * y + 3 * index) % 23 < 9, 255, 0).astype("uint8")
    distance = (x - width // 3 - index) ** 2 + (y - height // 2) ** 2
    return np.clip(330 - 2 * distance, 0, 255).astype("uint8")


def conditions(case: VaceCase) -> dict:
    """The arguments of the pipeline's call that condition the clip."""
    size = (case.width, case.height)
    found: dict = {"conditioning_scale": case.scale if isinstance(case.scale, float) else list(case.scale)}
    if case.known:
        # As arrays: 8 bits have no middle gray.
        frames = np.full((1, case.frames, case.height, case.width, 3), 0.5, "float32")
        mask = np.ones((1, case.frames, case.height, case.width, 1), "float32")
        for index in case.known:
            frames[0, index] = picture(*size, index) / np.float32(255)
            mask[0, index] = 0
        found |= {"video": frames, "mask": mask}
    if case.video:
        found["video"] = [Image.fromarray(picture(*size, index)) for index in range(case.video)]
    if case.mask:
        found["mask"] = [Image.fromarray(mask_values(case.mask, *size, index)) for index in range(case.video)]
    if case.references:
        found["reference_images"] = [
            Image.fromarray(picture(*reference, 40 + index)) for index, reference in enumerate(case.references)
        ]
    return found


VACE_CASES = (
    VaceCase("text", "an old lighthouse on a rocky coast", frames=5, guidance_scale=1.0, seed=7),
    VaceCase(
        "video-and-mask",
        "a red fox runs through the snow, golden hour",
        negative_prompt="blurry, low quality, watermark",
        frames=17,
        video=17,
        mask="disc",
        seed=42,
    ),
    VaceCase("video", "three boats on a calm lake at dawn", video=9, width=32, height=64, seed=2**32 - 2),
    VaceCase(
        "one-reference", "paper lanterns floating over a quiet river", references=[(37, 61)], guidance_scale=1.0, seed=3
    ),
    VaceCase(
        "three-references",
        "a balloon rises over the hills",
        video=9,
        mask="hard",
        references=[(160, 23), (48, 32), (19, 8)],
        seed=99,
    ),
    VaceCase("scale-0", "an owl on a mossy branch", frames=5, video=5, mask="disc", scale=0.0, guidance_scale=1.0),
    VaceCase("scale-per-layer", "an owl on a mossy branch", frames=5, video=5, mask="disc", scale=[1.5, 0.25], seed=5),
    # Two of the seven frames fill no chunk of the encoder, but count for the mask.
    VaceCase(
        "shorter-video",
        "a windmill in a field of tulips",
        frames=17,
        video=7,
        mask="disc",
        references=[(64, 64)],
        seed=6,
    ),
    VaceCase("first-and-last", "a bowl of ripe cherries turns on a table", known=[0, 8], seed=8),
    VaceCase("one-frame", "watercolor painting of a mountain valley", frames=1, video=1, mask="hard", seed=9),
    VaceCase(
        "two-stages",
        "a lake between mountains",
        model="vace-2",
        negative_prompt="frame",
        frames=5,
        steps=6,
        guidance_scale_2=2.5,
        video=5,
        mask="disc",
        references=[(30, 50)],
        scale=[0.8],
        seed=1234,
    ),
    VaceCase(
        "other-sizes",
        "a lake between mountains",
        model="vace-other",
        video=9,
        mask="disc",
        references=[(50, 21)],
        seed=11,
    ),
)
