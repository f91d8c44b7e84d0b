'use strict';
/* The page of the admin address, in Chromium: what it shows moves with what real clients do, what
 * it does reaches them, and whoever cannot see or has no mouse can use it. */
const assert = require('assert');
const fs = require('fs');
const http = require('http');
const path = require('path');
const { mode, shared } = require('./lib/suite');
const { Redis, freePort } = require('./lib/redis');
const { Daemon, ROOT, BUILD } = require('./lib/daemon');
const { connect } = require('./lib/clients');
const { adminOf } = require('./lib/metrics');
const { browser } = require('./lib/browser');
const { Chromium } = require('./lib/chromium');
const { Played, LONG } = require('./lib/played');
const { front, missing, nginxConf } = require('./lib/front');
const { reload } = require('./lib/reload');
const { within } = require('./lib/time');

const TOKEN = 'an admin token that is long enough'.replace(/ /g, '-');
const AXE = path.join(__dirname, 'node_modules/axe-core/axe.min.js');

const redisOf = shared((s) => Redis.start(s));
const chromiumOf = shared((s) => Chromium.start(s));
const urlOf = async (daemon) => {
    const { host, port } = await adminOf(daemon);
    return `http://${host}:${port}/`;
};
const start = async (t, config = {}) => Daemon.start(t, { redis: await redisOf(), config: { workers: 2, admin: { port: 0, token: TOKEN }, ...config } });
const isLive = () => document.querySelector('#link').textContent === 'live' && document.querySelector('#now-clients').textContent !== '–';
const shows = (selector, text) => document.querySelector(selector).innerText.includes(text);

/* The page at url, live, of which the browser has nothing to complain at the end of the test, but for what is expected. */
async function visit(t, url, { expected, ...view } = {}) {
    const page = await (await chromiumOf()).open(url, view);
    t.after(async () => {
        await page.close();
        assert.deepStrictEqual(page.complaints.filter((one) => !expected || !expected.test(one)), [], 'complaints of the browser');
    });
    await page.until(isLive, 'a live page');
    return page;
}
async function client(t, daemon, uid, answer) {
    const one = await connect(4, daemon.addr, { token: daemon.token(uid) });
    t.after(() => one.close());
    if (answer !== undefined) one.socket.on('msg', (_, ack) => typeof ack === 'function' && ack(answer));
    return one;
}
const text = (selector) => document.querySelector(selector).innerText;
const lookUp = async (page, uid) => {
    await page.fill('#uid', uid);
    await page.press('Enter');
    await page.until((one) => document.querySelector('#looked').innerText.includes(one), `an answer about ${uid}`, uid.slice(0, 20));
};

browser('values move with real clients, messages, a worker that dies and a redis that goes', async (t) => {
    const redis = await Redis.start(t);
    const daemon = await Daemon.start(t, { redis, config: { workers: 2, admin: { port: 0 } } });
    const page = await visit(t, await urlOf(daemon));
    assert.strictEqual(await page.run(text, '#verdict'), '✓ All is well');
    const clients = await Promise.all(['a', 'b', 'b'].map((uid) => client(t, daemon, uid)));
    for (let i = 0; i < 30; i++) redis.emitter().emit('msg', i);
    await page.until(shows, 'three clients', '#now-clients', '3');
    await page.until(shows, 'two users', '#now-users', '2');
    await page.until(() => parseFloat(document.querySelector('#now-delivered').textContent) > 0, 'deliveries a second');
    await page.until(() => /\d (µs|ms)/.test(document.querySelector('#now-p99').textContent), 'a latency');
    clients[2].close();
    await page.until(shows, 'why one has gone', '#closed', 'left');
    daemon.deaths = true;
    process.kill(daemon.workers()[0], 'SIGKILL');
    await redis.stop();
    await page.until(shows, 'what is wrong', '#problems', 'Redis is not subscribed');
    assert.match(await page.run(() => document.title), /^✕ /);
    await page.until(shows, 'the event', '#events', 'worker 1');
    await page.until(() => document.querySelector('#all').rows[0].cells[8].textContent === '1', 'a restart');
    await redis.again();
    await page.until(() => document.querySelectorAll('#problems li').length === 1, 'one thing to look at');
    assert.match(await page.run(text, '#problems'), /was lost/);
});

