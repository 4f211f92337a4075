"""A plain SDXL text-to-image loop in Python: ONNX Runtime for the models, diffusers for the scheduler.

It is what optimum's ORTStableDiffusionXLPipeline does, with nothing around it: the peer of the worker's own loop in
benchmarks, and the proof that the exported files give PyTorch's numbers.
"""

from pathlib import Path

import diffusers
import torch
from diffusers import SchedulerMixin
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import rescale_noise_cfg
from transformers import CLIPTokenizer

from export.source_folder import read_json

from .onnx_model import Model


class OnnxSdxl:
    """The models of one exported folder and the loop over them."""

    def __init__(self, folder: Path, threads: int = 0):
        self.folder = folder
        self.index = read_json(folder / "model_index.json")
        self.scaling_factor = read_json(folder / "vae_decoder/config.json")["scaling_factor"]
        self.channels = read_json(folder / "unet/config.json")["in_channels"]
        self.tokenizers = [CLIPTokenizer.from_pretrained(folder / name) for name in ("tokenizer", "tokenizer_2")]
        self.encoders = [Model(folder / name / "model.onnx", threads) for name in ("text_encoder", "text_encoder_2")]
        self.unet = Model(folder / "unet/model.onnx", threads)
        self.vae_decoder = Model(folder / "vae_decoder/model.onnx", threads)

    @property
    def run_seconds(self) -> float:
        """Seconds spent inside session.run so far, over all models."""
        return sum(model.seconds for model in (*self.encoders, self.unet, self.vae_decoder))

    def make_scheduler(self, overrides: dict | None = None) -> SchedulerMixin:
        scheduler_class = getattr(diffusers, self.index["scheduler"][1])
        return scheduler_class.from_config(
            read_json(self.folder / "scheduler/scheduler_config.json"), **(overrides or {})
        )

    def encode(self, text: str, clip_skip: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings `[1, 77, both widths]` from the layer before the last, and the second encoder's pooled output."""
        hidden = []
        for tokenizer, encoder in zip(self.tokenizers, self.encoders, strict=True):
            ids = tokenizer(text, padding="max_length", max_length=77, truncation=True, return_tensors="np").input_ids
            outputs = encoder(input_ids=ids)
            layers = sum(name.startswith("hidden_states.") for name in outputs)
            hidden.append(outputs[f"hidden_states.{layers - 2 - clip_skip}"])
        return torch.cat(hidden, dim=-1), outputs["text_embeds"]

    def encode_negative(
        self, text: str | None, like: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As diffusers: zeros when there is none and the folder forces them, else encoded, and never with clip skip."""
        if text is None and self.index.get("force_zeros_for_empty_prompt", True):
            return torch.zeros_like(like[0]), torch.zeros_like(like[1])
        return self.encode(text or "")

    def generate(self, settings: dict) -> dict[str, torch.Tensor]:
        """Runs one case (the keys of `reference.cases.Case`); returns every stage under the fixtures' names."""
        guidance, count = settings["guidance_scale"], settings["num_images"]
        width, height = settings["width"], settings["height"]
        guided = guidance > 1
        positive = self.encode(settings["prompt"], settings["clip_skip"] or 0)
        negative = self.encode_negative(settings["negative_prompt"], positive) if guided else None
        time_ids = torch.tensor([[height, width, 0, 0, height, width]], dtype=torch.float32)
        scheduler = self.make_scheduler(settings["scheduler_overrides"])
        scheduler.set_timesteps(settings["steps"])
        scheduler.set_begin_index(0)
        shape = (1, self.channels, height // 8, width // 8)
        seeds = range(settings["seed"], settings["seed"] + count)
        noise = torch.cat([torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed)) for seed in seeds])
        stages = {
            "prompt_embeds": positive[0],
            "pooled_prompt_embeds": positive[1],
            "add_time_ids": time_ids,
            "initial_noise": noise,
            "timesteps": scheduler.timesteps,
            "sigmas": scheduler.sigmas,
            "init_noise_sigma": torch.as_tensor(scheduler.init_noise_sigma).reshape(1),
        }
        if negative is not None:
            stages |= {"negative_prompt_embeds": negative[0], "negative_pooled_prompt_embeds": negative[1]}
        halves = [negative, positive] if guided else [positive]
        conditions = {
            "encoder_hidden_states": torch.cat([embeds.repeat(count, 1, 1) for embeds, _ in halves]),
            "text_embeds": torch.cat([pooled.repeat(count, 1) for _, pooled in halves]),
            "time_ids": time_ids.repeat(count * len(halves), 1),
        }
        latents = noise * scheduler.init_noise_sigma
        for step, timestep in enumerate(scheduler.timesteps):
            sample = scheduler.scale_model_input(torch.cat([latents] * len(halves)), timestep)
            predicted = self.unet(sample=sample, timestep=timestep, **conditions)["out_sample"].float()
            if guided:
                unconditional, conditional = predicted.chunk(2)
                predicted = unconditional + guidance * (conditional - unconditional)
                if settings["guidance_rescale"] > 0:
                    predicted = rescale_noise_cfg(predicted, conditional, guidance_rescale=settings["guidance_rescale"])
            latents = scheduler.step(predicted, timestep, latents, return_dict=False)[0]
            stages |= {f"step_{step}.noise_pred": predicted, f"step_{step}.latents": latents}
        decoded = self.vae_decoder(latent_sample=latents / self.scaling_factor)["sample"].float()
        pixels = (decoded / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
        return stages | {"decoded": decoded, "image_u8": (pixels * 255).round().to(torch.uint8)}
