// A time chart in SVG: lines or stacked areas over the last minutes, with axes,
// legend, read-out under the pointer or the arrow keys, and a text alternative.
// Colours come from the style sheet, so a theme change needs no redrawing.

import { h, svg } from './dom.js';
import { clock } from './format.js';
import { setText, t } from './i18n.js';

const windowMs = 5 * 60_000;
const leastMs = 60_000; // a page just opened shows one minute, and grows to the window
const maxSamples = 400;
const gapMs = 4_000; // samples further apart are not joined
const timeSteps = [10_000, 20_000, 30_000, 60_000, 120_000, 300_000];
const margin = { top: 8, right: 8, bottom: 18 };

/**
 * Round numbers from 0 to at least max.
 * @param {number} max
 * @param {number} count about how many steps
 * @param {boolean} [whole] no fractions, for what is counted
 * @returns {number[]} the first is 0, the last the top of the axis
 */
export function ticks(max, count, whole = false) {
  const rough = (max > 0 ? max : 1) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  let step = power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough * 0.999);
  if (whole) step = Math.ceil(step);
  const all = [];
  for (let i = 0; i === 0 || all[i - 1] < max * 0.999; i++) all.push(Number((i * step).toPrecision(12)));
  if (all.length === 1) all.push(step);
  return all;
}

/** One chart in a figure element. */
export class Chart {
  /**
   * @param {HTMLElement} root an empty figure
   * @param {{title: string, series: {name: string, label: string}[], stacked?: boolean, sparse?: boolean, whole?: boolean,
   *   format: (value: number) => string}} options title and label are message keys; name is the key in the samples and
   *   the colour class; sparse leaves series that are all zero out of legend and read-out; whole: values are counts
   */
  constructor(root, options) {
    this.root = root;
    this.options = options;
    this.samples = [];
    this.cursor = null; // time of the read-out
    this.build();
    new ResizeObserver(() => this.draw()).observe(this.plot);
  }

  build() {
    const id = this.root.id;
    this.legend = h('ul', { class: 'legend' });
    this.items = new Map(this.options.series.map((series) => [series.name, legendItem(series)]));
    this.nothing = setText(h('li'), 'chart.nothing');
    this.legend.append(this.nothing, ...[...this.items.values()].map((item) => item.root));
    this.svg = svg('svg', { class: 'plot', role: 'img', tabindex: 0, 'aria-labelledby': `${id}-title`, 'aria-describedby': `${id}-text` });
    this.grid = svg('g', { class: 'grid' });
    this.marks = svg('g');
    this.hair = svg('g', { class: 'hair' });
    this.svg.append(this.grid, this.marks, this.hair);
    this.readout = h('div', { class: 'readout', 'aria-live': 'polite', hidden: true });
    this.plot = h('div', { class: 'plot-box' });
    this.plot.append(this.svg, this.readout);
    this.text = h('p', { class: 'visually-hidden', id: `${id}-text` });
    this.root.append(setText(h('figcaption', { id: `${id}-title` }), this.options.title), this.plot, this.legend, this.text);
    this.svg.addEventListener('pointermove', (event) => this.point(event));
    this.svg.addEventListener('pointerdown', (event) => this.point(event));
    this.svg.addEventListener('pointerleave', () => this.moveTo(null));
    this.svg.addEventListener('blur', () => this.moveTo(null));
    this.svg.addEventListener('keydown', (event) => this.key(event));
  }

  /**
   * Adds a sample and drops those that left the window.
   * @param {number} at milliseconds since the epoch
   * @param {Object<string, number|null|undefined>} values by series name
   */
  add(at, values) {
    if (this.samples.length > 0 && at <= this.samples.at(-1).at) return;
    this.samples.push({ at, values });
    while (this.samples[0].at < at - windowMs || this.samples.length > maxSamples) this.samples.shift();
    this.draw();
  }