browser('a user is found and disconnected, and the client hears it; what names say is shown as it is', async (t) => {
    const daemon = await start(t);
    const page = await visit(t, await urlOf(daemon));
    const names = ['alice', '<img src=x onerror=alert(1)>"\'&amp;', '</script><script>alert(2)</script>', '../%2e%2e/é😀'];
    for (const uid of names) {
        const one = await client(t, daemon, uid);
        (await redisOf()).emitter().in(uid).socketsJoin(`<b>room of ${uid}</b>`);
        await lookUp(page, uid);
        await page.until(shows, `${uid} connected`, '#looked', `${uid.slice(0, 30)}`);
        assert.strictEqual(await page.run(text, '#looked'), `● ${uid} is connected: 1 connection on 1 server.`);
        for (;;) {
            const rooms = await page.run(() => [...document.querySelectorAll('#found .chips li')].map((item) => item.textContent));
            if (rooms.includes(`<b>room of ${uid}</b>`)) break;
            await lookUp(page, uid);
        }
        await page.fill('#token', TOKEN);
        await page.click('#cut');
        assert.strictEqual(await page.run(text, '#sure-title'), `Disconnect ${uid}?`);
        await page.click('#yes');
        await one.noted('disconnect');
        await page.until(shows, 'the answer', '#looked', '1 connection closed');
        assert.strictEqual(await page.run(() => document.querySelectorAll('#looked *, #found b, #found script, img').length), 0);
    }
    await page.fill('#uid', '..');
    await page.press('Enter');
    assert.match(await page.run(text, '#looked'), /^A browser cannot ask/);
});

browser('a notification is sent and acknowledged by a real client; a wrong token is said to be one', async (t) => {
    const daemon = await start(t);
    const page = await visit(t, await urlOf(daemon), { expected: /status of 401 .*\/emit/ });
    const one = await client(t, daemon, 'alice', { seen: '<i>' });
    assert.strictEqual(await page.run(() => document.querySelector('#token').type), 'password');
    await page.fill('#uid', 'alice');
    await page.click('#go');
    await page.until(shows, 'that it takes a token', '#token-said', 'needs the admin token');
    await page.fill('#token', 'not the token');
    await page.click('#go');
    await page.until(shows, 'that it is none', '#token-said', 'No token has such characters');
    await page.fill('#token', 'not-the-token');
    await page.click('#go');
    await page.until(shows, 'that it is not the token', '#token-said', 'does not take this token');
    assert.strictEqual(await page.run(() => document.activeElement.id), 'token');
    await page.fill('#token', TOKEN);
    await page.fill('#arg', '{"n": 12345678901234567890');
    await page.click('#go');
    await page.until(shows, 'that it is no JSON', '#sent', 'no JSON');
    assert.deepStrictEqual(one.events, []);
    await page.fill('#arg', '{"text": "hé <b>"}');
    await page.click('#go');
    await page.until(shows, 'the acknowledgement', '#sent', '✓ alice: reached 1 client, 1 acknowledged');
    assert.deepStrictEqual(one.events.map((event) => event.slice(0, 2)), [['msg', { text: 'hé <b>' }]]);
    assert.strictEqual(await page.run(text, '#answers'), 'answer: {"seen":"<i>"}');
    await page.fill('#wait', '0');
    await page.click('#go');
    await page.until(shows, 'that it was published', '#sent', '✓ Published for alice: 1 server got it');
    await one.when((it) => it.events.length === 2, within(2000), 'the second');
    await page.fill('#uid', 'nobody');
    await page.fill('#wait', '1');
    await page.click('#go');
    await page.until(shows, 'that nobody was reached', '#sent', 'nobody: reached 0 clients, 0 acknowledged');
    assert.strictEqual(await page.run(() => sessionStorage.length), 0, 'the token is kept nowhere');
    await page.click('#remember');
    await page.visit(await urlOf(daemon));
    assert.strictEqual(await page.run(() => document.querySelector('#token').value), TOKEN, 'kept in the tab');
    assert.ok(!(await page.run(() => location.href)).includes(TOKEN));
});

