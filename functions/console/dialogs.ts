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

const failure = html`<div class="failure" data-part="job-failure" hidden>
<section aria-labelledby="job-failure-title"><h3 id="job-failure-title">Error <code data-part="job-failure-code"></code></h3>
<pre class="text" data-part="job-failure-text" tabindex="0" role="group" aria-labelledby="job-failure-title"></pre></section>
<section aria-labelledby="job-log-title" data-part="job-log-pane" hidden><h3 id="job-log-title">Log</h3>
<select class="small-button" data-part="job-log-attempt" aria-label="Attempt"></select>
<pre class="text" data-part="job-log" tabindex="0" role="group" aria-labelledby="job-log-title"></pre></section>
</div>`;

const job = html`<dialog class="job" data-part="job-dialog" aria-labelledby="job-title">
<div class="stage" data-part="job-stage"><div class="frame" data-part="job-media"></div>
${failure}
<button class="round back" type="button" data-part="job-back" aria-label="The picture before" hidden>${icon("back")}</button>
<button class="round on" type="button" data-part="job-on" aria-label="The next picture" hidden>${icon("on")}</button>
<p class="place" data-part="job-place" hidden></p>
<div class="strip" data-part="job-strip" role="group" aria-label="All pictures" hidden></div></div>
<div class="about">
<div class="about-head"><p class="state" data-part="job-state"><span class="dot"></span><span data-part="job-state-text"></span></p>
<button class="small-button quiet" type="button" data-part="job-copy-id"></button>
<button class="small-button quiet" type="button" data-part="job-copy-link">Copy link</button>
<button class="round" type="button" data-part="job-close" aria-label="Close">${icon("close")}</button></div>
<div class="about-body" tabindex="0" role="group" aria-label="About this job">
<h2 id="job-title" data-part="job-prompt" tabindex="-1" autofocus></h2>
<p class="text-actions"><button class="small-button quiet" type="button" data-part="job-prompt-all" aria-expanded="false" hidden>Show all</button>
<button class="small-button quiet" type="button" data-part="job-copy-prompt">Copy prompt</button></p>
<div class="error" data-part="job-error" hidden><p><code data-part="job-error-code"></code></p><p data-part="job-error-text"></p></div>
<div class="references" data-part="job-references" hidden></div>
<div data-part="job-facts"></div>
</div>
<div class="about-foot">
<p class="problem" data-part="job-problem" role="alert" hidden></p>
<div class="actions" data-part="job-actions">
<button class="primary" type="button" data-part="job-again">${icon("again")}Again with this seed</button>
<button class="quiet" type="button" data-part="job-variation">Another seed</button>
<button class="quiet" type="button" data-part="job-edit">Edit as new job</button>
<button class="primary" type="button" data-part="job-retry">${icon("again")}Retry</button>
<button class="quiet" type="button" data-part="job-download">Download</button>
<a class="button quiet" data-part="job-open" target="_blank" rel="noopener noreferrer">Open file</a>
<button class="danger" type="button" data-part="job-cancel">Cancel</button>
<button class="danger" type="button" data-part="job-discard">Discard</button>
</div></div>
</div>
</dialog>`;

export const dialogs = html`${key}${job}`;
