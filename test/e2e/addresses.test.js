'use strict';
/* Who a client is, in the log, in fetchSockets() and for the limits: behind proxies that are
 * made up here, byte by byte, and behind nginx and haproxy.  All of 127.0.0.0/8 is this
 * machine: .2 and .3 are proxies, .8 and .9 are not. */
const assert = require('assert');
const path = require('path');
const { test, shared, keep } = require('./lib/suite');
const { Redis, freePort } = require('./lib/redis');
const { Daemon } = require('./lib/daemon');
const { Asker, counted } = require('./lib/cluster');
const { Http, Polling, request } = require('./lib/http');
const { Raw } = require('./lib/raw');
const { authority, LOCAL } = require('./lib/certificates');
const { front, missing, nginxConf } = require('./lib/front');
const { scrape, settled } = require('./lib/metrics');
const { renew } = require('./lib/reload');
const { dial } = require('./lib/dial');
const { tempDir } = require('./lib/proc');
const { within } = require('./lib/time');

const PROXIES = ['127.0.0.2', '127.0.0.3', '::1', 'unix'];
const GREETING_MS = 5000;

/* Listeners: plain, with a PROXY header, the same over Unix sockets, a header before TLS, IPv6,
 * and all addresses, where IPv4 comes mapped into IPv6. */
const world = shared(async (s) => {
    const dir = tempDir(s);
    const root = authority();
    const redis = await Redis.start(s);
    const sock = (name) => `unix:${path.join(dir, name)}`;
    const daemon = await Daemon.start(s, {
        redis,
        config: {
            workers: 2, port: undefined, host: undefined, proxies: PROXIES,
            tls: root.issue({ names: LOCAL }).write(dir),
            listen: [
                { address: '127.0.0.1:0', tls: false }, { address: '127.0.0.1:0', tls: false, proxyProtocol: true },
                sock('http'), { address: sock('proxy'), proxyProtocol: true },
                { address: '127.0.0.1:0', proxyProtocol: true },
                { address: '[::1]:0', tls: false }, { address: ':0', tls: false },
            ],
        },
    });
    const asker = await Asker.start(s, redis);
    await counted(redis, 1);
    const [plain, proxy, unix, unixProxy, tls, six, any] = daemon.addrs;
    return { redis, daemon, asker, six, any: { ...any, host: '127.0.0.1' }, plain, proxy, unix, unixProxy, tls: { ...tls, tls: { ca: root.root, servername: 'localhost' } } };
});
const from = (where, localAddress) => ({ ...where, localAddress });

/* --- what is known of a client --- */

let uids = 0;
/* Joins as a user of its own; resolves to what fetchSockets() and the log say of it:
 * "ADDRESS" or "ADDRESS https". */
async function seen(client) {
    const { daemon } = await world();
    const uid = `user${++uids}`;
    const at = daemon.log.length;
    if (client instanceof Raw) await client.join('/axr', { token: daemon.token(uid) });
    else await client.join('/axr', daemon.token(uid));
    client.uid = uid;
    const [, logged] = await daemon.logged(new RegExp(`client connected: user=${uid} address=(\\S+)`), within(2000), at);
    const text = await shown(uid);
    /* 192.0.2.1:80, [::1]:80, or without a port, where it is not known */
    assert.strictEqual(logged.replace(/^\[(.*)\]:\d+$|^([\d.]+):\d+$/, '$1$2'), text.split(' ')[0]);
    client.logged = logged;
    return text;
}
async function shown(uid) {
    const { asker } = await world();
    const { sockets } = await asker.ask({ type: 5, opts: { rooms: [uid], except: [] } });
    assert.strictEqual(sockets.length, 1, uid);
    const [{ handshake: { address, secure } }] = sockets;
    return secure ? `${address} https` : address;
}

/* --- PROXY headers --- */

const v1 = (address, port = 56324) => `PROXY TCP${address.includes(':') ? 6 : 4} ${address} ${address} ${port} 443\r\n`;
const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
function v2(address, { port = 56324, tls = false, local = false } = {}) {
    const ip = Buffer.from(address.split('.').map(Number));
    const ports = Buffer.from([port >> 8, port & 255, 1, 187]);
    const more = tls ? Buffer.from('2000050100000000', 'hex') : Buffer.alloc(0);
    const body = local ? Buffer.alloc(0) : Buffer.concat([ip, ip, ports, more]);
    return Buffer.concat([SIGNATURE, Buffer.from([local ? 0x20 : 0x21, local ? 0 : 0x11, 0, body.length]), body]);
}
/* A connection on which that comes first, or where there is one. */
const behind = (where, greeting) => ({ ...where, greeting });
const greeted = (where, greeting) => new Http(behind(where, greeting));

