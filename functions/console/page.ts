import { html } from "hono/html";
import { workerVersion } from "#runtime/container/version.ts";
import { chatPanel } from "./chat-panel.ts";
import { dialogs } from "./dialogs.ts";
import { sections } from "./sections.ts";
import { type AssetPlaces, securityPolicy } from "./security-policy.ts";
import { templates } from "./templates.ts";

/** Named here, all are requested at once, and not each when the one that needs it has arrived. */
const modules = [
  "active-feed",
  "address",
  "again",
  "api",
  "chat",
  "chat-log",
  "clipboard",
  "conversation",
  "detail",
  "dom",
  "enhance",
  "facts",
  "failures",
  "file-field",
  "filters",
  "job-failure",
  "job-form",
  "job-text",
  "jobs",
  "key-dialog",
  "limits",
  "list-rows",
  "long-list",
  "machine",
  "media",
  "outbox",
  "panel",
  "prompt-counts",
  "quarantine",
  "references",
  "results",
  "results-feed",
  "schema-fields",
  "sentence",
  "submit",
  "words",
];
const preloads = modules.map((name) => html`<link rel="modulepreload" href="console/${name}.js">\n`);

/*
 * The page holds nothing of this container but its version: what it shows, its script requests, with the key. So the
 * same page can be given to a browser that has no key yet.
 */
const markup = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>OurVidz Worker</title>
<link rel="icon" href="console/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="console/base.css">
<link rel="stylesheet" href="console/controls.css">
<link rel="stylesheet" href="console/console.css">
<link rel="stylesheet" href="console/feed.css">
<link rel="stylesheet" href="console/jobs.css">
<link rel="stylesheet" href="console/dialogs.css">
<link rel="stylesheet" href="console/outbox.css">
<link rel="stylesheet" href="console/chat.css">
<link rel="stylesheet" href="console/narrow.css">
${preloads}<script type="module" src="console/main.js"></script>
</head>
<body data-version="${workerVersion}">
${sections}
${dialogs}
${chatPanel}
${templates}
<noscript><p class="notice">The console needs JavaScript. Everything it does can be done over HTTP and with the command line.</p></noscript>
</body>
</html>`;

/** @param status 401 for a browser that has no key: the page asks for it */
export function pageResponse(places: AssetPlaces, status: 200 | 401): Response {
  return new Response(markup.toString(), {
    status,
    headers: {
      "Content-Type": "text/html; charset=utf-8",
      "Content-Security-Policy": securityPolicy(places),
      "Cross-Origin-Opener-Policy": "same-origin",
      "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
      "Referrer-Policy": "no-referrer",
      ...(status === 401 ? { "WWW-Authenticate": "Bearer" } : {}),
    },
  });
}
