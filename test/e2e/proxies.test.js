'use strict';
/* Behind nginx and haproxy, with connections kept to the daemon and no stickiness:
 * whatever connection a request comes on, its session's worker answers it. */
const assert = require('assert');
const fs = require('fs');
const path = require('path');
const { spawnSync } = require('child_process');
const { test, shared } = require('./lib/suite');
const { Redis, freePort } = require('./lib/redis');
const { Daemon } = require('./lib/daemon');
const { polled, Http, request } = require('./lib/http');
const { VERSIONS, connect } = require('./lib/clients');
const { Process, tempDir } = require('./lib/proc');
const { heardArgs } = require('./lib/hear');
const { scrape, settled } = require('./lib/metrics');
const { within, until } = require('./lib/time');

const world = shared(async (s) => {
    const redis = await Redis.start(s);
    const daemon = await Daemon.start(s, { redis, config: { workers: 4 } });
    return { redis, daemon, addr: daemon.addr, token: daemon.token('u') };
});

/* passes: whether it lets WebSockets through; old: HTTP/1.0 to the daemon, which is nginx's
 * default, with these more settings. */
const nginx = (port, to, { passes, old }) => `
${process.getuid() === 0 ? 'user root;' : ''}
daemon off; worker_processes 1; pid nginx.pid; error_log stderr;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    map $http_upgrade $upgrade_or_not { default upgrade; '' ''; }
    upstream notifications { server ${to.host}:${to.port}; keepalive 8; }
    server {
        listen 127.0.0.1:${port};
        location / {
            proxy_pass http://notifications; proxy_set_header Host $http_host;
            ${old !== undefined ? old : 'proxy_http_version 1.1;'}
            ${old !== undefined ? '' : passes
        ? 'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $upgrade_or_not;'
        : 'proxy_set_header Connection "";'}
        }
    }
}`;
const haproxy = (port, to, { passes }) => `
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s
    option http-keep-alive
    http-reuse always
frontend in
    bind 127.0.0.1:${port}
    ${passes ? '' : 'http-request deny if { hdr(Upgrade) -i websocket }'}
    default_backend notifications
backend notifications
    server one ${to.host}:${to.port} pool-max-conn 8
`;
const PROXIES = {
    nginx: { make: nginx, version: '-v', args: (dir) => ['-p', dir, '-c', 'proxy.conf', '-e', 'stderr'] },
    haproxy: { make: haproxy, version: '-v', args: (dir) => ['-db', '-f', path.join(dir, 'proxy.conf')] },
};

/* Debian has them in /usr/sbin. */
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
const has = (name) => !spawnSync(name, [PROXIES[name].version], { env }).error;

async function start(t, name, how) {
    const { addr } = await world();
    const dir = tempDir(t);
    const port = await freePort();
    fs.writeFileSync(path.join(dir, 'proxy.conf'), PROXIES[name].make(port, addr, how));
    const proxy = new Process(name, PROXIES[name].args(dir), { cwd: dir, env });
    t.show(proxy);
    t.after(() => {
        proxy.signal('SIGTERM');
        return proxy.ended(within(3000));
    });
    const where = { host: '127.0.0.1', port };
    await until(async () => {
        assert.ok(!proxy.how, `${name} has ended`);
        const http = new Http(where).send('GET', '/up');
        return http.answer().then((answer) => answer.status === 404, () => false).finally(() => http.destroy());
    }, within(3000), `${name} serves`);
    return where;
}