browser('a user of two servers of the cluster is found, told and disconnected at both', async (t) => {
    const daemon = await start(t);
    const other = await start(t, { workers: 1 });
    const clients = [await client(t, daemon, 'alice', 1), await client(t, other, 'alice', 2)];
    const page = await visit(t, await urlOf(daemon));
    await page.fill('#uid', 'alice');
    for (let found; !found;) { /* once they know of each other */
        await page.press('Enter');
        found = await page.until(() => /connected: (\d)/.test(document.querySelector('#looked').innerText), 'alice')
            && await page.run(shows, '#looked', '2 connections on 2 servers, 1 of them here');
    }
    const sockets = await page.run(() => [...document.querySelectorAll('#sockets div')].map((one) => one.textContent.split(' · ').slice(0, 2)).sort());
    assert.deepStrictEqual(sockets, [['another server', '127.0.0.1'], ['here', '127.0.0.1']]);
    await page.fill('#token', TOKEN);
    await page.click('#go');
    await page.until(shows, 'the acknowledgements', '#sent', '✓ alice: reached 2 clients, 2 acknowledged');
    assert.deepStrictEqual((await page.run(text, '#answers')).split('\n').sort(), ['answer: 1', 'answer: 2']);
    await page.click('#cut');
    await page.click('#yes');
    await Promise.all(clients.map((one) => one.noted('disconnect')));
    await page.until(shows, 'the answer', '#looked', '✓ alice is disconnected: 2 connections closed');
});

browser('without admin:token what changes something is off, and it is said why; a reload puts it on', async (t) => {
    const daemon = await start(t, { admin: { port: 0 } });
    const page = await visit(t, await urlOf(daemon));
    const off = () => [...document.querySelectorAll('#acts input, #acts textarea, #acts button')].filter((one) => one.matches(':disabled')).length;
    assert.strictEqual(await page.run(off), 7);
    assert.match(await page.run(text, '#off'), /admin:token is not set/);
    await reload(daemon, { admin: { port: 0, token: TOKEN } });
    await page.until(() => !document.querySelector('#acts').disabled, 'controls that are on');
    assert.strictEqual(await page.run(off), 0);
    assert.ok(await page.run(() => document.querySelector('#off').hidden));
});


/* As THE PAGE in the manual has it. */
async function nginx(t, daemon) {
    const manual = fs.readFileSync(path.join(ROOT, 'man/axr-notifyd.8'), 'utf8');
    const [, location] = /^\.Sh THE PAGE\n[^]*?^(location [^]*?^}\n)/m.exec(manual);
    const port = await freePort();
    const text = location.replace('127.0.0.1:3001', `127.0.0.1:${(await adminOf(daemon)).port}`).replace('/etc/nginx/push.users', 'push.users');
    assert.ok(text.includes('location /push/') && text.includes('push.users'), text);
    const http_ = `server { listen 127.0.0.1:${port}; access_log off;\n${text}}`;
    const begin = async () => {
        const proxy = await front(t, 'nginx', nginxConf({ http: http_ }), [port]);
        fs.writeFileSync(path.join(proxy.dir, 'push.users'), 'ops:{PLAIN}a-password\n');
        return proxy;
    };
    return { begin, port };
}
browser('below a path of nginx, with a password: it looks up and sends, and comes back when nginx does', async (t) => {
    const why = missing('nginx');
    if (why) return t.skip(why);
    const daemon = await start(t);
    const { begin, port } = await nginx(t, daemon);
    const proxy = await begin();
    const one = await client(t, daemon, 'alice', 'seen');
    const page = await visit(t, `http://ops:a-password@127.0.0.1:${port}/push/`, { expected: /ERR_(INCOMPLETE_CHUNKED_ENCODING|CONNECTION_REFUSED).*\/push\/events/ });
    await lookUp(page, 'alice');
    await page.fill('#token', TOKEN);
    await page.click('#go');
    await page.until(shows, 'the acknowledgement', '#sent', 'reached 1 client, 1 acknowledged');
    assert.strictEqual(one.events.length, 1);
    proxy.signal('SIGTERM');
    await proxy.ended(within(3000));
    await page.until(shows, 'that it is cut off', '#link', 'reconnecting');
    await page.run(() => {
        heard -= 5000; /* as if that had passed */
        showLink();
    });
    assert.match(await page.run(text, '#age'), /^what is shown is \d+ s old: /);
    assert.ok(await page.run(() => document.body.classList.contains('old')));
    assert.strictEqual(await page.run(text, '#verdict'), '? Not live: what is below is old');
    await begin();
    await page.until(isLive, 'a live page again');
    assert.strictEqual(await page.run(text, '#age'), '');
    assert.strictEqual(await page.run(text, '#verdict'), '✓ All is well');
    return undefined;
});

