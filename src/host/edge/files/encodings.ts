// Which answers gain from compression and which form a caller takes. Source: RFC 9110 §12.5.3; the types are those
// that the hosted original compresses by default.

export type Encoding = "br" | "zstd" | "gzip";

/** Of equal weight, the first: the smallest, since each file is compressed once. */
const PREFERRED: readonly Encoding[] = ["br", "zstd", "gzip"];

const TYPES: Readonly<Record<string, string>> = {
  // The last three are what the asset service names other texts.
  text: "css html javascript js plain richtext x-component x-java-source x-markdown x-script xml calendar csv markdown",
  application:
    "atom+xml eot font font-sfnt font-woff geo+json graphql+json javascript javascript-binast json ld+json manifest+json opentype " +
    "otf rss+xml truetype ttf vnd.api+json vnd.ms-fontobject wasm x-httpd-cgi x-javascript x-opentype x-otf x-perl x-protobuf " +
    "x-ttf xhtml+xml xml",
  font: "otf ttf x-woff",
  image: "svg+xml vnd.microsoft.icon x-icon",
};
const COMPRESSIBLE: ReadonlySet<string> = new Set(
  Object.entries(TYPES).flatMap(([top, types]) => types.split(" ").map((type) => `${top}/${type}`)),
);

/** Whether the hosted original would compress what has this Content-Type. */
export function isCompressible(contentType: string | undefined): boolean {
  const type = contentType?.split(";", 1)[0]?.trim().toLowerCase();
  return type !== undefined && COMPRESSIBLE.has(type);
}

const WEIGHT = /^q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/i;

/** Coding, lower case → weight. What is not well formed is as if it were not there. */
function weights(header: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const element of header.split(",")) {
    const [name = "", ...parameters] = element.split(";").map((part) => part.trim());
    const [weight] = parameters;
    const q = weight === undefined ? 1 : Number(WEIGHT.exec(weight.replaceAll(/\s/g, ""))?.[1] ?? Number.NaN);
    if (name === "" || parameters.length > 1 || Number.isNaN(q)) continue;
    const coding = name.toLowerCase() === "x-gzip" ? "gzip" : name.toLowerCase();
    if (!found.has(coding)) found.set(coding, q);
  }
  return found;
}

/** The form that an Accept-Encoding header likes best; null: as it is. */
export function chooseEncoding(header: string | undefined): Encoding | null {
  if (header === undefined || header === "") return null;
  const asked = weights(header);
  const others = asked.get("*") ?? 0;
  let best: Encoding | null = null;
  // Who takes the file as it is rather than compressed says so by a weight; without one, any compression is better.
  let most = asked.get("identity") ?? 0;
  for (const coding of PREFERRED) {
    const weight = asked.get(coding) ?? others;
    if (weight > most || (weight === most && weight > 0 && best === null)) {
      best = coding;
      most = weight;
    }
  }
  return best;
}
