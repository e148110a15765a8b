// Questions to the API. Errors are RFC 9457 problems.

/** An answer that is no success: `status` (0: the server did not answer) and the problem document, if any. */
export class Problem extends Error {
  constructor(status, body) {
    super(body?.title ?? `HTTP ${status}`);
    this.status = status;
    this.body = body ?? {};
  }
}

let csrf = "";

/** The token that every unsafe question carries. */
export function holdToken(token) {
  csrf = token;
}

/** Leave for the sign-in page, and come back to where we were. */
export function toSignIn() {
  sessionStorage.setItem("tiwei.back", location.hash);
  location.replace("/sign-in");
}

/** Ask `/api/v1/${path}`; returns the JSON of the answer, null where there is none. */
export async function ask(path, { method = "GET", body } = {}) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRF-Token"] = csrf;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(`/api/v1/${path}`, { method, headers, body: body && JSON.stringify(body) }).catch(() => {
    throw new Problem(0);
  });
  const json = (answer.headers.get("content-type") ?? "").includes("json") ? await answer.json() : null;
  if (answer.status === 401) toSignIn();
  if (!answer.ok) throw new Problem(answer.status, json);
  return json;
}