browser('with the keyboard alone: from the first link to a user, a dialog and the charts', async (t) => {
    const daemon = await start(t);
    const page = await visit(t, await urlOf(daemon));
    const one = await client(t, daemon, 'alice');
    const focused = () => page.run(() => document.activeElement.id || document.activeElement.getAttribute('aria-label') || document.activeElement.tagName);
    const tab = async (name, keys = {}) => {
        for (let i = 0; i < 25; i++) {
            await page.press('Tab', keys);
            const { where, isSeen } = await page.run(() => {
                const it = document.activeElement, style = getComputedStyle(it);
                return { where: it.id || it.getAttribute('aria-label') || it.textContent, isSeen: style.outlineStyle !== 'none' || it.getAttribute('aria-invalid') === 'true' };
            });
            assert.ok(isSeen, `the focus is seen at ${where}`);
            if (where.startsWith(name)) return;
        }
        assert.fail(`no way to ${name}`);
    };
    await tab('To the content');
    await tab('theme');
    await page.press('Enter');
    assert.strictEqual(await page.run(() => document.documentElement.dataset.theme), 'light');
    await tab('Clients and users');
    await page.press('Home');
    const valueText = () => document.activeElement.getAttribute('aria-valuetext');
    assert.match(await page.run(valueText), /^(\d\d:\d\d:\d\d: Clients \d+, Users \d+|nothing yet)$/);
    await tab('uid');
    await page.type('alice');
    await page.press('Enter');
    await page.until(shows, 'alice', '#looked', 'alice is connected');
    await tab('token');
    await page.type(TOKEN);
    await tab('cut');
    await page.press('Enter');
    await page.until(() => document.querySelector('#sure').open, 'the question');
    assert.strictEqual(await focused(), 'no', 'the safe answer has the focus');
    await page.press('Escape');
    assert.strictEqual(await focused(), 'cut', 'the focus is back');
    assert.ok(one.socket.connected);
    await page.press('Enter');
    await tab('yes');
    await page.press('Space');
    await one.noted('disconnect');
    await page.until(shows, 'that it is done', '#looked', '✓ alice is disconnected');
    await tab('uid', { shift: true });
});

/* --- what it looks like --- */

const get = (url) => new Promise((resolve, reject) => {
    http.get(url, (res) => {
        const parts = [];
        res.on('data', (part) => parts.push(part)).on('end', () => resolve({ headers: res.headers, body: Buffer.concat(parts) }));
    }).on('error', reject);
});
const playedOf = shared(async (s) => Played.start(s, await get(await urlOf(await start(s)))));

const SIZES = { wide: { width: 1440, height: 900 }, narrow: { width: 360, height: 780 }, middle: { width: 1000, height: 900 } };
/* Of each kind: size, colours, and whether it is read with axe, too. */
const ALL = ['wide', 'narrow', 'middle'].flatMap((size) => ['light', 'dark'].map((scheme) => [size, scheme, true]));
const VIEWS = mode === 'long' ? { load: ALL, trouble: ALL, idle: ALL, large: ALL } : {
    load: [['wide', 'light', true], ['wide', 'dark'], ['narrow', 'light'], ['narrow', 'dark', true]],
    trouble: [['wide', 'light', true], ['narrow', 'dark']],
    idle: [['wide', 'dark', true], ['narrow', 'light']],
};

/* Contrast of each colour that text has with each ground that it stands on, at least. */
function contrast() {
    const probe = document.body.appendChild(document.createElement('i'));
    const light = (name) => {
        probe.style.color = `var(${name})`;
        const [r, g, b] = getComputedStyle(probe).color.match(/\d+/g).map((one) => one / 255)
            .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
    };
    const ratios = ['--text', '--soft', '--one', '--two', '--good', '--warn', '--bad'].flatMap((name) => ['--bg', '--card', '--well'].map((ground) => {
        const [a, b] = [light(name), light(ground)];
        return [Math.max(a, b) / Math.min(a, b), `${name} on ${ground}`];
    }));
    probe.remove();
    return ratios.sort((a, b) => a[0] - b[0])[0];
}
/* Elements whose text is cut off or goes beyond the page, but for those that scroll. */
function clipped() {
    return [...document.querySelectorAll('body *')].filter((one) => {
        const box = one.getBoundingClientRect();
        if (!box.width || one.closest('.hidden, .scroll, textarea, input, svg, template, script, style')) return false;
        return box.right > innerWidth + 1 || box.left < -1 || one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== 'inline';
    }).map((one) => `${one.tagName}#${one.id}.${one.className}: ${one.textContent.slice(0, 40)}`);
}

