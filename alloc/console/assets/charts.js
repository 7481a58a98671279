// The live numbers: tiles and charts, fed once a second by the event stream.

import { Chart } from './chart.js';
import { byId } from './dom.js';
import { duration, number } from './format.js';
import { languageEvents, setData, setText } from './i18n.js';
import { outcomes } from './message.js';

const transports = ['tcp', 'tls', 'ws', 'wss'];

/** The tiles and charts. */
export class LiveNumbers {
  constructor() {
    this.charts = {
      connections: chart('connections', transports.map(series('transport')), { stacked: true, sparse: true, whole: true, format: number }),
      pushes: chart('pushes', ['accepted', 'deliveries'].map(series('rate')), { format: number }),
      latency: chart('latency', ['p50', 'p90', 'p99'].map(series('quantile')), { format: duration }),
      outcomes: chart('outcomes', outcomes.map(series('outcome')), { stacked: true, sparse: true, format: number }),
    };
    const draw = () => Object.values(this.charts).forEach((one) => one.draw());
    languageEvents.addEventListener('change', draw);
    document.addEventListener('visibilitychange', draw);
  }

  /** Shows one second. @param {Object} stats data of the event "stats" */
  add(stats) {
    const connections = sum(stats.connections);
    tile('connections', number(connections), 'tile.connections.note', { opened: number(stats.opened), closed: number(stats.closed) });
    setData(byId('tile-bound'), number(sum(stats.bound)));
    tile('pushes', number(stats.accepted), 'tile.pushes.note', { deliveries: number(stats.deliveries) });
    tile('in-flight', number(stats.in_flight), 'tile.in_flight.note', { slow: number(stats.slow) });
    const latency = stats.latency_ms ?? {};
    tile('latency', duration(latency.p99), 'tile.latency.note', { p50: duration(latency.p50), p90: duration(latency.p90) });
    this.charts.connections.add(stats.at, stats.connections ?? {});
    this.charts.pushes.add(stats.at, { accepted: stats.accepted, deliveries: stats.deliveries });
    this.charts.latency.add(stats.at, latency);
    this.charts.outcomes.add(stats.at, stats.outcomes ?? {});
    return connections;
  }

  /** Shows what the list of nodes says. @param {Object[]} nodes */
  setNodes(nodes) {
    const count = (state) => nodes.filter((node) => node.state === state).length;
    tile('nodes', number(count('serving')), 'tile.nodes.note', { draining: count('draining'), lost: count('lost') });
    setText(byId('tile-bound-note'), 'tile.bound.note', { users: number(nodes.reduce((n, node) => n + (node.users ?? 0), 0)) });
  }
}

function series(prefix) {
  return (name) => ({ name, label: `${prefix}.${name}` });
}

function chart(name, list, options) {
  return new Chart(byId(`chart-${name}`), { title: `chart.${name}`, series: list, ...options });
}

function sum(counts) {
  return Object.values(counts ?? {}).reduce((total, n) => total + n, 0);
}

function tile(name, value, note, params) {
  setData(byId(`tile-${name}`), value);
  setText(byId(`tile-${name}-note`), note, params);
}
