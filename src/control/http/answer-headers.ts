// What every answer of this port says to browsers and caches, whoever made it: nothing is stored, framed, guessed at or
// told to another origin unless the answer itself says otherwise. Nobody else's pages are ever let in.

const FOR_ALL: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  // What an account stored comes out of the API as it is: opened in a browser it is no page of this origin.
  "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

/** Adds what is missing. @param holdsSecrets whether it must not be stored, whatever it says itself */
export function completeHeaders(headers: Headers, holdsSecrets: boolean): void {
  for (const [name, value] of Object.entries(FOR_ALL)) if (!headers.has(name)) headers.set(name, value);
  if (holdsSecrets) headers.set("cache-control", "no-store");
}
