// SQL text → its statements, as SQLite's shell finds their ends: quotes, comments and the bodies of triggers hold
// semicolons that end nothing. Pure; what is no SQL at all comes out as it went in, for SQLite to refuse. Here rather
// than in control: the time that a long text takes is the account's own.

/** Doubled quotes come out as two texts side by side, which changes no end. */
const TOKEN =
  /\s+|--[^\n]*|\/\*[^]*?(?:\*\/|$)|'[^']*'?|"[^"]*"?|`[^`]*`?|\[[^\]]*\]?|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|;|[^\s;'"`[\-/A-Za-z_\u0080-\uffff]+|[^]/g;

const isBlank = (token) => /^\s/.test(token) || token.startsWith("--") || token.startsWith("/*");

/**
 * Where in a statement the next token stands, as far as a semicolon's meaning depends on it: at its "start", behind "explain"
 * or "create", in a "trigger", there behind a "semicolon" or behind `; END` ("end"), or "other".
 */
function next(place, token) {
  switch (place) {
    case "start":
      return token === "CREATE" ? "create" : token === "EXPLAIN" ? "explain" : "other";
    case "explain":
      return token === "CREATE" ? "create" : token === "QUERY" || token === "PLAN" ? "explain" : "other";
    case "create":
      return token === "TRIGGER" ? "trigger" : token === "TEMP" || token === "TEMPORARY" ? "create" : "other";
    case "trigger":
      return token === ";" ? "semicolon" : "trigger";
    case "semicolon":
      return token === "END" ? "end" : token === ";" ? "semicolon" : "trigger";
    case "end":
      return "trigger";
    default:
      return "other";
  }
}

/** The statements without their final semicolons and without what is only comments. */
export function statementsOf(sql) {
  const found = [];
  let from = 0;
  let place = "start";
  const close = (to) => {
    if (place !== "start") found.push(sql.slice(from, to).trim());
    place = "start";
  };
  for (const { 0: token, index } of sql.matchAll(TOKEN)) {
    if (isBlank(token)) continue;
    if (token === ";" && place !== "trigger" && place !== "semicolon") {
      close(index);
      from = index + 1;
    } else place = next(place, token.length > 9 ? token : token.toUpperCase());
  }
  close(sql.length);
  return found;
}
