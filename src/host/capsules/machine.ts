// What this machine has and how much of it is taken, for the operator.
import { statfs } from "node:fs/promises";
import { availableParallelism, freemem, loadavg, totalmem } from "node:os";
import type { Capacity } from "../../capsule/messages.ts";

export type MachineOptions = {
  readonly data: string;
  readonly memoryReserveBytes: number;
  readonly processes: () => Capacity["processes"];
  readonly accountsKnown: () => number;
  readonly edgeConnections: () => Capacity["edgeConnections"];
};

export async function capacityOf(options: MachineOptions): Promise<Capacity> {
  const { bsize, blocks, bavail } = await statfs(options.data);
  return {
    cores: availableParallelism(),
    loadAverage: loadavg(),
    memoryBytes: { total: totalmem(), free: freemem(), reserve: options.memoryReserveBytes },
    diskBytes: { total: bsize * blocks, free: bsize * bavail },
    processes: options.processes(),
    accountsKnown: options.accountsKnown(),
    edgeConnections: options.edgeConnections(),
  };
}
