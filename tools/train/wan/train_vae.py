#!/usr/bin/env python3
"""Stage 2: teaches the VAE's decoder to draw from patch latents; train_encoder.py teaches the encoder to find them."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch

from train.pictures import BACKGROUNDS, CELL
from train.session import Session, add_arguments, falling_rate
from train.wan.begin_vae import begin_with_colors
from train.wan.clips import ClipMaker
from train.wan.code import CELL_FRAMES, ClipCode
from train.wan.motions import MOTIONS
from train.wan.networks import LATENT_CHANNELS, decode_whole, make_vae, train_whole

BATCH = 4
# Weights that begin as 1 among hundreds of others: larger steps destroy what they draw faster than they mend it.
PEAK_RATE = 3e-4
WARMUP_STEPS = 80
EDGE_WEIGHT = 0.5
# The decoder meets latents that a transformer made, which are never quite right; up to so much, in its units.
LATENT_NOISE = 0.12
# Its layers look at a few cells only, so pieces of clips teach it as much for less: (latents in time, cells a side).
PIECES = ((3, 6), (3, 6), (5, 4))
LOG_STEPS = 25
CHECKPOINT_MINUTES = 2.0


def cut(clips: torch.Tensor, random: np.random.Generator, cells: int, side: int) -> torch.Tensor:
    """A piece of each clip; it begins with any frame that begins or ends a latent."""
    pieces, frames, pixels = [], CELL_FRAMES * (cells - 1) + 1, CELL * side
    for clip in clips:
        first = CELL_FRAMES * int(random.integers((clip.shape[1] - frames) // CELL_FRAMES + 1))
        row, column = random.integers(clip.shape[-1] - pixels + 1, size=2).tolist()
        pieces.append(clip[:, first : first + frames, row : row + pixels, column : column + pixels])
    return torch.stack(pieces)


def reconstruction_loss(result: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of colours, and of their steps to the next pixel: the second keeps outlines sharp."""
    apart = result - wanted
    edges = (apart[..., 1:, :] - apart[..., :-1, :]).abs().mean() + (apart[..., 1:] - apart[..., :-1]).abs().mean()
    return apart.abs().mean() + EDGE_WEIGHT * edges


def draw_clips(maker: ClipMaker, random: np.random.Generator, count: int) -> torch.Tensor:
    limits = (len(maker.subjects), len(MOTIONS), len(BACKGROUNDS))
    return maker.draw(*(random.integers(limit, size=count) for limit in limits))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser, minutes=60)
    options = parser.parse_args()
    session = Session("wan-vae", options)
    maker = ClipMaker(options.work)
    code = ClipCode.load(options.work, maker, LATENT_CHANNELS)
    torch.manual_seed(1 + session.step)
    vae = train_whole(make_vae())
    begin_with_colors(vae, code)
    vae = vae.to(session.device).train()
    parameters = [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=PEAK_RATE, betas=(0.9, 0.99), weight_decay=0.01)
    if state := session.resume():
        vae.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    scale = code.scale.view(-1, 1, 1, 1).to(session.device)
    random = np.random.default_rng(session.step)
    losses = []
    goes_on = session.progress < 1
    session.start()
    while goes_on:
        clips = cut(draw_clips(maker, random, BATCH), random, *PIECES[session.step % len(PIECES)])
        clips, latents = clips.to(session.device), code.encode(clips).to(session.device)
        amount = LATENT_NOISE * torch.rand(BATCH, 1, 1, 1, 1, device=session.device) * scale
        for group in optimizer.param_groups:
            group["lr"] = falling_rate(PEAK_RATE, session, WARMUP_STEPS)
        with torch.autocast(session.device.type, torch.bfloat16):
            result = decode_whole(vae, latents + amount * torch.randn_like(latents))
        loss = reconstruction_loss(result.float(), clips)
        losses.append(loss.item())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        goes_on = session.tick()
        if session.step % LOG_STEPS == 0:
            session.log(decoder=float(np.mean(losses)))
            losses.clear()
        if not goes_on or session.is_due(CHECKPOINT_MINUTES):
            session.save({"model": vae.state_dict(), "optimizer": optimizer.state_dict()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
