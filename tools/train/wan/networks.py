"""The networks of the small WAN, made of diffusers' and transformers' own classes."""

from types import MethodType

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from diffusers.models.autoencoders.autoencoder_kl_wan import WanResample, WanRMS_norm, WanUpsample
from torch.nn import functional
from transformers import UMT5Config, UMT5EncoderModel

LATENT_CHANNELS = 16
ENCODER_WIDTH, DECODER_WIDTH = 12, 16
TEXT_WIDTH, TEXT_LAYERS, TEXT_HEADS = 192, 3, 4
HEADS, HEAD_WIDTH, FEED_FORWARD, LAYERS = 8, 40, 1024, 7
# So few places in a clip (20) that hours of training become minutes; 256 values each still fit through the layers.
PATCH = (1, 4, 4)
TIME_WIDTH = 128


def make_vae(latents_std: list[float] | None = None) -> AutoencoderKLWan:
    return AutoencoderKLWan(
        base_dim=ENCODER_WIDTH,
        decoder_base_dim=DECODER_WIDTH,
        z_dim=LATENT_CHANNELS,
        num_res_blocks=1,
        latents_mean=[0.0] * LATENT_CHANNELS,
        latents_std=latents_std or [1.0] * LATENT_CHANNELS,
    )


def make_text_encoder(vocabulary_size: int) -> UMT5EncoderModel:
    return UMT5EncoderModel(
        UMT5Config(
            vocab_size=vocabulary_size,
            d_model=TEXT_WIDTH,
            d_kv=TEXT_WIDTH // TEXT_HEADS,
            d_ff=2 * TEXT_WIDTH,
            num_layers=TEXT_LAYERS,
            num_heads=TEXT_HEADS,
            dropout_rate=0.0,
            pad_token_id=0,
            eos_token_id=1,
            tie_word_embeddings=False,
        )
    )


def make_transformer() -> WanTransformer3DModel:
    return WanTransformer3DModel(
        patch_size=PATCH,
        num_attention_heads=HEADS,
        attention_head_dim=HEAD_WIDTH,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        text_dim=TEXT_WIDTH,
        freq_dim=TIME_WIDTH,
        ffn_dim=FEED_FORWARD,
        num_layers=LAYERS,
        cross_attn_norm=True,
        rope_max_seq_len=128,
    )


def _resample_whole(self: WanResample, x: torch.Tensor, feat_cache=None, feat_idx=None) -> torch.Tensor:
    """What the chunks of `WanResample.forward` come to when a clip goes through at once."""
    batch, channels, _, height, width = x.shape
    if self.mode == "upsample3d" and x.shape[2] > 1:
        later = self.time_conv(x[:, :, 1:])
        later = later.view(batch, 2, channels, -1, height, width).transpose(2, 3).transpose(1, 2).flatten(1, 2)
        x = torch.cat([x[:, :, :1], later.transpose(1, 2)], 2)
    frames = x.shape[2]
    x = self.resample(x.transpose(1, 2).reshape(batch * frames, channels, height, width))
    x = x.view(batch, frames, *x.shape[1:]).transpose(1, 2)
    if self.mode == "downsample3d" and frames > 1:
        x = torch.cat([x[:, :, :1], self.time_conv(x)], 2)
    return x


def _normalize(self: WanRMS_norm, x: torch.Tensor) -> torch.Tensor:
    return x * x.square().mean(1, keepdim=True).clamp_min(1e-24).rsqrt() * self.gamma.to(x.dtype)


def _upsample(self: WanUpsample, x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def train_whole(vae: AutoencoderKLWan) -> AutoencoderKLWan:
    """Lets the VAE's networks take whole clips instead of chunks, without copies in float32: the same, in less time."""
    for kind, forward in ((WanResample, _resample_whole), (WanRMS_norm, _normalize), (WanUpsample, _upsample)):
        for module in vae.modules():
            if type(module) is kind:
                module.forward = MethodType(forward, module)
    return vae


def decode_whole(vae: AutoencoderKLWan, latents: torch.Tensor) -> torch.Tensor:
    """Clips, not yet clamped, of a VAE that `train_whole` has prepared."""
    return vae.decoder(vae.post_quant_conv(latents))


def encode_whole(vae: AutoencoderKLWan, clips: torch.Tensor) -> torch.Tensor:
    """Means and log variances, of a VAE that `train_whole` has prepared."""
    return vae.quant_conv(vae.encoder(clips))
