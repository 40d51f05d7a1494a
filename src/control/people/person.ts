// Who somebody is, as every page and deed about people knows it.
import type { Role } from "../store/schema.ts";

export type Person = { readonly id: string; readonly name: string; readonly email: string; readonly role: Role };

/** Who is signed in now, and the Set-Cookie headers that make it so. */
export type SignedIn = { readonly person: Person; readonly cookies: readonly string[] };
