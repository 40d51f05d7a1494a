// Ours, trusted, in every capsule's process on a socket of its own: answers the watchdog. A process whose
// event loop is held by a tenant's endless loop cannot answer, which is the point. No tenant is bound to it.
export default {
  fetch(request) {
    return new URL(request.url).pathname === "/ping" ? new Response("pong") : new Response("no such call", { status: 404 });
  },
};
