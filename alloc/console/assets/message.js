// Shows one message: how it ended, in words, and when it reached which stage.

import { byId, h } from './dom.js';
import { clock, duration, number, parseTime } from './format.js';
import { message, setData, setText } from './i18n.js';

/** The ends a message can have, in the order of charts and lists. */
export const outcomes = ['acked', 'sent', 'ack_timeout', 'offline', 'expired', 'evicted', 'collapsed', 'filtered',
  'rejected', 'slow', 'node_lost', 'failed'];

/** The points in the life of a message. */
export const stages = ['accepted', 'routed', 'forwarded', 'queued', 'written', 'acked'];

/**
 * A coloured badge that names an outcome.
 * @param {string} outcome
 * @param {HTMLElement} [element] an existing badge to change
 * @returns {HTMLElement}
 */
export function badge(outcome, element = h('span', { class: 'badge' })) {
  element.dataset.outcome = outcome;
  return setText(element, `outcome.${outcome}`);
}

/**
 * Shows what GET /api/v1/messages/{id} said.
 * @param {Object} snapshot
 * @param {boolean} gaveUp nobody asks for news any more although it has not ended
 */
export function showMessage(snapshot, gaveUp = false) {
  byId('message').hidden = false;
  byId('message').dataset.outcome = snapshot.outcome;
  badge(snapshot.outcome, byId('message-outcome'));
  setData(byId('message-id'), snapshot.id);
  showHelp(snapshot, gaveUp);
  const latency = byId('message-latency');
  if (snapshot.latency_ms > 0) setText(latency, 'message.latency', { time: duration(snapshot.latency_ms) });
  else setData(latency, '');
  showMany(snapshot);
  byId('message-stages').replaceChildren(...stageItems(snapshot));
}

function showHelp(snapshot, gaveUp) {
  const key = gaveUp ? 'message.gave_up' : `outcome.${snapshot.outcome}.help`;
  setText(byId('message-help'), key);
}

function showMany(snapshot) {
  const targets = snapshot.targets ?? 1;
  const deliveries = Object.values(snapshot.deliveries ?? {}).reduce((sum, n) => sum + n, 0);
  byId('message-many').hidden = targets <= 1 && deliveries <= 1 && !snapshot.nodes;
  const progress = /** @type {HTMLProgressElement} */ (byId('message-progress'));
  progress.max = Math.max(1, targets);
  progress.value = snapshot.ended ?? 0;
  progress.hidden = targets <= 1;
  byId('message-progress-text').hidden = targets <= 1;
  setText(byId('message-progress-text'), 'message.ended', { ended: number(snapshot.ended ?? 0), targets: number(targets) });
  byId('message-outcomes').replaceChildren(...counts(snapshot.outcomes));
  byId('message-deliveries').replaceChildren(...counts(snapshot.deliveries));
}

/**
 * Badges for the outcomes that occurred.
 * @param {Object<string, number>} [byOutcome]
 * @returns {HTMLElement[]}
 */
export function counts(byOutcome = {}) {
  const present = outcomes.filter((outcome) => byOutcome[outcome] > 0);
  if (present.length === 0) return [h('span', { class: 'hint' }, '–')];
  return present.map((outcome) => setText(h('span', { class: 'badge', dataset: { outcome } }), 'message.count',
    { outcome: message(`outcome.${outcome}`), count: number(byOutcome[outcome]) }));
}

function stageItems(snapshot) {
  const reached = new Map((snapshot.stages ?? []).map((stage) => [stage.stage, stage]));
  const ended = snapshot.outcome !== 'pending';
  let before = NaN;
  return stages.map((name) => {
    const stage = reached.get(name);
    const at = stage ? parseTime(stage.at) : NaN;
    const item = stageItem(name, stage, at, before, ended);
    if (stage) before = at;
    return item;
  });
}

function stageItem(name, stage, at, before, ended) {
  const time = h('span', { class: 'stage-time' });
  if (!stage) setText(time, ended ? 'stage.not' : 'stage.not_yet');
  else time.textContent = Number.isNaN(before) ? clock(at, true) : `+${duration(Math.max(0, at - before))}`;
  return h('li', { class: stage ? 'reached' : 'missing', dataset: { stage: name, testid: `stage-${name}` } },
    setText(h('span', { class: 'stage-name' }), `stage.${name}`), time, stage?.node ? h('span', { class: 'stage-node' }, stage.node) : null);
}
