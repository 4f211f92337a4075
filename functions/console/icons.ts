import { html } from "hono/html";

/* Drawn with the text's colour, 20 units wide. Used by name: <svg class="icon"><use href="#icon-close"/></svg> */
export const icons = html`<svg class="defs" aria-hidden="true">
<symbol id="icon-close" viewBox="0 0 20 20"><path d="m5 5 10 10M15 5 5 15"/></symbol>
<symbol id="icon-pause" viewBox="0 0 20 20"><path d="M7 4.5v11M13 4.5v11"/></symbol>
<symbol id="icon-play" viewBox="0 0 20 20"><path d="M6.5 4.5v11l9-5.5z"/></symbol>
<symbol id="icon-again" viewBox="0 0 20 20"><path d="M15.5 6.5A6.5 6.5 0 1 0 16.5 10M16 3v4h-4"/></symbol>
<symbol id="icon-back" viewBox="0 0 20 20"><path d="m12.5 4-6 6 6 6"/></symbol>
<symbol id="icon-on" viewBox="0 0 20 20"><path d="m7.5 4 6 6-6 6"/></symbol>
<symbol id="icon-text" viewBox="0 0 20 20"><path d="M4 5h12M4 8.5h12M4 12h12M4 15.5h7"/></symbol>
<symbol id="icon-chat" viewBox="0 0 20 20"><path d="M3.5 5h13v8.5H9L5.5 16v-2.5h-2z"/></symbol>
<symbol id="icon-enhance" viewBox="0 0 20 20"><path d="M8 3.5 9.6 8 14 9.5 9.6 11 8 15.5 6.4 11 2 9.5 6.4 8zM15 3v4m-2-2h4"/></symbol>
<symbol id="icon-key" viewBox="0 0 20 20"><path d="M10.5 9.5 17 3m-2.5 2.5 2 2M12 11.5a4 4 0 1 1-8 0 4 4 0 0 1 8 0z"/></symbol>
</svg>`;

export function icon(name: string) {
  return html`<svg class="icon" aria-hidden="true"><use href="#icon-${name}"/></svg>`;
}
