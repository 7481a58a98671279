// Puts the parts of the page together.

import { Api } from './api.js';
import { LiveNumbers } from './charts.js';
import { DevicePanel } from './devicepanel.js';
import { byId } from './dom.js';
import { EventStream } from './events.js';
import { language, languageEvents, setAttribute, setLanguage, setText, translate } from './i18n.js';
import { NodesPanel } from './nodes.js';
import { showProblem } from './problem.js';
import { PushPanel } from './push.js';
import { UsersPanel } from './users.js';

const themes = ['auto', 'light', 'dark'];

function main() {
  translate();
  const api = new Api();
  const stream = new EventStream(api);
  const live = new LiveNumbers();
  const device = new DevicePanel();
  const push = new PushPanel(api);
  const nodes = new NodesPanel(api);
  new UsersPanel(api);

  byId('lang-switch').addEventListener('click', () => setLanguage(language() === 'en' ? 'zh' : 'en'));
  themeSwitch();
  tokenForm(api, stream);

  device.addEventListener('user', (event) => push.setUser(event.detail));
  nodes.addEventListener('nodes', (event) => {
    live.setNodes(event.detail);
    device.setNodes(event.detail);
    byId('app-version').textContent = event.detail.find((node) => node.version)?.version ?? '';
  });
  stream.addEventListener('stats', (event) => push.setConnections(live.add(event.detail)));
  stream.addEventListener('nodes', (event) => nodes.set(event.detail.nodes ?? []));
  stream.addEventListener('state', (event) => showLiveState(event.detail));
  stream.start();
}

function showLiveState({ state, error }) {
  if (byId('live-state').dataset.state !== state) {
    byId('live-state').dataset.state = state;
    setText(byId('live-state-text'), `live.state.${state}`);
  }
  if (state === 'live') byId('token-form').hidden = true; // the API is content
  if (state !== 'connecting') showProblem(byId('live-problem'), state === 'lost' && error?.name === 'ApiError' ? error : null);
}

function tokenForm(api, stream) {
  const form = byId('token-form');
  api.addEventListener('unauthorized', () => {
    setText(byId('token-hint'), api.token ? 'token.refused' : 'token.hint');
    if (form.hidden) {
      form.hidden = false;
      byId('token-input').focus();
    }
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    api.token = byId('token-input').value.trim();
    byId('token-input').value = '';
    stream.start();
  });
}

function themeSwitch() {
  const root = document.documentElement;
  const show = () => {
    const theme = root.dataset.theme ?? 'auto';
    setText(byId('theme-label'), `theme.${theme}`);
    setAttribute(byId('theme-switch'), 'title', 'theme.hint');
  };
  byId('theme-switch').addEventListener('click', () => {
    const next = themes[(themes.indexOf(root.dataset.theme ?? 'auto') + 1) % themes.length];
    if (next === 'auto') delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      localStorage.setItem('fanfare.theme', next);
    } catch {
      // Storage is off: the choice lasts as long as the page.
    }
    show();
  });
  languageEvents.addEventListener('change', show);
  show();
}

main();
