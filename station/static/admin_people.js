// People and their roles; tokens of machines. What is shown once is shown once.

import { ask, askLoggedIn } from "./api.js";
import { askPerson, choice, closeDialog, empty, field, lastDay, moment, press, showOnce, table, tellPerson } from "./desk.js";
import { make } from "./dom.js";
import { t } from "./language.js";
import { state } from "./state.js";

const ROLES = ["operator", "pilot", "trainer", "supervisor", "auditor", "administrator"];
const TOKEN_DAYS = 90, TOKEN_DAYS_MOST = 366;

const roles = (chosen) => choice(ROLES.map((role) => [role, t(`role.${role}`)]), chosen);

export function drawPeople(people, again) {
  const add = make("button", { type: "button", class: "primary", onclick: () => askPerson({
    title: t("admin.person_add"), advice: t("admin.person_add_advice"), button: t("admin.person_make"),
    fields: [field("name", t("login.name"), make("input", { type: "text", required: true, maxlength: 64, autocomplete: "off" }), "", { needed: true }),
      field("role", t("admin.role"), roles("operator"), t("admin.role_hint"), { needed: true })],
    send: async ({ name, role }) => {
      const made = await ask("/api/admin/people", { name, role });
      again();
      showOnce(t("admin.password_of", { name: made.name }), t("admin.password_advice"), made.password);
    },
  }) }, t("admin.person_add"));
  return [make("div", { class: "section-tools" }, add), table(t("admin_tab.people"), [[t("login.name")], [t("admin.role")], [t("admin.state")], [t("admin.since"), "narrow"], [t("admin.acts"), "acts"]],
    people.map((p) => [make("b", {}, p.name), t(`role.${p.role}`), personState(p), moment(p.created_ns), p.name === state.me.name ? make("span", { class: "hint" }, t("admin.yourself")) : personButtons(p, again)]))];
}

function personState(p) {
  if (p.disabled) return make("span", { class: "chip bad" }, t("admin.disabled"));
  return p.must_change_password ? make("span", { class: "chip warn" }, t("admin.must_change")) : make("span", { class: "chip good" }, t("admin.active"));
}

function personButtons(p, again) {
  const name = p.name;
  if (p.disabled) {
    return [make("button", { type: "button", onclick: (event) => press(event.target, async () => { await ask("/api/admin/people/enable", { name }); tellPerson(t("admin.enabled", { name })); again(); }) }, t("admin.enable"))];
  }
  return [
    make("button", { type: "button", onclick: () => askPerson({ title: t("admin.role_of", { name }), advice: t("admin.role_advice"), button: t("admin.role_give"), fields: [field("role", t("admin.role"), roles(p.role), t("admin.role_hint"))],
      send: async ({ role }) => { await ask("/api/admin/people/role", { name, role }); closeDialog(); tellPerson(t("admin.role_given", { name })); again(); } }) }, t("admin.role_change")),
    make("button", { type: "button", onclick: () => askPerson({ title: t("admin.password_title", { name }), advice: t("admin.password_new_advice"), button: t("admin.password_new"),
      send: async () => { const made = await ask("/api/admin/people/password", { name }); again(); showOnce(t("admin.password_of", { name }), t("admin.password_advice"), made.password); } }) }, t("admin.password_new")),
    make("button", { type: "button", class: "danger", onclick: () => askPerson({ title: t("admin.disable_title", { name }), advice: t("admin.disable_advice"), button: t("admin.disable"), danger: true,
      send: async () => { await ask("/api/admin/people/disable", { name }); closeDialog(); tellPerson(t("admin.was_disabled", { name })); again(); } }) }, t("admin.disable")),
  ];
}

export function drawTokens(tokens, again) {
  const add = make("button", { type: "button", class: "primary", onclick: (event) => press(event.target, async () => {
    const people = (await askLoggedIn("/api/admin/people")).filter((p) => !p.disabled);
    askPerson({
      title: t("admin.token_add"), advice: t("admin.token_advice"), button: t("admin.token_make"),
      fields: [field("name", t("admin.token_account"), choice(people.map((p) => [p.name, `${p.name} (${t(`role.${p.role}`)})`])), t("admin.token_account_hint"), { needed: true }),
        field("label", t("admin.token_label"), make("input", { type: "text", required: true, maxlength: 64, autocomplete: "off" }), t("admin.token_label_hint"), { needed: true }),
        field("days", t("admin.token_days"), make("input", { type: "number", required: true, min: 1, max: TOKEN_DAYS_MOST, value: TOKEN_DAYS }), t("admin.token_days_hint", { most: TOKEN_DAYS_MOST }), { needed: true })],
      send: async ({ name, label, days }) => {
        const made = await ask("/api/admin/tokens", { name, label, days: Number(days) });
        again();
        showOnce(t("admin.token_made", { label }), t("admin.token_made_advice"), made.token);
      },
    });
  }) }, t("admin.token_add"));
  if (!tokens.length) return [empty(t("admin.no_tokens"), t("admin.no_tokens_advice"), add)];
  return [make("div", { class: "section-tools" }, add), table(t("admin_tab.tokens"), [[t("admin.token_label")], [t("admin.token_account")], [t("admin.token_until"), "narrow"], [t("admin.token_used"), "narrow"], [t("admin.acts"), "acts"]],
    tokens.map(({ name, label, expires_ns, used_ns }) => [make("b", {}, label), name,
      expires_ns / 1e6 <= Date.now() ? make("span", { class: "chip" }, t("admin.token_over")) : lastDay(expires_ns), used_ns ? moment(used_ns) : t("admin.never"),
      make("button", { type: "button", class: "danger", onclick: () => askPerson({ title: t("admin.token_revoke_title", { label }), advice: t("admin.token_revoke_advice"), button: t("admin.token_revoke"), danger: true,
        send: async () => { await ask("/api/admin/tokens/revoke", { name, label }); closeDialog(); tellPerson(t("admin.token_revoked", { label })); again(); } }) }, t("admin.token_revoke"))]))];
}
