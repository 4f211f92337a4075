import { html } from "hono/html";
import { icon } from "./icons.ts";

/* What the script makes copies of, one for each worker, queue and job. It sets texts only, never markup. */

const fact = html`<template id="fact"><li class="fact"><span class="dot" data-part="dot"></span>
<span class="fact-name" data-part="name"></span><span class="fact-state" data-part="state"></span>
<span class="fact-text small" data-part="text"></span></li></template>`;

const worker = html`<template id="worker"><li class="fact"><span class="dot" data-part="dot"></span>
<span class="fact-name" data-part="name"></span><span class="fact-state" data-part="state"></span>
<span class="fact-text small" data-part="text"></span>
<p class="fact-problem" data-part="problem" hidden></p>
<button class="small-button quiet" type="button" data-part="restart">Restart</button></li></template>`;

const queue = html`<template id="queue"><li class="fact"><span class="dot" data-part="dot"></span>
<span class="fact-name" data-part="name"></span><span class="fact-state" data-part="state"></span>
<span class="fact-text small" data-part="text"></span>
<button class="small-button quiet" type="button" data-part="pause"></button></li></template>`;

const undelivered = html`<template id="undelivered"><li class="fact"><span class="dot" data-part="dot"></span>
<span class="fact-name" data-part="name"></span><span class="fact-state" data-part="state"></span>
<span class="fact-text small" data-part="text"></span>
<button class="small-button quiet" type="button" data-part="give-up">Give up</button></li></template>`;

const limit = html`<template id="limit"><li><p><b data-part="name"></b> <span class="small" data-part="since"></span></p>
<p class="limit-text" data-part="text"></p></li></template>`;

const active = html`<template id="active"><li class="card" data-part="card">
<button class="thumb" type="button" data-part="open"><img data-part="preview" alt="" hidden><span class="waiting"></span></button>
<div class="card-text">
<p class="prompt" data-part="prompt"></p>
<p class="small" data-part="text"></p>
<progress data-part="progress" max="1"></progress>
</div>
<button class="quiet" type="button" data-part="cancel">Cancel</button></li></template>`;

const waiting = html`<template id="waiting"><li class="line">
<button class="line-open" type="button" data-part="open"><span class="line-prompt" data-part="prompt"></span>
<span class="line-text small" data-part="text"></span></button>
<button class="small-button quiet" type="button" data-part="cancel">Cancel</button></li></template>`;

const tile = html`<template id="tile"><li class="tile"><button type="button" data-part="open">
<span class="picture" data-part="picture"><img data-part="image" alt="" loading="lazy" decoding="async" hidden>
<video data-part="poster" preload="none" tabindex="-1" aria-hidden="true" hidden></video>
<video data-part="clip" preload="none" tabindex="-1" aria-hidden="true" hidden></video>
<span class="sign" data-part="sign-text" hidden>${icon("text")}</span><span class="sign" data-part="sign-video" hidden>${icon("play")}</span>
<b class="badge" data-part="count" hidden></b></span>
<span class="tile-prompt" data-part="prompt"></span><span class="small" data-part="text"></span></button></li></template>`;

const row = html`<template id="row"><li class="row">
<div class="row-text"><p class="prompt" data-part="prompt"></p>
<p class="why" data-part="why"><code data-part="code"></code> <span data-part="message"></span></p>
<p class="small" data-part="text"></p></div>
<div class="row-actions"><button class="quiet" type="button" data-part="retry">${icon("again")}Retry</button>
<button class="quiet" type="button" data-part="open">Details</button>
<button class="danger" type="button" data-part="discard">Discard</button></div></li></template>`;

const deadLetters = html`<template id="dead-letters"><div class="dead-queue">
<div class="row-text"><p><b data-part="queue"></b> <code data-part="code"></code> <span data-part="text"></span></p>
<p class="small why" data-part="example"></p></div>
<div class="row-actions"><button class="quiet" type="button" data-part="redrive">${icon("again")}<span data-part="redrive-text"></span></button>
<button class="danger" type="button" data-part="discard"></button></div></div></template>`;

const facts = html`<template id="group"><section class="group"><h3 data-part="title"></h3><dl data-part="list"></dl></section></template>`;

const enhance = html`<template id="enhance"><div class="enhance"><div class="enhance-bar">
<button class="quiet" type="button" data-part="run">${icon("enhance")}Enhance</button>
<button class="quiet" type="button" data-part="cancel" hidden>Cancel</button>
<select data-part="preset" aria-label="Preset for Enhance"></select></div>
<p class="small" role="status" data-part="state"></p>
<p class="problem" role="alert" data-part="problem" hidden></p>
<div class="enhance-result" data-part="result" hidden>
<h3>Yours</h3><p data-part="before" tabindex="0"></p><h3>Enhanced</h3><p data-part="after" tabindex="0"></p>
<div class="actions"><button class="primary" type="button" data-part="use">Use it</button>
<button class="quiet" type="button" data-part="keep">Keep mine</button>
<button class="quiet" type="button" data-part="again">Try again</button></div></div></div></template>`;

export const templates = html`${enhance}${fact}${worker}${queue}${undelivered}${limit}${active}${waiting}${tile}${row}${deadLetters}${facts}`;
