'use strict';
/* BEHIND A PROXY in axr-notifyd(8): the configurations that it prints for nginx, haproxy and
 * the daemon, taken from the page as it is read, with nothing but ports, addresses of daemons
 * and paths put in, and clients of several generations through each.  The client is
 * 127.0.0.9; the proxies come from 127.0.0.1. */
const assert = require('assert');
const { execFileSync } = require('child_process');
const fs = require('fs');
const https = require('https');
const path = require('path');
const { test, shared } = require('./lib/suite');
const { Redis, freePort } = require('./lib/redis');
const { Daemon, ROOT } = require('./lib/daemon');
const { Asker } = require('./lib/cluster');
const { Client } = require('./lib/clients');
const { adminOf } = require('./lib/metrics');
const { authority } = require('./lib/certificates');
const { front, missing, nginxConf } = require('./lib/front');
const { has, tempDir } = require('./lib/proc');
const { within, until } = require('./lib/time');

const CLIENT = '127.0.0.9';
const NAME = 'push.example.com';

/* --- the page --- */

/* The literal blocks of the section, by their first lines, which are comments. */
const printed = shared(async () => {
    const page = execFileSync('mandoc', ['-Tascii', '-Owidth=200', path.join(ROOT, 'man/axr-notifyd.8')], { encoding: 'utf8' })
        .replace(/.\x08/g, '');
    const section = /^BEHIND A PROXY$([^]*?)^[A-Z]/m.exec(page)[1];
    const blocks = new Map();
    let lines;
    for (const line of section.split('\n')) {
        const [, text] = /^ {11}(.*)$/.exec(line) || (line === '' && lines ? [, ''] : []);
        if (text === undefined) lines = undefined;
        else if (/^(#|\/\/) /.test(text)) blocks.set(text.replace(/^(#|\/\/) /, ''), (lines = []));
        else if (lines) lines.push(text);
    }
    const [, server] = /^ {11}(server unix:\S+;)$/m.exec(section);
    const result = Object.fromEntries([...blocks].map(([name, all]) => [name, all.join('\n')]));
    return { ...result, server };
});
const block = async (name) => {
    const text = (await printed())[name];
    assert.ok(text, `the manual has "${name}"`);
    return text;
};
/* Each of the texts in place of the other, which has to be there. */
const put = (text, changes) => Object.entries(changes).reduce((all, [from, to]) => {
    assert.ok(all.includes(from), `"${from}" is printed`);
    return all.split(from).join(to);
}, text);

/* --- the daemons --- */

const world = shared(async (s) => {
    const dir = tempDir(s);
    const root = authority();
    const files = root.issue({ names: [NAME] }).write(dir, 'push');
    const both = path.join(dir, 'both.pem');
    fs.writeFileSync(both, fs.readFileSync(files.certFile, 'utf8') + fs.readFileSync(files.keyFile, 'utf8'), { mode: 0o600 });
    const redis = await Redis.start(s);
    const sock = path.join(dir, 'http.sock');
    const start = async (name, changes) => {
        const config = JSON.parse(put(await block(name), changes));
        return Daemon.start(s, { redis, config: { port: undefined, host: undefined, ...config } });
    };
    const [daemon, tls] = await Promise.all([
        start('axr-notifyd.conf', { '127.0.0.1:3000': '127.0.0.1:0', '/run/axr-notifyd/http.sock': sock }),
        start('axr-notifyd.conf, TLS passed through', {
            '127.0.0.1:3443': '127.0.0.1:0', '/etc/ssl/push.pem': files.certFile, '/etc/ssl/push.key': files.keyFile }),
    ]);
    const other = shared((t) => start('axr-notifyd.conf', { '127.0.0.1:3000': '127.0.0.1:0', '/run/axr-notifyd/http.sock': `${sock}2` }));
    const asker = await Asker.start(s, redis);
    return { redis, root, files, both, sock, daemon, tls, other, asker };
});
const at = (daemon) => `127.0.0.1:${daemon.addr.port}`;

/* --- clients --- */

let uids = 0;
/* Through https://push.example.com, which is that port. */
async function connect(t, port, version, { transports, localAddress = CLIENT } = {}) {
    const { daemon, root } = await world();
    const uid = `user${++uids}`;
    const token = daemon.token(uid);
    const lookup = (name, how, done) => (how.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4));
    const agent = new https.Agent({ localAddress, lookup, ca: root.root });
    t.after(() => agent.destroy());
    const where = { host: NAME, port, tls: { ca: root.root } };
    const client = new Client(version, where, { token, options: { transports, agent } });
    t.after(() => client.close());
    await client.noted('connect');
    if (!transports) await until(() => client.socket.io.engine.transport.name === 'websocket', within(3000), 'its upgrade');
    return Object.assign(client, { uid, token });
}
/* Of those who ask the cluster: "ADDRESS SECURE". */
async function shown({ uid }) {
    const { asker } = await world();
    const { sockets } = await asker.ask({ type: 5, opts: { rooms: [uid], except: [] } });
    assert.strictEqual(sockets.length, 1, uid);
    return `${sockets[0].handshake.address} ${sockets[0].handshake.secure}`;
}
/* Default transports, and WebSocket alone; 2.x has its token in the query string. */
async function all(t, port) {
    const { redis } = await world();
    const clients = [];
    for (const [version, transports] of [[4, undefined], [4, ['websocket']], [2, undefined], [2, ['websocket']]])
        clients.push(await connect(t, port, version, { transports }));
    for (const client of clients) {
        assert.strictEqual(await shown(client), `${CLIENT} true`);
        redis.emitter().to(client.uid).emit('msg', client.uid);
        await client.when(() => client.events.length === 1, within(3000), 'its notification');
        assert.deepStrictEqual(client.events, [['msg', client.uid]]);
    }
    return clients;
}
/* The lines tell of the requests, and of no token. */
function checkLog(log, clients) {
    assert.match(log, /GET \/notifications\/ (101|200) /);
    for (const { token } of clients) assert.ok(!log.includes(token.slice(0, 40)), log);
    assert.doesNotMatch(log, /token/);
}

const behind = (what, names, fn) => test(what, async (t) => {
    const why = [...names.map(missing), has('mandoc') ? undefined : 'mandoc is not installed'].find(Boolean);
    return why ? t.skip(why) : fn(t);
});

/* --- nginx --- */

const nginxHttp = async (port, dir, changes) => {
    const { files } = await world();
    return put(await block('nginx.conf, in http { }'), {
        'listen 443 ssl': `listen 127.0.0.1:${port} ssl`, '/etc/ssl/push.pem': files.certFile, '/etc/ssl/push.key': files.keyFile,
        '/var/log/nginx': dir, ...changes });
};
for (const [way, to] of [['TCP', ({ daemon }) => `server ${at(daemon)};`], ['a Unix socket', undefined]])
    behind(`nginx, over ${way}`, ['nginx'], async (t) => {
        const places = await world();
        const [port, dir] = [await freePort(), tempDir(t)];
        const server = to ? to(places) : put(await block('server'), { '/run/axr-notifyd/http.sock': places.sock });
        await front(t, 'nginx', nginxConf({ http: await nginxHttp(port, dir, { 'server 127.0.0.1:3000;': server }) }), [port]);
        const clients = await all(t, port);
        clients.forEach((client) => client.close());
        const log = path.join(dir, 'notifications.log');
        await until(() => /101/.test(fs.readFileSync(log, 'utf8')), within(2000), 'lines of the access log');
        checkLog(fs.readFileSync(log, 'utf8'), clients);
        assert.strictEqual(fs.readFileSync(path.join(dir, 'notifications-error.log'), 'utf8'), '');
    });

behind('nginx, TLS passed through', ['nginx'], async (t) => {
    const { tls } = await world();
    const port = await freePort();
    const stream = put(await block('nginx.conf, in stream { }'), { 'listen 443': `listen 127.0.0.1:${port}`, '127.0.0.1:3443': at(tls) });
    await front(t, 'nginx', nginxConf({ stream }), [port]);
    await all(t, port);
});

/* --- haproxy --- */

behind('haproxy', ['haproxy'], async (t) => {
    const { daemon, both } = await world();
    const port = await freePort();
    const text = put(await block('haproxy.cfg'), {
        'bind :443': `bind 127.0.0.1:${port}`, '/etc/ssl/push-with-key.pem': both, 'log /dev/log local0': 'log stdout format raw local0',
        '127.0.0.1:3000': at(daemon), 'port 3001': `port ${(await adminOf(daemon)).port}` });
    const haproxy = await front(t, 'haproxy', text, [port]);
    const clients = await all(t, port);
    clients.forEach((client) => client.close());
    await haproxy.line(/ 101 /, within(2000));
    checkLog(haproxy.log, clients);
    assert.doesNotMatch(haproxy.log, /DOWN/);
});

behind('haproxy, TLS passed through', ['haproxy'], async (t) => {
    const { tls } = await world();
    const port = await freePort();
    const text = put(await block('haproxy.cfg, TLS passed through'), { 'bind :443': `bind 127.0.0.1:${port}`, '127.0.0.1:3443': at(tls) });
    await front(t, 'haproxy', text, [port]);
    await all(t, port);
});

/* --- several daemons --- */

/* Clients at several addresses, each with all its requests at one daemon. */
async function spread(t, port) {
    const { redis } = await world();
    const places = Array.from({ length: 6 }, (_, i) => `127.0.0.${10 + i}`);
    const clients = await Promise.all(places.map((localAddress, i) =>
        connect(t, port, i % 2 ? 4 : 2, { transports: i < 4 ? ['polling'] : undefined, localAddress })));
    redis.emitter().emit('msg', 1);
    for (const [i, client] of clients.entries()) {
        await client.when(() => client.events.length === 1, within(3000), 'the notification');
        assert.strictEqual(await shown(client), `${places[i]} true`);
    }
}
behind('nginx, several daemons', ['nginx'], async (t) => {
    const { daemon, other } = await world();
    const [port, dir] = [await freePort(), tempDir(t)];
    const upstream = put(await block('nginx.conf, several daemons'), { '10.0.0.11:3000': at(daemon), '10.0.0.12:3000': at(await other()) });
    const text = await nginxHttp(port, dir, {});
    const [old] = /upstream notifications \{[^]*?\n\}/.exec(text);
    await front(t, 'nginx', nginxConf({ http: put(text, { [old]: upstream }) }), [port]);
    await spread(t, port);
});
behind('haproxy, several daemons', ['haproxy'], async (t) => {
    const { daemon, both, other } = await world();
    const port = await freePort();
    const admin = async (one) => `${at(one)} check port ${(await adminOf(one)).port}`;
    const [front_] = (await block('haproxy.cfg')).split(/^backend /m);
    const text = put(front_, { 'bind :443': `bind 127.0.0.1:${port}`, '/etc/ssl/push-with-key.pem': both, 'log /dev/log local0': '' })
        + put(await block('haproxy.cfg, several daemons'), {
            '10.0.0.11:3000 check port 3001': await admin(daemon), '10.0.0.12:3000 check port 3001': await admin(await other()) });
    await front(t, 'haproxy', `${text}\n`, [port]);
    await spread(t, port);
});
