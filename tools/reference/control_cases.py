"""The cases of ControlNets and IP-Adapters: one property each, at sizes that are as small as they can be."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class ControlCase:
    """Settings of one job, under the names that the fixture's JSON has.

    `task` is what it begins with; `controlnet` and `adapter` (`base` or `plus`) what it draws by beside the prompt.
    """

    name: str
    task: str = "txt2img"
    controlnet: bool = False
    adapter: str | None = None
    steps: int = 3
    strength: float = 0.7
    guidance_scale: float = 6.0
    controlnet_conditioning_scale: float = 0.8
    control_guidance_start: float = 0.0
    control_guidance_end: float = 1.0
    guess_mode: bool = False
    ip_adapter_scale: float = 0.6
    prompt: str = "a red fox in the snow, golden hour"
    negative_prompt: str | None = "blurry"
    width: int = 64
    height: int = 64
    seed: int = 42
    num_images: int = 1
    scheduler: str | None = None

    def settings(self) -> dict:
        return asdict(self)


CONTROL_CASES = (
    ControlCase("control", controlnet=True),
    ControlCase("control-odd-size", controlnet=True, width=88, height=56, controlnet_conditioning_scale=1.5),
    ControlCase("control-unguided", controlnet=True, guidance_scale=1.0),
    ControlCase("control-window", controlnet=True, steps=6, control_guidance_start=0.3, control_guidance_end=0.7),
    ControlCase(
        "control-window-second-order",
        controlnet=True,
        control_guidance_end=0.5,
        steps=4,
        scheduler="HeunDiscreteScheduler",
    ),
    ControlCase("control-guess", controlnet=True, guess_mode=True, guidance_scale=4.0),
    ControlCase("control-guess-unguided", controlnet=True, guess_mode=True, guidance_scale=1.0),
    ControlCase("control-img2img", "img2img", controlnet=True, steps=5, control_guidance_end=0.6),
    ControlCase("control-inpaint", "inpaint", controlnet=True, steps=5),
    ControlCase("control-inpaint-whole", "inpaint", controlnet=True, strength=1.0),
    ControlCase("adapter", adapter="base"),
    ControlCase("adapter-unguided", adapter="base", guidance_scale=1.0, ip_adapter_scale=1.0),
    ControlCase("adapter-img2img", "img2img", adapter="base", steps=5),
    ControlCase("adapter-inpaint", "inpaint", adapter="base", steps=5),
    ControlCase("adapter-plus", adapter="plus", num_images=2),
    ControlCase("adapter-and-control", controlnet=True, adapter="base", num_images=2),
)
