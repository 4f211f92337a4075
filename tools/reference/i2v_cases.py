"""The cases of the image-to-video fixtures: few steps and small clips, one property each."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class ImageCase:
    """Settings of one clip, under the names that the fixture's JSON has."""

    name: str
    prompt: str
    model: str = "i2v"
    negative_prompt: str | None = None
    width: int = 48
    height: int = 32
    frames: int = 5
    steps: int = 3
    guidance_scale: float = 4.0
    guidance_scale_2: float | None = None
    flow_shift: float | None = None
    scheduler: str | None = None
    # Numbers of the pictures by formula that the clip begins and ends with; None is no picture.
    first: int | None = 0
    last: int | None = None
    seed: int = 1

    def settings(self) -> dict:
        return asdict(self)


IMAGE_CASES = (
    ImageCase(
        "guided",
        "a red fox runs through the snow, golden hour",
        negative_prompt="blurry, low quality, watermark",
        frames=17,
        steps=4,
        seed=42,
    ),
    ImageCase("unguided", "an old lighthouse on a rocky coast", guidance_scale=1.0, first=3, flow_shift=5.0, seed=7),
    ImageCase("one-frame", "paper lanterns over a quiet river", frames=1, first=5, seed=3),
    ImageCase(
        "wide",
        "three boats on a calm lake at dawn",
        width=112,
        height=16,
        scheduler="FlowMatchEulerDiscreteScheduler",
        first=2,
        seed=2**32 - 2,
    ),
    ImageCase("tall", "a balloon rises over the hills", width=16, height=80, frames=9, first=4, seed=99),
    ImageCase(
        "first-and-last",
        "a bowl of ripe cherries turns on a table",
        model="flf2v",
        negative_prompt="frame",
        frames=9,
        last=9,
        seed=8,
    ),
    ImageCase(
        "first-and-last-unguided",
        "a windmill in a field of tulips",
        model="flf2v",
        width=32,
        height=64,
        guidance_scale=1.0,
        first=1,
        last=6,
        seed=6,
    ),
    ImageCase(
        "two-stages",
        "a lake between mountains",
        model="i2v-2",
        negative_prompt="text",
        frames=9,
        steps=6,
        guidance_scale_2=2.5,
        first=7,
        seed=1234,
    ),
    ImageCase("two-stages-first-and-last", "an owl on a mossy branch", model="i2v-2", steps=6, last=12, seed=11),
    ImageCase("other-sizes", "watercolor painting of a valley", model="i2v-other", frames=9, first=8, seed=5),
    ImageCase(
        "by-token", "a lighthouse at dawn", model="ti2v", negative_prompt="blurry", width=64, frames=9, first=10, seed=4
    ),
    ImageCase("by-token-text", "a lighthouse at dawn", model="ti2v", height=64, width=32, first=None, seed=4),
)
