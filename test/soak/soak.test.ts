// A small `npm run soak`: forty accounts, eight of them with traffic, for half a minute.
import assert from "node:assert/strict";
import { test } from "node:test";
import { soak } from "./soak.ts";

test("accounts that come, work and go leave nothing, end on time and never answer after it", async () => {
  const report = await soak({ accounts: 40, hot: 8, minutes: 0.5, say: console.log });
  assert.deepEqual(report.violations, []);
  assert.ok(report.endings.length >= 40, `${report.endings.length} endings were seen`);
  assert.equal(report.endings.length, report.movedIn, "every account's end was seen");
  assert.ok(report.asked > 200 && report.redeployed > 0, `${report.asked} requests, ${report.redeployed} redeploys`);
});
