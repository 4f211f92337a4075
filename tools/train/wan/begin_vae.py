"""How the VAE's decoder begins: it already draws each cell's mean colour, frame by frame.

The code is linear, and so is the way from latents to mean colours; it fits into the weights of `AutoencoderKLWan`
beside everything that is still to be learned. From random weights, finding these colours took most of the time.
"""

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanAttentionBlock, WanResidualBlock
from torch import nn

from train.wan.code import CELL_FRAMES, ClipCode

# A constant channel so much stronger than colours that the last normalisation hardly changes them.
CONSTANT = 6.0
# Random weights of the channels that carry nothing yet, beside 1 for those that do.
NOISE = 0.5


@torch.no_grad()
def _keep(layer: nn.Conv2d | nn.Conv3d, rows: list[tuple[int, int, float]]) -> None:
    """Each (output, input, weight) of `rows` passes through; an output that has a row takes nothing else."""
    fan_in = layer.weight[0].numel()
    nn.init.normal_(layer.weight, std=NOISE * fan_in**-0.5)
    nn.init.zeros_(layer.bias)
    middle = tuple(size // 2 for size in layer.kernel_size[-2:])
    # Causal in time: the last tap is the present.
    place = middle if layer.weight.ndim == 4 else (layer.kernel_size[0] - 1, *middle)
    for output, _, _ in rows:
        layer.weight[output] = 0
    for output, source, weight in rows:
        layer.weight[(output, source, *place)] += weight


def _same(first: int, count: int) -> list[tuple[int, int, float]]:
    return [(channel, channel, 1.0) for channel in range(first, first + count)]


@torch.no_grad()
def begin_with_colors(vae: AutoencoderKLWan, code: ClipCode) -> None:
    """Channels of the decoder: the latents, then two colours (of the earlier and the later frame of those to come)."""
    decoder, latents = vae.decoder, vae.config.z_dim
    for module in decoder.modules():
        if isinstance(module, WanResidualBlock):
            nn.init.zeros_(module.conv2.weight)
            nn.init.zeros_(module.conv2.bias)
        elif isinstance(module, WanAttentionBlock):
            nn.init.zeros_(module.proj.weight)
            nn.init.zeros_(module.proj.bias)
    colors = (code.basis * code.deviation).view(3, CELL_FRAMES, -1, latents).mean(2)
    means = code.mean.view(3, CELL_FRAMES, -1).mean(2)

    def colors_of(channel: int, frames: tuple[int, int]) -> list[tuple[int, int, float]]:
        return [
            (channel + 3 * half + color, source, float(colors[color, frame, source]))
            for half, frame in enumerate(frames)
            for color in range(3)
            for source in range(latents)
        ]

    def set_means(layer: nn.Conv3d, channel: int, frames: tuple[int, int]) -> None:
        for half, frame in enumerate(frames):
            layer.bias[channel + 3 * half : channel + 3 * half + 3] = means[:, frame]

    _keep(vae.post_quant_conv, _same(0, latents))
    last = CELL_FRAMES - 1
    _keep(decoder.conv_in, _same(0, latents) + colors_of(latents, (last, last)))
    set_means(decoder.conv_in, latents, (last, last))
    kept = _same(0, latents + 6)
    first, second, third = (block.upsamplers[0] for block in decoder.up_blocks[:3])
    for index, block in enumerate(decoder.up_blocks):
        for module in block.modules():
            if isinstance(module, WanResidualBlock) and not isinstance(module.conv_shortcut, nn.Identity):
                _keep(module.conv_shortcut, kept if index < 3 else _same(0, module.conv_shortcut.in_channels))
    wide = first.dim
    halves = colors_of(latents, (0, 1)) + colors_of(wide + latents, (2, 3))
    _keep(first.time_conv, _same(0, latents) + [(wide + c, c, 1.0) for c in range(latents)] + halves)
    set_means(first.time_conv, latents, (0, 1))
    set_means(first.time_conv, wide + latents, (2, 3))
    wide = second.dim
    earlier = [(latents + color, latents + color, 1.0) for color in range(3)]
    later = [(wide + latents + color, latents + 3 + color, 1.0) for color in range(3)]
    _keep(second.time_conv, _same(0, latents) + [(wide + c, c, 1.0) for c in range(latents)] + earlier + later)
    _keep(first.resample[1], kept)
    _keep(second.resample[1], kept)
    signed = [(color, latents + color, 1.0) for color in range(3)]
    signed += [(3 + color, latents + color, -1.0) for color in range(3)] + [(6, 0, 0.0)]
    _keep(third.resample[1], signed)
    third.resample[1].bias[6] = CONSTANT
    # silu(x) - silu(-x) is x.
    scale = CONSTANT / decoder.norm_out.scale
    _keep(decoder.conv_out, [(c, c, scale) for c in range(3)] + [(c, 3 + c, -scale) for c in range(3)])
