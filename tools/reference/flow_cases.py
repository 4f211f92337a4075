"""Fixtures of the flow-matching schedulers: schedules, and a run with a model that is a formula."""

import diffusers
import torch

STEPS = (4, 8, 25, 50)
SHIFTS = (1.0, 3.0, 5.0, 8.0)
VALUES = 6

FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
EULER = "FlowMatchEulerDiscreteScheduler"
MULTISTEP = ("UniPCMultistepScheduler", "DPMSolverMultistepScheduler")


def flow_cases() -> list[dict]:
    """`class_name`, `config` and `steps` with `timesteps`, `sigmas` and the `trajectory` after each step."""
    cases = [
        _case(name, _shifted(name, shift), steps) for name in (*MULTISTEP, EULER) for steps in STEPS for shift in SHIFTS
    ]
    for steps in (1, 4, 20):
        variants = [
            ("UniPCMultistepScheduler", {"solver_type": "bh1"}),
            ("UniPCMultistepScheduler", {"solver_order": 1}),
            ("UniPCMultistepScheduler", {"solver_order": 3}),
            ("UniPCMultistepScheduler", {"solver_order": 3, "solver_type": "bh1"}),
            ("UniPCMultistepScheduler", {"disable_corrector": [0, 2]}),
            ("UniPCMultistepScheduler", {"lower_order_final": False}),
            ("DPMSolverMultistepScheduler", {"solver_type": "heun"}),
            ("DPMSolverMultistepScheduler", {"solver_order": 1}),
            ("DPMSolverMultistepScheduler", {"solver_order": 3}),
            ("DPMSolverMultistepScheduler", {"lower_order_final": False}),
        ]
        cases += [_case(name, _shifted(name, 3.0) | changes, steps) for name, changes in variants]
    for steps in (4, 20):
        cases.append(
            _case("UniPCMultistepScheduler", _shifted("UniPCMultistepScheduler", 3.0) | {"shift_terminal": 0.1}, steps)
        )
        cases.append(_case(EULER, {"shift": 3.0, "shift_terminal": 0.1}, steps))
    return cases


def _shifted(name: str, shift: float) -> dict:
    return {"shift": shift} if name == EULER else FLOW | {"flow_shift": shift}


def _case(name: str, config: dict, steps: int) -> dict:
    scheduler = getattr(diffusers, name)(**config)
    scheduler.set_timesteps(steps)
    scheduler.set_begin_index(0)
    sample = torch.linspace(-2, 2, VALUES).reshape(1, 1, VALUES)
    trajectory = []
    for index, timestep in enumerate(scheduler.timesteps):
        sample = scheduler.step(velocity(sample, scheduler.sigmas[index]), timestep, sample).prev_sample
        if not sample.isfinite().all():
            # The last step of bh1 to a sigma of 0 is infinite or no number, as is any of order 2.
            break
        trajectory.append([round(value, 7) for value in sample.flatten().tolist()])
    return {
        "class_name": name,
        "config": config,
        "steps": steps,
        "timesteps": scheduler.timesteps.tolist(),
        "sigmas": scheduler.sigmas.tolist(),
        "trajectory": trajectory,
    }


def velocity(sample: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """What the model predicts in these cases, at position k: sin(3 sigma + k) + x (0.3 + 0.5 sigma) - 0.1 x**2."""
    position = torch.arange(VALUES, dtype=torch.float64)
    wide, sigma = sample.double(), sigma.double()
    return (torch.sin(3 * sigma + position) + wide * (0.3 + 0.5 * sigma) - 0.1 * wide * wide).float()
