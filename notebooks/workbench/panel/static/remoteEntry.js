/* The workspace's panel in JupyterLab, written by hand: there is no build step and nothing of others in it.
 *
 * JupyterLab loads this file as a federated module: it calls `init` with the packages that it shares, then `get`, and
 * starts the plugins that it is given. All figures come from `shuzha/status`, which the gate answers outside the jail.
 * Text reaches the page by textContent only, so no title or reason can be markup. */
(() => {
  'use strict';

  const NAME = 'shuzha-panel';
  const PLUGIN = `${NAME}:plugin`;
  const POLL_MILLISECONDS = 10000;
  const WARN_DAYS = 7;
  const NARROW_PIXELS = 1000;

  // Each message in Chinese and English; {names} are filled in by `say`.
  const MESSAGES = {
    title: ['工作区', 'Workspace'],
    term: ['剩余期限', 'Term left'],
    days: ['{n} 天', '{n} days'],
    until: ['至 {date}', 'until {date}'],
    termSoon: ['期限将到：请尽快提交出域申请。到期后工作区与其中的数据将被销毁。',
      'The term ends soon: ask for your exports now. At its end the workspace and what is in it are destroyed.'],
    screen: ['今日屏显额度', 'Screen budget today'],
    used: ['已用 {used}，共 {most}', '{used} of {most} used'],
    screenSoft: ['额度即将用完：请多汇总、少打印，并清除笔记本中较大的输出。',
      'Nearly used up: aggregate more, print less, and clear large outputs of notebooks.'],
    screenStop: ['今日额度已用完：不再显示任何输出。成果请通过出域申请带出；主管部门可以提高额度。',
      'Used up: no more output is shown today. Results leave by an export request; the authority can raise the budget.'],
    compute: ['计算用量', 'Compute used'],
    processor: ['处理器时间', 'Processor time'],
    memory: ['内存', 'Memory'],
    storage: ['主目录存储', 'Home storage'],
    unknown: ['本主机未计量', 'not counted on this host'],
    hits: ['触及的限制', 'Limits hit'],
    hitMemory: ['一个进程（通常是内核）因占用内存超过 {limit} 被终止（{times} 次）。请先筛选列和行，再 collect()。',
      'A process, most often your kernel, was ended: it used more memory than {limit} (times: {times}). Select columns and rows before collect().'],
    hitProcesses: ['新进程被拒绝：最多 {limit} 个（{times} 次）。', 'A new process was refused: at most {limit} (times: {times}).'],
    hitDisk: ['主目录已满：最多 {limit}。请删除不再需要的文件。', 'Your home is full: at most {limit}. Delete files that you no longer need.'],
    ended: ['上次运行因主目录超过限额被终止：请先删除文件。', 'The last run was ended: the home held more than it may. Delete files first.'],
    its: ['限额', 'the limit'],
    exports: ['出域申请', 'Export requests'],
    noExports: ['还没有出域申请。', 'Nothing was asked to leave yet.'],
    how: ['成果如何带出', 'How results leave'],
    how1: ['用 workbench.table(…) 描述成果，workbench.check(…) 预检。', 'Describe a result with workbench.table(…); try it with workbench.check(…).'],
    how2: ['用 workbench.export(名称, …) 声明，保存笔记本。', 'Declare it with workbench.export(name, …) and save the notebook.'],
    how3: ['用 workbench.submit("笔记本.ipynb") 提交：平台在洁净室重算，两人审核。', 'Ask with workbench.submit("notebook.ipynb"): the platform computes it again, two people review it.'],
    how4: ['没有下载：文件只能经出域申请离开。', 'There is no download: files leave by an export request only.'],
    blocked: ['被规则拦下：{rules}', 'blocked by {rules}'],
    portal: ['在门户中打开本工作区', 'Open this workspace in the portal'],
    refresh: ['刷新', 'Refresh'],
    asOf: ['更新于 {time}', 'as of {time}'],
    suspended: ['工作区已被暂停：{reason}。其中内容保留；进展见门户的工作区页面。',
      'This workspace is suspended: {reason}. What is in it is kept; its page in the portal says how it stands.'],
    waiting: ['正在读取…', 'Reading…'],
    noAnswer: ['暂时读不到工作区状态，稍后自动重试。', 'The status cannot be read now; trying again.'],
    bar: ['屏显 {share} · 剩 {n} 天', 'Screen {share} · {n} days left'],
  };

  // The states of an export request: words in both languages, and how they look.
  const STATES = {
    draft: ['草稿', 'draft', ''], submitted: ['已提交', 'submitted', 'busy'], rerunning: ['重算中', 'running again', 'busy'],
    screened: ['待审核', 'screened', 'busy'], under_review: ['审核中', 'under review', 'busy'],
    consolidation: ['合议中', 'consolidation', 'busy'], approved: ['已批准', 'approved', 'good'], sealed: ['已封装', 'sealed', 'good'],
    released: ['已出域', 'released', 'good'], returned: ['退回修改', 'returned', 'warn'], rejected: ['已驳回', 'rejected', 'bad'],
    withdrawn: ['已撤回', 'withdrawn', ''], held: ['暂缓', 'held', 'warn'], recalled: ['已召回', 'recalled', 'bad'],
  };

  const STYLE = `
    .szp { overflow: auto; padding: 12px 14px 20px; color: var(--jp-ui-font-color1); background: var(--jp-layout-color1);
      font: 13px/1.5 system-ui, 'Noto Sans CJK SC', 'PingFang SC', 'Microsoft YaHei', sans-serif; min-width: 240px; }
    .szp h2 { font-size: 15px; line-height: 1.35; margin: 0 0 2px; font-weight: 600; overflow-wrap: anywhere; }
    .szp h3 { font-size: 12px; margin: 0 0 6px; font-weight: 600; color: var(--jp-ui-font-color2); }
    .szp section { border-top: 1px solid var(--jp-border-color2); padding: 11px 0 3px; margin-top: 11px; }
    .szp p { margin: 0 0 6px; }
    .szp .quiet { color: var(--jp-ui-font-color2); font-size: 12px; overflow-wrap: anywhere; }
    .szp .line { display: flex; justify-content: space-between; gap: 8px; margin: 0 0 4px; }
    .szp .line > :last-child { font-variant-numeric: tabular-nums; text-align: right; }
    .szp .big { font-size: 22px; line-height: 1.2; font-weight: 600; font-variant-numeric: tabular-nums; }
    .szp .bar { height: 8px; border-radius: 4px; background: var(--jp-layout-color3); overflow: hidden; margin: 2px 0 6px; }
    .szp .bar > span { display: block; height: 100%; min-width: 2px; background: var(--jp-brand-color1); }
    .szp .bar.warn > span { background: #b35900; } .szp .bar.bad > span { background: #b00020; }
    .szp .note { border-left: 4px solid #b35900; background: var(--jp-layout-color2); padding: 6px 9px; margin: 4px 0 8px; }
    .szp .note.bad { border-color: #b00020; }
    .szp ul, .szp ol { margin: 0 0 6px; padding-left: 18px; overflow-wrap: anywhere; } .szp ul.plain { list-style: none; padding: 0; }
    .szp ul.plain li { padding: 4px 0; border-bottom: 1px solid var(--jp-border-color3); }
    .szp ul.plain li:last-child { border-bottom: 0; }
    .szp a { color: var(--jp-content-link-color); text-decoration: underline; overflow-wrap: anywhere; }
    .szp .tag { border: 1px solid currentColor; border-radius: 9px; padding: 0 7px; font-size: 11px; white-space: nowrap; align-self: start; }
    .szp .tag.good { color: #1b6e3c; } .szp .tag.warn { color: #8a4500; } .szp .tag.bad { color: #b00020; } .szp .tag.busy { color: #0b57d0; }
    body[data-jp-theme-light='false'] .szp .tag { color: var(--jp-ui-font-color1); }
    .szp button { font: inherit; font-size: 12px; border: 1px solid var(--jp-border-color1); border-radius: 3px; padding: 1px 8px;
      background: transparent; color: inherit; cursor: pointer; }
    .szp :focus-visible { outline: 2px solid var(--jp-brand-color1); outline-offset: 1px; }
    .szp-item { cursor: pointer; padding: 0 6px; line-height: 24px; border: 0; background: transparent; color: inherit; font: inherit; }
    .szp-item.warn, .szp-item.bad { font-weight: 700; }
  `;

  /** Return what says messages in the reader's language: JupyterLab's where it was set, else the browser's. */
  function makeSpeech(locale) {
    const chosen = locale && !/^(en|default)/i.test(locale) ? locale : navigator.language;
    const chinese = /^zh/i.test(chosen || 'zh');
    const say = (key, values = {}) =>
      MESSAGES[key][chinese ? 0 : 1].replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
    const state = word => (STATES[word] ? STATES[word][chinese ? 0 : 1] : word);
    return { say, state, language: chinese ? 'zh-Hans' : 'en' };
  }

  /** Return a size in bytes as people write it. */
  function size(bytes) {
    const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
    let unit = 0;
    let value = Math.max(bytes, 0);
    while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit += 1; }
    return `${unit === 0 || value >= 100 ? Math.round(value) : Number(value.toFixed(1))} ${units[unit]}`;
  }

  /** Return seconds as hours, minutes and seconds. */
  function duration(seconds) {
    const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60), Math.floor(seconds % 60)];
    return hours ? `${hours} h ${minutes} min` : minutes ? `${minutes} min ${rest} s` : `${rest} s`;
  }

  /** Return an element with its text or children. */
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  /** Return a link to the portal; an address that is no http one is shown as text. */
  function link(address, text) {
    if (!/^https?:\/\//.test(address || '')) return make('span', {}, text);
    return make('a', { href: address, target: '_blank', rel: 'noopener noreferrer' }, text);
  }

  /** Return a bar of `value` in `most`, readable without colour. */
  function bar(label, value, most, tone = '') {
    const share = most > 0 ? Math.min(value / most, 1) : 1;
    const track = make('div', {
      class: `bar ${tone}`, role: 'meter', 'aria-label': label, 'aria-valuemin': 0, 'aria-valuemax': most, 'aria-valuenow': Math.min(value, most),
    }, make('span'));
    track.firstChild.style.width = `${share * 100}%`;
    return track;
  }

  function section(id, heading, ...children) {
    const title = make('h3', { id: `szp-${id}` }, heading);
    return make('section', { 'aria-labelledby': `szp-${id}`, 'data-part': id }, title, ...children);
  }

  /** How the screen budget stands: '', 'warn' from 80 % on, 'bad' when nothing more passes. */
  function toneOf(screen) {
    return { used: 'bad', low: 'warn' }[screen.state] || '';
  }

  /** Which limit was hit, what came of it, and what to do. */
  function sayHit(hit, say) {
    const words = { memory: 'hitMemory', processes: 'hitProcesses', disk: 'hitDisk' }[hit.limit];
    const limit = hit.most === null ? say('its') : hit.limit === 'processes' ? hit.most : size(hit.most);
    return words ? say(words, { limit, times: hit.times }) : hit.limit;
  }

  /** Why a request came back: the rules' names in the reader's language, or what a person wrote. */
  function sayReason(reason, say) {
    const rules = /^blocked by ([\w, ]+)$/.exec(reason);
    return rules ? say('blocked', { rules: rules[1] }) : reason;
  }

  /** The parts of the panel, each a function of the status and the language. */
  const PARTS = {
    head({ status }) {
      return make('header', {}, make('h2', {}, status.scenario || status.workspace), make('p', { class: 'quiet' }, status.workspace));
    },

    term({ status, say }) {
      if (status.days_left === null) return section('term', say('term'), make('p', { class: 'quiet' }, say('waiting')));
      const soon = status.days_left < WARN_DAYS;
      const parts = [make('div', { class: 'line' }, make('span', { class: 'big' }, say('days', { n: status.days_left })),
        make('span', { class: 'quiet' }, say('until', { date: status.valid_until.slice(0, 10) })))];
      if (soon) parts.push(make('p', { class: 'note', role: 'status' }, say('termSoon')));
      return section('term', say('term'), ...parts);
    },

    screen({ status, say }) {
      const { screen } = status;
      const tone = toneOf(screen);
      const parts = [make('div', { class: 'line' },
        make('span', {}, say('used', { used: size(screen.shown), most: size(screen.budget) })),
        make('span', {}, `${screen.budget ? Math.min(Math.floor((100 * screen.shown) / screen.budget), 100) : 100}%`)),
      bar(say('screen'), screen.shown, screen.budget, tone)];
      if (tone) parts.push(make('p', { class: `note ${tone}`, role: 'alert' }, say(tone === 'bad' ? 'screenStop' : 'screenSoft')));
      return section('screen', say('screen'), ...parts);
    },

    compute({ status, say }) {
      const { compute } = status;
      const counted = value => value !== null && value !== undefined;
      const line = (what, text) => make('div', { class: 'line' }, make('span', {}, what), make('span', {}, text));
      const used = (what, value, most, show) => {
        if (!counted(value)) return [line(what, say('unknown'))];
        const tone = most && value >= 0.9 * most ? 'warn' : '';
        return most ? [line(what, `${show(value)} / ${show(most)}`), bar(what, value, most, tone)] : [line(what, show(value))];
      };
      return section('compute', say('compute'),
        line(say('processor'), counted(compute.cpu_seconds) ? duration(compute.cpu_seconds) : say('unknown')),
        ...used(say('memory'), compute.memory_bytes, compute.memory_limit, size),
        ...(counted(compute.storage_bytes) ? used(say('storage'), compute.storage_bytes, compute.storage_limit, size) : []));
    },

    hits({ status, say }) {
      const said = status.hits.map(hit => sayHit(hit, say));
      if (status.compute.ended_for === 'disk') said.unshift(say('ended'));
      if (!said.length) return null;
      const shown = said.map(words => make('p', { class: 'note bad', role: 'status' }, words));
      return section('hits', say('hits'), ...shown);
    },

    exports({ status, say, state }) {
      if (!status.exports.length) return section('exports', say('exports'), make('p', { class: 'quiet' }, say('noExports')));
      const items = status.exports.map(each => {
        const tone = (STATES[each.state] || ['', '', ''])[2];
        const row = make('div', { class: 'line' }, link(each.url, each.title || each.id), make('span', { class: `tag ${tone}` }, state(each.state)));
        return make('li', {}, row, ...(tone === 'warn' || tone === 'bad' ? [make('div', { class: 'quiet' }, sayReason(each.reason || '', say))] : []));
      });
      return section('exports', say('exports'), make('ul', { class: 'plain' }, ...items));
    },

    how({ status, say }) {
      const steps = ['how1', 'how2', 'how3'].map(key => make('li', {}, say(key)));
      const portal = status.portal ? [make('p', {}, link(status.portal, say('portal')))] : [];
      return section('how', say('how'), make('ol', {}, ...steps), make('p', { class: 'quiet' }, say('how4')), ...portal);
    },
  };

  /** Return the panel's plugin, made with the packages that JupyterLab shares. */
  function makePlugin({ Widget, ServerConnection, URLExt, Notification, ILabShell, ITranslator, IStatusBar, LabIcon }) {
    const icon = new LabIcon({
      name: `${NAME}:gate`,
      svgstr: '<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24"><g class="jp-icon3" fill="#616161">'
        + '<path d="M3 3h18v3H3zM3 8h3v13H3zM18 8h3v13h-3zM8 8h3v7H8zM13 8h3v7h-3zM8 17h8v4H8z"/></g></svg>',
    });

    class Panel extends Widget {
      constructor(speech, settings) {
        super();
        Object.assign(this, { speech, settings, seen: { tone: '', hits: null, suspended: false }, watchers: [] });
        this.id = NAME;
        this.addClass('szp');
        this.title.icon = icon;
        this.title.caption = speech.say('title');
        this.node.setAttribute('role', 'region');
        this.node.setAttribute('aria-label', speech.say('title'));
        this.node.lang = speech.language;
        this.node.tabIndex = 0;
        this.node.replaceChildren(make('p', { class: 'quiet' }, speech.say('waiting')));
        this.poll();
      }

      /** Read the status and show it, then again and again; a page that nobody looks at does not ask. */
      async poll() {
        clearTimeout(this.timer);
        if (this.isDisposed) return;
        if (!document.hidden) await this.read();
        this.timer = setTimeout(() => this.poll(), POLL_MILLISECONDS);
      }

      async read() {
        try {
          const answer = await ServerConnection.makeRequest(URLExt.join(this.settings.baseUrl, 'shuzha/status'), { cache: 'no-store' }, this.settings);
          const body = await answer.json();
          if (answer.ok) this.tell(body);
          else if (body.code === 'workspace_suspended') this.suspend(this.speech.say('suspended', { reason: body.detail }));
          else this.refuse(body.detail || this.speech.say('noAnswer'));
        } catch (error) {
          this.refuse(this.speech.say('noAnswer'));
        }
      }

      /** Say why there are no figures; the last ones stay below it. */
      refuse(reason) {
        this.node.querySelector('.refusal')?.remove();
        this.node.prepend(make('p', { class: 'note bad refusal', role: 'alert' }, reason));
      }

      /** Say once in the middle, and for as long as it lasts in the panel, that the workspace is suspended: kernels only seem to die. */
      suspend(words) {
        this.refuse(words);
        if (!this.seen.suspended) Notification.error(words, { autoClose: false });
        this.seen.suspended = true;
      }

      tell(status) {
        const { say, language } = this.speech;
        this.seen.suspended = false;
        const parts = Object.values(PARTS).map(part => part({ status, ...this.speech })).filter(part => part !== null);
        const button = make('button', { type: 'button' }, say('refresh'));
        button.addEventListener('click', () => this.poll());
        const time = new Date().toLocaleTimeString(language);
        const top = this.node.scrollTop;
        const held = this.node.contains(document.activeElement) && document.activeElement.tagName === 'BUTTON';
        this.node.replaceChildren(...parts, make('p', { class: 'line quiet' }, make('span', {}, say('asOf', { time })), button));
        this.node.scrollTop = top;
        if (held) button.focus();
        this.warn(status);
        for (const watch of this.watchers) watch(status);
      }

      /** Tell once, wherever the analyst looks, that a budget ends or a limit was hit. */
      warn(status) {
        const { say } = this.speech;
        const tone = toneOf(status.screen);
        if (tone && tone !== this.seen.tone) {
          if (tone === 'bad') Notification.error(say('screenStop'), { autoClose: false });
          else Notification.warning(say('screenSoft'), { autoClose: 15000 });
        }
        this.seen.tone = tone;
        for (const hit of status.hits) {
          // The first reading says what was hit before this page was opened: the panel shows it, and nobody is startled.
          if (this.seen.hits && hit.times > (this.seen.hits[hit.limit] || 0)) Notification.error(sayHit(hit, say), { autoClose: false });
        }
        this.seen.hits = Object.fromEntries(status.hits.map(hit => [hit.limit, hit.times]));
      }
    }

    /** Return the small figure in the status bar: it stays in sight when the panel is folded away. */
    function makeItem(panel, shell) {
      const item = new Widget({ node: make('button', { type: 'button', class: 'szp-item' }) });
      item.node.addEventListener('click', () => shell.activateById(panel.id));
      panel.watchers.push(status => {
        const share = `${status.screen.budget ? Math.min(Math.floor((100 * status.screen.shown) / status.screen.budget), 100) : 100}%`;
        item.node.textContent = panel.speech.say('bar', { share, n: status.days_left ?? '—' });
        item.node.className = `szp-item ${toneOf(status.screen)}`;
      });
      return item;
    }

    return {
      id: PLUGIN,
      description: 'Shows what the workspace has left and what became of its export requests.',
      autoStart: true,
      requires: [ILabShell],
      optional: [ITranslator, IStatusBar],
      activate(app, shell, translator, statusBar) {
        document.head.append(make('style', { 'data-of': NAME }, STYLE));
        const panel = new Panel(makeSpeech(translator?.languageCode), app.serviceManager.serverSettings);
        shell.add(panel, 'right', { rank: 10 });
        statusBar?.registerStatusItem(`${NAME}:item`, { item: makeItem(panel, shell), align: 'right', rank: 10 });
        document.addEventListener('visibilitychange', () => { if (!document.hidden) panel.poll(); });
        app.restored.then(() => { if (window.innerWidth > NARROW_PIXELS) shell.activateById(panel.id); });
      },
    };
  }

  let shared = null;

  /** Return one of the packages that JupyterLab shares. */
  async function load(name) {
    const versions = shared[name];
    if (!versions) throw new Error(`${NAME}: JupyterLab shares no ${name}`);
    return (await Object.values(versions)[0].get())();
  }

  async function makeModule() {
    const names = ['@lumino/widgets', '@jupyterlab/services', '@jupyterlab/coreutils', '@jupyterlab/apputils',
      '@jupyterlab/application', '@jupyterlab/translation', '@jupyterlab/statusbar', '@jupyterlab/ui-components'];
    const packages = Object.assign({}, ...(await Promise.all(names.map(load))));
    return { __esModule: true, default: makePlugin(packages) };
  }

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB[NAME] = {
    init(scope) { shared = scope; },
    async get(module) {
      if (module !== './extension') throw new Error(`${NAME}: there is no module ${module}`);
      const made = await makeModule();
      return () => made;
    },
  };
})();