/* Those who say nothing, or nothing behind a header, from the beginning on: how long each is
 * left alone.  They are counted nowhere but for TLS. */
const stalled = shared(async (s) => {
    const { proxy, tls } = await world();
    const bare = { ...tls, tls: undefined };
    const began = Date.now();
    return [[proxy, ''], [bare, ''], [bare, v1('203.0.113.9')]].map(([where, bytes]) => {
        const conn = greeted(from(where, '127.0.0.2'), bytes);
        s.after(() => conn.destroy());
        const over = conn.over(within(2 * GREETING_MS)).then(() => Date.now() - began);
        over.catch(() => {}); /* whoever waits for it hears */
        return over;
    });
});

/* --- from proxies, and from nobody --- */

const XFF = (value) => ({ 'X-Forwarded-For': value });
const HTTPS = { 'X-Forwarded-Proto': 'https' };
const FORWARDED = (value) => ({ Forwarded: value });
const ROWS = [
    ['127.0.0.2', XFF('203.0.113.9'), '203.0.113.9'],
    ['127.0.0.2', { ...XFF('203.0.113.9:4711'), ...HTTPS }, '203.0.113.9 https'],
    ['127.0.0.2', XFF('[2001:db8::9]:4711'), '2001:db8::9'],
    ['127.0.0.2', XFF('2001:db8::9'), '2001:db8::9'],
    ['127.0.0.2', XFF('::ffff:203.0.113.9'), '203.0.113.9'],
    ['127.0.0.3', FORWARDED('for="[2001:db8::9]:4711";proto=https'), '2001:db8::9 https'],
    /* a chain, and what its client has made up */
    ['127.0.0.3', { ...XFF('8.8.8.8, 203.0.113.9, 127.0.0.2'), ...HTTPS }, '203.0.113.9 https'],
    ['127.0.0.3', XFF(['8.8.8.8', '203.0.113.9', '127.0.0.2']), '203.0.113.9'],
    ['127.0.0.3', FORWARDED('for="8.8.8.8, for=203.0.113.9;proto=http, for=127.0.0.2'), '203.0.113.9'],
    ['127.0.0.2', XFF('127.0.0.9'), '127.0.0.9'],
    /* it does not know, or says nothing */
    ['127.0.0.2', XFF('203.0.113.9, unknown'), '127.0.0.2'],
    ['127.0.0.2', XFF('::'), '127.0.0.2'],
    ['127.0.0.2', {}, '127.0.0.2'],
    /* who is no proxy says it for nothing */
    ['127.0.0.9', { ...XFF('203.0.113.9'), ...HTTPS }, '127.0.0.9'],
    ['127.0.0.9', XFF('127.0.0.2'), '127.0.0.9'],
    ['127.0.0.9', FORWARDED('for=203.0.113.9;proto=https'), '127.0.0.9'],
    ['127.0.0.1', XFF('203.0.113.9'), '127.0.0.1'],
];
for (const [how, open] of [['a WebSocket', Raw.open], ['polling', Polling.open]])
    test(`${how}: who is a proxy says whose its requests are, and nobody else does`, async (t) => {
        const { daemon, plain } = await world();
        await stalled();
        const clients = await Promise.all(ROWS.map(async ([local, headers]) => keep(t, await open(from(plain, local), { headers }))));
        for (const [i, [local, headers, wanted]] of ROWS.entries())
            assert.strictEqual(await seen(clients[i]), wanted, `${local} ${JSON.stringify(headers)}`);
        await daemon.logged(/info worker \d\[\d+\]: X-Forwarded-For or Forwarded by none of proxies does not count: address=127\.0\.0\.[19]:\d+ times=1/, within(2000), 0);
    });