  /** Draws everything; called by itself when a sample comes or the size changes. */
  draw() {
    if (document.hidden) return; // nobody looks; charts.js draws when the page shows again
    this.width = this.plot.clientWidth;
    this.height = this.plot.clientHeight;
    if (this.width < 40 || this.height < 40) return;
    this.svg.setAttribute('viewBox', `0 0 ${this.width} ${this.height}`);
    this.drawGrid(ticks(this.highest(), this.height > 130 ? 4 : 3, this.options.whole));
    const drawing = this.shown().flatMap((series) => this.drawSeries(series));
    this.marks.replaceChildren(...drawing);
    this.drawLegend();
    this.drawCursor();
  }

  shown() {
    if (!this.options.sparse) return this.options.series;
    return this.options.series.filter((series) => this.samples.some((sample) => sample.values[series.name] > 0));
  }

  highest() {
    const { series, stacked } = this.options;
    let max = 0;
    for (const { values } of this.samples) {
      const numbers = series.map(({ name }) => values[name] ?? 0);
      max = Math.max(max, stacked ? numbers.reduce((a, b) => a + b, 0) : Math.max(...numbers));
    }
    return max;
  }

  drawGrid(steps) {
    const labels = steps.map(this.options.format);
    this.left = 10 + Math.max(...labels.map((label) => label.length)) * 6.2;
    this.top = steps.at(-1);
    const parts = [];
    steps.forEach((step, i) => {
      const y = this.y(step);
      parts.push(svg('line', { x1: this.left, x2: this.width - margin.right, y1: y, y2: y, class: i === 0 ? 'axis' : '' }));
      parts.push(label(labels[i], { x: this.left - 6, y: y + 3.5, class: 'y' }));
    });
    this.grid.replaceChildren(...parts, ...this.timeLabels());
  }

  timeLabels() {
    const span = this.span();
    const room = this.width - margin.right - this.left;
    const every = timeSteps.find((step) => (span / step) * timeWidth(step) <= room) ?? timeSteps.at(-1);
    const half = timeWidth(every) / 2 - 8;
    const labels = [];
    for (let at = Math.ceil((this.end() - span) / every) * every; at <= this.end(); at += every) {
      const x = this.x(at);
      if (x < this.left + half - 12 || x > this.width - half) continue;
      labels.push(label(clock(at).slice(0, every < 60_000 ? 8 : 5), { x, y: this.height - 4, class: 'x' }));
      labels.push(svg('line', { x1: x, x2: x, y1: this.y(0), y2: this.y(0) + 3, class: 'axis' }));
    }
    return labels;
  }

  end() {
    return this.samples.at(-1)?.at ?? Date.now();
  }

  span() {
    return Math.min(windowMs, Math.max(leastMs, this.end() - (this.samples[0]?.at ?? this.end())));
  }

  x(at) {
    return this.left + (1 - (this.end() - at) / this.span()) * (this.width - margin.right - this.left);
  }

  y(value) {
    return this.height - margin.bottom - (value / this.top) * (this.height - margin.bottom - margin.top);
  }

  // runs are the pieces of a series without a gap, as [time, value, base].
  runs(name) {
    const { series, stacked } = this.options;
    const below = stacked ? series.slice(0, series.findIndex((one) => one.name === name)) : [];
    const runs = [[]];
    let last = 0;
    for (const { at, values } of this.samples) {
      const value = stacked ? values[name] ?? 0 : values[name];
      const gap = at - last > gapMs || value === null || value === undefined;
      if (gap && runs.at(-1).length > 0) runs.push([]);
      last = at;
      if (value === null || value === undefined) continue;
      const base = below.reduce((sum, one) => sum + (values[one.name] ?? 0), 0);
      runs.at(-1).push([at, base + value, base]);
    }
    return runs.filter((run) => run.length > 0);
  }

