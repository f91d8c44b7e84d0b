'use strict';
/* The admin address of a daemon that is played: the page and its headers are those of a real one,
 * what it is told of are states that no test waits for: a busy hour, trouble, 64 workers. */
const http = require('http');

const POINTS = 361;
const STEP_MS = 10000;
const DAY_MS = 86400000;

/* 0 to 1, the same each time. */
function noise(i) {
    const x = Math.sin(i * 12.9898) * 43758.5453;
    return x - Math.floor(x);
}
const range = (n, of) => Array.from({ length: n }, (_, i) => of(i));
const CLOSINGS = [
    'client', 'ping_timeout', 'connect_timeout', 'send_timeout', 'send_buffer', 'protocol', 'too_big', 'refused', 'expired',
    'left', 'replaced', 'taken', 'disconnected', 'history_overrun', 'evicted', 'shutdown', 'no_memory',
];

const KINDS = {
    idle: { clients: 3, workers: 1, token: false },
    load: { clients: 48213, workers: 8, busy: true, token: true },
    trouble: { clients: 12000, workers: 4, busy: true, bad: true, token: true },
    large: { clients: 100000, workers: 64, busy: true, token: true },
};

function hourOf({ clients, busy, bad }) {
    const away = (i) => bad && i > 200 && i < 225; /* nobody was there to count */
    const column = (of) => range(POINTS, (i) => (away(i) ? null : of(i)));
    const hour = { step: STEP_MS / 1000, end: Math.floor(Date.now() / STEP_MS) * STEP_MS };
    hour.clients = column((i) => Math.round(clients * (busy ? 0.8 + 0.2 * Math.sin(i / 60) : 1)));
    hour.users = column((i) => Math.round(hour.clients[i] * 0.8));
    hour.received = column((i) => (busy ? 40 + 20 * Math.sin(i / 20) + 10 * noise(i) : i % 90 ? 0 : 0.1));
    hour.delivered = column((i) => hour.received[i] * (busy ? clients / 10 : 3));
    hour.bytesOut = column((i) => hour.delivered[i] * 140);
    hour.connected = column((i) => (bad && i > 225 && i < 235 ? 400 : busy ? 5 + 3 * noise(i + 7) : 0));
    hour.p50 = column((i) => (busy || i % 90 === 0 ? 0.0003 + 0.0002 * noise(i + 1) : null));
    hour.p99 = column((i) => (hour.p50[i] === null ? null : hour.p50[i] * (6 + 6 * noise(i + 2)) + (bad && i > 300 ? 2 * noise(i + 3) : 0)));
    hour.dropped = column((i) => (bad && i > 300 ? 20 * noise(i + 4) : 0));
    hour.refused = column((i) => (busy && noise(i + 5) < 0.2 ? 3 * noise(i + 6) : 0));
    return hour;
}

function workersOf({ clients, workers, busy, bad }) {
    return range(workers, (i) => ({
        number: i + 1, generation: bad && i === 3 ? 6 : 7, pid: 40000 + i, up: !(bad && i === 1), clients: Math.round(clients / workers * (0.95 + 0.1 * noise(i))),
        connections: Math.round(clients / workers * 1.02), limit: 20000, strangers: bad ? 250 : i % 3, delivered: busy ? clients / workers * 4 : 0,
        p99: busy ? 0.0031 : null, restarts: bad && i === 1 ? 12 : 0, queued: busy ? Math.round(90000 * noise(i + 1)) : 0,
    }));
}

