import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { plainText } from "../../../src/control/http/plain-text.ts";

describe("plain text", () => {
  test("what people write is left as it is", () => {
    for (const text of ["Build a landing page", "Ünïcödé – „Zitat“", "أنشئ صفحة", "ページを作る", "naïve café", "👩‍👩‍👧 done ✅", "❤️‍🔥"]) {
      assert.equal(plainText(text, 100), text);
    }
  });

  test("what cannot be seen is shown, and text cannot be turned around", () => {
    assert.equal(plainText("pay\u202edraob\u202c", 100), "pay\ufffddraob\ufffd");
    for (const hidden of [
      "\u0000",
      "\u0007",
      "\u001b",
      "\u200b",
      "\u200d",
      "\u2066",
      "\u2069",
      "\u00ad",
      "\u2060",
      "\ufeff",
      "\u3164",
      "\u{e0041}",
      "\ud800",
    ]) {
      assert.equal(plainText(`a${hidden}b`, 100), "a\ufffdb", `U+${hidden.codePointAt(0)?.toString(16)}`);
    }
    assert.equal(plainText(`a${"\u202e".repeat(1000)}b`, 100), "a\ufffdb");
  });

  test("it is one line, bounded, with no towers of accents", () => {
    assert.equal(plainText(" a\r\n\t b\u2028c ", 100), "a b c");
    assert.equal(plainText("x".repeat(50), 10), `${"x".repeat(9)}…`);
    assert.equal(plainText("🙂".repeat(50), 3), "🙂🙂…");
    assert.equal(plainText(`e${"\u0301".repeat(200)}`, 500), `e${"\u0301".repeat(3)}`);
  });

  test("whatever comes in, nothing invisible comes out", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
        const seen = plainText(text, 50);
        assert.ok(Array.from(seen).length <= 50);
        assert.doesNotMatch(seen.replaceAll("\u200d", ""), /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/u);
        assert.equal(plainText(seen, 50), seen, "a second time changes nothing");
      }),
    );
  });
});
