// What a visitor of the pages may try: to claim what was never given to them, to act in another's name, to be sent elsewhere,
// and to have the page say what an agent wrote.
import type { PageAttack } from "./attack.ts";

const LEAD_NOWHERE = /^(303 |4\d\d )/;
const REFUSED = /^4\d\d /;
const NO_SECRET = `mfc_${"a".repeat(57)}`;
const PERSON = { name: "Eve", email: "eve@example.com", password: "correct horse battery" };
const opens = (link: string) => ({ path: "/claim/open", form: { link } });

const links: readonly PageAttack[] = [
  ["a guessed link", `{{ORIGIN}}/claim#${NO_SECRET}`],
  ["a link cut short", "{{ORIGIN}}/claim#{{O_CLAIM_SHORT}}"],
  ["a link with a letter changed", "{{ORIGIN}}/claim#{{O_CLAIM_CHANGED}}"],
  ["a link in capitals", "{{ORIGIN}}/claim#{{O_CLAIM_UPPER}}"],
  ["a token as a link", "{{ORIGIN}}/claim#{{ME_TOKEN}}"],
  ["an account's id as a link", "{{ORIGIN}}/claim#{{V_ID}}"],
  ["an operator's link that is none", `{{ORIGIN}}/operator#mfo_${"a".repeat(57)}`],
  ["nothing", ""],
  ["a very long link", `{{ORIGIN}}/claim#mfc_${"a".repeat(10_000)}`],
  ["markup as a link", '"><script>alert(1)</script>'],
].map(([tries = "", link = ""]) => ({
  tries,
  sends: [opens(link), { path: "/claim/account" }],
  must: LEAD_NOWHERE,
  never: /Claim this account\?|<script>alert/,
}));

const replays: readonly PageAttack[] = [
  {
    tries: "a link that somebody else has used",
    as: "person",
    sends: [opens("{{O_CLAIM}}"), { path: "/claim/account" }],
    must: REFUSED,
    never: /vault|Claim this account\?/,
  },
  {
    tries: "confirming what somebody else has claimed",
    as: "person",
    sends: [opens("{{O_CLAIM}}"), { path: "/claim/confirm", form: { account: "{{O_ID}}" } }],
    must: REFUSED,
    never: /mft_/,
  },
  {
    tries: "confirming another account than the link's",
    as: "person",
    sends: [opens("{{O_CLAIM}}"), { path: "/claim/confirm", form: { account: "{{V_ID}}" } }],
    must: REFUSED,
    never: /mft_/,
  },
  {
    tries: "confirming without a link",
    as: "person",
    sends: [{ path: "/claim/confirm", form: { account: "{{V_ID}}" } }],
    must: LEAD_NOWHERE,
    never: /mft_/,
  },
  {
    tries: "confirming by an address",
    as: "person",
    sends: [{ path: "/claim/confirm?account={{V_ID}}" }],
    must: LEAD_NOWHERE,
    never: /mft_/,
  },
  {
    tries: "a cookie of its own making for a link",
    as: "person",
    sends: [{ path: "/claim/account", headers: { cookie: "mayfly_claim=eyJhbGciOiJub25lIn0.e30." } }],
    must: LEAD_NOWHERE,
    never: /Claim this account\?/,
  },
];

/** Every one with a form that would be good, but for where it comes from. */
const elsewhere: readonly PageAttack[] = [
  { origin: "http://{{V_HOST}}" },
  { origin: "null" },
  { origin: "" },
  { origin: "http://localhost" },
  { origin: "https://localhost:{{CONTROL_PORT}}" },
  { origin: "http://evil.localhost:{{CONTROL_PORT}}" },
  { origin: "{{ORIGIN}}", "sec-fetch-site": "cross-site" },
  { origin: "{{ORIGIN}}", host: "127.0.0.1:{{CONTROL_PORT}}" },
  { origin: "{{ORIGIN}}", host: "evil.example" },
  { origin: "{{ORIGIN}}", host: "localhost.evil.example:{{CONTROL_PORT}}" },
].flatMap((headers) =>
  ["/claim/confirm", "/sign-in", "/accounts/{{O_ID}}/end", "/accounts/{{O_ID}}/tokens"].map((path) => ({
    tries: `a form to ${path} from ${Object.entries(headers)
      .map(([name, value]) => `${name} ${JSON.stringify(value)}`)
      .join(", ")}`,
    as: "person" as const,
    sends: [{ path, form: { account: "{{O_ID}}", ...PERSON }, headers }],
    must: REFUSED,
    never: /mft_/,
  })),
);

