'use strict';
/* Pages that are not the user's, in the browser that has the user's cookie: they open
 * connections of their own, and try the session of an honest client, whose id they have
 * come to know.  What *.localhost names is the browser's own machine, and trustworthy:
 * cookies that are for every site (SameSite=None) go there, and so does Sec-Fetch-Site. */
const assert = require('assert');
const http = require('http');
const net = require('net');
const { shared } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon } = require('./lib/daemon');
const { Site, browser, visit, pageOf, seen } = require('./lib/browser');
const { Polling } = require('./lib/http');
const { within } = require('./lib/time');

const OURS = 'push.app.localhost';
const FRIEND = 'friend.localhost'; /* listed in cors:origins */
const redisOf = shared((s) => Redis.start(s));

/* The site whose /notifications is the daemon, as behind a proxy.  The page, of whatever
 * name, opens clients, or does attack(foreign). */
class Front extends Site {
    constructor() {
        super();
        this.server.on('upgrade', (req, socket, head) => this.pass(req, socket, head));
    }
    url(host, path = '/') {
        return `http://${host}:${this.port}${path}`;
    }
    serve(req, res) {
        if (!req.url.startsWith('/notifications')) {
            super.serve(req, res);
            return;
        }
        const { method, headers, url } = req;
        const asked = http.request({ ...this.daemon.addr, method, path: url, headers, agent: false }, (answer) => {
            res.writeHead(answer.statusCode, answer.headers);
            answer.pipe(res);
        });
        asked.on('error', () => res.destroy());
        res.on('close', () => asked.destroy());
        req.pipe(asked);
    }
    pass(req, socket, head) {
        const to = net.connect(this.daemon.addr, () => {
            const lines = req.rawHeaders.map((word, i) => (i % 2 ? `${word}\r\n` : `${word}: `));
            to.write(`${req.method} ${req.url} HTTP/1.1\r\n${lines.join('')}\r\n`);
            to.write(head);
            socket.pipe(to).pipe(socket);
        });
        for (const [one, other] of [[to, socket], [socket, to]])
            for (const event of ['error', 'close']) one.on(event, () => other.destroy());
    }
    /* /login gives the cookie and leads to where the test wants. */
    page(req, res) {
        if (req.url !== '/login') return this.foreign ? pageOf(attack, this.foreign) : super.page();
        res.setHeader('Set-Cookie', `jwt=${this.token}; Path=/; SameSite=None; Secure; HttpOnly`);
        return pageOf((to) => location.replace(to), this.next);
    }
}

/* Runs in the page, for each of jobs: opens a session, or takes that with the id sid,
 * by what a page can do with a cookie that it does not see; reports what comes of it. */
function attack({ base, jobs }) {
    const url = (query, scheme = 'http') => `${base.replace('http', scheme)}/notifications/?EIO=4&${query}`;
    const scripts = [];
    const script = (query) => new Promise((resolve) => {
        const tag = document.createElement('script');
        tag.src = url(`transport=polling&j=${scripts.push(resolve) - 1}&${query}`);
        tag.onerror = () => resolve(null);
        document.body.appendChild(tag);
    });
    window.___eio = scripts;
    const fetched = async (query) => {
        const answer = await fetch(url(`transport=polling&${query}`), { credentials: 'include' }).catch(() => null);
        return answer && answer.ok ? answer.text() : null;
    };
    const post = (query, body) => fetch(url(`transport=polling&${query}`), { method: 'POST', mode: 'no-cors', credentials: 'include', body });
    const poll = async (get, told, join, sid) => {
        const open = sid ? `0{"sid":"${sid}"}` : await get('t=0');
        if (open === null) return told(null);
        const query = `sid=${JSON.parse(open.slice(1)).sid}`;
        if (!sid) await join(query);
        for (let text = ''; text !== null; ) {
            text = await get(query);
            told(text);
        }
    };
    const socket = (told, sid) => {
        const ws = new WebSocket(url(`transport=websocket${sid ? `&sid=${sid}` : ''}`, 'ws'));
        ws.onopen = () => ws.send(sid ? '2probe' : '40/axr,');
        ws.onclose = () => told(null);
        ws.onmessage = ({ data }) => {
            if (data === '3probe') ws.send('5');
            else told(data);
        };
    };
    for (const { id, way, sid } of jobs) {
        const told = (text) => {
            const what = text === null || text.includes('44/axr,') ? 'out' : text.includes('42/axr,') ? 'heard' : text.includes('40/axr,') ? 'in' : '';
            if (what) fetch('/report', { method: 'POST', body: JSON.stringify({ id, what, detail: text }) });
        };
        if (way === 'websocket') socket(told, sid);
        else if (way === 'fetch') poll(fetched, told, (query) => post(query, '40/axr,'), sid);
        else poll(script, told, (query) => post(`${query}&j=0`, new URLSearchParams({ d: '40/axr,' })), sid);
    }
}
const WAYS = ['script', 'fetch', 'websocket'];

