"""The networks of the small SDXL, made of diffusers' and transformers' own classes."""

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

LATENT_CHANNELS = 16
VAE_CHANNELS = (16, 32, 64, 96)
HIDDEN = (128, 192)
TEXT_LAYERS = 3
PROJECTION = 192
TIME_IDS_WIDTH = 32
UNET_CHANNELS = (64, 128, 224)
EMBEDDING_WIDTH = 512
HEAD_WIDTH = 32
MAX_TOKENS = 77


def make_vae(size: int) -> AutoencoderKL:
    """Without attention in the middle: its few layers see the whole emoji as it is, and it costs time on a CPU."""
    return AutoencoderKL(
        sample_size=size,
        block_out_channels=VAE_CHANNELS,
        layers_per_block=1,
        norm_num_groups=2,
        down_block_types=("DownEncoderBlock2D",) * len(VAE_CHANNELS),
        up_block_types=("UpDecoderBlock2D",) * len(VAE_CHANNELS),
        latent_channels=LATENT_CHANNELS,
        # The latents have variance 1 as they are (see latents.py).
        scaling_factor=1.0,
        mid_block_add_attention=False,
        force_upcast=False,
    )


def make_text_encoders(vocabulary_size: int) -> tuple[CLIPTextModel, CLIPTextModelWithProjection]:
    # eos_token_id 2 is what SDXL's configs say: transformers' CLIPTextModel then pools at the highest token id.
    def config(index: int) -> CLIPTextConfig:
        return CLIPTextConfig(
            vocab_size=vocabulary_size,
            hidden_size=HIDDEN[index],
            intermediate_size=2 * HIDDEN[index],
            num_hidden_layers=TEXT_LAYERS,
            num_attention_heads=HIDDEN[index] // HEAD_WIDTH,
            projection_dim=PROJECTION,
            max_position_embeddings=MAX_TOKENS,
            hidden_act=("quick_gelu", "gelu")[index],
            bos_token_id=0,
            eos_token_id=2,
            pad_token_id=1,
        )

    return CLIPTextModel(config(0)), CLIPTextModelWithProjection(config(1))


def make_unet(size: int) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=size // 8,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=UNET_CHANNELS,
        layers_per_block=1,
        norm_num_groups=16,
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=1,
        attention_head_dim=tuple(channels // HEAD_WIDTH for channels in UNET_CHANNELS),
        cross_attention_dim=sum(HIDDEN),
        use_linear_projection=True,
        # The caption's embedding scales channels as well as shifting them: it can then say where a colour goes, not
        # only that it is there, and the subjects are learned in fewer steps.
        resnet_time_scale_shift="scale_shift",
        # The caption's embedding and the timestep's meet in this many values, for every layer.
        time_embedding_dim=EMBEDDING_WIDTH,
        addition_embed_type="text_time",
        addition_time_embed_dim=TIME_IDS_WIDTH,
        projection_class_embeddings_input_dim=6 * TIME_IDS_WIDTH + PROJECTION,
    )


def text_conditions(encoders, ids: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """SDXL's conditions: both encoders' layer before the last, side by side, and the second one's pooled output."""
    first = encoders[0](ids[0], output_hidden_states=True)
    second = encoders[1](ids[1], output_hidden_states=True)
    return torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1), second.text_embeds
