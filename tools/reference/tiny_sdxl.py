"""A tiny SDXL with random weights, made of diffusers' and transformers' own classes.

It has every joint of the real one (two encoders of different width and depth, size conditioning, three UNet levels with
cross attention on two, an 8x VAE that needs float32), so that code that mixes two of them up fails on it.
"""

from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer


@dataclass(frozen=True)
class Sizes:
    """What differs between the tiny model of the tests and the larger one of the benchmarks."""

    hidden: tuple[int, int] = (24, 40)
    layers: tuple[int, int] = (4, 5)
    heads: tuple[int, int] = (4, 5)
    projection: int = 36
    time_ids_width: int = 8
    unet_channels: tuple[int, ...] = (16, 24, 24)
    unet_heads: tuple[int, ...] = (2, 3, 3)
    unet_layers_per_block: int = 1
    transformer_layers: tuple[int, ...] = (1, 1, 2)
    vae_channels: tuple[int, ...] = (8, 16, 16, 16)
    vae_layers_per_block: int = 1
    groups: int = 8
    sample_size: int = 16


# The scheduler/scheduler_config.json of the SDXL base model.
SCHEDULER = {
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "interpolation_type": "linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "use_karras_sigmas": False,
}


def _text_config(sizes: Sizes, index: int, vocabulary_size: int) -> CLIPTextConfig:
    # eos_token_id 2 is what SDXL's configs say: transformers' CLIPTextModel then pools at the highest token id.
    return CLIPTextConfig(
        vocab_size=vocabulary_size,
        hidden_size=sizes.hidden[index],
        intermediate_size=2 * sizes.hidden[index],
        num_hidden_layers=sizes.layers[index],
        num_attention_heads=sizes.heads[index],
        projection_dim=sizes.projection,
        max_position_embeddings=77,
        hidden_act=("quick_gelu", "gelu")[index],
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
    )


def make_unet(sizes: Sizes, **options) -> UNet2DConditionModel:
    """A UNet with random weights; `options` are further ones of diffusers' class, or others than these."""
    given = dict(
        sample_size=sizes.sample_size,
        block_out_channels=sizes.unet_channels,
        layers_per_block=sizes.unet_layers_per_block,
        norm_num_groups=sizes.groups,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=sizes.transformer_layers,
        attention_head_dim=sizes.unet_heads,
        cross_attention_dim=sum(sizes.hidden),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=sizes.time_ids_width,
        projection_class_embeddings_input_dim=6 * sizes.time_ids_width + sizes.projection,
    )
    return UNet2DConditionModel(**given | options)


def _vae(sizes: Sizes) -> AutoencoderKL:
    blocks = len(sizes.vae_channels)
    return AutoencoderKL(
        sample_size=8 * sizes.sample_size,
        block_out_channels=sizes.vae_channels,
        layers_per_block=sizes.vae_layers_per_block,
        norm_num_groups=sizes.groups,
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        latent_channels=4,
        scaling_factor=0.13025,
        force_upcast=True,
    )


@torch.no_grad()
def _scale(pipeline: StableDiffusionXLPipeline) -> None:
    """Brings random weights to life: PyTorch's initial values make networks that hardly react to their conditions.

    Found by trying: the picture uses most of 0..255, a change of prompt, seed or guidance shows, and nothing saturates.
    """
    for encoder in (pipeline.text_encoder, pipeline.text_encoder_2.text_model):
        encoder.embeddings.token_embedding.weight.mul_(40)
        encoder.embeddings.position_embedding.weight.mul_(10)
    unet = pipeline.unet
    for name, module in unet.named_modules():
        if name.endswith("attn2"):
            module.to_q.weight.mul_(2)
            module.to_k.weight.mul_(2)
            module.to_v.weight.mul_(4)
    unet.add_embedding.linear_2.weight.mul_(4)
    unet.conv_out.weight.mul_(1.5)
    decoder = pipeline.vae.decoder
    for module in decoder.modules():
        if isinstance(module, torch.nn.Conv2d) and module.kernel_size == (3, 3):
            # Kernels that are mostly blurs give soft shapes; wholly random ones give a picture of single pixels.
            module.weight.lerp_(module.weight.mean(dim=(2, 3), keepdim=True), 0.8).mul_(2)
    decoder.conv_out.weight.mul_(1.2)


def make_pipeline(sizes: Sizes, tokenizer_folder, vocabulary_size: int, seed: int) -> StableDiffusionXLPipeline:
    """An SDXL pipeline in float32, its weights drawn from `seed`; tokenizers come from `tokenizer_folder`."""
    torch.manual_seed(seed)
    pipeline = StableDiffusionXLPipeline(
        vae=_vae(sizes),
        text_encoder=CLIPTextModel(_text_config(sizes, 0, vocabulary_size)),
        text_encoder_2=CLIPTextModelWithProjection(_text_config(sizes, 1, vocabulary_size)),
        tokenizer=CLIPTokenizer.from_pretrained(tokenizer_folder / "tokenizer"),
        tokenizer_2=CLIPTokenizer.from_pretrained(tokenizer_folder / "tokenizer_2"),
        unet=make_unet(sizes),
        scheduler=EulerDiscreteScheduler(**SCHEDULER),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )
    _scale(pipeline)
    for module in (pipeline.vae, pipeline.text_encoder, pipeline.text_encoder_2, pipeline.unet):
        module.eval()
    return pipeline
