// Secrets in the addresses that callers ask for: the request never reaches a Worker, which is a stranger's code and
// keeps its addresses in its log, and control is told, which ends what can be ended.
import type { IncomingMessage } from "node:http";
import type { Log } from "../../kernel/log.ts";
import { findSecrets } from "../../kernel/secrets.ts";
import { pages, type Page } from "./pages.ts";

const TELL_AFTER_MS = 100;
/** Control is down for seconds when it restarts. */
const AGAIN_AFTER_MS = [500, 2_000, 10_000, 30_000];
const MAX_AT_ONCE = 100;
/** Further ones wait for nobody: a flood of made-up secrets costs control a look-up each, and no memory here. */
const MAX_PENDING = 10_000;

export class Leaks implements Disposable {
  readonly #tell: (secrets: readonly string[]) => Promise<void>;
  readonly #log: Log;
  readonly #pending = new Set<string>();
  #timer: NodeJS.Timeout | null = null;
  #failures = 0;
  #over = false;

  /** @param tell ends secrets; repeating it is harmless */
  constructor(tell: (secrets: readonly string[]) => Promise<void>, log: Log) {
    this.#tell = tell;
    this.#log = log;
  }

  /** The answer to a request whose address, or that of the page before it, holds a secret. */
  refusal({ url = "", headers: { referer = "" } }: IncomingMessage): Page | null {
    const [here, before] = [findSecrets(url), findSecrets(referer)];
    if (here.length === 0 && before.length === 0) return null;
    const secrets = [...here, ...before];
    for (const secret of secrets) if (this.#pending.size < MAX_PENDING) this.#pending.add(secret);
    this.#wait(TELL_AFTER_MS);
    return secrets.some((secret) => /^mf[tk]_/.test(secret)) ? pages.tokenInUrl() : pages.linkInUrl();
  }

  #wait(ms: number): void {
    if (this.#over) return;
    this.#timer ??= setTimeout(() => void this.#flush(), ms).unref();
  }

  async #flush(): Promise<void> {
    const secrets = [...this.#pending].slice(0, MAX_AT_ONCE);
    try {
      await this.#tell(secrets);
      this.#forget(secrets);
    } catch (error) {
      this.#failures++;
      if (this.#failures > AGAIN_AFTER_MS.length) {
        this.#log.error({ err: error, count: secrets.length }, "control was not told of secrets in addresses");
        this.#forget(secrets);
      }
    } finally {
      this.#timer = null;
      if (this.#pending.size > 0) this.#wait(this.#failures === 0 ? TELL_AFTER_MS : (AGAIN_AFTER_MS[this.#failures - 1] ?? 0));
    }
  }

  #forget(secrets: readonly string[]): void {
    this.#failures = 0;
    for (const secret of secrets) this.#pending.delete(secret);
  }

  [Symbol.dispose](): void {
    this.#over = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }
}
