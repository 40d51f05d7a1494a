// D1: not there yet. What a deploy asks for says so.
import { notThereYet, type Product } from "../product.ts";

const DATABASES = "/accounts/:account/d1/database" as const;

export function createD1(): Product {
  return notThereYet("d1", "D1", [
    ["GET", DATABASES, "d1:read"],
    ["GET", `${DATABASES}/:database`, "d1:read"],
    ["POST", DATABASES, "d1:read"],
  ]);
}
