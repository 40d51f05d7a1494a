// Run once by each sandbox, as a process of its own: turns the keeper's TypeScript into JavaScript, so that none of the
// many keepers pays for that again (measured: 30 ms and 18 MB each). Arguments: the program's folder, where it goes, and
// what else it carries.
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { basename, join } from "node:path";

const [from = "", to = "", ...further] = process.argv.slice(2);
mkdirSync(to, { recursive: true });
chmodSync(to, 0o755);
for (const path of [...readdirSync(from).map((name) => join(from, name)), ...further]) {
  const script = stripTypeScriptTypes(readFileSync(path, "utf8"));
  const target = join(to, basename(path).replace(/\.ts$/, ".mjs"));
  writeFileSync(target, script.replaceAll(/ from "\.[a-z./-]*\/([a-z-]+)\.ts"/g, ' from "./$1.mjs"'));
  chmodSync(target, 0o644);
}
