// The few words of DOM and HTTP that both pages use.

export type Find = <E extends HTMLElement>(selector: string) => E;

/** Shows a template of index.html and gives a look-up inside it that fails loudly. */
export function show(template: string): Find {
  const source = document.querySelector<HTMLTemplateElement>(`template#${template}`);
  const page = document.querySelector("#page");
  if (!source || !page) throw new Error(`index.html has no #page or no template #${template}`);
  page.replaceChildren(source.content.cloneNode(true));
  return <E extends HTMLElement>(selector: string): E => {
    const found = page.querySelector<E>(selector);
    if (!found) throw new Error(`The template #${template} has no ${selector}`);
    return found;
  };
}

/** An element with text; never HTML, since the text is somebody else's. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  ...content: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...content);
  return made;
}

export async function call<T>(method: "GET" | "PUT", path: string, body?: unknown): Promise<T> {
  const response = await fetch(`/api${path}`, body === undefined ? { method } : { method, body: JSON.stringify(body) });
  if (response.ok) return (await response.json()) as T;
  const answer = (await response.json().catch(() => ({}))) as { error?: string };
  throw new Error(answer.error ?? `The server answered ${response.status}.`);
}
