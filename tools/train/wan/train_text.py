#!/usr/bin/env python3
"""Stage 1: teaches the text encoder to read from a caption what the clip looks like (picture_code.py)."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from torch import nn

from train.captions import allowed_backgrounds
from train.pictures import BACKGROUNDS
from train.session import Session, add_arguments, falling_rate
from train.subjects import Subject
from train.wan.captions import ClipCaptionWriter, allowed_motions
from train.wan.clips import ClipMaker
from train.wan.motions import MOTIONS
from train.wan.networks import TEXT_WIDTH, make_text_encoder
from train.wan.picture_code import SUBJECT_VALUES, VALUES, ClipCodes
from train.wan.tokens import make_tokenizer, token_ids

BATCH = 48
PEAK_RATE = 2e-3
WARMUP_STEPS = 30
# Ten values stand against 64 for the subject, and are the harder to read: word order, and many verbs.
MOTION_IMPORTANCE = 8.0
# Longer than any caption.
CAPTION_TOKENS = 24
LOG_STEPS = 25
CHECKPOINT_MINUTES = 1.0


def draw_content(random: np.random.Generator, subjects: list[Subject], count: int) -> list[tuple[int, int, int]]:
    """Random (subject, motion, background) that training may show."""
    content = []
    for index in random.integers(len(subjects), size=count):
        subject = subjects[index]
        motion, background = random.choice(allowed_motions(subject)), random.choice(allowed_backgrounds(subject))
        content.append((int(index), int(motion), int(background)))
    return content


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser, minutes=8)
    options = parser.parse_args()
    session = Session("wan-text", options)
    maker = ClipMaker(options.work)
    codes = ClipCodes(maker)
    tokenizer = make_tokenizer(options.work / "wan-tokenizer", maker.subjects)
    torch.manual_seed(2)
    encoder = make_text_encoder(len(tokenizer)).to(session.device).train()
    reader = nn.Linear(TEXT_WIDTH, VALUES).to(session.device)
    parameters = [*encoder.parameters(), *reader.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=PEAK_RATE, betas=(0.9, 0.99), weight_decay=0.01)
    if state := session.resume():
        encoder.load_state_dict(state["model"])
        reader.load_state_dict(state["reader"])
        optimizer.load_state_dict(state["optimizer"])
    importance = torch.ones(VALUES, device=session.device)
    importance[-len(MOTIONS) :] = MOTION_IMPORTANCE
    random = np.random.default_rng(session.step)
    writer = ClipCaptionWriter(random)
    goes_on = session.progress < 1
    session.start()
    while goes_on:
        content = draw_content(random, maker.subjects, BATCH)
        written = [writer.write(maker.subjects[s], m, BACKGROUNDS[b]) for s, m, b in content]
        subjects = [subject for subject, _, _ in content]
        motions = [motion if said else None for (_, motion, _), (_, said, _) in zip(content, written, strict=True)]
        behind = [ground if said else None for (_, _, ground), (_, _, said) in zip(content, written, strict=True)]
        target = codes.target(subjects, motions, behind).to(session.device)
        ids, mask = token_ids(tokenizer, [caption for caption, _, _ in written], CAPTION_TOKENS)
        ids, mask = ids.to(session.device), mask.to(session.device)
        for group in optimizer.param_groups:
            group["lr"] = falling_rate(PEAK_RATE, session, WARMUP_STEPS)
        with torch.autocast(session.device.type, torch.bfloat16):
            found = reader(encoder(ids, mask).last_hidden_state).float()
        # Every token is to hold the whole: the transformer may look at any of them.
        apart = ((found - target[:, None]).square() * importance).mean(-1) * mask
        loss = apart.sum() / mask.sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        goes_on = session.tick()
        if session.step % LOG_STEPS == 0:
            ends = found.detach()[torch.arange(BATCH), mask.sum(1) - 1]
            nearest = torch.cdist(ends[:, :SUBJECT_VALUES], codes.subjects.to(ends.device)).argmin(-1)
            right = (nearest.cpu() == torch.tensor(subjects)).float().mean()
            known = torch.tensor([motion is not None for motion in motions])
            moves = (ends[:, -len(MOTIONS) :].argmax(-1).cpu() == torch.tensor([m or 0 for m in motions]))[known]
            error = (loss / target.square().mean()).item()
            session.log(error=error, subjects_right=right.item(), motions_right=moves.float().mean().item())
        if not goes_on or session.is_due(CHECKPOINT_MINUTES):
            state = {"reader": reader.state_dict(), "optimizer": optimizer.state_dict()}
            session.save(state | {"model": encoder.state_dict()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
