"""The text-to-video cases of the WAN pipeline's fixtures: few steps and small clips, one property each."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class WanCase:
    """Settings of one clip, under the names that the fixture's JSON has."""

    name: str
    prompt: str
    model: str = "random-wan"
    negative_prompt: str | None = None
    width: int = 32
    height: int = 48
    frames: int = 5
    steps: int = 4
    guidance_scale: float = 5.0
    # Of the second stage; None is the same as `guidance_scale`.
    guidance_scale_2: float | None = None
    # None is what the model's config says.
    flow_shift: float | None = None
    # diffusers' class; None is the class of the model's config.
    scheduler: str | None = None
    seed: int = 1

    def settings(self) -> dict:
        return asdict(self)


CASES = (
    WanCase(
        "unipc",
        "a red fox runs through the snow, golden hour",
        negative_prompt="blurry, low quality, watermark",
        frames=17,
        steps=6,
        seed=42,
    ),
    WanCase("guidance1", "an old lighthouse on a rocky coast", guidance_scale=1.0, steps=5, flow_shift=5.0, seed=7),
    WanCase(
        "euler",
        "three boats on a calm lake at dawn",
        scheduler="FlowMatchEulerDiscreteScheduler",
        flow_shift=5.0,
        seed=2**32 - 2,
    ),
    WanCase(
        "dpm",
        "paper lanterns floating over a quiet river",
        negative_prompt="",
        scheduler="DPMSolverMultistepScheduler",
        flow_shift=8.0,
        steps=8,
        width=48,
        height=32,
        seed=3,
    ),
    WanCase(
        "one-frame",
        "  A fox &amp; an owl &lt;3\n\n\tin   the&nbsp;snow,\u00a0ｆｏｇ &amp;amp; café ﬁre 🦊 ",
        negative_prompt=" \n",
        frames=1,
        steps=3,
        seed=5,
    ),
    WanCase("frames-81", "a balloon rises over the hills", frames=81, width=16, height=16, guidance_scale=3.0, seed=99),
    # More than the 512 tokens that the encoder takes.
    WanCase("long-prompt", "a windmill in a field of tulips, " * 60, frames=1, width=16, height=16, steps=2, seed=12),
    WanCase(
        "two-stage",
        "a bowl of ripe cherries turns on a wooden table",
        model="random-wan-2",
        negative_prompt="frame",
        frames=17,
        steps=8,
        guidance_scale=4.0,
        guidance_scale_2=2.5,
        flow_shift=5.0,
        seed=1234,
    ),
    WanCase("two-stage-one-guidance", "an owl on a mossy branch", model="random-wan-2", guidance_scale=3.5, seed=11),
    WanCase(
        "other-sizes",
        "watercolor painting of a mountain valley 山",
        model="random-wan-other",
        negative_prompt="text",
        frames=9,
        width=48,
        height=32,
        steps=5,
        seed=8,
    ),
)

# What the model was trained for, with its own defaults.
SHIPPED = WanCase(
    "shipped",
    "a red apple moves left on a light blue background",
    model="tiny-wan",
    width=64,
    height=64,
    frames=17,
    steps=12,
    guidance_scale=2.0,
    seed=2,
)
