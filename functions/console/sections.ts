import { html } from "hono/html";
import { icon, icons } from "./icons.ts";

/* What is always on the page. Elements that the script fills carry data-part. */

const header = html`<header class="top">
<a class="brand" href="/" aria-label="OurVidz Worker, the console">
<svg class="mark" viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="9"/><path d="M11 9.5v13l11-6.5z"/></svg>
<span>OurVidz <b>Worker</b></span></a>
<p class="health" data-part="health" data-state="unknown" role="status"><span class="dot"></span><span data-part="health-text">Connecting</span></p>
<p class="small age" data-part="health-age" hidden></p>
<div class="top-actions">
<button class="quiet" type="button" data-part="chat-open">${icon("chat")}<span>Chat</span></button>
<button class="quiet" type="button" data-part="pause" hidden>${icon("pause")}<span data-part="pause-text">Pause</span></button>
<button class="quiet" type="button" data-part="forget-key" hidden>${icon("key")}<span>Forget key</span></button>
</div>
</header>`;

const notice = html`<div class="notice" data-part="notice" role="alert" hidden><p data-part="notice-text"></p>
<button class="quiet" type="button" data-part="notice-action">Try again</button></div>`;

const problems = html`<section class="limits" data-part="problems" aria-label="What is wrong" hidden>
<h2>What is wrong</h2><ul data-part="problem-list"></ul></section>`;

const limits = html`<section class="limits" data-part="limits" aria-label="What cannot run here" hidden>
<h2>Not run by this container at present</h2><ul data-part="limit-list"></ul></section>`;

/* Closed: that a container lacks a model is how most are, and nothing to be alarmed of. */
const absent = html`<details class="absent" data-part="absent" hidden><summary data-part="absent-title"></summary>
<ul data-part="absent-list"></ul></details>`;

const quarantine = html`<section class="limits" data-part="quarantine" aria-label="Jobs that let others go first" hidden>
<h2>Letting others’ jobs go first</h2><ul data-part="quarantine-list"></ul><p class="small" data-part="quarantine-more" hidden></p></section>`;

const machine = html`<section class="machine" aria-label="This container">
<div class="panel"><h2>Workers</h2><ul class="facts" data-part="workers"></ul><p class="small age" data-part="workers-age" hidden></p></div>
<div class="panel"><h2>GPU</h2><div data-part="gpu" class="gpu"><p class="figure" data-part="gpu-name">…</p>
<meter data-part="gpu-meter" min="0" max="1" hidden></meter><p class="small" data-part="gpu-text"></p></div><p class="small age" data-part="gpu-age" hidden></p></div>
<div class="panel"><h2>Queues</h2><ul class="facts" data-part="queues"></ul><p class="small" data-part="queues-empty" hidden>Nothing has been queued yet.</p><p class="small" data-part="usage" hidden></p><p class="small age" data-part="queues-age" hidden></p></div>
</section>`;

const outbox = html`<section class="outbox panel" data-part="outbox" aria-labelledby="outbox-title" hidden>
<div class="heading"><h2 id="outbox-title">Not delivered yet</h2><span class="count" data-part="outbox-count"></span>
<button class="quiet" type="button" data-part="outbox-try">${icon("again")}Try now</button></div>
<ul class="alarms" data-part="outbox-alarms"></ul>
<ul class="facts" data-part="outbox-rows"></ul>
<p class="small" data-part="outbox-more" hidden></p></section>
<p class="small age" data-part="outbox-age" hidden></p>`;

const newJob = html`<section class="new-job" aria-labelledby="new-job-title" data-part="new-job">
<h2 id="new-job-title">New job</h2>
<button class="primary new-job-open" type="button" data-part="new-job-open" aria-expanded="false" aria-controls="new-job-form">New job</button>
<form id="new-job-form" data-part="form" novalidate>
<label class="field"><span class="label">Job type</span><select data-part="type"></select></label>
<p class="small age" data-part="form-age" hidden></p>
<p class="small" data-part="type-text"></p>
<p class="small type-note" data-part="type-note" hidden></p>
<div class="fields" data-part="fields"></div>
<p class="problem" data-part="form-problem" role="alert" hidden></p>
<div class="submit"><button class="primary" type="submit" data-part="submit" disabled>Create</button>
<span class="small hint"><kbd>Ctrl</kbd> <kbd>Enter</kbd></span></div>
</form>
</section>`;

const filters = html`<form class="filters" data-part="filters" role="search" aria-label="Results">
<input type="search" data-part="filter-text" aria-label="Search prompts, ids and errors" placeholder="Search prompts, ids, errors" autocomplete="off" spellcheck="false">
<select data-part="filter-type" aria-label="Type of the results"><option value="">All types</option></select>
<input data-part="filter-user" aria-label="User of the results" placeholder="User id" autocomplete="off" spellcheck="false">
</form>`;

const feed = html`<div class="feed">
<p class="small age" data-part="active-age" hidden></p>
<section aria-labelledby="active-title">
<div class="heading"><h2 id="active-title" tabindex="-1">In progress</h2><span class="count" data-part="active-count"></span></div>
<ul class="active" data-part="active"></ul>
<ol class="lines" data-part="waiting" aria-label="Waiting, the next first" hidden></ol>
<button class="quiet more" type="button" data-part="waiting-more" hidden></button>
<p class="empty" data-part="active-empty" hidden>Nothing is running. What you create appears here.</p>
</section>
<section aria-labelledby="results-title">
<div class="heading"><h2 id="results-title">Results</h2>
<fieldset class="choice"><legend class="unseen">Which jobs to show</legend>
<label><input type="radio" name="shown" value="completed" checked><span>Finished</span></label>
<label><input type="radio" name="shown" value="failed"><span>Failed <b class="badge" data-part="failed-count" hidden></b></span></label>
<label><input type="radio" name="shown" value="cancelled"><span>Cancelled</span></label>
</fieldset></div>
${filters}
<div><div class="dead" data-part="dead"></div><p class="small age" data-part="dead-age" hidden></p></div>
<p class="small" data-part="results-found" role="status" hidden></p>
<div data-part="completed"></div>
<div data-part="others" hidden></div>
<p class="empty" data-part="results-empty" hidden></p>
<button class="quiet more" type="button" data-part="more" hidden>Show older ones</button>
</section>
</div>`;

export const sections = html`${icons}
<a class="skip" href="#results-title">Skip to the results</a>
${header}
<main>
<h1 class="unseen">OurVidz Worker, the console</h1>
${notice}
${problems}
${limits}
${quarantine}
${machine}
${absent}
${outbox}
<div class="columns">${newJob}${feed}</div>
</main>
<p class="toast" data-part="toast" role="status" aria-live="polite"></p>`;
