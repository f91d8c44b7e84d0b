'use strict';
/* Who is let in, and what is told about it. */
const assert = require('assert');
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');
const { row, redisServer } = require('../lib/table');
const { Daemon, SECRET } = require('../../e2e/lib/daemon');
const { Raw, joined } = require('../../e2e/lib/raw');
const { Polling, polled, once } = require('../../e2e/lib/http');
const { heardArgs } = require('../../e2e/lib/hear');
const { Redis } = require('../../e2e/lib/redis');
const { PASSWORD } = require('../../e2e/lib/guarded');
const { sign, now, expiring } = require('../../e2e/lib/jwt');
const { tempDir, isRunning } = require('../../e2e/lib/proc');
const { within, until } = require('../../e2e/lib/time');

const pairs = {
    rsa: () => crypto.generateKeyPairSync('rsa', { modulusLength: 2048 }),
    ec: (namedCurve) => crypto.generateKeyPairSync('ec', { namedCurve }),
};
const pem = (pair) => pair.publicKey.export({ type: 'spki', format: 'pem' });
const user = (claims) => ({ uid: 'u', ...claims });
const unsigned = (head, mac = '') => `${[head, '{"uid":"u"}'].map((part) => Buffer.from(part).toString('base64url')).join('.')}.${mac}`;

/* A daemon that knows this key, and a secret where with says so. */
async function keyed(t, key, auth = {}) {
    const file = path.join(tempDir(t), 'public.pem');
    if (key) fs.writeFileSync(file, key);
    const config = { workers: 1, auth: { ...(key ? { secret: undefined, publicKeyFile: file } : {}), ...auth } };
    return Daemon.start(t, { redis: await redisServer(), config });
}

/* Is it let in with this token, in the packet and in the query?  Both must agree. */
async function isLetIn(daemon, token) {
    const answers = [];
    for (const how of [{ auth: { token } }, { query: { token } }]) {
        const client = await Raw.open(daemon.addr, { query: how.query });
        const entered = await client.join('/axr', how.auth).then(() => true, () => false);
        answers.push(entered);
        client.destroy(); /* one that is refused would be sent away in 5 s only */
    }
    assert.strictEqual(answers[0], answers[1], 'by packet and by query');
    return answers[0];
}
/* All of bad are refused and all of good are let in, on the same daemon. */
async function judges(daemon, bad, good) {
    for (const [what, token] of Object.entries(bad)) assert.ok(!(await isLetIn(daemon, token)), `let in: ${what}`);
    for (const [what, token] of Object.entries(good)) assert.ok(await isLetIn(daemon, token), `refused: ${what}`);
    return Object.keys(bad).length;
}

row(11, 'token: none, HS/RS swap, empty key, crit, wrong curve, other alg of the family', 'all refused', async (t) => {
    const [rsa, p256, p384] = [pairs.rsa(), pairs.ec('P-256'), pairs.ec('P-384')];
    const daemons = {
        secret: await keyed(t, null, { options: { algorithms: ['HS256'] } }),
        rs256: await keyed(t, pem(rsa), { options: { algorithms: ['RS256'] } }),
        es256: await keyed(t, pem(p256)),
        both: await keyed(t, pem(rsa), { secret: SECRET }),
    };
    let refused = 0;
    refused += await judges(daemons.secret, {
        none: unsigned('{"alg":"none"}'), None: unsigned('{"alg":"None"}', 'AAAA'), 'no alg': unsigned('{}', 'AAAA'),
        'an empty key': sign(user(), ''), crit: sign(user(), SECRET, 'HS256', { crit: ['exp'] }),
        'an empty crit': sign(user(), SECRET, 'HS256', { crit: [] }),
        'HS512 where HS256 is meant': sign(user(), SECRET, 'HS512'), 'RS256': sign(user(), rsa.privateKey, 'RS256'),
        'no signature': sign(user(), SECRET).replace(/[^.]*$/, ''),
    }, { HS256: sign(user(), SECRET) });
    refused += await judges(daemons.rs256, {
        none: unsigned('{"alg":"none"}'), 'the PEM as a secret': sign(user(), pem(rsa)), 'the PEM, trimmed': sign(user(), pem(rsa).trim()),
        'an empty key': sign(user(), ''), RS512: sign(user(), rsa.privateKey, 'RS512'), 'another key': sign(user(), pairs.rsa().privateKey, 'RS256'),
    }, { RS256: sign(user(), rsa.privateKey, 'RS256') });
    refused += await judges(daemons.es256, {
        'P-384 as ES256': sign(user(), p384.privateKey, 'ES256'), ES384: sign(user(), p384.privateKey, 'ES384'), 'the PEM as a secret': sign(user(), pem(p256)),
    }, { ES256: sign(user(), p256.privateKey, 'ES256') });
    refused += await judges(daemons.both, { 'the PEM as a secret': sign(user(), pem(rsa)), none: unsigned('{"alg":"none"}') },
        { HS256: sign(user(), SECRET), RS256: sign(user(), rsa.privateKey, 'RS256') });
    const empty = await Daemon.once(t, { config: { auth: { secret: '' } } });
    assert.strictEqual(empty.code, 1, 'started with an empty key');
    t.note(`${refused} of ${refused} refused, each in the packet and in the query, good ones let in; no start with an empty key`);
});

