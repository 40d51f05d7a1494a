// The page on which any visitor tells the operator about what answers at the edge. It takes every host name of the edge
// alike and answers alike, so that nobody learns from it which accounts there are.
import { html } from "hono/html";
import { addressPrefix, networkPrefix } from "../../kernel/address-prefix.ts";
import { PlatformError } from "../../kernel/errors.ts";
import type { Subdomain } from "../../kernel/ids.ts";
import { refusalNotice } from "../http/notice.ts";
import { renderPage, seeOther } from "../http/page.ts";
import type { PageRoute, Visit } from "../http/site.ts";
import type { Keys } from "../keys/keys.ts";
import { createAttempts, type Limit } from "../people/attempts.ts";
import type { ReportKind } from "../store/schema.ts";
import type { Store } from "../store/store.ts";
import type { Trail } from "../trail/trail.ts";
import { fileReport, type ReportDraft } from "./reports.ts";

export type ReportPagesOptions = {
  readonly store: Store;
  readonly keys: Keys;
  readonly trail: Trail;
  /** Lower case. */
  readonly edgeDomain: string;
};

const REPORT_BY_ADDRESS: Limit = { name: "report address", max: 10, windowMs: 3_600_000 };
const REPORT_BY_NETWORK: Limit = { name: "report network", max: 80, windowMs: 3_600_000 };

const TEXT_MAX = 2000;
const ADDRESS_MAX = 1000;
const CONTACT_MAX = 254;

const KINDS: Readonly<Record<ReportKind, readonly [word: string, meaning: string]>> = {
  phishing: ["Phishing", "it asks for passwords, cards or codes as if it were somebody else"],
  malware: ["Malware", "it spreads harmful software or attacks its visitors"],
  spam: ["Spam", "it is there to advertise or to deceive search engines"],
  other: ["Something else", "tell what in your own words"],
};

const isKind = (text: string | undefined): text is ReportKind => text !== undefined && Object.hasOwn(KINDS, text);

type Address = Pick<ReportDraft, "host" | "page" | "subdomain">;

/**
 * From what a visitor pasted, an address or a host name alone, to a host name under the edge domain.
 * @throws PlatformError invalid_input
 */
export function readAddress(pasted: string, edgeDomain: string): Address {
  const text = pasted.trim();
  const address = /^https?:\/\//i.test(text) ? text : `http://${text}`;
  const url = text.length <= ADDRESS_MAX && URL.canParse(address) ? new URL(address) : null;
  const host = url?.hostname.replace(/\.$/, "") ?? "";
  const label = host.endsWith(`.${edgeDomain}`) ? host.slice(0, -edgeDomain.length - 1) : "";
  if (url === null || !/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(label)) {
    throw new PlatformError("invalid_input", {
      message: `which page: must be an address of this installation, such as NAME--ACCOUNT.${edgeDomain}.`,
    });
  }
  const at = label.lastIndexOf("--");
  return { host, page: `${url.pathname}${url.search}`, subdomain: at < 1 ? null : (label.slice(at + 2) as Subdomain) };
}

/** @throws PlatformError invalid_input */
function readDraft({ host = "", kind, text = "", contact = "" }: Visit["form"], edgeDomain: string): ReportDraft {
  const address = readAddress(host, edgeDomain);
  if (!isKind(kind)) throw new PlatformError("invalid_input", { message: "what is wrong: choose one of the four." });
  const words = text.replaceAll("\r\n", "\n").trim();
  if (Array.from(words).length > TEXT_MAX) {
    throw new PlatformError("invalid_input", { message: `what you saw: ${TEXT_MAX} characters at most.` });
  }
  const mail = contact.trim();
  if (mail !== "" && (mail.length > CONTACT_MAX || !/^[^\s@\p{Cc}]+@[^\s@\p{Cc}]+$/u.test(mail))) {
    throw new PlatformError("invalid_input", { message: "your e-mail address: does not read as one; it may stay empty." });
  }
  return { ...address, kind, text: words, contact: mail };
}

function formPage(fields: Visit["form"], error?: PlatformError): Promise<Response> {
  const { host = "", kind = "", text = "", contact = "" } = fields;
  const body = html`<h1>Report a page</h1>
    <p class="lead">
      Pages of unclaimed accounts are made by AI agents of people whom nobody here knows. Tell the operator what is wrong with one.
    </p>
    <section>
      <form method="post" action="/report">
        ${error && refusalNotice(error)}
        <label
          >Which page <small>its address</small
          ><input name="host" required maxlength="${ADDRESS_MAX}" value="${host.slice(0, ADDRESS_MAX)}"
        /></label>
        <fieldset>
          <legend>What is wrong</legend>
          ${Object.entries(KINDS).map(
            ([value, [word, meaning]]) =>
              html`<label class="choice"
                ><input type="radio" name="kind" value="${value}" required ${kind === value ? "checked" : ""} /><span
                  >${word}<small>${meaning}</small></span
                ></label
              >`,
          )}
        </fieldset>
        <label
          >What you saw <small>if you like, ${TEXT_MAX} characters at most</small
          ><textarea name="text" rows="5" maxlength="${TEXT_MAX}">${text.slice(0, 2 * TEXT_MAX)}</textarea>
        </label>
        <label
          >Your e-mail address <small>only if the operator may ask you</small
          ><input name="contact" type="email" autocomplete="email" maxlength="${CONTACT_MAX}" value="${contact.slice(0, CONTACT_MAX)}"
        /></label>
        <button>Send the report</button>
      </form>
    </section>
    <p class="quiet">The operator of this installation alone reads it; it is deleted after ninety days.</p>`;
  const { status = 200, retryAfterSeconds } = error ?? {};
  return renderPage({ title: "Report a page", body, status, ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) });
}

const SENT = html`<h1>Thank you</h1>
  <p class="lead">The operator of this installation has your report.</p>
  <p>If you typed a password into the page, change it now wherever you use it.</p>
  <p><a href="/">Home</a></p>`;

const MENDABLE: ReadonlySet<PlatformError["code"]> = new Set(["invalid_input", "too_many_tries", "too_many_reports"]);

/** To be served by createSite. */
export function reportPages({ edgeDomain, ...desk }: ReportPagesOptions): PageRoute[] {
  const attempts = createAttempts(desk.store.clock);
  const send = async ({ form, address }: Visit): Promise<Response> => {
    try {
      const draft = readDraft(form, edgeDomain);
      // The narrower first: what it refuses takes nothing from its neighbours.
      attempts.spend(REPORT_BY_ADDRESS, addressPrefix(address));
      attempts.spend(REPORT_BY_NETWORK, networkPrefix(address));
      await fileReport(desk, draft);
      return seeOther("/report/sent");
    } catch (error) {
      if (!(error instanceof PlatformError) || !MENDABLE.has(error.code)) throw error;
      return formPage(form, error);
    }
  };
  return [
    { method: "GET", path: "/report", handle: ({ query }) => formPage({ host: query["host"] ?? "" }) },
    { method: "POST", path: "/report", handle: send },
    { method: "GET", path: "/report/sent", handle: () => renderPage({ title: "Thank you", body: SENT }) },
  ];
}
