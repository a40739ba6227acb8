// What the page knows: the picture kept up to date, what is selected, and whom to tell when either changes.

export const state = {
  me: null,
  geography: null,
  realm: document.documentElement.dataset.realm,
  isReplay: document.documentElement.dataset.replay === "yes",    // the past: nothing sounds, nothing can be done
  replay: null,           // {at_ns, from_ns, to_ns, speed, paused, ended}, and heardMs: when the page was told
  contacts: new Map(), alarms: new Map(), matches: new Map(), sensors: new Map(), nodes: new Map(), drones: new Map(), fleets: new Map(),
  coverage: new Map(), coverageWhole: null,
  counts: null,
  turn: -1,               // of the mind's, that what is known is as new as
  hasPicture: false,      // the mind's; before it has said anything the station sends an empty one of turn -1
  feed: { open: false, heardMs: performance.now(), offsetMs: 0, mindSilentSinceNs: null, p50: null, p99: null, attempt: 0 },
  selection: null,        // {kind: "alarm" | "contact" | "sensor" | "drone", id}
  candidate: null,        // of an alarm about several candidates: the match that a person has opened
};

const listeners = new Map();

/** Topics: picture (isUrgent: with news of alarms or matches), selection, candidate, feed, replay (where it is), layout (what covers the map), alarm (a new one, its value),
 *  drawn (a turn that a frame of the map now shows). */
export function on(topic, listener) {
  listeners.set(topic, [...(listeners.get(topic) ?? []), listener]);
}

/** As on(), but for what need not be drawn at each word: at most once in `everyMs`, and at once what is urgent. */
export function onCalmly(topic, listener, everyMs) {
  let due = null, last = -Infinity;
  const run = () => { clearTimeout(due); due = null; last = performance.now(); listener(); };
  on(topic, (news) => {
    if (news === undefined || news?.isUrgent) run();
    else due ??= setTimeout(run, Math.max(0, last + everyMs - performance.now()));
  });
}

export function tell(topic, value) {
  for (const listener of listeners.get(topic) ?? []) listener(value);
}

/** The station's time, milliseconds since 1970; in a replay that of the moment that is shown. */
export function now() {
  const r = state.replay;
  if (!state.isReplay || !r) return Date.now() + state.feed.offsetMs;
  const passed = r.paused || r.ended ? 0 : (performance.now() - r.heardMs) * r.speed;
  return Math.min(r.at_ns / 1e6 + passed, r.to_ns / 1e6);
}

const KEYS = { contacts: "id", alarms: "id", matches: "id", sensors: "id", nodes: "node", drones: "drone", fleets: "node", coverage: "corridor" };

export function takePicture(picture) {
  const known = new Set(state.alarms.keys());
  const first = !state.hasPicture;
  for (const [name, key] of Object.entries(KEYS)) state[name] = new Map((picture[name] ?? []).map((value) => [value[key], value]));
  state.counts = picture.counts;
  state.coverageWhole = picture.coverage_whole ?? null;
  state.realm = picture.realm;
  state.turn = picture.turn;
  state.hasPicture = picture.turn >= 0;
  byContact = null;
  if (!first && !state.isReplay) for (const alarm of picture.alarms) if (!known.has(alarm.id)) tell("alarm", alarm);
  tell("picture", { isUrgent: true });
}

const TRAIL_LIMIT = 90;         // as station/contacts.py keeps it

/** Points that are known already change nothing. */
function grownTrail(known, told) {
  const last = known.length ? known[known.length - 1][2] : 0;
  return [...known, ...told.filter((point) => point[2] > last)].slice(-TRAIL_LIMIT);
}

export function takeDelta(delta) {
  const fresh = [], grown = new Set(delta.grown ?? []);
  for (const [name, key] of Object.entries(KEYS)) {
    for (const value of delta[name] ?? []) {
      if (name === "alarms" && !state.alarms.has(value.id)) fresh.push(value);
      if (name === "contacts" && grown.has(value.id)) value.trail = grownTrail(state.contacts.get(value.id)?.trail ?? [], value.trail);
      state[name].set(value[key], value);
    }
  }
  for (const id of delta.contacts_gone ?? []) state.contacts.delete(id);
  state.turn = delta.turn;
  state.counts = delta.counts ?? state.counts;
  state.coverageWhole = delta.coverage_whole ?? state.coverageWhole;
  if (delta.alarms?.length) byContact = null;
  if (!state.isReplay) for (const alarm of fresh) tell("alarm", alarm);
  tell("picture", { isUrgent: Boolean(delta.alarms?.length || delta.matches?.length) });
}

