#!/usr/bin/env python3
"""Stage 1: teaches both text encoders to read from a caption what the picture looks like (picture_code.py).

The UNet then meets conditions in which subjects and colours are already apart. Trained from noise along with the UNet
they would take far more steps to get there.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from train.captions import CaptionWriter, allowed_backgrounds
from train.latents import PatchCode, PictureMaker
from train.networks import HIDDEN, LATENT_CHANNELS, PROJECTION, make_text_encoders
from train.picture_code import PictureCodes
from train.pictures import BACKGROUNDS
from train.session import Session, add_arguments, falling_rate
from train.subjects import load_subjects, shares
from train.tokens import Tokens, make_tokenizers
from train.train_vae import WEIGHTS as VAE_WEIGHTS

BATCH = 128
PEAK_RATE = 1e-3
WARMUP_STEPS = 30
WEIGHTS = {"most used": 6.0, "plain thing": 6.0, "other": 0.3}
# Longer than any caption. The encoders look backwards only, so what follows the end changes nothing before it.
CAPTION_TOKENS = 28
LOG_STEPS = 25
CHECKPOINT_MINUTES = 2.0


def caption_batch(writer: CaptionWriter, subjects, likely: np.ndarray) -> tuple[list[str], list[int], list[int | None]]:
    """Captions with the indices of their subjects and of the backgrounds (None where the caption does not say it)."""
    captions, wanted, backgrounds = [], [], []
    for index in writer.random.choice(len(subjects), BATCH, p=likely):
        background = int(writer.random.choice(allowed_backgrounds(subjects[index])))
        caption, said = writer.write(subjects[index], BACKGROUNDS[background])
        captions.append(caption)
        wanted.append(int(index))
        backgrounds.append(background if said else None)
    return captions, wanted, backgrounds


def read_ends(encoders, ids: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """What the UNet gets of a caption: pooled output, and both penultimate layers at the end token (the highest id)."""
    first = encoders[0](ids[0], output_hidden_states=True)
    second = encoders[1](ids[1], output_hidden_states=True)
    rows, ends = torch.arange(len(ids[0])), ids[0].argmax(-1)
    hidden = torch.cat([first.hidden_states[-2][rows, ends], second.hidden_states[-2][rows, ends]], dim=-1)
    return second.text_embeds, hidden


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser, minutes=14)
    options = parser.parse_args()
    session = Session("text", options)
    subjects = load_subjects()
    make_tokenizers(options.work, subjects)
    tokens = Tokens(options.work)
    torch.manual_seed(2)
    encoders = nn.ModuleList(make_text_encoders(tokens.vocabulary_size)).to(session.device)
    for encoder in encoders:
        # For sequences as short as these, plain matrix products take half the time of the fused kernel on a CPU.
        encoder.set_attn_implementation("eager")
    # Reads the same code from the hidden states, so that they hold it too; the model does not need it afterwards.
    reader = nn.Linear(sum(HIDDEN), PROJECTION).to(session.device)
    parameters = [*encoders.parameters(), *reader.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    if state := session.resume():
        encoders.load_state_dict(state["model"])
        reader.load_state_dict(state["reader"])
        optimizer.load_state_dict(state["optimizer"])
    maker = PictureMaker(subjects, options.size)
    codes = PictureCodes(maker, PatchCode.fit(maker, VAE_WEIGHTS, LATENT_CHANNELS))
    print(f"the codes keep {codes.kept:.1%} of what the emoji differ in", flush=True)
    writer = CaptionWriter(np.random.default_rng(session.step))
    likely = shares(subjects, WEIGHTS)
    goes_on = session.progress < 1
    session.start()
    while goes_on:
        captions, wanted, backgrounds = caption_batch(writer, subjects, likely)
        ids = tuple(part.to(session.device) for part in tokens.ids(captions, CAPTION_TOKENS))
        target = codes.target(wanted, backgrounds).to(session.device)
        for group in optimizer.param_groups:
            group["lr"] = falling_rate(PEAK_RATE, session, WARMUP_STEPS)
        with torch.autocast(session.device.type, torch.bfloat16):
            pooled, hidden = read_ends(encoders, ids)
        pooled = pooled.float()
        loss = functional.mse_loss(pooled, target) + functional.mse_loss(reader(hidden.float()), target)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        goes_on = session.tick()
        if session.step % LOG_STEPS == 0:
            right = (codes.nearest(pooled.detach()).cpu() == torch.tensor(wanted)).float().mean()
            error = (pooled.detach() - target).square().mean() / target.square().mean()
            session.log(loss=loss.item(), error=error.item(), subjects_right=right.item())
        if not goes_on or session.is_due(CHECKPOINT_MINUTES):
            state = {"reader": reader.state_dict(), "optimizer": optimizer.state_dict()}
            session.save(state | {"model": encoders.state_dict()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