row(12, 'exp past, string, float, 2^64; nbf in the future; clock tolerance', 'refused unless within tolerance', async (t) => {
    const strict = await keyed(t, null);
    const tolerant = await keyed(t, null, { options: { clockTolerance: 60 } });
    const text = (claims) => sign(`{"uid":"u",${claims}}`, SECRET);
    const wrong = () => ({
        string: text(`"exp":"${now() + 3600}"`), 'float past': text(`"exp":${now() - 120}.5`), '2^64': text('"exp":18446744073709551616'),
        '1e400': text('"exp":1e400'), null: text('"exp":null'), 'exp long past': text(`"exp":${now() - 120}`), negative: text('"exp":-1'),
        'nbf as a string': text('"nbf":"1"'), 'nbf far to come': text(`"nbf":${now() + 3600}`),
    });
    const near = () => ({ 'exp past': text(`"exp":${now() - 2}`), 'nbf to come': text(`"nbf":${now() + 30}`) });
    const fine = () => ({ exp: text(`"exp":${now() + 60}`), float: text(`"exp":${now() + 60}.5`), nbf: text(`"nbf":${now() - 1}`) });
    const refused = (await judges(strict, { ...wrong(), ...near() }, fine())) + (await judges(tolerant, wrong(), { ...near(), ...fine() }));
    t.note(`${refused} of ${refused} refused, 2 of 2 within 60 s of tolerance let in`);
});

row(13, 'token expires while connected', 'disconnected within 2 s', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis });
    const lasting = await joined(daemon.addr, daemon.token('v', { exp: now() + 3600 }));
    const { clients, exp } = await expiring(async (end) => {
        const token = daemon.token('u', { exp: end });
        const all = [joined(daemon.addr, token, { eio: 4 }), joined(daemon.addr, token, { eio: 3 }), polled(daemon.addr, token)];
        return { clients: await Promise.all(all), exp: end };
    });
    const late = await Promise.all(clients.map(async (client) => {
        const last = await client.text(within((exp - now() + 2) * 1000));
        assert.strictEqual(last, '41/axr,');
        return Date.now() - exp * 1000;
    }));
    assert.ok(Math.min(...late) >= 0, `${late} ms after exp`);
    t.note(`${late.length} clients (WebSocket of both versions, polling)`);
    t.took('the last told after', Math.max(...late), 2000);
    for (const client of clients.slice(0, 2)) await client.end();
    assert.deepStrictEqual(await heardArgs(redis, [lasting]), [[]]);
    lasting.destroy();
});

const SIZES = [16 << 10, 64 << 10, 1 << 20, 20 << 20];
row(14, 'token of 16 KB to 20 MB', 'refused, no crash', async (t) => {
    const daemon = await keyed(t, null);
    const carry = [(token) => ({ query: { token } }), (token) => ({ headers: { Authorization: `Bearer ${token}` } }), (token) => ({ headers: { Cookie: `jwt=${token}` } })];
    let refused = 0;
    for (const size of SIZES) {
        const token = sign(user({ x: 'y'.repeat(size) }), SECRET);
        for (const make of carry) {
            const answer = await Raw.open(daemon.addr, make(token)).then(() => null, (error) => error);
            assert.ok(answer, `upgraded with a head of ${size} bytes`);
            assert.ok(!answer.status || (answer.status >= 400 && answer.status < 500), answer.message);
            refused++;
        }
        for (const eio of [4, 3]) {
            const client = await Raw.open(daemon.addr, { eio });
            await assert.rejects(client.join('/axr', { token }));
            client.destroy();
            refused++;
        }
    }
    assert.ok(await isLetIn(daemon, daemon.token('u')));
    assert.deepStrictEqual(daemon.workers(), daemon.workersAtReady, 'a worker died');
    t.note(`${refused} of ${refused} refused in packet, query, header and cookie; no worker died`);
});

