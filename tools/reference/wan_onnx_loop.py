"""A plain WAN text-to-video loop in Python: ONNX Runtime for the models, diffusers for the scheduler.

The peer of the worker's own loop in benchmarks, and the proof that the exported files give PyTorch's numbers.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed

from export.source_folder import read_json

from .onnx_model import Model
from .tiny_wan import load_tokenizer
from .wan_stages import make_scheduler, tokens


class OnnxWan:
    """The models of one exported folder and the loop over them."""

    def __init__(self, folder: Path, threads: int = 0):
        self.index = read_json(folder / "model_index.json")
        self.scheduler_config = read_json(folder / "scheduler/scheduler_config.json")
        self.config = read_json(folder / "transformer/config.json")
        self.vae_config = read_json(folder / "vae_decoder/config.json")
        self.tokenizer = load_tokenizer(folder)
        self.text_encoder = Model(folder / "text_encoder/model.onnx", threads)
        stages = ("transformer", "transformer_2") if self.index.get("boundary_ratio") else ("transformer",)
        self.transformers = [Model(folder / name / "model.onnx", threads) for name in stages]
        self.decoders = [Model(folder / "vae_decoder" / name, threads) for name in ("first.onnx", "next.onnx")]

    @property
    def run_seconds(self) -> float:
        """Seconds spent inside session.run so far, over all models."""
        return sum(model.seconds for model in (self.text_encoder, *self.transformers, *self.decoders))

    def encode(self, text: str) -> dict[str, torch.Tensor]:
        """Ids, mask, and embeddings that are zero beyond it."""
        ids, mask = tokens(self.tokenizer, text)
        hidden = self.text_encoder(input_ids=ids, attention_mask=mask)["last_hidden_state"].float()
        return {"input_ids": ids.float(), "attention_mask": mask.float(), "prompt_embeds": hidden * mask[..., None]}

    def rotary(self, latents: torch.Tensor) -> dict[str, torch.Tensor]:
        embedder = WanRotaryPosEmbed(
            self.config["attention_head_dim"], self.config["patch_size"], self.config["rope_max_seq_len"]
        )
        cosine, sine = embedder(latents)
        return {"rotary_cos": cosine.float(), "rotary_sin": sine.float()}

    def noise(self, settings: dict) -> torch.Tensor:
        scale, temporal = self.vae_config["scale_factor_spatial"], self.vae_config["scale_factor_temporal"]
        frames = (settings["frames"] - 1) // temporal + 1
        shape = (1, self.config["in_channels"], frames, settings["height"] // scale, settings["width"] // scale)
        return torch.randn(shape, generator=torch.Generator("cpu").manual_seed(settings["seed"]))

    def denoise(self, settings: dict, positive, negative, noise, rotary) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yields each step's prediction and latents. `negative` is None without guidance."""
        scheduler = make_scheduler(self.scheduler_config, settings["scheduler"], settings["flow_shift"])
        scheduler.set_timesteps(settings["steps"])
        scheduler.set_begin_index(0)
        self.scheduler = scheduler
        boundary = (self.index.get("boundary_ratio") or 0) * scheduler.config.num_train_timesteps
        second = settings["guidance_scale_2"]
        guidances = (settings["guidance_scale"], settings["guidance_scale"] if second is None else second)
        latents = noise
        for timestep in scheduler.timesteps:
            stage = int(timestep < boundary)
            conditions = {"hidden_states": latents, "timestep": timestep.float().reshape(1)} | rotary
            model = self.transformers[stage]
            predicted = model(encoder_hidden_states=positive, **conditions)["out_sample"].float()
            if negative is not None:
                without = model(encoder_hidden_states=negative, **conditions)["out_sample"].float()
                predicted = without + guidances[stage] * (predicted - without)
            latents = scheduler.step(predicted, timestep, latents, return_dict=False)[0]
            yield predicted, latents

    def decode(self, latents: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yields the frames of one latent frame after another, `[1, 3, 1 or 4, height, width]` in -1..1."""
        mean, std = (torch.tensor(self.vae_config[key]).view(1, -1, 1, 1, 1) for key in ("latents_mean", "latents_std"))
        latents = latents / (1 / std) + mean
        caches: dict[str, torch.Tensor] = {}
        for index in range(latents.shape[2]):
            model = self.decoders[min(index, 1)]
            results = model.run({"latent_sample": latents[:, :, index : index + 1]} | caches)
            yield results.pop("sample")
            caches = {name.replace("cache_out", "cache"): value for name, value in results.items()}

    def generate(self, settings: dict) -> dict[str, torch.Tensor]:
        """Runs one case (the keys of `reference.wan_cases.WanCase`); returns every stage under the fixtures' names."""
        stages = self.encode(settings["prompt"])
        negative = None
        if settings["guidance_scale"] > 1:
            encoded = self.encode(settings["negative_prompt"] or "")
            stages |= {f"negative_{name}": value for name, value in encoded.items()}
            negative = encoded["prompt_embeds"]
        noise = self.noise(settings)
        rotary = self.rotary(noise)
        stages |= {"initial_noise": noise} | rotary
        steps = self.denoise(settings, stages["prompt_embeds"], negative, noise, rotary)
        for index, (predicted, latents) in enumerate(steps):
            stages |= {f"step_{index}.noise_pred": predicted, f"step_{index}.latents": latents}
        stages |= {"timesteps": self.scheduler.timesteps.float(), "sigmas": self.scheduler.sigmas}
        decoded = torch.cat(list(self.decode(latents)), dim=2)
        pixels = (decoded[0] / 2 + 0.5).clamp(0, 1).permute(1, 2, 3, 0)
        return stages | {"decoded": decoded, "frames_u8": (pixels * 255).round().to(torch.uint8)}
