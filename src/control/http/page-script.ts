// The one script of the pages; all of them work without it. It takes a link's secret out of the address bar and
// sends it once as a form, and it keeps a second press of a button from sending a form again.

export const PAGE_SCRIPT = `
"use strict";
const opener = document.getElementById("open");
const take = () => {
  const secret = location.hash.slice(1);
  if (!opener || !secret) return;
  history.replaceState(null, "", location.pathname);
  opener.elements.namedItem("link").value = secret;
  opener.requestSubmit();
};
for (const form of document.forms) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
}
addEventListener("pageshow", (event) => {
  if (event.persisted) for (const form of document.forms) delete form.dataset.sent;
});
addEventListener("hashchange", take);
take();
`;