test('over a Unix socket, IPv6, and IPv4 that is mapped', async (t) => {
    const { unix, six, any } = await world();
    const headers = XFF('203.0.113.9');
    assert.strictEqual(await seen(keep(t, await Raw.open(six, { headers }))), '203.0.113.9');
    assert.strictEqual(await seen(keep(t, await Raw.open(six))), '::1');
    assert.strictEqual(await seen(keep(t, await Raw.open(from(any, '127.0.0.2'), { headers }))), '203.0.113.9');
    assert.strictEqual(await seen(keep(t, await Raw.open(from(any, '127.0.0.9'), { headers }))), '127.0.0.9');
    assert.strictEqual(await seen(keep(t, await Raw.open(unix, { headers: XFF('203.0.113.9') }))), '203.0.113.9');
    assert.strictEqual(await seen(keep(t, await Raw.open(unix))), 'unix');
});

test('each request on a connection that a proxy keeps is of its own client, whichever worker serves it', async (t) => {
    const { daemon, plain } = await world();
    const http = keep(t, new Http(from(plain, '127.0.0.2')));
    const exchange = async (...what) => (await http.send(request(...what)).answer()).text;
    const names = Array.from({ length: 8 }, (_, i) => (i === 3 ? undefined : `203.0.113.${i}`));
    const clients = [];
    for (const name of names) {
        const headers = name ? XFF(name) : {};
        const client = new Polling(from(plain, '127.0.0.2'), { headers });
        const text = await exchange('GET', client.target(), headers);
        client.sid = JSON.parse(text.slice(1)).sid;
        clients.push(client);
    }
    /* What they say comes over that one connection, too, which goes from worker to worker. */
    for (const client of clients) {
        client.uid = `user${++uids}`;
        const body = `40/axr,${JSON.stringify({ token: daemon.token(client.uid) })}`;
        assert.strictEqual(await exchange('POST', client.target(), client.headers, body), 'ok');
        assert.match(await exchange('GET', client.target(), client.headers), /^40\/axr,/);
    }
    for (const [i, client] of clients.entries()) assert.strictEqual(await shown(client.uid), names[i] || '127.0.0.2');
    /* A session is of who has opened it, wherever its later requests come from. */
    assert.strictEqual(await exchange('POST', clients[0].target(), XFF('203.0.113.77'), '42/axr,["up"]'), 'ok');
    assert.strictEqual(await shown(clients[0].uid), '203.0.113.0');
});

/* --- PROXY headers --- */

test('PROXY headers of proxies say whose a connection is', async () => {
    const { daemon, proxy, unixProxy } = await world();
    const rows = [
        [from(proxy, '127.0.0.2'), v1('203.0.113.9'), {}, '203.0.113.9'],
        [from(proxy, '127.0.0.2'), v1('2001:db8::9'), {}, '2001:db8::9'],
        [from(proxy, '127.0.0.3'), v2('203.0.113.9'), {}, '203.0.113.9'],
        [from(proxy, '127.0.0.3'), v2('203.0.113.9', { tls: true }), {}, '203.0.113.9 https'],
        [from(proxy, '127.0.0.2'), 'PROXY UNKNOWN\r\n', {}, '127.0.0.2'],
        [from(proxy, '127.0.0.2'), v2('', { local: true }), {}, '127.0.0.2'],
        [unixProxy, v1('203.0.113.9'), {}, '203.0.113.9'],
        /* behind it another proxy, or somebody who would like to be one */
        [from(proxy, '127.0.0.2'), v1('127.0.0.3'), XFF('8.8.8.8, 203.0.113.9'), '203.0.113.9'],
        [from(proxy, '127.0.0.2'), v1('127.0.0.9'), XFF('203.0.113.9'), '127.0.0.9'],
        [from(proxy, '127.0.0.2'), 'PROXY UNKNOWN\r\n', XFF('203.0.113.9'), '203.0.113.9'],
    ];
    for (const [where, greeting, headers, wanted] of rows)
        assert.strictEqual(await seen(await Polling.open(behind(where, greeting), { headers })), wanted, `${greeting}`);
    const one = await Polling.open(behind(from(proxy, '127.0.0.2'), v1('203.0.113.9', 4711)));
    await seen(one);
    assert.strictEqual(one.logged, '203.0.113.9:4711');
    await settled(daemon, (metrics) => metrics.get('proxy_headers_total', 'version="1"') > 10 &&
        metrics.get('proxy_headers_total', 'version="2"') > 5, 'they are counted');
});

