// The one stylesheet of the pages: light and dark by the reader's setting, one column, large enough to touch.

export const PAGE_STYLE = `
:root {
  color-scheme: light dark;
  --ground: #f6f5f1; --card: #fff; --ink: #1d1f1c; --quiet: #5b6058; --line: #dcdad2;
  --accent: #23634f; --on-accent: #fff; --tint: #e8f1ec; --warn: #7a4a00; --warn-tint: #fbf1dd; --bad: #9c1f1f; --bad-tint: #fbe9e7;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #151714; --card: #1e211d; --ink: #ecede8; --quiet: #a6aca1; --line: #363a34;
    --accent: #8ad6b9; --on-accent: #10251d; --tint: #1d2f28; --warn: #f0c678; --warn-tint: #33280f; --bad: #ffb3ab; --bad-tint: #3a1c1a;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
header, main { max-width: 38rem; margin: 0 auto; padding: 0 1.25rem; }
header { display: flex; align-items: center; justify-content: space-between; gap: 1rem; padding-top: 1.5rem; padding-bottom: 1.5rem; }
main { padding-bottom: 4rem; }
.mark { display: inline-flex; align-items: center; gap: .5rem; color: inherit; font-weight: 650; text-decoration: none; letter-spacing: .01em; }
.who { color: var(--quiet); overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .75rem 0 .75rem; letter-spacing: -.01em; text-wrap: balance; }
h2 { font-size: 1.05rem; margin: 0 0 .5rem; }
p { margin: 0 0 .9rem; }
a { color: var(--accent); }
.quiet { color: var(--quiet); }
.lead { font-size: 1.06rem; }
section, .box { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1.15rem 1.25rem; margin: 0 0 1rem; }
section > :last-child, .box > :last-child { margin-bottom: 0; }
.stranger { background: var(--warn-tint); border-color: transparent; }
.stranger h2 { color: var(--warn); font-size: .9rem; font-weight: 650; }
.stranger bdi { display: block; overflow-wrap: anywhere; unicode-bidi: isolate; }
.stranger dl, .plain { margin: 0; }
dt { color: var(--quiet); font-size: .9rem; }
dd { margin: 0 0 .6rem; overflow-wrap: anywhere; }
dd:last-child { margin-bottom: 0; }
.stranger dt { color: inherit; opacity: .8; }
ul { padding-left: 1.15rem; margin: 0 0 .9rem; }
li { overflow-wrap: anywhere; margin: 0 0 .25rem; }
.notice { background: var(--bad-tint); color: var(--bad); border-radius: .5rem; padding: .7rem .9rem; margin: 0 0 1rem; }
.notice.good { background: var(--tint); color: var(--ink); }
label { display: block; font-weight: 550; margin: 0 0 .9rem; }
label small { font-weight: 400; color: var(--quiet); }
[hidden] { display: none !important; }
input, select, textarea { display: block; width: 100%; margin-top: .25rem; padding: .65rem .75rem; font: inherit; font-weight: 400; color: inherit; background: var(--ground); border: 1px solid var(--quiet); border-radius: .5rem; }
button { font: inherit; font-weight: 600; padding: .7rem 1.1rem; min-height: 2.75rem; max-width: 100%; overflow-wrap: anywhere; color: var(--on-accent); background: var(--accent); border: 1px solid transparent; border-radius: .5rem; cursor: pointer; }
button:hover { filter: brightness(1.08); }
fieldset { margin: 0 0 .9rem; padding: 0; border: 0; min-width: 0; }
legend { font-weight: 550; padding: 0; margin: 0 0 .35rem; }
.choice { display: flex; gap: .6rem; align-items: flex-start; margin: 0 0 .5rem; cursor: pointer; }
.choice input { width: 1.15rem; height: 1.15rem; margin: .2rem 0 0; padding: 0; flex: none; accent-color: var(--accent); }
.choice small { display: block; }
.things { list-style: none; padding: 0; }
.things > li { padding: 0 0 1rem; margin: 0 0 1rem; border-bottom: 1px solid var(--line); }
.things > li:last-child { padding-bottom: 0; margin-bottom: 0; border-bottom: 0; }
.things p, .things > li > :last-child { margin-bottom: .35rem; }
.usage { width: 100%; border-collapse: collapse; margin: 0 0 .9rem; font-size: .95rem; }
.usage caption { text-align: left; padding: 0 0 .3rem; }
.usage th { text-align: left; font-weight: 400; padding: .2rem .75rem .2rem 0; }
.usage td { padding: .2rem 0 .2rem .75rem; text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.usage td + td { width: clamp(2.75rem, 14vw, 6rem); }
.usage .until { display: block; }
.usage meter { display: block; width: 100%; height: .8rem; }
button.danger { color: var(--bad); background: transparent; border-color: var(--bad); }
button.second { color: var(--accent); background: transparent; border-color: var(--line); }
.row { display: flex; flex-wrap: wrap; gap: .75rem; align-items: center; margin: 0 0 .9rem; }
.row form { margin: 0; max-width: 100%; }
summary { cursor: pointer; font-weight: 600; color: var(--accent); }
details[open] summary { margin-bottom: .9rem; }
code { overflow-wrap: anywhere; }
code, pre { font: .92rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { margin: 0 0 .9rem; padding: .8rem .9rem; background: var(--ground); border: 1px solid var(--line); border-radius: .5rem; white-space: pre-wrap; overflow-wrap: anywhere; }
pre.wide { white-space: pre; overflow-x: auto; }
.copy { user-select: all; -webkit-user-select: all; }
a:focus-visible, button:focus-visible, input:focus-visible, select:focus-visible, textarea:focus-visible, summary:focus-visible, .copy:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
time { white-space: nowrap; }
.wide header, .wide main { max-width: 78rem; }
.tabs { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; margin: 0 0 1.1rem; padding: 0 0 .5rem; border-bottom: 1px solid var(--line); }
.tabs a { text-decoration: none; font-weight: 550; padding: .35rem 0; }
.tabs a[aria-current] { color: var(--ink); box-shadow: 0 2px 0 var(--accent); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .75rem 1.25rem; margin: 0 0 .9rem; }
.facts dd { margin: 0; font-variant-numeric: tabular-nums; }
.facts time { white-space: normal; }
.facts meter, .caps meter { display: block; width: 100%; height: .7rem; }
.caps { list-style: none; padding: 0; margin: 0 0 .9rem; display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .3rem 1rem; font-size: .9rem; }
.caps li { margin: 0; font-variant-numeric: tabular-nums; }
.pill { display: inline-block; padding: 0 .55rem; border-radius: 1rem; background: var(--tint); font-size: .85rem; font-weight: 550; white-space: nowrap; }
.pill.bad { background: var(--bad-tint); color: var(--bad); }
.pill.warn { background: var(--warn-tint); color: var(--warn); }
.find { display: flex; flex-wrap: wrap; gap: .6rem .9rem; align-items: flex-end; margin: 0 0 1rem; }
.find label { margin: 0; flex: 1 1 11rem; max-width: 22rem; }
.find input, .find select { height: 2.9rem; }
form + p, form + details, details + details, details + form { margin-top: .9rem; }
.table { width: 100%; border-collapse: collapse; font-size: .93rem; margin: 0 0 .9rem; }
.table th { text-align: left; color: var(--quiet); font-weight: 550; }
.table th, .table td { padding: .4rem .9rem .4rem 0; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; min-width: 4.5rem; }
.table tr:last-child td { border-bottom: 0; }
.table code { overflow-wrap: normal; }
.table .n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
@media (min-width: 64rem) {
  .two { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; align-items: start; }
  .line { display: grid; grid-template-columns: 17rem 24rem 1fr; gap: .5rem 1.5rem; align-items: start; }
  .line .facts { grid-template-columns: repeat(4, 1fr); gap: .4rem .8rem; margin: 0; }
}
@media (max-width: 40rem) {
  .stack thead { display: none; }
  .stack tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--line); }
  .stack td { display: block; border: 0; padding: .1rem 0; text-align: left; }
  .stack td.n { text-align: left; }
  .stack td.none { display: none; }
  .stack td[data-of]::before { content: attr(data-of) ": "; color: var(--quiet); }
}
`;
