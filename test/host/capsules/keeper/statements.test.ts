import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Statements, StatementTooLong } from "../../../../src/host/capsules/keeper/program/statements.ts";

/** The statements of a text that comes in pieces. */
function cut(pieces: readonly string[]): string[] {
  const statements = new Statements(1_000_000);
  const found = pieces.flatMap((piece) => [...statements.push(piece)]);
  const last = statements.end();
  return last === null ? found : [...found, last];
}

const CASES: [text: string, statements: number][] = [
  ["", 0],
  ["  \n", 0],
  ["SELECT 1", 1],
  ["SELECT 1;;; SELECT 2;", 2],
  ["-- SELECT 1;\n/* ; */ ;", 0],
  ["/* never ends ;", 0],
  ["SELECT ';', \";\", `;`, [;], 'it''s;' -- ;\n; SELECT /* ; */ 2", 2],
  ["SELECT 1 - -1; SELECT 4 / 2; SELECT 3 -", 3],
  ["CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; SELECT CASE 1 WHEN 1 THEN 2 END; END; SELECT 3;", 2],
  ["create temp trigger t after insert on a begin select ';end;'; end /* ; */ ; select 2", 2],
  ["CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END", 1],
  [
    'CREATE TABLE trigger_like(a); CREATE TABLE "trigger"(b); CREATE /* x */ TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; ENDING; END; SELECT 1',
    4,
  ],
  ["CREATE INDEX i ON t(a); END; END;", 3],
];

test("statements end at their own semicolons alone", () => {
  for (const [text, count] of CASES) assert.equal(cut([text]).length, count, text);
});

const piece = fc.oneof(
  fc.constantFrom(
    "CREATE ",
    "TEMP ",
    "TRIGGER ",
    "END",
    ";",
    "'",
    '"',
    "`",
    "[",
    "]",
    "--",
    "-",
    "/*",
    "*/",
    "/",
    "*",
    "\n",
    " ",
    "x",
    "1",
    "BEGIN ",
  ),
  fc.string({ maxLength: 3 }),
);

test("where the text is broken makes no difference, and no character is lost", () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), fc.array(piece, { maxLength: 5 }), (pieces, more) => {
      const text = [...pieces, ...more].join("");
      const whole = cut([text]);
      assert.deepEqual(cut([...pieces, ...more]), whole);
      assert.deepEqual(cut(text.split("")), whole);
      const kept = whole.join("").replaceAll(/\s/g, "").length;
      assert.ok(kept <= text.replaceAll(/\s/g, "").length);
      for (const statement of whole) assert.ok(text.includes(statement));
    }),
    { numRuns: 500 },
  );
});

test("the slash that ends a comment at a break begins no other", () => {
  assert.deepEqual(cut(["SELECT 6 /* ; */", "* 7; SELECT 1"]), ["SELECT 6 /* ; */* 7;", " SELECT 1"]);
});

test("a statement without an end is given up at its bound", () => {
  const statements = new Statements(100);
  assert.throws(() => {
    for (let at = 0; at < 100; at++) assert.deepEqual([...statements.push("'xxxx''")], []);
  }, StatementTooLong);
});
