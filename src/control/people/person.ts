// Who somebody is, as every page and deed about people knows it.
import type { Role } from "../store/schema.ts";

export type Person = { readonly id: string; readonly name: string; readonly email: string; readonly role: Role };

/** Who is signed in now, and the Set-Cookie headers that make it so. */
export type SignedIn = { readonly person: Person; readonly cookies: readonly string[] };

// Neither control characters nor those that turn the direction of text: names stand beside buttons that people trust.
export const PLAIN = /^[^\p{Cc}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]+$/u;
