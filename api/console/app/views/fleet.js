// Every equipment as a small cell, by estate; a large fleet as sums of estates, one of them open at a time.
import { useState } from "../../vendor/preact-hooks.js";
import { ALL_FACES, SIGNS } from "../faces.js";
import { html } from "../html.js";
import { liftAt } from "../router.js";
import { equipmentOf, estates, everyEquipment, faceSignal, facesOf, fleetSize } from "../store.js";
import { named, t } from "../words.js";
import { addressOf } from "./parts.js";

/** More than this and only estates are shown: nobody reads more cells, and a browser draws them slowly. */
const CELLS = 2000;
const FOUND = 12;

const estateName = (estate) => estate || t("fleet.no_estate");

/** One tab stop an estate; from there the arrow keys go on. */
function Cell({ id, first }) {
  const face = faceSignal(id).value;
  const one = equipmentOf(id);
  const label = `${addressOf(one)} ${one?.rescue_code ?? ""} ${named("face", face)}`;
  return html`<a
    class="cell ${face}"
    href=${liftAt(id)}
    title=${label}
    aria-label=${label}
    data-id=${id}
    tabindex=${first ? 0 : -1}
    >${SIGNS[face]}</a
  >`;
}

function Cells({ ids }) {
  return html`<div class="cells" onKeyDown=${moveAmong}>
    ${ids.map((id, place) => html`<${Cell} key=${id} id=${id} first=${place === 0} />`)}
  </div>`;
}

/** Arrow keys go from cell to cell, over estates too. */
function moveAmong(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const all = [...document.querySelectorAll("a.cell")];
  all[all.indexOf(document.activeElement) + step]?.focus();
  event.preventDefault();
}

function Estate({ estate, ids }) {
  return html`<section class="estate">
    <h3>${estateName(estate)} <span>${ids.length}</span></h3>
    <${Cells} ids=${ids} />
  </section>`;
}

function Chip({ face, count }) {
  const sign = html`<i aria-hidden="true">${SIGNS[face]}</i>`;
  return html`<span class="chip ${face}">${sign}${named("face", face)} ${count}</span>`;
}

function Sum({ estate, ids, open, onOpen }) {
  return html`<section class="estate sum">
    <h3>
      <button type="button" aria-expanded=${open} onClick=${onOpen}>
        ${estateName(estate)} <span>${ids.length}</span>
      </button>
    </h3>
    <p>${facesOf(ids).map(([face, count]) => html`<${Chip} key=${face} face=${face} count=${count} />`)}</p>
    ${open && html`<${Cells} ids=${ids} />`}
  </section>`;
}

function found(text) {
  const wanted = text.trim().toLowerCase();
  const hits = [];
  for (const one of everyEquipment()) {
    const words = [one.rescue_code, one.equipment_id, addressOf(one)];
    if (words.some((word) => word?.toLowerCase().includes(wanted))) hits.push(one);
    if (hits.length === FOUND) break;
  }
  return hits;
}

function Search() {
  const [text, setText] = useState("");
  const hits = text.trim() ? found(text) : null;
  const go = (event) => {
    event.preventDefault();
    if (hits?.length) location.hash = liftAt(hits[0].equipment_id);
  };
  return html`<form class="search" role="search" onSubmit=${go}>
    <input
      type="search"
      aria-label=${t("fleet.search")}
      placeholder=${t("fleet.search")}
      value=${text}
      onInput=${(event) => setText(event.target.value)}
    />
    ${hits && html`<ul>
      ${hits.map(
        (one) => html`<li key=${one.equipment_id}>
          <a href=${liftAt(one.equipment_id)}><b>${one.rescue_code ?? ""}</b> ${addressOf(one)}</a>
        </li>`,
      )}
      ${hits.length === 0 && html`<li class="empty">${t("fleet.none_found")}</li>`}
    </ul>`}
  </form>`;
}

/** `moving` without a direction is rare enough to be told by its own label. */
const LEGEND = ALL_FACES.filter((face) => face !== "moving");

function Legend() {
  return html`<p class="legend">
    ${LEGEND.map(
      (face) => html`<span key=${face}>
        <i class="cell ${face}" aria-hidden="true">${SIGNS[face]}</i>${named("face", face)}
      </span>`,
    )}
  </p>`;
}

export function Fleet() {
  const [opened, setOpened] = useState(null);
  const groups = estates.value;
  const large = fleetSize() > CELLS;
  if (groups.length === 0) return html`<p class="empty">${t("fleet.empty")}</p>`;
  return html`
    <${Search} />
    <${Legend} />
    <div class="estates">
      ${groups.map(({ estate, ids }) =>
        large
          ? html`<${Sum}
              key=${estate}
              estate=${estate}
              ids=${ids}
              open=${opened === estate}
              onOpen=${() => setOpened(opened === estate ? null : estate)}
            />`
          : html`<${Estate} key=${estate} estate=${estate} ids=${ids} />`,
      )}
    </div>
  `;
}