test('TLS behind a PROXY header, over WebSocket and polling, whichever worker serves it', async (t) => {
    const { daemon, tls } = await world();
    const proxy = from(tls, '127.0.0.2');
    assert.strictEqual(await seen(keep(t, await Raw.open(behind(proxy, v1('203.0.113.9'))))), '203.0.113.9 https');
    assert.strictEqual(await seen(keep(t, await Raw.open(behind(proxy, v2('203.0.113.8'))))), '203.0.113.8 https');
    const clients = await Promise.all(Array.from({ length: 6 }, (_, i) => Polling.open(behind(proxy, v2(`203.0.113.${i}`)))));
    for (const [i, client] of clients.entries()) assert.strictEqual(await seen(client), `203.0.113.${i} https`);
    /* Behind it a proxy that ends TLS, and whose requests are of several. */
    const http = keep(t, greeted(proxy, v1('127.0.0.3')));
    for (const [i, client] of clients.entries()) {
        http.send(request('POST', client.target(), XFF(`203.0.113.${i}`), '42/axr,["up"]'));
        assert.strictEqual((await http.answer()).text, 'ok');
    }
    assert.doesNotMatch(daemon.log, /error worker/);
});

test('what is no PROXY header is refused: with a line that says so, counted, and nobody else is hurt', async (t) => {
    const { daemon, proxy, plain, unixProxy } = await world();
    const good = keep(t, await Raw.open(from(plain, '127.0.0.2'), { headers: XFF('203.0.113.9') }));
    await seen(good);
    const get = 'GET /status HTTP/1.1\r\nHost: h\r\n\r\n';
    const rows = [
        ['127.0.0.9', v1('203.0.113.9') + get, 'not_a_proxy', 'connection to a listener with proxyProtocol by none of proxies: address=127\\.0\\.0\\.9:\\d+'],
        ['127.0.0.2', get, 'absent', 'HTTP without a PROXY header on a listener with proxyProtocol: address=127\\.0\\.0\\.2:\\d+'],
        ['127.0.0.2', v1('203.0.113.999') + get, 'malformed', 'malformed PROXY header: address=127\\.0\\.0\\.2:\\d+'],
        ['127.0.0.2', `PROXY ${'x'.repeat(200)}`, 'too_long', 'PROXY header that is too long: address=127\\.0\\.0\\.2:\\d+'],
    ];
    for (const [local, bytes, reason, line] of rows) {
        const label = `reason="${reason}"`;
        const before = (await scrape(daemon)).get('proxy_refused_total', label);
        const conn = keep(t, greeted(from(proxy, local), bytes));
        await conn.over();
        assert.strictEqual(conn.bytes.length, 0, 'nothing is answered');
        await daemon.logged(new RegExp(line));
        await settled(daemon, (metrics) => metrics.get('proxy_refused_total', label) === before + 1, reason);
    }
    const hello = keep(t, greeted(unixProxy, Buffer.from('160301000a01', 'hex')));
    await hello.over();
    await daemon.logged(/TLS without a PROXY header on a listener with proxyProtocol: address=unix/);
    /* ... and one where none is expected. */
    const other = keep(t, greeted(from(plain, '127.0.0.2'), v1('203.0.113.9') + get));
    assert.strictEqual((await other.answer()).status, 400);
    await daemon.logged(/PROXY header on a listener without proxyProtocol: address=127\.0\.0\.2:\d+ times=1/);
    /* ... and two, of proxies in a row. */
    const twice = keep(t, greeted(from(proxy, '127.0.0.2'), v1('203.0.113.10') + v1('203.0.113.11') + get));
    assert.strictEqual((await twice.answer()).status, 400);
    await daemon.logged(/second PROXY header on a connection: address=203\.0\.113\.10:\d+/);
    assert.strictEqual(await shown(good.uid), '203.0.113.9');
});

test('probes of a proxy make no noise', async (t) => {
    const { daemon, proxy } = await world();
    const at = daemon.log.length;
    const refused = (metrics) => [...metrics.values.get('axr_notifyd_proxy_refused_total').values()].reduce((a, b) => a + b, 0);
    const before = refused(await scrape(daemon));
    for (const local of ['127.0.0.2', '127.0.0.9']) {
        const probe = dial(from(proxy, local));
        await new Promise((resolve) => probe.on('connect', resolve));
        probe.destroy();
    }
    const status = keep(t, greeted(from(proxy, '127.0.0.2'), Buffer.concat([v2('', { local: true }), Buffer.from('GET /status HTTP/1.1\r\nHost: h\r\n\r\n')])));
    assert.strictEqual((await status.answer()).status, 200);
    assert.strictEqual(refused(await scrape(daemon)), before);
    assert.doesNotMatch(daemon.log.slice(at), /(warn|info) worker .*PROXY/);
});

