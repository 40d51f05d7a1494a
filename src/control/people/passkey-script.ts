// What a page with a passkey form needs of the browser: WebAuthn has no form element. The forms stand hidden until
// the browser can; this asks for a challenge, has it signed, and sends the answer as the form that it belongs to.

export const PASSKEY_SCRIPT = `"use strict";
const fromBase64url = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const toBase64url = (bytes) =>
  btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const named = ({ id, type, ...rest }) => ({ ...rest, type, id: fromBase64url(id) });

const ways = {
  get: (options) =>
    navigator.credentials.get({
      publicKey: { ...options, challenge: fromBase64url(options.challenge), allowCredentials: (options.allowCredentials ?? []).map(named) },
    }),
  create: (options) =>
    navigator.credentials.create({
      publicKey: {
        ...options,
        challenge: fromBase64url(options.challenge),
        user: { ...options.user, id: fromBase64url(options.user.id) },
        excludeCredentials: (options.excludeCredentials ?? []).map(named),
      },
    }),
};

const answerOf = ({ id, rawId, type, response }) => {
  const said = { clientDataJSON: toBase64url(response.clientDataJSON) };
  if (response.attestationObject) {
    said.attestationObject = toBase64url(response.attestationObject);
    said.transports = response.getTransports?.() ?? [];
  } else {
    said.authenticatorData = toBase64url(response.authenticatorData);
    said.signature = toBase64url(response.signature);
    said.userHandle = response.userHandle ? toBase64url(response.userHandle) : null;
  }
  return JSON.stringify({ id, rawId: toBase64url(rawId), type, clientExtensionResults: {}, response: said });
};

const reasons = {
  NotAllowedError: "No passkey was used: it was cancelled, took too long, or this device has none for this place. Try again, or go on with your password.",
  InvalidStateError: "This device holds a passkey of yours already. Add one on another device, or remove the old one first.",
};
const ask = async (form) => {
  const answer = await fetch(form.dataset.options, { method: "POST", body: new URLSearchParams() });
  const asked = await answer.json();
  if (!answer.ok) throw new Error(asked.message);
  return asked;
};

for (const form of window.PublicKeyCredential && isSecureContext ? document.querySelectorAll("form[data-passkey]") : []) {
  const said = form.querySelector("[role=alert]") ?? form.insertAdjacentElement("afterbegin", document.createElement("div"));
  said.className = "notice";
  said.setAttribute("role", "alert");
  if (!said.textContent.trim()) said.hidden = true;
  let busy = false;
  form.addEventListener("submit", async (event) => {
    if (form.elements.credential.value) return;
    event.preventDefault();
    if (busy) return;
    busy = true;
    said.hidden = true;
    try {
      form.elements.credential.value = answerOf(await ways[form.dataset.passkey](await ask(form)));
      delete form.dataset.sent;
      form.requestSubmit();
    } catch (error) {
      delete form.dataset.sent;
      said.textContent = reasons[error.name] ?? (error.name === "Error" ? error.message : "That did not work. Reload the page and try again.");
      said.hidden = false;
    }
    busy = false;
  });
  form.closest("[hidden]")?.removeAttribute("hidden");
}
for (const without of window.PublicKeyCredential && isSecureContext ? document.querySelectorAll("[data-without-passkey]") : []) without.hidden = true;
addEventListener("pageshow", (event) => {
  if (event.persisted) for (const form of document.querySelectorAll("form[data-passkey]")) form.elements.credential.value = "";
});
`;
