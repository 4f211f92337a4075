import { html } from "hono/html";
import { icon } from "./icons.ts";

/* Native dialogs: the browser keeps the focus inside, closes them on Escape and gives the focus back. */

const key = html`<dialog class="key" data-part="key-dialog" aria-labelledby="key-title">
<form method="dialog" data-part="key-form" novalidate>
<h2 id="key-title">This container asks for a key</h2>
<p class="small">One of the keys in its <code>WAN_WORKER_API_KEY</code>. It stays in this tab and is gone when the tab is closed.</p>
<label class="field"><span class="label">Key</span>
<input type="password" data-part="key-input" autocomplete="off" spellcheck="false" aria-describedby="key-problem"></label>
<p class="problem" id="key-problem" data-part="key-problem" role="alert" hidden></p>
<div class="submit"><button class="primary" type="submit" data-part="key-submit">Open the console</button></div>
</form>
</dialog>`;

const job = html`<dialog class="job" data-part="job-dialog" aria-labelledby="job-title">
<div class="stage"><div class="frame" data-part="job-media"></div>
<button class="round back" type="button" data-part="job-back" aria-label="The picture before" hidden>${icon("back")}</button>
<button class="round on" type="button" data-part="job-on" aria-label="The next picture" hidden>${icon("on")}</button>
<p class="place" data-part="job-place" hidden></p></div>
<div class="about">
<div class="about-head"><p class="state" data-part="job-state"><span class="dot"></span><span data-part="job-state-text"></span></p>
<button class="round" type="button" data-part="job-close" aria-label="Close">${icon("close")}</button></div>
<h2 id="job-title" data-part="job-prompt" tabindex="-1" autofocus></h2>
<div class="error" data-part="job-error" hidden><p><code data-part="job-error-code"></code></p><p data-part="job-error-text"></p></div>
<div class="actions" data-part="job-actions">
<button class="primary" type="button" data-part="job-again">${icon("again")}Again with this seed</button>
<button class="quiet" type="button" data-part="job-variation">Another seed</button>
<button class="quiet" type="button" data-part="job-edit">Edit as new job</button>
<button class="primary" type="button" data-part="job-retry">${icon("again")}Retry</button>
<button class="danger" type="button" data-part="job-cancel">Cancel</button>
<button class="danger" type="button" data-part="job-discard">Discard</button>
<a class="button quiet" data-part="job-open" target="_blank" rel="noopener noreferrer">Open file</a>
</div>
<p class="problem" data-part="job-problem" role="alert" hidden></p>
<div class="references" data-part="job-references" hidden></div>
<div data-part="job-facts"></div>
</div>
</dialog>`;

export const dialogs = html`${key}${job}`;
