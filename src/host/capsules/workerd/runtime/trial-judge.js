// Ours, in an isolate of its own beside the upload under trial: fetches what the probe found and prints it behind
// a nonce that only this isolate holds, so no line the upload prints can be taken for the verdict.
export default {
  async test(_controller, env) {
    const found = env.SERVICE_WORKER
      ? await (await env.LENS.fetch("http://mayfly.invalid/handlers")).text()
      : await env.LENS.mayflyReport();
    console.log(`${env.NONCE} ${found}`);
  },
};
