// Markup without a build step: preact's h behind tagged templates.
import { h } from "../vendor/preact.js";
import htm from "../vendor/htm.js";

export const html = htm.bind(h);