/* What becomes of it: [origins, Origin, token in the cookie, let in]. */
const LISTED = 'https://app.example';
const ORIGINS = [
    ['*', undefined, true, true], ['*', 'https://push.example', true, true], ['*', 'https://evil.example', false, true],
    ['*', 'https://evil.example', true, false], ['*', 'null', true, false], ['*', 'null', false, true],
    [LISTED, undefined, true, true], [LISTED, LISTED, true, true], [LISTED, 'https://push.example', true, true],
    [LISTED, 'null', false, false], [LISTED, 'https://evil.example', false, false], [LISTED, `${LISTED}.evil.example`, false, false],
    [LISTED, 'http://app.example', false, false], [LISTED, '', false, false],
];
row(15, 'foreign, absent, "null" Origin', 'by policy', async (t) => {
    const redis = await redisServer();
    const daemons = {};
    for (const origin of ['*', LISTED]) daemons[origin] = await Daemon.start(t, { redis, config: { workers: 1, cors: { origins: [origin] } } });
    for (const [origins, origin, inCookie, expected] of ORIGINS) {
        const daemon = daemons[origins];
        const token = daemon.token('u');
        const headers = { Host: 'push.example', Origin: origin, Cookie: inCookie ? `jwt=${token}` : undefined };
        const client = await Raw.open(daemon.addr, { headers }).catch(() => null);
        const entered = Boolean(client) && (await client.join('/axr', inCookie ? {} : { token }).then(() => true, () => false));
        if (client) client.destroy();
        assert.strictEqual(entered, expected, `origins ${origins}, Origin ${origin}, ${inCookie ? 'cookie' : 'packet'}`);
    }
    t.note(`${ORIGINS.length} of ${ORIGINS.length} as they should be, with "*" and with a list`);
});

/* What a browser says of a request, and whether the user's cookie counts in it.  Origin is
 * not there where a <script> asks. */
const OWN = { Host: 'push.example' };
const SCRIPT = { j: 0 };
const FOREIGN = [
    ['a script', {}, SCRIPT], ['a script of the same origin', { 'Sec-Fetch-Site': 'same-origin' }, SCRIPT],
    ['a script of another site', { 'Sec-Fetch-Site': 'cross-site' }, SCRIPT], ['a script of a sister host', { 'Sec-Fetch-Site': 'same-site' }, SCRIPT],
    ['a script of a listed origin', { 'Sec-Fetch-Site': 'cross-site', Origin: LISTED }, SCRIPT],
    ['another site', { 'Sec-Fetch-Site': 'cross-site' }], ['a sister host', { 'Sec-Fetch-Site': 'same-site' }],
    ['another site with Origin', { 'Sec-Fetch-Site': 'cross-site', Origin: 'https://evil.example' }], ['Origin alone', { Origin: 'https://evil.example' }],
    ['a frame without origin', { 'Sec-Fetch-Site': 'cross-site', Origin: 'null' }], ['a site of another kind', { 'Sec-Fetch-Site': 'same-kind' }],
];
const FRIENDLY = [
    ['no browser', {}], ['its own page', { 'Sec-Fetch-Site': 'same-origin' }], ['its own page, with Origin', { 'Sec-Fetch-Site': 'same-origin', Origin: 'https://push.example' }],
    ['its own page, behind a proxy that changes Host', { 'Sec-Fetch-Site': 'same-origin', Origin: 'https://app.example.net' }],
    ['the address bar', { 'Sec-Fetch-Site': 'none' }], ['a listed origin', { 'Sec-Fetch-Site': 'cross-site', Origin: LISTED }], ['an old browser', { Origin: LISTED }],
];

