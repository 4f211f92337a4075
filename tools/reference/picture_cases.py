"""The cases of pictures from pictures: one property each, at sizes that are as small as they can be."""

from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class PictureCase:
    """Settings of one job, under the names that the fixture's JSON has.

    `task` is the pipeline of diffusers that computes it. `scheduler` replaces the model's class.
    """

    name: str
    task: str
    strength: float
    steps: int = 5
    # The folder of the UNet: the one of the tests' own model, or one with more inputs.
    model: str = "random-sdxl"
    prompt: str = "a red fox in the snow, golden hour"
    negative_prompt: str | None = "blurry"
    width: int = 64
    height: int = 64
    guidance_scale: float = 6.0
    seed: int = 42
    num_images: int = 1
    scheduler: str | None = None
    vae_overrides: dict = field(default_factory=dict)

    def settings(self) -> dict:
        return asdict(self)


INPAINTING = "random-sdxl-inpainting"

PICTURE_CASES = (
    PictureCase("strength-0.02", "img2img", 0.02, steps=50),
    PictureCase("strength-0.05", "img2img", 0.05, steps=20),
    PictureCase("strength-0.2", "img2img", 0.2, steps=15),
    PictureCase("strength-0.6", "img2img", 0.6, width=96, height=72),
    PictureCase("strength-1", "img2img", 1.0, guidance_scale=1.0),
    PictureCase("three", "img2img", 0.6, num_images=3, seed=2**32 - 2),
    PictureCase("mean-and-std", "img2img", 0.6, vae_overrides={
        "latents_mean": [0.5, -0.2, 0.1, 0.3], "latents_std": [1.5, 0.8, 1.1, 2.0]
    }),
    PictureCase("stochastic", "img2img", 0.6, num_images=2, scheduler="EulerAncestralDiscreteScheduler"),
    PictureCase("second-order", "img2img", 0.6, scheduler="HeunDiscreteScheduler"),
    PictureCase("multistep", "img2img", 0.6, steps=8, scheduler="DPMSolverMultistepScheduler"),
    PictureCase("inpaint", "inpaint", 0.6),
    PictureCase("inpaint-whole", "inpaint", 1.0),
    PictureCase("inpaint-stochastic", "inpaint", 0.8, scheduler="EulerAncestralDiscreteScheduler"),
    PictureCase("inpaint-second-order", "inpaint", 0.6, scheduler="HeunDiscreteScheduler"),
    PictureCase("inpaint-9", "inpaint", 0.6, model=INPAINTING, width=96, height=72),
    PictureCase("inpaint-9-whole", "inpaint", 1.0, model=INPAINTING, guidance_scale=1.0),
)