for (const name of Object.keys(PROXIES)) {
    const proxied = (what, fn) => test(`${name}: ${what}`, async (t) => {
        if (has(name)) return fn(t);
        return t.skip(`${name} is not installed; scripts/deps test does that`);
    });
    proxied('clients that only poll hear everything, in order', async (t) => {
        const { redis, token } = await world();
        const where = await start(t, name, { passes: false });
        const clients = await Promise.all(Array.from({ length: 30 }, (_, i) =>
            polled(where, token, { eio: i % 2 ? 3 : 4, keep: i % 3 > 0 })));
        t.after(() => clients.forEach((client) => client.destroy()));
        const io = redis.emitter();
        for (let i = 0; i < 50; i++) {
            if (i % 10 === 0) await redis.flush();
            io.emit('n', i, 'é'.repeat(i * 10));
        }
        const expected = Array.from({ length: 50 }, (_, i) => i);
        for (const one of await heardArgs(redis, clients)) assert.deepStrictEqual(one, expected);
        for (let round = 0; round < 10; round++) {
            io.emit('n', round);
            for (const one of await heardArgs(redis, clients)) assert.deepStrictEqual(one, [round]);
        }
    });
    for (const [way, transports, passes] of [['polling only', ['polling']], ['default options, no upgrade let through', undefined], ['default options, upgraded', undefined, true]]) {
        proxied(`socket.io-client 1.x to 4.x, ${way}`, async (t) => {
            const { redis, token } = await world();
            const where = await start(t, name, { passes });
            const clients = await Promise.all(VERSIONS.map(async (version) => {
                const client = await connect(version, where, { token, options: { transports } });
                t.after(() => client.close());
                return client;
            }));
            const transport = (client) => client.socket.io.engine.transport.name;
            if (passes) for (const client of clients)
                await until(() => transport(client) === 'websocket', within(3000), `upgrade of ${client.version}.x`);
            const messages = Array.from({ length: 20 }, (_, i) => ['n', i, 'é€😀', Buffer.from([i])]);
            for (const message of messages) redis.emitter().emit(...message);
            for (const client of clients) {
                await client.when(() => client.events.length === messages.length, within(5000), 'messages');
                assert.deepStrictEqual(client.events, messages);
                assert.strictEqual(transport(client), passes ? 'websocket' : 'polling');
            }
        });
    }
    proxied('connections to the daemon are kept, and handed on as sessions alternate', async (t) => {
        const { redis, daemon, token } = await world();
        const where = await start(t, name, { passes: false });
        const from = daemon.log.length;
        const clients = await Promise.all(Array.from({ length: 6 }, () => polled(where, token)));
        const http = new Http(where);
        t.after(() => http.destroy());
        for (let i = 0; i < 60; i++) {
            http.send(request('POST', clients[i % 6].target(), {}, '42/axr,["up"]'));
            assert.strictEqual((await http.answer()).text, 'ok');
        }
        for (const one of await heardArgs(redis, clients)) assert.deepStrictEqual(one, []);
        /* The slot of a session's worker is byte 16 of its id.  All may have begun on one
         * connection, and so with one worker: then there is nothing to hand on. */
        const slots = new Set(clients.map(({ sid }) => Buffer.from(sid, 'base64url')[16]));
        if (slots.size > 1) assert.match(daemon.log.slice(from), /connection handed to worker/);
    });
}

/* nginx's own defaults, and with connections to the daemon that are kept. */
const OLD = { 'nginx, HTTP/1.0': ['', false], 'nginx, HTTP/1.0 with keep-alive': ['proxy_set_header Connection keep-alive;', true] };
for (const [what, [old, keeps]] of Object.entries(OLD))
    test(`${what}: clients that poll hear everything`, async (t) => {
        if (!has('nginx')) return t.skip('nginx is not installed; scripts/deps test does that');
        const { redis, daemon, token } = await world();
        const accepted = (metrics) => metrics.get('connections_accepted_total');
        const where = await start(t, 'nginx', { old });
        const before = accepted(await scrape(daemon));
        const clients = await Promise.all(Array.from({ length: 4 }, (_, i) => polled(where, token, { eio: i % 2 ? 3 : 4, keep: i > 1 })));
        t.after(() => clients.forEach((client) => client.destroy()));
        for (let i = 0; i < 20; i++) {
            redis.emitter().emit('n', i);
            for (const one of await heardArgs(redis, clients)) assert.deepStrictEqual(one, [i]);
        }
        /* For more than 80 requests: */
        if (keeps) assert.ok(accepted(await scrape(daemon)) - before < 20);
        else await settled(daemon, (metrics) => accepted(metrics) - before > 80, 'a connection for each request');
    });
