// Pages by hash: #/, #/lift/{id}, #/incident/{id}.
import { signal } from "../vendor/signals.js";

function read() {
  const [, page = "", id = ""] = location.hash.split("/");
  return { page, id: decodeURIComponent(id) };
}

/** {page, id} of the address. */
export const route = signal(read());

addEventListener("hashchange", () => {
  route.value = read();
  scrollTo(0, 0);
});

export const liftAt = (id) => `#/lift/${encodeURIComponent(id)}`;
export const incidentAt = (id) => `#/incident/${encodeURIComponent(id)}`;
