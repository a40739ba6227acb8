// Nodes and their keys: the allow list. Only public keys come here; a node's secret one never leaves it.

import { ask } from "./api.js";
import { askPerson, choice, closeDialog, empty, field, moment, table, tellPerson } from "./desk.js";
import { make } from "./dom.js";
import { number, t } from "./language.js";
import { nodeProblems } from "./node_words.js";
import { state } from "./state.js";

const KINDS = ["camera", "drone", "fleet"];

export function drawNodes(found, again) {
  const add = make("button", { type: "button", class: "primary", onclick: () => addNode(again) }, t("admin.node_add"));
  const parts = [];
  if (found.trouble) parts.push(make("p", { class: "problem", role: "alert" }, t("admin.nodes_trouble", { detail: found.trouble })));
  if (found.nodes.length) {
    parts.push(make("div", { class: "section-tools" }, add), table(t("admin_tab.nodes"), [[t("admin.node")], [t("admin.node_kind"), "narrow"], [t("admin.state")], [t("admin.heard"), "narrow"], [t("admin.key")], [t("admin.acts"), "acts"]],
      found.nodes.map((n) => [[make("b", {}, n.node), nodeProblems(n).map((said) => make("small", { class: "node-problem" }, said))], KINDS.includes(n.kind) ? t(`node_kind.${n.kind}`) : n.kind, nodeState(n), n.last_heard_ns ? moment(n.last_heard_ns) : t("admin.never"),
        n.public ? make("code", {}, n.public) : "–", n.allowed ? make("button", { type: "button", class: "danger", onclick: () => revoke(n.node, again) }, t("admin.node_revoke")) : null])));
  } else if (!found.trouble) parts.push(empty(t("admin.no_nodes"), t("admin.no_nodes_advice"), add));
  parts.push(make("dl", { class: "facts" },
    fact(t("admin.station_key"), found.station_public ? make("code", {}, found.station_public) : t("admin.station_key_none"), t("admin.station_key_hint")),
    fact(t("admin.inbox"), make("code", {}, found.inbox)), fact(t("admin.list_file"), make("code", {}, found.file)),
    fact(t("admin.strangers"), make("b", { class: found.strangers ? "soon" : null }, number(found.strangers)), t("admin.strangers_hint"))));
  return parts;
}

/** A key is pasted as it was printed: by itself, or the whole line, public = '...'. */
function keyOf(typed) { return /^public\s*=\s*(['"])([^'"]*)\1$/.exec(typed.trim())?.[2] ?? typed.trim(); }

function fact(label, value, hint = null) {
  return make("div", { class: "fact" }, make("dt", {}, label), make("dd", {}, value, hint ? make("p", { class: "hint" }, hint) : null));
}

function nodeState(n) {
  if (!n.allowed) return make("span", { class: "chip" }, t("admin.node_revoked"));
  if (n.last_heard_ns === null) return make("span", { class: "chip warn" }, t("admin.node_new"));
  return n.silent ? make("span", { class: "chip bad" }, t("admin.node_silent")) : make("span", { class: "chip good" }, t("admin.node_heard"));
}

function addNode(again) {
  askPerson({
    title: t("admin.node_add"), button: t("admin.node_let_in"),
    advice: [t("admin.node_add_advice"), make("br"), make("code", {}, `./trailwatch keys new --node NAME --kind camera --realm ${state.realm} --out NAME.key`)],
    fields: [field("node", t("admin.node"), make("input", { type: "text", required: true, maxlength: 64, autocomplete: "off", spellcheck: "false" }), t("admin.node_hint"), { needed: true }),
      field("kind", t("admin.node_kind"), choice(KINDS.map((kind) => [kind, t(`node_kind.${kind}`)])), "", { needed: true }),
      field("public", t("admin.key"), make("input", { type: "text", required: true, maxlength: 60, autocomplete: "off", spellcheck: "false", class: "key" }), t("admin.key_hint"), { needed: true })],
    send: async ({ node, kind, public: key }) => {
      await ask("/api/admin/nodes", { node: node.trim(), kind, public: keyOf(key) });
      closeDialog();
      tellPerson(t("admin.node_added", { node }));
      again();
    },
  });
}

function revoke(node, again) {
  askPerson({ title: t("admin.node_revoke_title", { node }), advice: t("admin.node_revoke_advice"), button: t("admin.node_revoke"), danger: true,
    send: async () => { await ask("/api/admin/nodes/revoke", { node }); closeDialog(); tellPerson(t("admin.node_was_revoked", { node })); again(); } });
}