/* --- nginx and haproxy --- */

const both = (text) => text.replace(/SET_HEADERS/g, `
    proxy_http_version 1.1; proxy_set_header Host $http_host;
    proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $upgrade_or_not;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;`);

/* nginx is 127.0.0.2 to the daemon: to its plain listener, by Unix socket, by PROXY header. */
const nginx = shared(async (s) => {
    const { plain, proxy, unix } = await world();
    const [http, sock, stream] = await Promise.all([freePort(), freePort(), freePort()]);
    await front(s, 'nginx', nginxConf({
        http: both(`
            access_log off;
            map $http_upgrade $upgrade_or_not { default upgrade; '' ''; }
            upstream tcp { server ${plain.host}:${plain.port}; keepalive 4; }
            upstream sock { server unix:${unix.path}; keepalive 4; }
            server { listen 127.0.0.1:${http}; location / { proxy_pass http://tcp; proxy_bind 127.0.0.2; SET_HEADERS } }
            server { listen 127.0.0.1:${sock}; location / { proxy_pass http://sock; SET_HEADERS } }`),
        stream: `
            server { listen 127.0.0.1:${stream}; proxy_pass ${proxy.host}:${proxy.port}; proxy_bind 127.0.0.2; proxy_protocol on; }`,
    }), [http, sock, stream]);
    const at = (port) => ({ host: '127.0.0.1', port });
    return { http: at(http), sock: at(sock), stream: at(stream) };
});

/* haproxy is 127.0.0.3, and looks whether the daemon is there; in front of nginx, too. */
const haproxy = shared(async (s) => {
    const { plain, proxy, unixProxy } = await world();
    const [one, two, three, four, chain] = await Promise.all(Array.from({ length: 5 }, freePort));
    const to = (where) => (where.path ? `unix@${where.path}` : `${where.host}:${where.port} source 127.0.0.3`);
    const next = missing('nginx') ? plain : (await nginx()).http;
    const pair = (name, port, mode, server) => `
listen ${name}
    mode ${mode}
    bind 127.0.0.1:${port}
    ${server}
`;
    await front(s, 'haproxy', `
defaults
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s
    timeout check 5s
    http-reuse always
    option httpchk GET /status
${pair('one', one, 'tcp', `server d ${to(proxy)} send-proxy check inter 100`)}
${pair('two', two, 'tcp', `server d ${to(proxy)} send-proxy-v2 check inter 100`)}
${pair('three', three, 'tcp', `server d ${to(unixProxy)} send-proxy-v2`)}
${pair('four', four, 'http', `option forwardfor\n    server d ${to(plain)} check inter 100`)}
${pair('chain', chain, 'http', `option forwardfor\n    server d ${to(next)}`)}
`, [one, two, three, four, chain]);
    const at = (port) => ({ host: '127.0.0.1', port });
    return { one: at(one), two: at(two), three: at(three), four: at(four), chain: at(chain) };
});

/* A client at 127.0.0.9, by both transports, which claims to be another. */
async function seenBehind(t, where) {
    const headers = { ...XFF('8.8.8.8'), ...FORWARDED('for=8.8.8.8') };
    const ws = keep(t, await Raw.open(from(where, '127.0.0.9'), { headers }));
    const polling = await Polling.open(from(where, '127.0.0.9'), { headers });
    return [await seen(ws), await seen(polling)];
}
const twice = (text) => [text, text];

test('nginx: X-Forwarded-For, over TCP and a Unix socket, and PROXY headers', async (t) => {
    if (missing('nginx')) return t.skip(missing('nginx'));
    const { http, sock, stream } = await nginx();
    for (const where of [http, sock, stream]) assert.deepStrictEqual(await seenBehind(t, where), twice('127.0.0.9'));
});

test('haproxy: PROXY headers of both versions, X-Forwarded-For, and health checks', async (t) => {
    if (missing('haproxy')) return t.skip(missing('haproxy'));
    const { daemon } = await world();
    const at = daemon.log.length;
    const { one, two, three, four } = await haproxy();
    for (const where of [one, two, three, four]) assert.deepStrictEqual(await seenBehind(t, where), twice('127.0.0.9'));
    /* Those of its checks that are LOCAL: v2 counts them. */
    const v2s = (metrics) => metrics.get('proxy_headers_total', 'version="2"');
    const before = v2s(await scrape(daemon));
    await settled(daemon, (metrics) => v2s(metrics) > before + 2, 'health checks');
    assert.doesNotMatch(daemon.log.slice(at), /(warn|error) worker/);
});