/* As of GET /events. */
function nowOf(kind, hour) {
    const { clients, workers, busy, bad, token } = kind;
    const time = Date.now();
    const last = (name) => hour[name][POINTS - 1];
    const reason = (name, word, total, rate = 0) => ({ name, reason: word, total, rate });
    return {
        time, name: 'axr-notifyd', version: '0.1.0', host: 'push-1.example.org', uptime: 903733, pid: 4711, generation: 7, stopping: false, token,
        namespace: '/axr', health: { status: bad ? 'failing' : 'ok', reasons: bad ? ['redis is not subscribed'] : [] },
        clients, users: Math.round(clients * 0.8), rooms: busy ? 1290 : 0, memberships: busy ? clients * 2 : 0,
        connections: Math.round(clients * 1.02), strangers: bad ? 1000 : 2,
        limit: { connections: workers * 20000, strangers: workers * 250 }, full: { connections: 0, strangers: bad ? 4 : 0 },
        rates: { received: last('received'), delivered: last('delivered'), connected: last('connected'), disconnected: busy ? 4.2 : 0, bytesOut: last('bytesOut') },
        latency: busy ? { p50: last('p50'), p99: last('p99'), count: 9000 } : null, workers: workersOf(kind),
        drops: bad ? [reason('deliveries_dropped', 'send_buffer', 123456, 12.3), reason('deliveries_dropped', 'send_timeout', 77), reason('messages_dropped', 'malformed', 3)] : [],
        refusals: busy ? [reason('refusals', 'token_missing', 98765432, 0.02), reason('refusals', 'token_expired', 1234, 0.4), reason('refusals', 'user_limit', 9)] : [],
        closed: busy ? CLOSINGS.map((word, i) => reason('sessions_closed', word, Math.round(1e6 / (i + 1) ** 2), i < 3 ? 5 / (i + 1) : 0)) : [reason('sessions_closed', 'client', 4)],
        redis: {
            subscribed: !bad, server: '10.0.3.7:6379', gaps: bad ? 3 : 0, gapSeconds: bad ? 12.5 : 0, lastGap: bad ? time - 190000 : null, commands: !bad, counted: true,
            sentinels: bad ? { name: 'mymaster', master: '10.0.3.7:6379', configured: 3, answering: 2, switches: 1 } : null,
        },
        generations: bad ? [{ number: 6, workers: 1, state: 'leaves' }, { number: 7, workers: 3, state: 'serves' }] : [{ number: 7, workers, state: 'serves' }],
        reloads: { good: 6, failed: bad ? 1 : 0, last: { time: time - 7200000, ok: !bad } },
        events: [
            ...(bad ? [{ time: time - 30000, level: 'error', text: 'redis is not subscribed: connection refused' }, { time: time - 190000, level: 'warn', text: 'worker 2 died: killed by signal 9' }] : []),
            { time: time - 7200000, level: 'info', text: 'configuration reloaded, generation 7' }, { time: time - 10 * DAY_MS, level: 'info', text: 'redis is subscribed' },
        ],
        certificates: busy ? [{ names: ['push.example.org', '*.push.example.org'], key: 'ECDSA P-256', notAfter: '2027-01-31T12:00:00Z', daysLeft: bad ? 2 : 61 },
            { names: ['old.example.net'], key: 'RSA 2048', notAfter: '2026-12-12T12:00:00Z', daysLeft: bad ? -1 : 112 }] : [],
        recovery: busy ? { recovered: 1022, refused: 3, shared: true, history: { bytes: 12345678, limit: 67108864, messages: 4711, age: 119.5 } } : false,
        addresses: busy ? [
            { address: '2001:db8:1234:5678::/64', connections: 312, sessions: 299, strangers: 12, handshakes: 5000, tlsHandshakes: 0, tokensRefused: 4711, turnedAway: 0 },
            { address: '203.0.113.99', connections: 1, sessions: 1, strangers: 1, handshakes: 1, tlsHandshakes: 0, tokensRefused: 2, turnedAway: 1 }] : [],
    };
}

const LONG = `<b>${'a very long name of a user '.repeat(8)}</b>`;
function userOf(uid) {
    const socket = (i) => ({ id: `Zk3-${i}abcdefghijklmnopAAAB`, rooms: ['allusers', uid], here: i < 2, address: i ? '2001:db8:1234:5678:9abc:def0:1234:5678' : '203.0.113.7', time: Date.now() - i * 4e6 });
    return {
        uid, connected: true, connections: 3, rooms: ['allusers', uid, 'guild:42', 'a-room-without-a-space-'.repeat(5)], here: { connections: 2 },
        servers: 3, answered: 2, sockets: range(3, socket),
    };
}

class Played {
    /* page: what a daemon answered, as of http.get(). */
    static async start(t, page) {
        const played = new Played();
        played.page = page;
        played.kind = KINDS.idle;
        played.server = http.createServer((req, res) => played.serve(req, res));
        await new Promise((resolve) => played.server.listen(0, '127.0.0.1', resolve));
        played.url = `http://127.0.0.1:${played.server.address().port}/`;
        t.after(() => {
            played.server.closeAllConnections();
            played.server.close();
        });
        return played;
    }
    serve(req, res) {
        const json = (body) => res.setHeader('Content-Type', 'application/json').end(JSON.stringify(body));
        if (req.url === '/') {
            res.writeHead(200, this.page.headers).end(this.page.body);
        } else if (req.url === '/events') {
            const hour = hourOf(this.kind);
            const put = (name, data) => res.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
            res.writeHead(200, { 'Content-Type': 'text/event-stream' });
            put('hour', hour);
            put('now', nowOf(this.kind, hour));
            const again = setInterval(() => put('now', nowOf(this.kind, hour)), 1000);
            res.on('close', () => clearInterval(again));
        } else if (req.url === '/emit') {
            req.resume().on('end', () => json({ servers: 3, answered: 3, reached: 3, acknowledged: 2, timeout: true, answers: ['seen', { at: 5 }] }));
        } else {
            json(userOf(decodeURIComponent(req.url.slice('/users/'.length))));
        }
    }
    play(kind) {
        this.kind = KINDS[kind];
    }
}

module.exports = { Played, LONG };
