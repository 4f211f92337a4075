import { html } from "hono/html";
import { icon } from "./icons.ts";

/* The conversation with the language model: a native dialog at the side of the page. Texts are set by the script, never markup. */

const settings = html`<details class="more-fields"><summary>Settings</summary><div class="grid">
<label class="field wide"><span class="label">Model</span><select data-part="chat-model"></select></label>
<label class="field"><span class="label">Temperature</span>
<input data-part="chat-temperature" inputmode="decimal" autocomplete="off" placeholder="the model’s own"></label>
<label class="field"><span class="label">Tokens at most</span>
<input data-part="chat-tokens" inputmode="numeric" autocomplete="off" placeholder="512"></label>
</div></details>`;

export const chatPanel = html`<dialog class="chat" data-part="chat-dialog" aria-labelledby="chat-title">
<header class="chat-head"><h2 id="chat-title">Chat</h2>
<button class="quiet" type="button" data-part="chat-new">New session</button>
<button class="round" type="button" data-part="chat-close" aria-label="Close">${icon("close")}</button></header>
<div class="chat-body"><div class="chat-log" data-part="chat-log" role="log" aria-live="polite" aria-label="Conversation" tabindex="0"></div>
<button class="quiet newest" type="button" data-part="chat-newest" hidden>To the newest</button></div>
<form class="chat-form" data-part="chat-form" novalidate>
<p class="problem" data-part="chat-problem" role="alert" hidden></p>
<label class="unseen" for="chat-input">Message</label>
<textarea id="chat-input" data-part="chat-input" rows="2" placeholder="What can you draw?" autofocus></textarea>
<div class="submit"><button class="primary" type="submit" data-part="chat-send">Send</button>
<button class="quiet" type="button" data-part="chat-stop" hidden>Stop</button>
<span class="small hint"><kbd>Enter</kbd> sends, <kbd>Shift</kbd> <kbd>Enter</kbd> begins a line</span></div>
${settings}
</form>
</dialog>
<template id="turn"><div class="turn"><p class="turn-who" data-part="who"></p><p class="turn-text" data-part="text"></p>
<p class="small" data-part="note" hidden></p></div></template>`;
