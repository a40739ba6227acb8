// What nodes and cameras say in words of their own comes in English. What they say most is known here, and said in the person's language;
// the rest stands as it came.

import { t } from "./language.js";

const KNOWN = [
  [/^no picture comes$/, "node_says.no_picture"],
  [/^no picture yet$/, "node_says.no_picture_yet"],
  [/^no frame for (?<seconds>\d+) s$/, "node_says.no_frame"],
  [/^only (?<mb>\d+) MB free on the disk of (?<folder>.+)$/, "node_says.disk_full"],
  [/^(?<celsius>\d+) degrees Celsius inside: /, "node_says.hot"],
  [/^this machine's clock is (?<seconds>[\d.]+) s ahead of GNSS time$/, "node_says.clock_ahead"],
  [/^this machine's clock is (?<seconds>[\d.]+) s behind GNSS time$/, "node_says.clock_behind"],
  [/^the detector runs through ultralytics, several times slower: /, "node_says.slow_detector"],
  [/^detections drawn from the truth by a detector model; no pixels$/, "node_says.no_pixels"],
];

export function nodeSays(text) {
  for (const [pattern, key] of KNOWN) {
    const found = pattern.exec(text);
    if (found) return t(key, { ...found.groups });
  }
  return text;
}