test('haproxy in front of nginx', async (t) => {
    if (missing('nginx') || missing('haproxy')) return t.skip(missing('nginx') || missing('haproxy'));
    /* nginx sees haproxy, and says so; haproxy is a proxy, and says who its client is. */
    assert.deepStrictEqual(await seenBehind(t, (await haproxy()).chain), twice('127.0.0.9'));
});

test('proxyHeader: with proxies that write Forwarded, what clients say otherwise does not count', async (t) => {
    if (missing('nginx')) return t.skip(missing('nginx'));
    const { redis } = await world();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1, proxies: PROXIES, proxyHeader: 'Forwarded' } });
    const port = await freePort();
    await front(t, 'nginx', nginxConf({ http: `
        access_log off;
        server {
            listen 127.0.0.1:${port};
            location / {
                proxy_pass http://${daemon.addr.host}:${daemon.addr.port}; proxy_bind 127.0.0.2; proxy_http_version 1.1;
                proxy_set_header Forwarded "$http_forwarded, for=$remote_addr;proto=https";
            }
        }` }), [port]);
    const headers = { ...XFF('8.8.8.8'), 'X-Forwarded-Proto': 'http', ...FORWARDED('for="8.8.8.8') };
    const client = await Polling.open({ host: '127.0.0.1', port, localAddress: '127.0.0.9' }, { headers });
    await client.join('/axr', daemon.token('u'));
    await daemon.logged(/client connected: user=u address=127\.0\.0\.9 transport=polling/);
});

test('connections that proxies keep go to the workers of a reload, with whose they are', async (t) => {
    const { redis } = await world();
    const daemon = await Daemon.start(t, { redis, config: {
        workers: 2, port: undefined, host: undefined, proxies: PROXIES, drainTimeout: 1000,
        listen: ['127.0.0.1:0', { address: '127.0.0.1:0', proxyProtocol: true }],
    } });
    const [plain, proxy] = daemon.addrs;
    /* As a proxy's each request names a client, as a client's none does. */
    const conns = [[from(plain, '127.0.0.2'), true], [behind(from(proxy, '127.0.0.2'), v1('127.0.0.3')), true], [behind(from(proxy, '127.0.0.2'), v1('203.0.113.99')), false]]
        .map(([where, named]) => ({ http: keep(t, new Http(where)), named }));
    let n = 0;
    const round = async () => {
        for (const { http, named } of conns) {
            const address = `203.0.113.${++n}`;
            const client = new Polling(plain, { headers: XFF(address) });
            const exchange = async (...what) => (await http.send(request(...what)).answer()).text;
            client.sid = JSON.parse((await exchange('GET', client.target(), client.headers)).slice(1)).sid;
            const body = `40/axr,${JSON.stringify({ token: daemon.token(`n${n}`) })}`;
            assert.strictEqual(await exchange('POST', client.target(), client.headers, body), 'ok');
            await daemon.logged(new RegExp(`client connected: user=n${n} address=${named ? address : '203.0.113.99'}(:56324)? `));
        }
    };
    await round();
    await renew(daemon, { 'socket.io': { pingInterval: 24000 } });
    await round();
    assert.strictEqual((await scrape(daemon)).get('connections_accepted_total'), conns.length);
});

/* --- limits --- */

test('who has 5 s to say whose a connection is has no more', async () => {
    for (const end of await stalled()) {
        const ms = await end;
        assert.ok(ms > GREETING_MS / 2 && ms < within(GREETING_MS), `${ms} ms`);
    }
});

test('limits:connectionsPerAddress holds for each client of a proxy, and not for the proxy', async (t) => {
    const { redis } = await world();
    const daemon = await Daemon.start(t, { redis, config: { workers: 2, proxies: PROXIES, limits: { connectionsPerAddress: 2 } } });
    const open = async (address) => {
        const client = new Polling(from(daemon.addr, '127.0.0.2'), { headers: address ? XFF(address) : {} });
        return (await client.get()).status;
    };
    for (const address of ['203.0.113.1', '203.0.113.2', '203.0.113.1', '203.0.113.2']) assert.strictEqual(await open(address), 200);
    assert.strictEqual(await open('203.0.113.1'), 429);
    assert.strictEqual(await open('203.0.113.3'), 200);
});
