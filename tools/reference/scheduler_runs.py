"""Runs of diffusers' schedulers with a model that is a formula, reduced to a few numbers a call."""

import inspect
import math
import warnings
from functools import cache

import diffusers
import numpy
import torch
from diffusers.utils.torch_utils import randn_tensor

SEEDS = (11, 12)
SHAPE = (len(SEEDS), 1, 4, 4)
SIZE = math.prod(SHAPE)
# What is kept of each sample, beside its weighted mean: values of the first and of the second image.
KEPT = (0, 9, 21)

warnings.filterwarnings("ignore")
diffusers.utils.logging.set_verbosity_error()


def run(case: dict) -> numpy.ndarray | None:
    """One row a call: the timestep, the sample's kept values and weighted mean. None where diffusers has no numbers."""
    scheduler = getattr(diffusers, case["class_name"])(**case["config"])
    scheduler.set_timesteps(case["steps"])
    if case["class_name"] == "DPMSolverSDEScheduler":
        scheduler.noise_sampler_seed = list(SEEDS)
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in SEEDS]
    takes = inspect.signature(scheduler.step).parameters
    extra = {"generator": generators} if "generator" in takes else {}
    if "eta" in takes:
        extra["eta"] = case.get("eta", 0.0)
    first = case.get("begin", 0) * scheduler.order
    noise = randn_tensor(SHAPE, generator=generators, dtype=torch.float32)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    if first > 0:
        timestep = scheduler.timesteps[first : first + 1].repeat(len(SEEDS))
        sample = scheduler.add_noise(image(), noise, timestep)
    else:
        sample = noise * scheduler.init_noise_sigma
    rows = []
    for timestep in scheduler.timesteps[first:]:
        model_input = scheduler.scale_model_input(sample, timestep)
        sample = scheduler.step(predict(model_input, timestep), timestep, sample, **extra, return_dict=False)[0]
        if not sample.isfinite().all():
            return None
        rows.append([float(timestep), *probe(sample)])
    return numpy.array(rows, dtype=numpy.float32)


@cache
def image() -> torch.Tensor:
    """What a run that begins in the middle begins with: sin k at position k of each image."""
    positions = torch.arange(SIZE // len(SEEDS), dtype=torch.float64)
    return torch.sin(positions).float().repeat(len(SEEDS)).reshape(SHAPE)


def predict(sample: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    """The model: tanh(0.8 x + 0.3 sin k + t / 4000) at position k of the batch."""
    positions = torch.arange(SIZE, dtype=torch.float64).reshape(SHAPE)
    time = float(torch.as_tensor(timestep, dtype=torch.float32)) / 4000
    return torch.tanh(0.8 * sample.double() + 0.3 * torch.sin(positions) + time).float()


def probe(sample: torch.Tensor) -> list[float]:
    values = sample.flatten().double()
    weights = torch.cos(torch.arange(SIZE, dtype=torch.float64))
    return [*(values[index].item() for index in KEPT), (values * weights).mean().item()]