async function read(page) {
    await page.run(() => { document.querySelector('#hour').open = true; });
    const found = await page.run(async () => (await axe.run(document, { resultTypes: ['violations'] })).violations
        .map((one) => `${one.help}: ${one.nodes.map((node) => node.target.join(' ')).join(', ')}`));
    assert.deepStrictEqual(found, []);
    assert.strictEqual(await page.run(() => document.querySelectorAll('#hour-rows tr').length), 13, 'the hour is a table, too');
    await page.run(() => { document.querySelector('#hour').open = false; });
}
for (const [kind, views] of Object.entries(VIEWS))
    browser(`${kind}: nothing is cut off, and whoever cannot see it can read it`, async (t) => {
        const played = await playedOf();
        played.play(kind);
        const page = await visit(t, played.url);
        await page.run(fs.readFileSync(AXE, 'utf8'));
        if (kind !== 'idle') {
            await lookUp(page, kind === 'trouble' ? LONG.slice(0, 200) : 'alice');
            await page.fill('#token', TOKEN);
            await page.click('#go');
            await page.until(shows, 'what was sent', '#sent', 'reached 3 clients, 2 acknowledged');
            await page.run(() => document.activeElement.blur());
        }
        for (const [size, scheme, isRead] of views) {
            await page.view({ ...SIZES[size], scheme });
            await page.run(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))); /* charts are drawn anew */
            await page.run(() => scrollTo(0, 0));
            await page.picture(path.join(BUILD, 'screenshots', `${kind}-${size}-${scheme}.png`));
            assert.deepStrictEqual(await page.run(clipped), [], `${size}, ${scheme}`);
            const [ratio, where] = await page.run(contrast);
            assert.ok(ratio >= 4.5, `${where}: ${ratio}`);
            if (isRead) await read(page);
        }
    }, { quick: kind === 'load' });

browser('the charts tell values at the time that is looked at; gaps are gaps', async (t) => {
    const played = await playedOf();
    played.play('trouble');
    const page = await visit(t, played.url);
    const now = await page.run(text, '#now-clients');
    await page.run(() => document.querySelector('[role=slider]').focus());
    await page.press('Home');
    const then = await page.run(() => hour.columns.clients[0]);
    assert.strictEqual(await page.run(text, '#now-clients'), then.toLocaleString('en'));
    assert.match(await page.run(() => document.activeElement.getAttribute('aria-valuetext')), /^\d\d:\d\d:\d\d: Clients [\d,]+, Users [\d,]+$/);
    await page.press('Escape');
    assert.strictEqual(await page.run(text, '#now-clients'), now);
    const runs = await page.run(() => document.querySelector('path.first').getAttribute('d').split('M').length - 1);
    assert.strictEqual(runs, 2, 'a line before the gap and one behind it');
    const { points, length } = await page.run(() => {
        for (let i = 1; i <= 500; i++) takePoint({ end: hour.end + 10000, clients: i });
        return { points: points(), length: hour.columns.p99.length };
    });
    assert.deepStrictEqual([points, length], [361, 361], 'an hour is kept, and no more');
});

browser('who is not looked at asks for nothing; of too many pages it is said that they are', async (t) => {
    const daemon = await start(t);
    const url = await urlOf(daemon);
    const page = await visit(t, url, { expected: /status of 503 .*\/events/ });
    const hide = (isHidden) => page.run((hidden) => {
        const later = window.later = window.later || setTimeout;
        window.setTimeout = (act, ms) => later(act, ms < 1000 ? ms : 200); /* as if seconds, and the minute, had passed */
        Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
        document.dispatchEvent(new Event('visibilitychange'));
    }, isHidden);
    await hide(true);
    await page.until(shows, 'a page that rests', '#link', 'paused');
    const watchers = [];
    t.after(() => watchers.forEach((one) => one.destroy()));
    for (let i = 0; i < 8; i++)
        await new Promise((resolve) => watchers.push(http.get(`${url}events`, (res) => resolve(res.resume()))));
    await hide(false);
    await page.until(shows, 'why there is nothing', '#age', '503 too many watch this already');
    watchers.pop().destroy();
    await page.until(isLive, 'a page that is live again');
});
