"""The noise schedule: SDXL's betas, stretched so that the last timestep is noise alone, and velocity as the target.

With SDXL's own schedule the last step still shows the picture's mean colour, so a sampler that starts from pure noise
cannot make a flat dark or bright background (Lin et al. 2023, "Common Diffusion Noise Schedules and Sample Steps are
Flawed").
"""

import torch
from diffusers import DDPMScheduler

SCHEDULER = {
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "interpolation_type": "linear",
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "steps_offset": 1,
    "timestep_spacing": "trailing",
    "use_karras_sigmas": False,
}


class NoiseSchedule:
    """Adds noise for training."""

    def __init__(self, device: torch.device):
        shared = ("beta_end", "beta_schedule", "beta_start", "num_train_timesteps", "rescale_betas_zero_snr")
        kept = DDPMScheduler(**{name: SCHEDULER[name] for name in shared}).alphas_cumprod.to(device)
        self.signal, self.sigma = kept.sqrt(), (1 - kept).sqrt()

    def noise(self, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Timesteps `[batch]`, noisy latents, and the velocity to predict.

        Timesteps lean to the noisy end (58 % lie in the last fifth): there the picture must come from the caption
        alone, which is what takes longest to learn.
        """
        batch = len(latents)
        spread = (torch.arange(batch, device=latents.device) + torch.rand(batch, device=latents.device)) / batch
        timesteps = ((1 - spread.pow(3)) * len(self.signal)).long().clamp(max=len(self.signal) - 1)
        signal, sigma = (values[timesteps][:, None, None, None] for values in (self.signal, self.sigma))
        noise = torch.randn_like(latents)
        return timesteps, signal * latents + sigma * noise, signal * noise - sigma * latents
