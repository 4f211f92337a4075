#!/usr/bin/env python3
"""Stage 2: teaches the VAE's decoder to draw from patch latents, and its encoder to find them."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch.nn import functional

from train.latents import PatchCode, PictureMaker
from train.networks import LATENT_CHANNELS, make_vae
from train.pictures import CELL
from train.session import Session, add_arguments, falling_rate
from train.subjects import load_subjects

BATCH = 16
# How often an emoji of each kind is drawn.
WEIGHTS = {"most used": 8.0, "plain thing": 6.0, "other": 1.0}
PEAK_RATE = 2e-3
WARMUP_STEPS = 50
EDGE_WEIGHT = 0.5
# The decoder meets latents that a UNet made, which are never quite right.
LATENT_NOISE = 0.08
# Its layers look at a few cells only, so squares of this side cut from larger pictures teach it as much for less.
CROP = 64
# The encoder is needed for image to image only, and its task is easier: it gets every third step.
ENCODER_EVERY = 3
LOG_VARIANCE = -6.0
LOG_STEPS = 50
CHECKPOINT_MINUTES = 2.0


def random_places(random: np.random.Generator, count: int, size: int) -> list[list[int]]:
    """Where squares of `CROP` pixels begin in pictures of `size` pixels: (row, column) in cells."""
    return random.integers((size - CROP) // CELL + 1, size=(count, 2)).tolist()


def cut(values: torch.Tensor, places: list[list[int]], cell: int) -> torch.Tensor:
    """These squares of pictures (`cell` = 8 pixels) or latents (`cell` = 1), `[batch, channels, side, side]`."""
    side = CROP // CELL * cell
    return torch.stack(
        [
            part[:, cell * row : cell * row + side, cell * column : cell * column + side]
            for part, (row, column) in zip(values, places, strict=True)
        ]
    )


def edges(pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Differences between neighbours, down and right."""
    return pictures[..., 1:, :] - pictures[..., :-1, :], pictures[..., 1:] - pictures[..., :-1]


def reconstruction_loss(result: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of colours and of edges: the second keeps outlines sharp."""
    loss = functional.l1_loss(result, wanted)
    for found, given in zip(edges(result), edges(wanted), strict=True):
        loss = loss + EDGE_WEIGHT * functional.l1_loss(found, given)
    return loss


def encoder_loss(vae: AutoencoderKL, pictures: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
    """Square error of the posterior's mean; its variance is a small constant."""
    posterior = vae.encode(pictures).latent_dist
    wanted_variance = torch.full_like(posterior.logvar, LOG_VARIANCE).float()
    return functional.mse_loss(posterior.mean.float(), latents) + 0.01 * functional.mse_loss(
        posterior.logvar.float(), wanted_variance
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser, minutes=14)
    options = parser.parse_args()
    session = Session("vae", options)
    torch.manual_seed(1 + session.step)
    vae = make_vae(options.size).to(session.device).train()
    optimizer = torch.optim.AdamW(vae.parameters(), lr=PEAK_RATE, betas=(0.9, 0.99), weight_decay=0.01)
    if state := session.resume():
        vae.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    maker = PictureMaker(load_subjects(), options.size)
    code = PatchCode.fit(maker, WEIGHTS, LATENT_CHANNELS)
    random = np.random.default_rng(session.step)
    reach = options.size // 16
    losses: dict[str, list[float]] = {"decoder": [], "encoder": []}
    goes_on = session.progress < 1
    session.start()
    while goes_on:
        pictures = maker.draw_batch(random, BATCH, WEIGHTS, reach)
        pictures = cut(pictures, random_places(random, BATCH, options.size), CELL)
        latents = code.encode(pictures)
        noisy = latents + LATENT_NOISE * torch.randn_like(latents)
        pictures, latents, noisy = (value.to(session.device) for value in (pictures, latents, noisy))
        for group in optimizer.param_groups:
            group["lr"] = falling_rate(PEAK_RATE, session, WARMUP_STEPS)
        with torch.autocast(session.device.type, torch.bfloat16):
            result = vae.decode(noisy).sample
        loss = reconstruction_loss(result.float(), pictures)
        losses["decoder"].append(loss.item())
        if session.step % ENCODER_EVERY == 0:
            with torch.autocast(session.device.type, torch.bfloat16):
                extra = encoder_loss(vae, pictures, latents)
            losses["encoder"].append(extra.item())
            loss = loss + extra
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        goes_on = session.tick()
        if session.step % LOG_STEPS == 0:
            session.log(**{name: float(np.mean(values)) for name, values in losses.items()})
            losses = {name: [] for name in losses}
        if not goes_on or session.is_due(CHECKPOINT_MINUTES):
            session.save({"model": vae.state_dict(), "optimizer": optimizer.state_dict()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
