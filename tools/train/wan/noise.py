"""Flow matching: a straight line from the clip to noise, and its direction as the target."""

import torch

TRAIN_TIMESTEPS = 1000
FLOW_SHIFT = 3.0
SCHEDULER = {
    "num_train_timesteps": TRAIN_TIMESTEPS,
    "solver_order": 2,
    "prediction_type": "flow_prediction",
    "use_flow_sigmas": True,
    "flow_shift": FLOW_SHIFT,
}


def draw_noise(latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Timesteps `[batch]`, noisy latents, and the velocity to predict.

    Even shares of the schedule as it is with its shift: much noise is where the clip must come from the caption alone.
    """
    batch = len(latents)
    spread = (torch.arange(batch) + torch.rand(batch)) / batch
    sigma = FLOW_SHIFT * spread / (1 + (FLOW_SHIFT - 1) * spread)
    sigma = sigma.to(latents.device)
    noise = torch.randn_like(latents)
    wide = sigma.view(-1, 1, 1, 1, 1)
    return sigma * TRAIN_TIMESTEPS, (1 - wide) * latents + wide * noise, noise - latents
