// Orders to a camera: a picture now, a clip, a profile, a preset; what became of them, and the pictures.

import { askLoggedIn } from "./api.js";
import { make } from "./dom.js";
import { timeElement } from "./format.js";
import { say, t } from "./language.js";
import { nodeSays } from "./node_words.js";
import { now, state } from "./state.js";

const CLIP = { action: "clip", before_s: 10, after_s: 5 };
const SHOWN = 3;
const ASKED_EVERY_MS = 2000;
const OWN_PROFILES = ["day", "night", "rain"];      // those that a node has unless its settings name others
let lookAgain = () => {};       // at what became of the orders that the open panel shows

/** A profile's name; those that a node's settings name are shown as they stand there. */
export function profileText(name) { return OWN_PROFILES.includes(name) ? t(`profile.${name}`) : name; }

/** The preset in force, or where the camera turns; empty for a camera that does not turn. */
export function presetText(health) {
  if (!health?.presets?.length) return "";
  return health.turning_to ? t("preset.turning", { preset: health.turning_to }) : health.preset || t("preset.unknown");
}

async function send(sensor, order, trouble) {
  trouble.textContent = "";
  try {
    await askLoggedIn("/api/orders", { sensor: sensor.id, ...order });
  } catch (error) {
    trouble.textContent = say(error.says);
  }
  await lookAgain();
}

/** What the node says may be chosen, the one in force pressed: profiles of its motion gate, presets of a camera that turns. */
export function choiceSection(sensor, health) {
  const trouble = make("p", { class: "trouble", role: "status" });
  const choice = (action, names, active, text, disabled) => make("div", { class: "choice", role: "group", "aria-label": t(`order.${action}`) },
    make("span", {}, t(`order.${action}`)),
    names.map((name) => make("button", { type: "button", "aria-pressed": String(name === active), disabled,
      "data-focus": `${action}-${name}`, onclick: () => send(sensor, { action, argument: name }, trouble) }, text(name))));
  return make("section", { class: "choices" },
    health.profiles.length > 1 ? choice("profile", health.profiles, health.profile, profileText, false) : null,
    health.presets.length ? choice("ptz_preset", health.presets, health.preset, (name) => name, Boolean(health.turning_to)) : null, trouble);
}

/** Of one sensor. It asks the station by itself for as long as it is on the page. */
export function orderSection(sensor) {
  const list = make("ol", { class: "orders" });
  const trouble = make("p", { class: "trouble", role: "status" });
  let shown = "";

  async function look() {
    try {
      const all = await askLoggedIn("/api/orders");
      const mine = all.filter((o) => o.node === sensor.node && [o.sensor, `${o.node}/${o.sensor}`].includes(sensor.id)).slice(0, SHOWN);
      const text = JSON.stringify(mine);
      if (text !== shown) list.replaceChildren(...mine.map(orderItem));
      shown = text;
    } catch { /* the page says by itself that the station is not reached */ }
  }

  lookAgain = look;
  const button = (text, order) => make("button", { type: "button", onclick: () => send(sensor, order, trouble) }, text);
  const section = make("section", { class: "orders-of" }, make("h3", {}, t("orders.title")),
    state.me?.decides ? make("div", { class: "row wrap" }, button(t("orders.picture_now"), { action: "snapshot" }),
      button(t("orders.clip_of", { before: CLIP.before_s, after: CLIP.after_s }), CLIP)) : null, trouble, list);
  let wasThere = false;
  const asking = setInterval(() => {
    if (section.isConnected) { wasThere = true; look(); } else if (wasThere) clearInterval(asking);
  }, ASKED_EVERY_MS);
  look();
  return section;
}

function orderItem(order) {
  return make("li", {}, timeElement(order.given_ns, now()),
    make("span", {}, t(`order.${order.action}`), order.argument ? ` ${order.action === "profile" ? profileText(order.argument) : order.argument}` : "", ` · ${t(`order_state.${order.state}`)} · ${order.person}`,
      order.state === "failed" ? make("small", {}, nodeSays(order.detail, order)) : null),
    order.pictures_ns.length ? pictures(order) : null);
}

/** One picture at a time, chosen with a slider: nothing on this screen moves by itself but an alarm. */
function pictures(order) {
  const count = order.pictures_ns.length;
  const image = make("img", { alt: t("orders.alt") });
  const when = make("figcaption");
  const show = (n) => {
    image.src = `/api/orders/${encodeURIComponent(order.id)}/pictures/${n}`;
    when.replaceChildren(timeElement(order.pictures_ns[n], now(), true), count > 1 ? ` · ${n + 1} / ${count}` : "");
  };
  const slider = count > 1 ? make("input", { type: "range", min: 0, max: count - 1, value: 0, "aria-label": t("orders.which"),
    oninput: (event) => show(Number(event.target.value)) }) : null;
  show(0);
  return make("figure", { class: "snapshot" }, image, slider, when);
}
