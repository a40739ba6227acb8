// MIL-STD-2525 symbols for what alarms and what is chosen, by milsymbol. Its 200 KB are fetched after the map is there; until then,
// and where they do not come, symbols.js draws the plain signs.
//
// Everybody is "unknown" until a person has said otherwise, and our own patrols are "friend": no camera calls anybody hostile.

import { COLOURS } from "./symbols.js";

const RATIO = 2, SIZE_PX = 21, SIDE_PX = 48;
const CIVILIAN_LAND = "11", EQUIPMENT = "15", SEA = "30";      // MIL-STD-2525E, symbol sets
const ENTITY = { person: [CIVILIAN_LAND, "110300"], bicycle: [CIVILIAN_LAND, "110300"], car: [EQUIPMENT, "160100"], motorcycle: [EQUIPMENT, "160000"],
  bus: [EQUIPMENT, "160300"], truck: [EQUIPMENT, "160200"], boat: [SEA, "140000"] };

let ms = null;

/** Resolves to whether the symbols are there. */
export async function fetchMil() {
  try {
    await import("/static/vendor/milsymbol/milsymbol.js");
    ms = globalThis.ms ?? null;
  } catch { /* the plain signs do */ }
  return ms !== null;
}

export function hasMil() { return ms !== null; }

/** Of a contact: "simulation" and "friend" stand in it as the standard has them. */
export function sidc({ objectClass, isOurs, isSimulated }) {
  const [set, entity] = ENTITY[objectClass] ?? ENTITY.car;
  return `10${isSimulated ? 2 : 0}${isOurs ? 3 : 1}${set}0000${entity}0000`;
}

/** The symbol with its priority's colour and shape. Filled while it waits for a person, hollow once somebody has taken it. */
export function milImage({ priority, isTaken, ...contact }) {
  const colour = COLOURS[priority ? `p${priority}` : "trail"], dark = COLOURS.background;
  const how = isTaken ? { fill: false, monoColor: colour, outlineColor: dark, outlineWidth: 5 } : { fillColor: colour, outlineColor: colour, outlineWidth: 2 };
  const symbol = new ms.Symbol(sidc(contact), { size: SIZE_PX * RATIO, infoFields: false, strokeWidth: isTaken ? 6 : 4, ...how });
  const drawn = symbol.asCanvas(1), side = SIDE_PX * RATIO, sheet = new OffscreenCanvas(side, side), g = sheet.getContext("2d", { willReadFrequently: true });
  const scale = Math.min(1, (side - 12) / Math.max(drawn.width, drawn.height)), [w, h] = [drawn.width * scale, drawn.height * scale];
  g.drawImage(drawn, (side - w) / 2, (side - h) / 2, w, h);
  if (priority) badge(g, priority, side, colour);
  return g.getImageData(0, 0, side, side);
}

/** Never by colour alone: triangle, diamond, circle at the upper left. */
function badge(g, priority, side, colour) {
  const r = 11, [x, y] = [side / 2 - 30, side / 2 - 28];
  g.beginPath();
  if (priority === 1) { g.moveTo(x, y - r); g.lineTo(x + r, y + r * 0.8); g.lineTo(x - r, y + r * 0.8); }
  else if (priority === 2) { g.moveTo(x, y - r); g.lineTo(x + r, y); g.lineTo(x, y + r); g.lineTo(x - r, y); }
  else g.arc(x, y, r * 0.85, 0, 7);
  g.closePath();
  g.lineWidth = 6; g.lineJoin = "round"; g.strokeStyle = COLOURS.background; g.stroke();
  g.fillStyle = colour; g.fill();
}