  drawSeries({ name }) {
    return this.runs(name).map((run) => {
      const points = run.map(([at, value]) => `${this.x(at).toFixed(1)} ${this.y(value).toFixed(1)}`);
      if (this.options.stacked) {
        const back = run.toReversed().map(([at, , base]) => `${this.x(at).toFixed(1)} ${this.y(base).toFixed(1)}`);
        return svg('path', { class: `area s-${name}`, d: `M${[...points, ...back].join('L')}Z` });
      }
      if (run.length === 1) return svg('circle', { class: `dot s-${name}`, cx: this.x(run[0][0]), cy: this.y(run[0][1]), r: 1.8 });
      return svg('path', { class: `line s-${name}`, d: `M${points.join('L')}` });
    });
  }

  drawLegend() {
    const shown = new Set(this.shown().map((series) => series.name));
    const latest = this.samples.at(-1)?.values ?? {};
    for (const { name } of this.options.series) {
      const item = this.items.get(name);
      item.root.hidden = !shown.has(name);
      item.value.textContent = this.show(latest[name]);
    }
    this.nothing.hidden = shown.size > 0;
    this.text.textContent = this.summary();
  }

  show(value) {
    return value === null || value === undefined ? '–' : this.options.format(value);
  }

  /** The chart in words. @returns {string} */
  summary() {
    const shown = this.shown();
    if (this.samples.length === 0 || shown.length === 0) return t('chart.nothing');
    return shown.map(({ name, label: key }) => {
      const values = this.samples.map((sample) => sample.values[name]).filter((value) => typeof value === 'number');
      if (values.length === 0) return t('chart.summary.none', { name: t(key) });
      const [latest, low, high] = [values.at(-1), Math.min(...values), Math.max(...values)].map((value) => this.show(value));
      return t('chart.summary', { name: t(key), latest, low, high });
    }).join(' ');
  }

  point(event) {
    const box = this.svg.getBoundingClientRect();
    const share = (event.clientX - box.left - this.left) / (this.width - margin.right - this.left);
    this.moveTo(this.end() - (1 - share) * this.span());
  }

  key(event) {
    const jump = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30, Home: -maxSamples, End: maxSamples }[event.key];
    if (event.key === 'Escape') this.moveTo(null);
    if (jump === undefined || this.samples.length === 0) return;
    event.preventDefault();
    const from = this.cursor === null ? this.samples.length : this.samples.indexOf(this.nearest());
    this.moveTo(this.samples[Math.max(0, Math.min(this.samples.length - 1, from + jump))].at);
  }

  moveTo(at) {
    this.cursor = at;
    this.drawCursor();
  }

  nearest() {
    let best = this.samples[0];
    for (const sample of this.samples) {
      if (Math.abs(sample.at - this.cursor) < Math.abs(best.at - this.cursor)) best = sample;
    }
    return best;
  }

  drawCursor() {
    const off = this.cursor === null || this.samples.length === 0;
    this.readout.hidden = off;
    this.hair.replaceChildren();
    if (off) return;
    const sample = this.nearest();
    const x = this.x(sample.at);
    this.hair.append(svg('line', { x1: x, x2: x, y1: margin.top, y2: this.y(0) }));
    const rows = this.shown().filter(({ name }) => !this.options.sparse || sample.values[name] > 0);
    if (this.options.stacked) rows.reverse(); // as they lie above each other
    this.readout.replaceChildren(h('div', { class: 'readout-time' }, clock(sample.at)), ...rows.map((series) => h('div', { class: 'readout-row' },
      h('span', { class: `swatch s-${series.name}` }), h('span', {}, t(series.label)), h('b', {}, this.show(sample.values[series.name])))));
    const left = x > this.width / 2;
    this.readout.style.left = left ? 'auto' : `${x + 10}px`;
    this.readout.style.right = left ? `${this.width - x + 10}px` : 'auto';
  }
}

// timeWidth is the room in pixels that a label of the time axis needs.
function timeWidth(step) {
  return step < 60_000 ? 62 : 40;
}

function label(text, attributes) {
  const element = svg('text', attributes);
  element.textContent = text;
  return element;
}

function legendItem(series) {
  const value = h('b');
  const root = h('li', {}, h('span', { class: `swatch s-${series.name}` }), setText(h('span'), series.label), value);
  return { root, value };
}
