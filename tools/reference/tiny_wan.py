"""Tiny WANs with random weights, made of diffusers' and transformers' own classes.

They have every joint of the real ones (an encoder with a relative bias in every layer, rotary tables over three axes, a
causal VAE with two temporal steps, latents that are normalised per channel), so that code that mixes two of them up
fails on them.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from .tiny_tokenizer import listed_words
from .unigram_tokenizer import write_tokenizer


@dataclass(frozen=True)
class Sizes:
    """What differs between the tiny models of the tests."""

    two_stages: bool = False
    boundary_ratio: float | None = None
    flow_shift: float = 3.0
    byte_fallback: bool = False
    text_width: int = 32
    text_heads: int = 4
    text_layers: int = 2
    patch: tuple[int, int, int] = (1, 2, 2)
    heads: int = 3
    head_width: int = 16
    layers: int = 2
    latent_channels: int = 16
    vae_width: int = 4
    vae_multipliers: tuple[int, ...] = (1, 2, 4, 4)
    vae_temporal: tuple[bool, ...] = (False, True, True)


MODELS = {
    # As Wan2.1-T2V-1.3B-Diffusers.
    "random-wan": Sizes(),
    # As Wan2.2-T2V-A14B-Diffusers.
    "random-wan-2": Sizes(two_stages=True, boundary_ratio=0.875, heads=2, layers=1),
    # Nothing in it has the size of the real ones: the VAE halves height and width twice, not three times.
    "random-wan-other": Sizes(
        byte_fallback=True,
        text_width=24,
        text_heads=3,
        patch=(1, 1, 2),
        heads=2,
        head_width=24,
        latent_channels=12,
        flow_shift=5.0,
        vae_multipliers=(1, 2, 3),
        vae_temporal=(True, True),
    ),
}

# The scheduler/scheduler_config.json of Wan2.1-T2V-1.3B-Diffusers, but for the shift.
SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "solver_order": 2,
    "prediction_type": "flow_prediction",
    "thresholding": False,
    "dynamic_thresholding_ratio": 0.995,
    "sample_max_value": 1.0,
    "predict_x0": True,
    "solver_type": "bh2",
    "lower_order_final": True,
    "disable_corrector": [],
    "use_karras_sigmas": False,
    "use_exponential_sigmas": False,
    "use_beta_sigmas": False,
    "use_flow_sigmas": True,
    "timestep_spacing": "linspace",
    "steps_offset": 0,
    "final_sigmas_type": "zero",
    "rescale_betas_zero_snr": False,
}


def _text_encoder(sizes: Sizes, vocabulary: int) -> UMT5EncoderModel:
    config = UMT5Config(
        vocab_size=vocabulary,
        d_model=sizes.text_width,
        d_kv=8,
        d_ff=2 * sizes.text_width,
        num_layers=sizes.text_layers,
        num_heads=sizes.text_heads,
        feed_forward_proj="gated-gelu",
        dropout_rate=0.0,
        pad_token_id=0,
        eos_token_id=1,
    )
    return UMT5EncoderModel(config)


def _transformer(sizes: Sizes) -> WanTransformer3DModel:
    width = sizes.heads * sizes.head_width
    return WanTransformer3DModel(
        patch_size=sizes.patch,
        num_attention_heads=sizes.heads,
        attention_head_dim=sizes.head_width,
        in_channels=sizes.latent_channels,
        out_channels=sizes.latent_channels,
        text_dim=sizes.text_width,
        freq_dim=32,
        ffn_dim=2 * width,
        num_layers=sizes.layers,
        rope_max_seq_len=64,
    )


def _vae(sizes: Sizes) -> AutoencoderKLWan:
    channels = sizes.latent_channels
    return AutoencoderKLWan(
        base_dim=sizes.vae_width,
        z_dim=channels,
        dim_mult=list(sizes.vae_multipliers),
        num_res_blocks=1,
        temperal_downsample=list(sizes.vae_temporal),
        latents_mean=[round(0.1 * index - 0.05 * channels, 4) for index in range(channels)],
        latents_std=[round(1 + 0.07 * index, 4) for index in range(channels)],
        scale_factor_temporal=2 ** sum(sizes.vae_temporal),
        scale_factor_spatial=2 ** (len(sizes.vae_multipliers) - 1),
    )


@torch.no_grad()
def enliven(transformer: torch.nn.Module) -> None:
    """Brings random weights to life: PyTorch's initial values make networks that hardly react to their conditions.

    Found by trying: a change of prompt, seed or guidance shows, frames differ, and nothing saturates.
    """
    for block in transformer.blocks:
        block.attn2.to_v.weight.mul_(2.5)
        block.attn2.to_q.weight.mul_(2)
        block.attn1.to_v.weight.mul_(1.5)
    transformer.condition_embedder.text_embedder.linear_2.weight.mul_(2)
    transformer.proj_out.weight.mul_(1.25)


@torch.no_grad()
def _scale(pipeline: WanPipeline) -> None:
    """As `enliven`, for a whole pipeline."""
    for transformer in filter(None, (pipeline.transformer, pipeline.transformer_2)):
        enliven(transformer)
    decoder = pipeline.vae.decoder
    for module in decoder.modules():
        if isinstance(module, torch.nn.Conv3d) and module.kernel_size == (3, 3, 3):
            # Kernels that are mostly blurs give soft shapes; wholly random ones give a picture of single pixels.
            module.weight.lerp_(module.weight.mean(dim=(3, 4), keepdim=True), 0.7).mul_(1.7)
    decoder.conv_out.weight.mul_(0.9)


def write_source(folder: Path, sizes: Sizes, seed: int) -> int:
    """Writes a random pipeline as a diffusers folder in WAN's layout; returns the number of parameters."""
    words = [word for word, count in sorted(listed_words().items()) for _ in range(count)]
    vocabulary = write_tokenizer(folder / "tokenizer", words, 700, byte_fallback=sizes.byte_fallback)
    torch.manual_seed(seed)
    modules = {
        "text_encoder": _text_encoder(sizes, vocabulary),
        "transformer": _transformer(sizes),
        "transformer_2": _transformer(sizes) if sizes.two_stages else None,
        "vae": _vae(sizes),
    }
    pipeline = WanPipeline(
        tokenizer=load_tokenizer(folder),
        scheduler=UniPCMultistepScheduler(**SCHEDULER, flow_shift=sizes.flow_shift),
        boundary_ratio=sizes.boundary_ratio,
        **modules,
    )
    _scale(pipeline)
    pipeline.save_pretrained(folder)
    # save_pretrained writes transformers' newest form; WAN folders have the older files, and so should this one.
    write_tokenizer(folder / "tokenizer", words, 700, byte_fallback=sizes.byte_fallback)
    return sum(parameter.numel() for module in modules.values() if module for parameter in module.parameters())


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer as tokenizer.json describes it; transformers' T5Tokenizer would put parts of its own in place."""
    return PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer/tokenizer.json"),
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=512,
    )