/* By the cookie alone, over polling; null if it is refused. */
async function byCookie(daemon, headers, query = {}) {
    const client = await Polling.open(daemon.addr, { headers: { ...OWN, ...headers, Cookie: `jwt=${daemon.token('u')}` }, query });
    await client.send('40/axr,');
    const text = await client.text();
    if (text.startsWith('40/axr,')) return client;
    assert.match(text, /^44\/axr,.*token_missing/);
    return null;
}
/* The session's requests as another page makes them: all are refused. */
async function intrude(daemon, client, headers, query) {
    const target = client.target(query);
    const all = { ...OWN, ...headers, Cookie: client.headers.Cookie };
    const answers = [await once(daemon.addr, 'GET', target, all), await once(daemon.addr, 'POST', target, all, '41/axr,')];
    const socket = await Raw.open(daemon.addr, { headers: all, query: { sid: client.sid, ...query } }).then(() => assert.fail('upgraded'), (error) => error);
    return [...answers.map(({ status }) => status), socket.status];
}
row(43, 'a <script> of a foreign page with the user\'s cookie', 'hears nothing', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { cors: { origins: ['*', LISTED], credentials: true } } });
    for (const [what, headers, query] of FOREIGN) assert.ok(!(await byCookie(daemon, headers, query)), `let in: ${what}`);
    const clients = await Promise.all(FRIENDLY.map(async ([what, headers]) => (await byCookie(daemon, headers)) || assert.fail(`refused: ${what}`)));
    redis.emitter().to('u').emit('n', 'secret'); /* waits for their next GET */
    for (const client of clients)
        for (const [what, headers, query = {}] of FOREIGN)
            assert.deepStrictEqual(await intrude(daemon, client, headers, query), [403, 403, 400], what);
    for (const one of await heardArgs(redis, clients)) assert.deepStrictEqual(one, ['secret']);
    const own = await Polling.open(daemon.addr, { headers: OWN, query: SCRIPT });
    await own.join('/axr', daemon.token('u'));
    const tries = clients.length * FOREIGN.length * 3;
    t.note(`${FOREIGN.length} of ${FOREIGN.length} not let in by the cookie, ${tries} of ${tries} requests refused in sessions of ${clients.length} who were, and who heard all`);
});

/* Where a secret could show of a process. */
function shownBy(pid) {
    return ['cmdline', 'comm', 'status'].map((name) => fs.readFileSync(`/proc/${pid}/${name}`, 'latin1')).join('\n');
}
row(16, 'token or secret in logs, process title, core', 'nowhere', async (t) => {
    const secret = 'S3cret-on-the-command-line-0123456789';
    const redis = await Redis.start(t, { args: ['--requirepass', PASSWORD], auth: { password: PASSWORD } });
    const args = ['--auth:secret', secret, `--socket.io:redis:password=${PASSWORD}`];
    const wrap = ['prlimit', '--core=unlimited'];
    const daemon = await Daemon.start(t, { redis, config: { auth: undefined, workers: 2 }, args, wrap });
    daemon.deaths = true;
    const token = sign({ uid: 'u' }, secret);
    const bad = `${token.slice(0, -3)}AAA`;
    assert.strictEqual(daemon.redisState, 'subscribed');
    for (const one of [token, bad]) {
        const client = await joined(daemon.addr, one, { query: { token: one }, headers: { Authorization: `Bearer ${one}`, Cookie: `jwt=${one}` } }).catch(() => null);
        assert.strictEqual(client !== null, one === token);
        if (client) client.destroy();
    }
    const pids = [daemon.pid, ...daemon.workers()];
    const titles = pids.map(shownBy).join('\n');
    for (const pid of pids) assert.match(fs.readFileSync(`/proc/${pid}/limits`, 'latin1'), /^Max core file size +0 /m);
    process.kill(pids[1], 'SIGQUIT'); /* which writes a core where there may be one */
    await until(() => !isRunning(pids[1]), within(1000), 'end of the worker');
    await daemon.logged(/worker \d: killed by signal 3/);
    const cores = fs.readdirSync(daemon.dir).filter((name) => /core/.test(name));
    await daemon.stop();
    const parts = [secret, PASSWORD, ...token.split('.').slice(1), ...bad.split('.').slice(2)];
    for (const part of parts) assert.ok(!titles.includes(part) && !daemon.log.includes(part), `${part} shows`);
    assert.match(daemon.log, /warn.*(auth:secret|command line)/i);
    assert.deepStrictEqual(cores, []);
    t.note(`0 of ${parts.length} in ${daemon.log.split('\n').length - 1} lines and ${pids.length} titles; core limit 0, no core of a worker that got SIGQUIT`);
});
