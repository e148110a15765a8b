// The sign-in page; it stands alone, because nothing else answers before somebody has signed in.
const REMEMBERED = "tiwei.language";
const TAGS = { zh: "zh-CN", en: "en-GB" };
const OTHER = { zh: "en", en: "zh" };
const FAILURES = {
  0: "sign_in.unreachable",
  401: "sign_in.wrong",
  422: "sign_in.wrong",
  429: "sign_in.locked",
};

const form = document.querySelector("form");
const said = document.getElementById("said");
const switcher = document.getElementById("language");
let language = "zh";
let catalogue = {};
let saying = null;

function preferred() {
  const saved = localStorage.getItem(REMEMBERED);
  return saved in TAGS ? saved : "zh";
}

async function speak(wanted) {
  catalogue = await (await fetch(`/assets/catalogue/${wanted}.json`)).json();
  language = wanted;
  document.documentElement.lang = TAGS[wanted];
  switcher.lang = OTHER[wanted];
  document.title = catalogue["product.title"];
  for (const place of document.querySelectorAll("[data-text]")) place.textContent = catalogue[place.dataset.text];
  say(saying);
}

function say(key) {
  saying = key;
  said.textContent = key ? catalogue[key] : "";
}

async function signIn(event) {
  event.preventDefault();
  const { name, password } = Object.fromEntries(new FormData(form));
  if (!name || !password) {
    say("sign_in.incomplete");
    return;
  }
  form.classList.add("busy");
  const answer = await fetch("/api/v1/session", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ name, password }),
  }).catch(() => ({ ok: false, status: 0 }));
  form.classList.remove("busy");
  if (answer.ok) {
    location.replace("/");
    return;
  }
  say(FAILURES[answer.status] ?? "sign_in.failed");
  form.password.value = "";
  form.password.focus();
}

form.addEventListener("submit", signIn);
switcher.addEventListener("click", () => {
  localStorage.setItem(REMEMBERED, OTHER[language]);
  speak(OTHER[language]);
});
speak(preferred());
