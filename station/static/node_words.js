// What nodes and cameras say of themselves. A node sends its English text, and beside it the key of a sentence and its values
// (wire/node_words.py). The text stands as it came where there is no key: of an older node, or in what was recorded before.

import { hasWords, t } from "./language.js";

export function nodeSays(text, words) {
  return words?.key && hasWords(words.key) ? t(words.key, words.params ?? {}) : text;
}

/** The problems that a node tells of itself, one by one. */
export function nodeProblems(health) {
  return (health?.problems ?? []).map((text, n) => nodeSays(text, health.problem_words?.[n]));
}
