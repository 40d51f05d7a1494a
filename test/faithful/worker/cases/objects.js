// Durable Objects where they answer from inside: every deed on an SQLite object, those of keys on a key-value one too.
import { deeds, keyDeeds } from "./object-deeds.js";

/** A case whose answer is told inside already. */
const inside = (binding, name) => Object.assign((env, at) => env[binding].getByName(at).perform(name, at), { tells: true });

export const objects = {
  ...Object.fromEntries(Object.keys(deeds).map((name) => [name, inside("CHAMBER", name)])),
  ...Object.fromEntries(Object.keys(keyDeeds).map((name) => [`key-value-${name}`, inside("NOTES", name)])),
};
