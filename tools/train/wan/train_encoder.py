#!/usr/bin/env python3
"""Stage 2b: teaches the VAE's encoder to find a clip's latents; clips that begin with a picture need it."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch

from train.session import Session, add_arguments, falling_rate
from train.wan.clips import ClipMaker
from train.wan.code import ClipCode
from train.wan.networks import LATENT_CHANNELS, encode_whole, make_vae, train_whole
from train.wan.train_vae import PIECES, cut, draw_clips

BATCH = 8
PEAK_RATE = 2e-3
WARMUP_STEPS = 50
# Of the posterior; a sample of it is as good as its mean.
LOG_VARIANCE = -6.0
LOG_STEPS = 25
CHECKPOINT_MINUTES = 2.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser, minutes=20)
    options = parser.parse_args()
    session = Session("wan-encoder", options)
    maker = ClipMaker(options.work)
    code = ClipCode.load(options.work, maker, LATENT_CHANNELS)
    torch.manual_seed(4 + session.step)
    vae = train_whole(make_vae()).to(session.device).train()
    parameters = [*vae.encoder.parameters(), *vae.quant_conv.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=PEAK_RATE, betas=(0.9, 0.99), weight_decay=0.01)
    if state := session.resume():
        vae.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    # As the transformer's loss has it: strong components make the picture.
    importance = 1 / code.scale
    importance = (importance / importance.mean()).view(-1, 1, 1, 1).to(session.device)
    random = np.random.default_rng((session.step, 4))
    losses = []
    goes_on = session.progress < 1
    session.start()
    while goes_on:
        clips = cut(draw_clips(maker, random, BATCH), random, *PIECES[session.step % len(PIECES)])
        clips, latents = clips.to(session.device), code.encode(clips).to(session.device)
        for group in optimizer.param_groups:
            group["lr"] = falling_rate(PEAK_RATE, session, WARMUP_STEPS)
        with torch.autocast(session.device.type, torch.bfloat16):
            found = encode_whole(vae, clips)
        mean, log_variance = found.float().chunk(2, 1)
        error = ((mean - latents).square() * importance).mean()
        loss = error + 0.01 * (log_variance - LOG_VARIANCE).square().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(error.item())
        goes_on = session.tick()
        if session.step % LOG_STEPS == 0:
            session.log(encoder=float(np.mean(losses)))
            losses.clear()
        if not goes_on or session.is_due(CHECKPOINT_MINUTES):
            session.save({"model": vae.state_dict(), "optimizer": optimizer.state_dict()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
