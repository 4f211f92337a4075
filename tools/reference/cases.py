"""The text-to-image cases of the pipeline fixtures: few steps and small pictures, one property each."""

from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Case:
    """Settings of one job, under the names that the fixture's JSON has. A `negative_prompt` of None is not ""."""

    name: str
    prompt: str
    negative_prompt: str | None = None
    width: int = 64
    height: int = 64
    steps: int = 4
    guidance_scale: float = 6.0
    guidance_rescale: float = 0.0
    clip_skip: int | None = None
    seed: int = 1
    num_images: int = 1
    scheduler_overrides: dict = field(default_factory=dict)
    # Which model it is for: the random one of the tests, or the trained one that ships.
    model: str = "random"

    def settings(self) -> dict:
        return asdict(self)


CASES = (
    Case("one", "a red fox in the snow, golden hour", width=128, height=128, steps=6, seed=42),
    Case("three", "three boats on a calm lake at dawn", num_images=3, seed=2**32 - 2),
    Case("guidance1", "an old lighthouse on a rocky coast", guidance_scale=1.0, steps=5, seed=7),
    Case(
        "negative-nonsquare",
        "watercolor painting of a mountain valley",
        negative_prompt="blurry, low quality, watermark",
        width=96,
        height=64,
        guidance_scale=7.5,
        steps=5,
        seed=1234,
    ),
    Case("negative-empty", "a bowl of ripe cherries on a wooden table", negative_prompt="", seed=99),
    # 9 x 13 latents: the UNet's total stride of 4 divides neither side, so its upsamplers get explicit sizes.
    Case("odd-size", "a windmill in a field of tulips", width=104, height=72, seed=5),
    Case("clip-skip", "an owl on a mossy branch", negative_prompt="frame", clip_skip=1, seed=11),
    Case(
        "v-prediction",
        "paper lanterns floating over a quiet river",
        negative_prompt="text",
        guidance_rescale=0.7,
        seed=3,
        scheduler_overrides={
            "prediction_type": "v_prediction",
            "timestep_spacing": "trailing",
        },
    ),
    # The scheduler configs of the published distilled checkpoints, at the steps that they are for, without guidance.
    Case(
        "turbo",
        "a wooden rowing boat on a still lake",
        guidance_scale=0.0,
        steps=2,
        seed=21,
        num_images=2,
        scheduler_overrides={
            "_class_name": "EulerAncestralDiscreteScheduler",
            "timestep_spacing": "trailing",
        },
    ),
    Case(
        "lightning",
        "a stone bridge over a mountain stream",
        negative_prompt="not read without guidance",
        guidance_scale=0.0,
        steps=4,
        seed=8,
        scheduler_overrides={"timestep_spacing": "trailing"},
    ),
)

SHIPPED_CASES = (
    Case(
        "shipped",
        "a red apple on a light blue background",
        width=128,
        height=128,
        steps=8,
        guidance_scale=2.0,
        seed=1,
        model="shipped",
    ),
)
