"""Both halves of a WAN VAE, one latent frame at a time, with the feature cache as inputs and outputs.

diffusers' `AutoencoderKLWan` keeps, for each causal convolution, the last two frames that it saw, in a list that it
changes as it goes. Here the list goes in and comes out: `first` handles a clip's first frame and needs none, `next`
each chunk that follows (one latent frame, or as many sample frames as one latent frame stands for).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch.nn import functional

from .attention import attend


@dataclass
class Caches:
    """The caches of one run through a network: taken in order, and the next ones collected. `None`: the first chunk."""

    taken: Iterator[torch.Tensor] | None
    given: list[torch.Tensor] = field(default_factory=list)

    @property
    def is_first(self) -> bool:
        return self.taken is None

    def joined(self, values: torch.Tensor) -> torch.Tensor:
        """`values` after the two frames before them, which are zero at the beginning.

        What is kept is a part of what is joined, never cut out of it: else ONNX Runtime, which comes to results that
        nothing waits for at the very end, would hold the joined frames of every layer until then.
        """
        if self.is_first:
            kept = functional.pad(values, (0, 0, 0, 0, 1, 0))
            parts = (functional.pad(kept, (0, 0, 0, 0, 1, 0)),)
        elif values.shape[2] == 1:
            before = self.take()
            kept = torch.cat([before[:, :, 1:], values], dim=2)
            parts = (before[:, :, :1], kept)
        else:
            kept = values[:, :, -2:]
            parts = (self.take(), *([values[:, :, :-2]] if values.shape[2] > 2 else []), kept)
        self.given.append(kept)
        return torch.cat(parts, dim=2)

    def take(self) -> torch.Tensor:
        return next(self.taken)


class Chunk(torch.nn.Module):
    """One network over one chunk: values, caches … -> result, next caches …"""

    def __init__(self, vae: torch.nn.Module, first: bool, fused: bool):
        super().__init__()
        self.vae, self.first, self.fused = vae, first, fused

    def forward(self, values: torch.Tensor, *caches: torch.Tensor) -> tuple[torch.Tensor, ...]:
        state = Caches(None if self.first else iter(caches))
        return self.compute(values, state), *state.given

    def compute(self, values: torch.Tensor, caches: Caches) -> torch.Tensor:
        raise NotImplementedError

    def middle(self, block: torch.nn.Module, values: torch.Tensor, caches: Caches) -> torch.Tensor:
        values = _residual(block.resnets[0], values, caches)
        for attention, residual in zip(block.attentions, block.resnets[1:], strict=True):
            values = _residual(residual, _attention(attention, values, self.fused), caches)
        return values

    def head(self, network: torch.nn.Module, values: torch.Tensor, caches: Caches) -> torch.Tensor:
        return _convolution(network.conv_out, network.nonlinearity(_norm(network.norm_out, values)), caches)


class DecoderChunk(Chunk):
    """latent_sample `[batch, z_dim, 1, height/8, width/8]` -> sample `[batch, 3, 1 or 4, height, width]` in -1..1."""

    def compute(self, values: torch.Tensor, caches: Caches) -> torch.Tensor:
        decoder = self.vae.decoder
        values = _convolution(decoder.conv_in, _convolution(self.vae.post_quant_conv, values, caches), caches)
        values = self.middle(decoder.mid_block, values, caches)
        for block in decoder.up_blocks:
            values = _up_block(block, values, caches)
        return _spread(self.head(decoder, values, caches), self.vae.config.patch_size).clamp(-1, 1)


class EncoderChunk(Chunk):
    """sample `[batch, 3, 1 or 4, height, width]` -> latent_parameters `[batch, 2 z_dim, 1, …]`: mean, log variance."""

    def compute(self, values: torch.Tensor, caches: Caches) -> torch.Tensor:
        encoder = self.vae.encoder
        values = _convolution(encoder.conv_in, _gathered(values, self.vae.config.patch_size), caches)
        for layer in encoder.down_blocks:
            if hasattr(layer, "avg_shortcut"):
                values = _down_block(layer, values, caches)
            elif hasattr(layer, "resample"):
                values = _downsampled(layer, values, caches)
            elif hasattr(layer, "to_qkv"):
                values = _attention(layer, values, self.fused)
            else:
                values = _residual(layer, values, caches)
        values = self.head(encoder, self.middle(encoder.mid_block, values, caches), caches)
        return _convolution(self.vae.quant_conv, values, caches)


def _convolution(layer: torch.nn.Module, values: torch.Tensor, caches: Caches) -> torch.Tensor:
    """A causal convolution; kernels of one frame have no past."""
    if layer.kernel_size[0] > 1:
        values = caches.joined(values)
    padding = (0, layer._padding[2], layer._padding[0])
    return functional.conv3d(values, layer.weight, layer.bias, layer.stride, padding)


def _residual(block: torch.nn.Module, values: torch.Tensor, caches: Caches) -> torch.Tensor:
    has_shortcut = not isinstance(block.conv_shortcut, torch.nn.Identity)
    shortcut = _convolution(block.conv_shortcut, values, caches) if has_shortcut else values
    values = _convolution(block.conv1, block.nonlinearity(_norm(block.norm1, values)), caches)
    values = _convolution(block.conv2, block.nonlinearity(_norm(block.norm2, values)), caches)
    return values + shortcut


def _norm(norm: torch.nn.Module, values: torch.Tensor) -> torch.Tensor:
    """x / ‖x‖ over the channels, times √channels and the weight. `functional.normalize` would write the norm out to
    the size of x."""
    length = values.norm(dim=1, keepdim=True).clamp_min(1e-12)
    return values / length * (norm.gamma * norm.scale) + norm.bias


def _attention(block: torch.nn.Module, values: torch.Tensor, fused: bool) -> torch.Tensor:
    """Self-attention with one head within each frame."""
    images = _norm(block.norm, _images(values))
    query, key, value = block.to_qkv(images).flatten(2).transpose(1, 2).chunk(3, dim=-1)
    attended = attend(query, key, value, 1, block.dim**-0.5, fused)
    images = block.proj(attended.transpose(1, 2).reshape_as(images))
    return values + _clip(images, values.shape[2])


def _upsampled(block: torch.nn.Module, values: torch.Tensor, caches: Caches) -> torch.Tensor:
    """Twice the height and width, and in `upsample3d` twice the frames, but for the first, which stays one."""
    if block.mode == "upsample3d":
        values = _doubled(block.time_conv, values, caches)
    frames = values.shape[2]
    # At a factor of two, nearest and the config's nearest-exact are the same.
    images = functional.interpolate(_images(values), scale_factor=2.0, mode="nearest")
    return _clip(block.resample[1](images), frames)


def _doubled(layer: torch.nn.Module, values: torch.Tensor, caches: Caches) -> torch.Tensor:
    if caches.is_first:
        # The second chunk sees nothing but zeros before it: the first frame has not been through this layer.
        nothing = torch.zeros_like(values)
        caches.given.append(torch.cat([nothing, nothing], dim=2))
        return values
    channels = layer.in_channels
    doubled = _convolution(layer, values, caches)
    return doubled.unflatten(1, (2, channels)).permute(0, 2, 3, 1, 4, 5).flatten(2, 3)


def _downsampled(block: torch.nn.Module, values: torch.Tensor, caches: Caches) -> torch.Tensor:
    """Half the height and width, and in `downsample3d` half the frames, but for the first, which stays one."""
    values = _clip(block.resample(_images(values)), values.shape[2])
    if block.mode != "downsample3d":
        return values
    caches_before = None if caches.is_first else caches.take()
    caches.given.append(values[:, :, -1:])
    if caches_before is None:
        return values
    layer = block.time_conv
    return functional.conv3d(torch.cat([caches_before, values], dim=2), layer.weight, layer.bias, layer.stride)


def _up_block(block: torch.nn.Module, values: torch.Tensor, caches: Caches) -> torch.Tensor:
    """One level of the decoder; in the VAE of WAN 2.2 TI2V-5B with a way around it, on which values are repeated."""
    before, shortcut = values, getattr(block, "avg_shortcut", None)
    for residual in block.resnets:
        values = _residual(residual, values, caches)
    upsamplers = block.upsamplers or () if hasattr(block, "upsamplers") else filter(None, [block.upsampler])
    for upsampler in upsamplers:
        values = _upsampled(upsampler, values, caches)
    return values if shortcut is None else values + _repeated(shortcut, before, caches.is_first)


def _down_block(block: torch.nn.Module, values: torch.Tensor, caches: Caches) -> torch.Tensor:
    """One level of the encoder of WAN 2.2 TI2V-5B, with a way around it, on which values are averaged."""
    before = values
    for residual in block.resnets:
        values = _residual(residual, values, caches)
    if block.downsampler is not None:
        values = _downsampled(block.downsampler, values, caches)
    return values + _averaged(block.avg_shortcut, before)


def _averaged(shortcut: torch.nn.Module, values: torch.Tensor) -> torch.Tensor:
    """Blocks of `factor_t` frames and `factor_s` pixels each way, and channels, to the mean of groups of them."""
    time, space = shortcut.factor_t, shortcut.factor_s
    values = functional.pad(values, (0, 0, 0, 0, -int(values.shape[2]) % time, 0))
    blocks = values.unflatten(4, (-1, space)).unflatten(3, (-1, space)).unflatten(2, (-1, time))
    channels = blocks.permute(0, 1, 3, 5, 7, 2, 4, 6).flatten(1, 4)
    return channels.unflatten(1, (shortcut.out_channels, shortcut.group_size)).mean(dim=2)


def _repeated(shortcut: torch.nn.Module, values: torch.Tensor, is_first: bool) -> torch.Tensor:
    """The inverse: channels to blocks of frames and pixels. Of the first frame the last one stays."""
    time, space = shortcut.factor_t, shortcut.factor_s
    repeated = values.unsqueeze(2).expand(-1, -1, shortcut.repeats, -1, -1, -1).flatten(1, 2)
    blocks = repeated.unflatten(1, (shortcut.out_channels, time, space, space)).permute(0, 1, 5, 2, 6, 3, 7, 4)
    values = blocks.flatten(6, 7).flatten(4, 5).flatten(2, 3)
    return values[:, :, time - 1 :] if is_first else values


def _gathered(values: torch.Tensor, patch: int | None) -> torch.Tensor:
    """Blocks of `patch` x `patch` pixels as channels, as diffusers' `patchify` orders them."""
    if patch in (None, 1):
        return values
    blocks = values.unflatten(4, (-1, patch)).unflatten(3, (-1, patch))
    return blocks.permute(0, 1, 6, 4, 2, 3, 5).flatten(1, 3)


def _spread(values: torch.Tensor, patch: int | None) -> torch.Tensor:
    """The inverse of `_gathered`."""
    if patch in (None, 1):
        return values
    blocks = values.unflatten(1, (-1, patch, patch)).permute(0, 1, 4, 5, 3, 6, 2)
    return blocks.flatten(5, 6).flatten(3, 4)


def _images(values: torch.Tensor) -> torch.Tensor:
    """`[batch, channels, frames, height, width]` -> `[batch * frames, channels, height, width]`"""
    return values.transpose(1, 2).flatten(0, 1)


def _clip(images: torch.Tensor, frames: int) -> torch.Tensor:
    """The inverse of `_images`."""
    return images.unflatten(0, (-1, frames)).transpose(1, 2)