const owned: readonly PageAttack[] = [
  { tries: "another person's account", sends: [{ path: "/accounts/{{O_ID}}" }] },
  { tries: "an account that nobody has claimed", sends: [{ path: "/accounts/{{V_ID}}" }] },
  {
    tries: "a token for another person's account",
    sends: [{ path: "/accounts/{{O_ID}}/tokens", form: { name: "mine", permissions: "all" } }],
  },
  { tries: "the end of another person's token", sends: [{ path: "/accounts/{{O_ID}}/tokens/x/end", form: {} }] },
  {
    tries: "the end of another person's account",
    sends: [{ path: "/accounts/{{O_ID}}/end", form: { account: "{{O_ID}}", confirm: "{{O_SUB}}", name: "{{O_SUB}}" } }],
  },
  { tries: "another person's account behind an encoded slash", sends: [{ path: "/accounts/{{O_ID}}%2f" }] },
  { tries: "a passkey that another person added", sends: [{ path: "/passkeys/x/remove", form: { id: "x" } }] },
  { tries: "an invitation without being the operator", sends: [{ path: "/invitations", form: {} }] },
  { tries: "the operator's page without being the operator", sends: [{ path: "/operator/sign-up" }] },
  { tries: "who hurts whom", sends: [{ path: "/operations?search=vault" }] },
  { tries: "what an operator sees of an account", sends: [{ path: "/operations/accounts/{{V_ID}}" }] },
  { tries: "another's suspension", sends: [{ path: "/operations/accounts/{{V_ID}}/suspend", form: { reason: "x" } }] },
  { tries: "another's end by the operator", sends: [{ path: "/operations/accounts/{{V_ID}}/end", form: { confirm: "{{V_SUB}}" } }] },
  { tries: "what visitors reported", sends: [{ path: "/operations/reports" }] },
  { tries: "the end of a report", sends: [{ path: "/operations/reports/{{V_ID}}/close", form: {} }] },
  { tries: "a ban of everybody", sends: [{ path: "/operations/bans", form: { range: "0.0.0.0/0", confirm: "0.0.0.0/0", reason: "x" } }] },
  { tries: "an operator's key", sends: [{ path: "/operations/keys", form: { name: "mine", kind: "full", days: "90" } }] },
].map((attack) => ({ ...attack, as: "person" as const, must: LEAD_NOWHERE, never: /mf[tik]_|vault/ }));

const fixed: readonly PageAttack[] = [
  {
    tries: "a session that was there before",
    sends: [
      { path: "/sign-up", form: { ...PERSON, email: "mallory{{NONCE}}@example.com" }, headers: { cookie: "mayfly_session=fixed.aaaa" } },
      { path: "/", headers: { cookie: "mayfly_session=fixed.aaaa" } },
    ],
    must: /^200 /,
    never: /You are signed in/,
  },
  {
    tries: "a way elsewhere after signing in",
    sends: [
      {
        path: "/sign-in?next=//evil.example&redirect=https://evil.example&callbackURL=https://evil.example",
        form: { ...PERSON, callbackURL: "https://evil.example" },
      },
    ],
    must: /^/,
    never: /location: (https?:)?\/\/(?!localhost)|href="(https?:)?\/\/evil/i,
  },
  { tries: "a way elsewhere by the path", sends: [{ path: "//evil.example/%2e%2e" }], must: REFUSED, never: /location: /i },
  { tries: "a way elsewhere by a backslash", sends: [{ path: "/\\evil.example" }], must: REFUSED, never: /location: /i },
  {
    tries: "a header in a field",
    sends: [{ path: "/sign-up", form: { name: "a\r\nSet-Cookie: x=y", email: "x\r\nBcc: y@example.com", password: "long enough it is" } }],
    must: REFUSED,
    never: /^(?:(?!\n\n).)*\nset-cookie: x=y/is,
  },
  {
    tries: "markup in a name",
    sends: [{ path: "/sign-up", form: { name: '"><script>alert(1)</script>', email: "not an address", password: "x" } }],
    must: REFUSED,
    never: /<script>alert/,
  },
  { tries: "markup in an address", sends: [{ path: '/sign-in?x="><script>alert(1)</script>' }], must: /^200 /, never: /<script>alert/ },
  { tries: "markup in a path", sends: [{ path: "/%3Cscript%3Ealert(1)%3C/script%3E" }], must: REFUSED, never: /<script>alert/ },
  { tries: "a name of a megabyte", sends: [{ path: "/sign-up", form: { ...PERSON, name: "x".repeat(1 << 20) } }], must: REFUSED },
  { tries: "a password of ten kilobytes", sends: [{ path: "/sign-in", form: { ...PERSON, password: "x".repeat(10_000) } }], must: REFUSED },
  {
    tries: "a form that is JSON",
    sends: [{ path: "/sign-in", form: PERSON, headers: { "content-type": "application/json" } }],
    must: REFUSED,
  },
  {
    tries: "a role in the form",
    sends: [
      { path: "/sign-up", form: { ...PERSON, email: "role{{NONCE}}@example.com", role: "operator", emailVerified: "true" } },
      { path: "/" },
    ],
    must: /^200 /,
    never: /, operator/,
  },
  {
    tries: "another person's address in a new sign-up",
    sends: [{ path: "/sign-up", form: { ...PERSON, email: "{{O_EMAIL}}" } }],
    must: REFUSED,
    never: /mft_/,
  },
  { tries: "the sign-in library's own routes", sends: [{ path: "/api/auth/sign-up/email", form: PERSON }], must: REFUSED },
  { tries: "the sign-in library's list of sessions", sends: [{ path: "/api/auth/list-sessions" }], must: REFUSED },
  {
    tries: "a passkey of its own making",
    sends: [{ path: "/passkey", form: { credential: '{"id":"x","rawId":"x","type":"public-key","response":{}}' } }],
    must: REFUSED,
  },
  { tries: "files of the server by a page's address", sends: [{ path: "/..%2f..%2f..%2fetc%2fpasswd" }], must: REFUSED },
  {
    tries: "the figures of the server under another name",
    sends: [{ path: "/metrics", headers: { host: "evil.example" } }],
    must: REFUSED,
  },
];

/** Tries of one person's password from one address, until they are refused unread. */
const guessing: readonly PageAttack[] = [
  {
    tries: "twenty-five passwords of another person",
    once: true,
    sends: Array.from({ length: 25 }, (_, n) => ({ path: "/sign-in", form: { email: "{{O_EMAIL}}", password: `guess number ${n}` } })),
    must: /^429 /,
  },
];

export const claimants: readonly PageAttack[] = [...links, ...replays, ...elsewhere, ...owned, ...fixed, ...guessing];
