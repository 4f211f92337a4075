/** The whole look of the page: it loads nothing. */
export const style = `
:root { color-scheme: light dark; --line: light-dark(#d9dde3, #333a45); --quiet: light-dark(#5b6472, #9aa4b2);
  --accent: light-dark(#0b5cad, #7ab8f5); --raised: light-dark(#f5f7f9, #1b2027); }
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.55 system-ui, sans-serif; background: light-dark(#fff, #12151a); color: light-dark(#1a1f27, #e6e9ee); }
main, header { max-width: 60rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 3rem; }
h1 { margin: 0; font-size: 1.9rem; letter-spacing: -0.02em; }
h2 { margin: 3.5rem 0 0.5rem; font-size: 1.35rem; }
p { margin: 0.4rem 0; }
.quiet { color: var(--quiet); }
nav { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; margin-top: 1rem; }
a { color: var(--accent); text-underline-offset: 0.2em; }
code { font: 0.92em/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
details { border: 1px solid var(--line); border-radius: 10px; margin: 0.6rem 0; overflow: hidden; }
summary { cursor: pointer; padding: 0.75rem 1rem; display: flex; flex-wrap: wrap; gap: 0.25rem 0.9rem; align-items: baseline; }
summary:hover { background: var(--raised); }
summary:focus-visible { outline: 2px solid var(--accent); outline-offset: -2px; }
.method { font: 600 0.8rem ui-monospace, monospace; min-width: 3.6rem; color: var(--accent); }
.path { font-weight: 600; }
.body { padding: 0.25rem 1rem 1rem; border-top: 1px solid var(--line); }
h3 { margin: 1.2rem 0 0.3rem; font-size: 0.82rem; text-transform: uppercase; letter-spacing: 0.06em; color: var(--quiet); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.93rem; }
td { border-top: 1px solid var(--line); padding: 0.4rem 0.9rem 0.4rem 0; vertical-align: top; }
td:first-child { white-space: nowrap; }
pre { background: var(--raised); border-radius: 8px; padding: 0.75rem 1rem; overflow-x: auto; }
footer { margin: 4rem 0 3rem; }
`;
