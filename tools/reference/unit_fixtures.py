"""Fixtures of the parts that need no model: random numbers, token ids, the Euler scheduler."""

import itertools

import torch
from diffusers import EulerDiscreteScheduler

from .tokenizer_strings import STRINGS

SEEDS = (0, 1, 42, 2**32 - 1, 2**40 + 7, 2**53)
SIZES = (1, 2, 5, 15, 16, 17, 20, 31, 32, 33, 64, 100, 1000)
LATENTS = (1, 4, 16, 16)
DRAWS = (5, 17, 16)


def random_numbers() -> dict[str, torch.Tensor]:
    """torch.randn in float32: `seed<s>.size<n>`, `seed<s>.shape1x4x16x16`, and draws one after another from one
    generator, `seed<s>.draw<k>.size<n>`."""
    numbers = {}
    for seed in SEEDS:
        for size in SIZES:
            numbers[f"seed{seed}.size{size}"] = torch.randn(size, generator=torch.Generator("cpu").manual_seed(seed))
        shape = "x".join(str(length) for length in LATENTS)
        numbers[f"seed{seed}.shape{shape}"] = torch.randn(LATENTS, generator=torch.Generator("cpu").manual_seed(seed))
        generator = torch.Generator("cpu").manual_seed(seed)
        for draw, size in enumerate(DRAWS):
            numbers[f"seed{seed}.draw{draw}.size{size}"] = torch.randn(size, generator=generator)
    return numbers


def token_cases(tokenizers: dict) -> list[dict]:
    """For each text and tokenizer: `padded` to 77 with truncation, as the pipeline does it, and `ids` without either."""
    cases = []
    for text in STRINGS:
        case = {"text": text}
        for name, tokenizer in tokenizers.items():
            padded = tokenizer(text, padding="max_length", max_length=77, truncation=True).input_ids
            case[name] = {"padded": padded, "ids": tokenizer(text).input_ids}
        cases.append(case)
    return cases


def euler_cases() -> list[dict]:
    """Schedules and one step each: `config` (whole), `steps`, `timesteps`, `sigmas`, `init_noise_sigma`, `step`."""
    base = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012}
    grid = itertools.product(
        (1, 2, 4, 15, 25, 50),
        ("leading", "linspace", "trailing"),
        (False, True),
        ("scaled_linear", "linear"),
    )
    configs = [
        (
            steps,
            {"timestep_spacing": spacing, "use_karras_sigmas": karras, "beta_schedule": schedule, "steps_offset": 1},
        )
        for steps, spacing, karras, schedule in grid
        # Karras sigmas depend on the first and the last of the schedule only; one beta schedule covers them.
        if not (karras and schedule == "linear")
    ]
    sdxl = {"timestep_spacing": "leading", "beta_schedule": "scaled_linear", "steps_offset": 1}
    for steps in (1, 4, 25):
        configs += [
            (steps, sdxl | {"steps_offset": 0}),
            (steps, sdxl | {"final_sigmas_type": "sigma_min"}),
            (steps, sdxl | {"final_sigmas_type": "sigma_min", "use_karras_sigmas": True}),
            (steps, sdxl | {"prediction_type": "v_prediction"}),
            (steps, sdxl | {"prediction_type": "sample"}),
            (
                steps,
                sdxl
                | {"timestep_spacing": "trailing", "prediction_type": "v_prediction", "rescale_betas_zero_snr": True},
            ),
            (steps, sdxl | {"use_exponential_sigmas": True}),
            (steps, sdxl | {"interpolation_type": "log_linear", "timestep_spacing": "linspace"}),
            (steps, sdxl | {"use_karras_sigmas": True, "sigma_min": 0.05, "sigma_max": 12.0}),
        ]
    return [_euler_case(steps, {**base, **config}) for steps, config in configs]


def _euler_case(steps: int, config: dict) -> dict:
    scheduler = EulerDiscreteScheduler(**config)
    scheduler.set_timesteps(steps)
    schedule = {
        "config": config,
        "steps": steps,
        "timesteps": scheduler.timesteps.tolist(),
        "sigmas": scheduler.sigmas.tolist(),
        "init_noise_sigma": float(scheduler.init_noise_sigma),
    }
    index = steps // 2
    generator = torch.Generator("cpu").manual_seed(steps)
    sample, model_output = (torch.randn(1, 1, 2, 3, generator=generator) for _ in range(2))
    sample = sample * scheduler.init_noise_sigma
    scheduler.set_begin_index(index)
    timestep = scheduler.timesteps[index]
    scaled = scheduler.scale_model_input(sample, timestep)
    result = scheduler.step(model_output, timestep, sample)
    tensors = {
        "sample": sample,
        "scaled_sample": scaled,
        "model_output": model_output,
        "prev_sample": result.prev_sample,
        "pred_original_sample": result.pred_original_sample,
    }
    return schedule | {"step": {"index": index} | {name: tensor.flatten().tolist() for name, tensor in tensors.items()}}