export function select(kind, id) {
  const same = state.selection?.kind === kind && state.selection?.id === id;
  if (same) return;
  state.selection = kind ? { kind, id } : null;
  state.candidate = null;
  tell("selection");
}

/** Alarms that ask for a person, first priority first, newest first. */
export function waiting() { return sorted([...state.alarms.values()].filter(isWaiting)); }

/** Alarms that somebody has taken, newest first. */
export function taken() {
  return [...state.alarms.values()].filter((a) => !isWaiting(a) && a.state !== "closed").sort((a, b) => b.raised_ns - a.raised_ns);
}

export function isWaiting(alarm) { return alarm.state === "active" || alarm.state === "escalated"; }

/** Of a fault: a node, a camera, a drone, the station. Nobody is in it, and there is no picture to wait for. */
export function isAboutNobody(alarm) { return !alarm.contact && !alarm.contacts.length && !alarm.snapshot; }

/** The event that brought an alarm into its present state; its person decided. Later events in the same state do not count. */
export function stateEntry(alarm) { return alarm.events[alarm.events.findLastIndex((event) => event.state !== alarm.state) + 1]; }

/** Of a fault: whether it is over, so that the alarm goes when somebody has seen it. */
export function isFaultOver(alarm) {
  return isAboutNobody(alarm) && alarm.events.findLast((e) => e.person === "system" && ["recovered", "again"].includes(e.reason))?.reason === "recovered";
}

function sorted(alarms) { return alarms.sort((a, b) => a.priority - b.priority || b.raised_ns - a.raised_ns); }

let byContact = null;           // the most urgent open alarm of each contact; made anew when alarms have changed

/** The most urgent open alarm of a contact: one that waits before one that is taken; null when there is none. */
export function alarmOf(contactId) {
  byContact ??= mostUrgent();
  return byContact.get(contactId) ?? null;
}

function mostUrgent() {
  const found = new Map();
  for (const alarm of state.alarms.values()) {
    if (alarm.state === "closed") continue;
    for (const id of new Set([alarm.contact, ...alarm.contacts])) {
      const best = found.get(id);
      if (!best || Number(isWaiting(alarm)) - Number(isWaiting(best)) > 0
        || (isWaiting(alarm) === isWaiting(best) && alarm.priority < best.priority)) found.set(id, alarm);
    }
  }
  return found;
}

/** The alarm that the drawer's buttons are about, and so the keys: the chosen one, or that of the chosen contact. */
export function chosenAlarm() {
  const s = state.selection;
  return (s?.kind === "alarm" ? state.alarms.get(s.id) : s?.kind === "contact" ? alarmOf(s.id) : null) ?? null;
}

/** The contact that is meant by what is selected: itself, or the alarm's. */
export function selectedContact() {
  const s = state.selection;
  if (s?.kind === "contact") return state.contacts.get(s.id) ?? null;
  if (s?.kind !== "alarm") return null;
  const alarm = state.alarms.get(s.id);
  return state.contacts.get((alarm && candidateOf(alarm)?.contact) ?? alarm?.contact) ?? null;
}

/** The questions of a watchlist alarm, in the order in which their contacts came. */
export function candidates(alarm) { return (alarm.matches ?? []).map((id) => state.matches.get(id)).filter(Boolean); }

/** The candidate that is open: the one a person has chosen, else the first that waits for an answer. */
export function candidateOf(alarm) {
  const all = candidates(alarm);
  return all.find((m) => m.id === state.candidate) ?? all.find((m) => m.state === "question") ?? all[0] ?? null;
}

/** Where an alarm was raised; nothing where the candidate that is open is somebody else than whom it was raised about. */
export function raisedAt(alarm) {
  const open = candidateOf(alarm);
  return open && open.contact !== alarm.contact ? null : alarm.position;
}

export function chooseCandidate(match) {
  state.candidate = match;
  tell("candidate");
}
