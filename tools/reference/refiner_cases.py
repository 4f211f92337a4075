"""The cases of a base that hands over to a refiner, of a refiner alone, and of a UNet that is shown its guidance."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class RefinerCase:
    """Settings of one job, under the names that the fixture's JSON has.

    `task`: "handover" draws from noise with base and refiner, "handover-img2img" begins with a picture, "refiner" runs
    the refiner alone on one, "lcm" draws with the UNet that is shown its guidance. `scheduler` replaces the class.
    """

    name: str
    task: str
    steps: int = 5
    denoising_end: float | None = 0.8
    strength: float | None = None
    prompt: str = "a red fox in the snow, golden hour"
    negative_prompt: str | None = "blurry"
    guidance_scale: float = 6.0
    seed: int = 42
    num_images: int = 1
    scheduler: str | None = None
    aesthetic_score: float = 6.0
    negative_aesthetic_score: float = 2.5

    def settings(self) -> dict:
        return asdict(self)


REFINER_CASES = (
    RefinerCase("handover", "handover"),
    RefinerCase("handover-half", "handover", steps=6, denoising_end=0.5, guidance_scale=1.0, negative_prompt=None),
    RefinerCase("absent-negative", "handover", negative_prompt=None, aesthetic_score=9.0, negative_aesthetic_score=0.5),
    RefinerCase("stochastic", "handover", scheduler="EulerAncestralDiscreteScheduler", num_images=2),
    RefinerCase("second-order", "handover", steps=6, denoising_end=0.6, scheduler="HeunDiscreteScheduler"),
    RefinerCase("cut-in-step", "handover", steps=5, denoising_end=0.7, scheduler="KDPM2DiscreteScheduler"),
    RefinerCase("multistep", "handover", steps=8, denoising_end=0.6, scheduler="DPMSolverMultistepScheduler"),
    RefinerCase("unipc", "handover", steps=8, denoising_end=0.5, scheduler="UniPCMultistepScheduler"),
    RefinerCase("picture", "handover-img2img", steps=8, strength=0.7),
    RefinerCase("refiner", "refiner", strength=0.4, denoising_end=None, aesthetic_score=7.0),
    RefinerCase("refiner-absent-negative", "refiner", strength=0.4, denoising_end=None, negative_prompt=None),
    RefinerCase("lcm", "lcm", denoising_end=None, guidance_scale=8.5, scheduler="LCMScheduler", steps=4, num_images=2),
    RefinerCase("lcm-picture", "lcm-img2img", denoising_end=None, strength=0.6, guidance_scale=1.5),
)

# Where diffusers cuts the timesteps, for every scheduler: what a hand-over is made of.
CUT_SCHEDULERS = {
    "EulerDiscreteScheduler": {},
    "EulerAncestralDiscreteScheduler": {"timestep_spacing": "trailing"},
    "DDIMScheduler": {"timestep_spacing": "leading", "steps_offset": 1},
    "DDPMScheduler": {"timestep_spacing": "trailing"},
    "DPMSolverMultistepScheduler": {"use_karras_sigmas": True},
    "UniPCMultistepScheduler": {},
    "HeunDiscreteScheduler": {},
    "KDPM2DiscreteScheduler": {"use_karras_sigmas": True},
    "KDPM2AncestralDiscreteScheduler": {},
    "DPMSolverSDEScheduler": {},
    "LMSDiscreteScheduler": {"num_train_timesteps": 500},
    "PNDMScheduler": {},
    "LCMScheduler": {},
    "TCDScheduler": {},
}
CUT_STEPS = (4, 7, 25, 50)
CUT_SHARES = (0.001, 0.3, 0.5, 0.667, 0.8, 0.95, 0.999)
