// Every visible text, by key, from the catalogue of the chosen language.
import { signal } from "../vendor/signals.js";

export const LANGUAGES = ["zh", "en"];
const REMEMBERED = "tiwei.language";
const TAGS = { zh: "zh-CN", en: "en-GB" };

/** The language shown, "zh" or "en". */
export const language = signal("zh");
const catalogue = signal({});

/** The language chosen in this browser before, else Chinese: whatever the machine speaks, the centre speaks Chinese. */
export function preferred() {
  const saved = localStorage.getItem(REMEMBERED);
  return LANGUAGES.includes(saved) ? saved : "zh";
}

/** Load a catalogue and show everything in it; remembered for the next visit. */
export async function speak(wanted) {
  const answer = await fetch(`/assets/catalogue/${wanted}.json`);
  if (!answer.ok) throw new Error(`catalogue ${wanted}: ${answer.status}`);
  catalogue.value = await answer.json();
  language.value = wanted;
  localStorage.setItem(REMEMBERED, wanted);
  document.documentElement.lang = TAGS[wanted];
}

/** The text of a key with its {names} filled in. A key that is missing shows itself: never an empty page. */
export function t(key, values) {
  const text = catalogue.value[key] ?? key;
  return values ? text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole) : text;
}

/** The text of `${group}.${name}`, or the bare name where the catalogue does not know it (a newer server's word). */
export function named(group, name) {
  return catalogue.value[`${group}.${name}`] ?? String(name);
}

/** Whether the catalogue knows the key. */
export function has(key) {
  return key in catalogue.value;
}

/** The BCP 47 tag for dates and numbers. */
export function tag() {
  return TAGS[language.value];
}