async function begin(t) {
    const redis = await redisOf();
    const front = await Front.start(t);
    const origins = ['*', front.url(FRIEND, '')];
    front.daemon = await Daemon.start(t, { redis, config: { workers: 2, cors: { origins, credentials: true } } });
    front.token = front.daemon.token('u');
    return { redis, front };
}
/* A client of the user's own page, that polls. */
async function own(front) {
    const client = await Polling.open(front.daemon.addr, { headers: { Cookie: `jwt=${front.token}`, Host: `${OURS}:${front.port}` } });
    await client.send('40/axr,');
    assert.match(await client.text(), /^40\/axr,/);
    return client;
}
/* The page of host does jobs; resolves when each has come to something. */
async function attacked(t, front, host, jobs) {
    front.next = front.url(host);
    front.foreign = { base: front.url(OURS, ''), jobs: jobs.map((job, id) => ({ ...job, id })) };
    visit(t, front, front.url(OURS, '/login'));
    await front.when((reports) => jobs.every((_, id) => reports.some((one) => one.id === id)), 'all that the page tries');
}

for (const [what, host] of [['another site', 'evil.localhost'], ['a sister host', 'sister.app.localhost']]) {
    browser(`Chromium: a page of ${what} hears nothing of the user whose cookie it sends`, async (t) => {
        const { redis, front } = await begin(t);
        const honest = await own(front);
        await attacked(t, front, host, WAYS.map((way) => ({ way })));
        redis.emitter().to('u').emit('msg', 'secret');
        const inside = new Set(front.reports.filter((one) => one.what === 'in').map(({ id }) => id));
        await front.when((reports) => [...inside].every((id) => seen(reports, id, 'heard').length), 'what the page hears');
        assert.deepStrictEqual(front.reports.filter((one) => one.what !== 'out'), []);
        assert.deepStrictEqual((await honest.event(within(3000))).args, ['msg', 'secret']);
    });
    browser(`Chromium: nor does it hear anything of a session whose id it knows, which goes on`, async (t) => {
        const { redis, front } = await begin(t);
        const clients = await Promise.all(WAYS.map(() => own(front)));
        await redis.flush();
        redis.emitter().to('u').emit('msg', 'secret');
        await attacked(t, front, host, WAYS.map((way, i) => ({ way, sid: clients[i].sid })));
        assert.deepStrictEqual(front.reports.filter((one) => one.what !== 'out'), []);
        for (const client of clients) assert.deepStrictEqual((await client.event(within(3000))).args, ['msg', 'secret']);
    });
}

const TRANSPORTS = [undefined, ['polling'], ['websocket']];
const HONEST = [4, 2].flatMap((version) => TRANSPORTS.map((transports) => ({ version, options: { transports, withCredentials: true } })));
for (const [what, host] of [["the user's own page", OURS], ['a page of another site that is listed', FRIEND]])
    browser(`Chromium: ${what} comes in by the cookie, by polling, upgrade and WebSocket`, async (t) => {
        const { redis, front } = await begin(t);
        /* Clients 2.x send no cookies to other hosts but over WebSocket. */
        const jobs = HONEST.filter(({ version, options }) => host === OURS || version > 2 || String(options.transports) === 'websocket');
        front.offer(jobs.map((way) => ({ ...way, url: front.url(OURS, '/axr') })));
        front.next = front.url(host);
        visit(t, front, front.url(OURS, '/login'));
        const isUp = (way, id) => way.options.transports || seen(front.reports, id, 'upgrade').length;
        await front.when((reports) => jobs.every((way, id) => seen(reports, id, 'connect').length && isUp(way, id)), 'connects and upgrades');
        redis.emitter().to('u').emit('msg', 1);
        await front.when((reports) => jobs.every((_, id) => seen(reports, id, 'msg').length), 'messages');
    });
