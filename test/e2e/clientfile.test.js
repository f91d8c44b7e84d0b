'use strict';
/* socket.io:clientFile: what a page loads the client from. */
const assert = require('assert');
const fs = require('fs');
const path = require('path');
const vm = require('vm');
const { test, shared } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon } = require('./lib/daemon');
const { exchange } = require('./lib/raw');

const FILE = path.join(path.dirname(require.resolve('c4/package.json')), 'dist', 'socket.io.js');
const TEXT = fs.readFileSync(FILE, 'utf8');
const TARGET = '/notifications/socket.io.js';
const ORIGIN = 'https://app.example';

const world = shared(async (s) => {
    const redis = await Redis.start(s);
    const config = { 'socket.io': { clientFile: FILE }, cors: { origins: [ORIGIN] } };
    return { redis, daemon: await Daemon.start(s, { redis, config }) };
});

async function ask(lines = '', { method = 'GET', target = TARGET } = {}) {
    const { daemon } = await world();
    return exchange(daemon.addr,
        `${method} ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${lines}\r\n`);
}

test('it is served whole, with its type, and is the client', async () => {
    const { status, headers, body } = await ask();
    assert.strictEqual(status, 200);
    assert.strictEqual(headers['content-type'], 'application/javascript; charset=utf-8');
    assert.strictEqual(headers['content-length'], String(Buffer.byteLength(TEXT)));
    assert.strictEqual(headers['cache-control'], 'public, max-age=0');
    assert.match(headers.etag, /^"[\w-]{20,}"$/);
    assert.ok(body === TEXT, 'the content');
    const page = vm.createContext({});
    vm.runInContext(body, page);
    assert.strictEqual(vm.runInContext('typeof io.connect', page), 'function');
});
test('every worker gives it the same tag, by which it is known again', async () => {
    const { headers: { etag } } = await ask();
    for (let i = 0; i < 20; i++) assert.strictEqual((await ask()).headers.etag, etag);
    for (const tags of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
        const known = await ask(`If-None-Match: ${tags}\r\n`);
        assert.deepStrictEqual([known.status, known.body, known.headers.etag], [304, '', etag], tags);
        assert.strictEqual(known.headers['content-length'], undefined);
    }
    assert.strictEqual((await ask('If-None-Match: "other"\r\n')).status, 200);
});
test('HEAD, a query, and methods that there are not', async () => {
    const { status, headers, body } = await ask('', { method: 'HEAD' });
    assert.deepStrictEqual([status, body], [200, '']);
    assert.strictEqual(headers['content-length'], String(Buffer.byteLength(TEXT)));
    assert.strictEqual((await ask('', { target: `${TARGET}?v=1` })).status, 200);
    const refused = await ask('Content-Length: 0\r\n', { method: 'POST' });
    assert.deepStrictEqual([refused.status, refused.headers.allow], [405, 'GET, HEAD']);
});
test('CORS: the origins that are configured, and no other', async () => {
    const allowed = (await ask(`Origin: ${ORIGIN}\r\n`)).headers;
    assert.deepStrictEqual([allowed['access-control-allow-origin'], allowed.vary], [ORIGIN, 'Origin']);
    const foreign = (await ask('Origin: https://evil.example\r\n')).headers;
    assert.strictEqual(foreign['access-control-allow-origin'], undefined);
});
test('the file is read once: it may change or go', async (t) => {
    const { redis } = await world();
    const daemon = new Daemon(t, { redis, config: { 'socket.io': { clientFile: 'own.js' } } });
    const file = path.join(daemon.dir, 'own.js');
    fs.writeFileSync(file, 'one');
    daemon.spawn();
    await daemon.ready();
    fs.unlinkSync(file);
    const { body } = await exchange(daemon.addr, `GET ${TARGET} HTTP/1.0\r\n\r\n`);
    assert.strictEqual(body, 'one');
});
test('without one there is none; one that is not there is an error', async (t) => {
    const { redis } = await world();
    const daemon = await Daemon.start(t, { redis });
    assert.strictEqual((await exchange(daemon.addr, `GET ${TARGET} HTTP/1.0\r\n\r\n`)).status, 404);
    const how = await Daemon.once(t, { redis, config: { 'socket.io': { clientFile: '/nowhere/x.js' } } });
    assert.notStrictEqual(how.code, 0);
    assert.match(how.log, /socket\.io:clientFile: cannot read \/nowhere\/x\.js/);
});
