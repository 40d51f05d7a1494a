// Durable Objects where they refuse or break: each case ends in the error that the caller sees.
import { refusal } from "../show.js";

const thrown = {
  "throws-a-type-error": ({ CHAMBER }, at) => CHAMBER.getByName(at).fail(),
  "throws-an-error-with-properties": ({ CHAMBER }, at) => CHAMBER.getByName(at).fail("custom"),
  "throws-text": ({ CHAMBER }, at) => CHAMBER.getByName(at).fail("text"),
  "throws-an-object": ({ CHAMBER }, at) => CHAMBER.getByName(at).fail("object"),
  "throws-undefined": ({ CHAMBER }, at) => CHAMBER.getByName(at).fail("undefined"),
  "throws-a-dom-exception": ({ CHAMBER }, at) => CHAMBER.getByName(at).fail("dom"),
  "throws-later": ({ CHAMBER }, at) => CHAMBER.getByName(at).failLater(),
  "throws-in-fetch": ({ CHAMBER }, at) => CHAMBER.getByName(at).fetch("http://object/throw"),
  "throws-in-a-callback": ({ CHAMBER }, at) =>
    CHAMBER.getByName(at).callback(() => {
      throw new RangeError("from the caller");
    }),
  "hands-back-an-error": ({ CHAMBER }, at) => CHAMBER.getByName(at).returnedError(),
  "breaks-a-stream": async ({ CHAMBER }, at) => new Response(await CHAMBER.getByName(at).breakingStream()).text(),
  "answers-fetch-with-nothing": ({ CHAMBER }, at) => CHAMBER.getByName(at).fetch("http://object/nothing"),
};

const refused = {
  "refuses-a-missing-method": ({ CHAMBER }, at) => CHAMBER.getByName(at).none(),
  "refuses-an-own-field": ({ CHAMBER }, at) => CHAMBER.getByName(at).own,
  "refuses-to-call-a-getter": ({ CHAMBER }, at) => CHAMBER.getByName(at).motto(),
  "refuses-the-constructor": ({ CHAMBER }, at) => CHAMBER.getByName(at).constructor(),
  "refuses-a-call-of-alarm": ({ BELL }, at) => BELL.getByName(at).alarm({ retryCount: 0 }),
  "refuses-ctx-from-outside": ({ CHAMBER }, at) => CHAMBER.getByName(at).ctx,
  "refuses-an-instance-of-a-class": ({ CHAMBER }, at) => CHAMBER.getByName(at).plainInstance(),
  "refuses-an-instance-as-argument": ({ CHAMBER }, at) =>
    CHAMBER.getByName(at).echo(
      new (class Plain {
        a = 1;
      })(),
    ),
  "refuses-a-symbol": ({ CHAMBER }, at) => CHAMBER.getByName(at).echo(Symbol("s")),
  "refuses-a-weak-map": ({ CHAMBER }, at) => CHAMBER.getByName(at).echo(new WeakMap()),
  "refuses-a-method-where-no-class-has-one": ({ NOTES }, at) => NOTES.getByName(at).echo(1),
  "refuses-fetch-where-there-is-none": ({ BELL }, at) => BELL.getByName(at).fetch("http://object/"),
  "refuses-a-relative-url": ({ CHAMBER }, at) => CHAMBER.getByName(at).fetch("/relative"),
  "refuses-33-mib-by-rpc": async ({ CHAMBER }, at) => (await CHAMBER.getByName(at).echo(new Uint8Array(33 * 1024 * 1024))).length,
  "refuses-a-disposed-stub": async ({ CHAMBER }, at) => {
    const adder = await CHAMBER.getByName(at).adder();
    adder[Symbol.dispose]();
    return adder.add(1);
  },
};

const ids = {
  "refuses-an-id-that-is-short": ({ CHAMBER }) => CHAMBER.idFromString("abc"),
  "refuses-an-id-that-is-no-hex": ({ CHAMBER }) => CHAMBER.idFromString("z".repeat(64)),
  "refuses-an-id-of-nothing": ({ CHAMBER }) => CHAMBER.idFromString("0".repeat(64)),
  "refuses-an-id-of-another-class": ({ CHAMBER, NOTES }, at) => CHAMBER.idFromString(NOTES.idFromName(at).toString()),
  "get-by-id-of-another-class": ({ CHAMBER, NOTES }, at) => CHAMBER.get(NOTES.idFromName(at)),
  "refuses-to-get-by-text": ({ CHAMBER }, at) => CHAMBER.get(CHAMBER.idFromName(at).toString()),
  "refuses-to-get-by-nothing": ({ CHAMBER }) => CHAMBER.get(),
  "refuses-an-unknown-jurisdiction": ({ CHAMBER }) => CHAMBER.newUniqueId({ jurisdiction: "moon" }),
  "refuses-an-unknown-jurisdiction-of-names": ({ CHAMBER }, at) => CHAMBER.jurisdiction("moon").getByName(at).count(),
  "an-unknown-location": ({ CHAMBER }, at) => CHAMBER.get(CHAMBER.idFromName(at), { locationHint: "moon" }).count(),
  "refuses-no-name": ({ CHAMBER }) => CHAMBER.idFromName(),
};

const broken = {
  "aborts-with-a-reason": ({ CHAMBER }, at) => CHAMBER.getByName(at).abort("aborted on purpose"),
  "aborts-with-an-error": ({ CHAMBER }, at) => CHAMBER.getByName(at).abortWithError(),
  "aborts-without-a-reason": ({ CHAMBER }, at) => CHAMBER.getByName(at).abort(),
  "is-made-anew-after-abort": async ({ CHAMBER }, at) => {
    const stub = CHAMBER.getByName(at);
    await stub.remember("k", "kept");
    await stub.count();
    const aborted = await refusal(() => stub.abort("gone"));
    const same = await refusal(() => stub.count());
    const fresh = CHAMBER.getByName(at);
    return [aborted, same, await fresh.recall("k"), await fresh.count()];
  },
  "fails-while-it-blocks": ({ CHAMBER }, at) => CHAMBER.getByName(at).block(true),
  "is-made-anew-after-a-failed-block": async ({ CHAMBER }, at) => {
    const stub = CHAMBER.getByName(at);
    await stub.count();
    const failed = await refusal(() => stub.block(true));
    return [failed, await CHAMBER.getByName(at).count()];
  },
  "fails-in-its-constructor": ({ LEDGER }, at) => LEDGER.getByName(`${at}_breaks`).made(),
  "fails-later-in-its-constructor": ({ LEDGER }, at) => LEDGER.getByName(`${at}_breaks_later`).made(),
  "other-calls-fail-with-an-abort": async ({ CHAMBER }, at) => {
    const stub = CHAMBER.getByName(at);
    const waiting = refusal(() => stub.countIn(2000));
    await stub.count();
    await refusal(() => stub.abort("all of them"));
    return waiting;
  },
};

export const objectErrors = { ...thrown, ...refused, ...ids, ...broken };
