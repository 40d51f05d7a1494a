// `request.cf` as a Worker sees it: the shape of the hosted original, and nothing in it that we do not know.
// Texts are made once per kind of client, not per request.

const MAX_KNOWN = 256;

/** @returns a function from HTTP version and Accept-Encoding to the JSON of `request.cf` */
export function requestCf(): (httpVersion: string, acceptEncoding: string | undefined) => string {
  const known = new Map<string, string>();
  return (httpVersion, acceptEncoding = "") => {
    const key = `${httpVersion} ${acceptEncoding}`;
    const found = known.get(key);
    if (found !== undefined) return found;
    const json = JSON.stringify({
      colo: "MAY",
      country: "XX",
      asn: 0,
      asOrganization: "",
      httpProtocol: `HTTP/${httpVersion}`,
      tlsVersion: "",
      tlsCipher: "",
      requestPriority: "",
      edgeRequestKeepAliveStatus: 1,
      // The blob travels in a header: ASCII only.
      clientAcceptEncoding: /^[\x20-\x7e]*$/.test(acceptEncoding) ? acceptEncoding : "",
    });
    // A caller who varies the header must not fill our memory.
    if (known.size < MAX_KNOWN && key.length < 200) known.set(key, json);
    return json;
  };
}
