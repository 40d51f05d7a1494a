// One HTTP request exactly as it is written: no path is tidied, no redirect followed, nothing decoded.
import { request } from "node:http";
import { buffer } from "node:stream/consumers";
import type { AskOptions, Side, SideAnswer } from "./sides.ts";

/** @param worker its name @param path with its query */
export function ask(side: Side, worker: string, path: string, { method = "GET", headers = {} }: AskOptions = {}): Promise<SideAnswer> {
  const { port, host } = side.placeOf(worker);
  return new Promise((resolve, reject) => {
    request({ host: "127.0.0.1", port, path, method, headers: { ...headers, host }, agent: false }, (answer) => {
      buffer(answer).then((body) => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body }), reject);
    })
      .once("error", reject)
      .end();
  });
}
