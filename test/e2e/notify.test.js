'use strict';
/* axr-notify: the bytes that it publishes are those of @socket.io/redis-emitter,
 * and every refusal says why. */
const assert = require('assert');
const net = require('net');
const { spawnSync } = require('child_process');
const { Emitter } = require('e5');
const { test, shared } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { NOTIFY } = require('./lib/daemon');
const { run, tempDir } = require('./lib/proc');
const { SLOW, until, within } = require('./lib/time');

const PASSWORD = 'pass word "quoted"';

const world = shared(async (s) => {
    const redis = await Redis.start(s);
    const seen = [];
    const listener = await redis.connect();
    await listener.pSubscribe('*', (message, channel) => seen.push({ channel, message }), true);
    return { redis, seen, dir: tempDir(s) };
});

/* What axr-notify says, with the configuration on its command line only. */
async function notify(args, options = {}) {
    const { redis, dir } = await world();
    const where = options.where || ['--socket.io:redis:port', String(redis.port)];
    const base = ['-c', '/dev/null', '--socket.io:redis:host', '127.0.0.1', ...where];
    const [command, ...words] = [...(options.wrap || []), NOTIFY, ...base, ...args];
    return run(command, words, { cwd: dir, env: { PATH: process.env.PATH }, input: options.input });
}

/* What was published by the time that fn is done. */
async function published(fn) {
    const { redis, seen } = await world();
    const from = seen.length;
    const result = await fn();
    const marker = `marker ${from}`;
    await redis.client.publish(marker, '');
    const over = () => seen.slice(from).some((one) => String(one.channel) === marker);
    await until(over, within(2000), 'the end of what was published');
    const messages = seen.slice(from).map((one) => [String(one.channel), one.message.toString('hex')]);
    return { result, messages: messages.filter(([channel]) => channel !== marker) };
}

const DATA = {
    n: [0, -0, 1, -1, 127, 128, 255, 256, 65535, 65536, 4294967295, 4294967296, 9007199254740991],
    m: [-32, -33, -128, -129, -32768, -32769, -2147483648, -2147483649, -9007199254740991],
    f: [0.1, -2.25, 1e-7, 5e-324, 1.5e-300, 3.14159, 1e15 + 0.5],
    s: ['', 'x'.repeat(31), 'x'.repeat(32), 'é'.repeat(200), '€'.repeat(30000), '"\\\b\n\u0000\u2028😀'],
    a: [[], {}, [[]], [{ a: { b: null } }], Array(15).fill(true), Array(16).fill(false)],
    o: Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`key${i}`, i])),
};

const CASES = [
    { args: ['msg'], emit: (e) => e.emit('msg') },
    { args: ['msg', JSON.stringify(DATA)], emit: (e) => e.emit('msg', JSON.parse(JSON.stringify(DATA))) },
    { args: ['msg', ' {"a" : [1, 2 ] } ', 'null', '"two"', '-5'], emit: (e) => e.emit('msg', { a: [1, 2] }, null, 'two', -5) },
    { args: ['m', '1', '-', '3'], input: '\n{"in": "put"}\n', emit: (e) => e.emit('m', 1, { in: 'put' }, 3) },
    { args: ['é"\\', '"\\u00e9\\ud83d\\ude00"'], emit: (e) => e.emit('é"\\', 'é😀') },
    { args: ['--to', 'a', 'x', '1'], emit: (e) => e.to('a').emit('x', 1) },
    { args: ['x', '1', '--to=a#b', '--to', 'a#b'], emit: (e) => e.to('a#b').emit('x', 1) },
    { args: ['--to', 'a', '--to', 'b', '--to', 'a', 'x'], emit: (e) => e.to('a').to('b').to('a').emit('x') },
    { args: ['--to', 'a', '--except', 'b', '--except', 'c', '--volatile', 'x'],
        emit: (e) => e.to('a').except(['b', 'c']).volatile.emit('x') },
    { args: ['--', '--volatile'], emit: (e) => e.emit('--volatile') },
];

for (const one of CASES) {
    const name = one.args.map((word) => word.slice(0, 30)).join(' ');
    test(`axr-notify ${name}: as the emitter publishes it`, async () => {
        const { redis } = await world();
        const emitter = new Emitter(redis.client).of('/axr');
        const ours = await published(() => notify(one.args, one));
        const theirs = await published(() => one.emit(emitter));
        assert.deepStrictEqual(
            ours.result,
            { code: 0, signal: null, out: '1 subscriber\n', err: '' }
        );
        assert.deepStrictEqual(ours.messages, theirs.messages);
        assert.strictEqual(theirs.messages.length, 1);
    });
}

test('key and namespace come from the configuration', async () => {
    const options = ['--socket.io:key', 'other', '--socket.io:namespace', '/chat'];
    const { result, messages } = await published(() => notify([...options, 'x']));
    assert.strictEqual(result.out, '1 subscriber\n');
    assert.deepStrictEqual(messages.map(([channel]) => channel), ['other#/chat#']);
});

test('the number of subscribers is what redis says', async (t) => {
    const { redis } = await world();
    const another = await redis.connect();
    t.after(() => another.disconnect());
    await another.pSubscribe('socket.io#/axr#*', () => {});
    assert.strictEqual((await notify(['x'])).out, '2 subscribers\n');
});

test('through a Unix socket', async () => {
    const { redis } = await world();
    const where = ['--socket.io:redis:path', redis.socket];
    const { result, messages } = await published(() => notify(['x'], { where }));
    assert.strictEqual(result.code, 0, result.err);
    assert.strictEqual(messages.length, 1);
});

/* Exit code, and a pattern of standard error; nothing is published. */
const REFUSED = [
    [['x', 'hello'], 1, /argument 1 is not JSON: byte 1: hello .*quotes/],
    [['x', '1', '[1,]'], 1, /argument 2 is not JSON: byte 4: \]/],
    [['x', '{"a":1'], 1, /argument 1 is not JSON: it ends too early, after byte 6/],
    [['x', '1 2'], 1, /argument 1 is not JSON: byte 3: 2/],
    [['x', ''], 1, /argument 1 is not JSON: it ends too early/],
    [['x', '[\x01]'], 1, /argument 1 is not JSON: byte 2: \\x01/],
    [['x', '['.repeat(128) + ']'.repeat(128)], 1, /too deep: at most 127/],
    [Array.from({ length: 4097 }, (_, i) => ['--to', `u${i}`]).flat().concat('x'), 1, /too many rooms: at most 4096/],
    [['connect'], 1, /"connect" is a reserved event name/],
    [['removeListener', '1'], 1, /reserved/],
    [[], 2, /an event is wanted\nusage: /],
    [['{"text":"hi"}'], 2, /the event is wanted before its arguments, and \{"text":"hi"\} is JSON\nusage: /],
    [['--to', 'u', ' [1]\n', '1'], 2, /before its arguments, and  \[1\]\\x0a is JSON/i],
    [['"text"'], 2, /is JSON/], [['42'], 2, /is JSON/], [['null'], 2, /is JSON/],
    [['--to', '', 'x'], 2, /the room after --to is empty/],
    [['--to'], 2, /--to/],
    [['--volatile=1', 'x'], 2, /--volatile/],
    [['x', '-', '-'], 2, /standard input/],
    [['-z', 'x'], 2, /-z/],
    [['--watch', 'x'], 2, /--watch sends nothing: it goes with no event, room or --ack\nusage: /],
    [['--watch', '--ack', '1s'], 2, /--watch sends nothing/],
    [['--no:such:key', '1', 'x'], 1, /no:such:key/],
    [['--socket.io:redis:port', 'many', 'x'], 1, /socket\.io:redis:port/],
    [['-c', '/does/not/exist', 'x'], 1, /\/does\/not\/exist/],
];

for (const [args, code, pattern] of REFUSED)
    test(`axr-notify ${args.join(' ').slice(0, 40)}: refused`, async () => {
        const { result, messages } = await published(() => notify(args, { input: '1' }));
        assert.strictEqual(result.code, code, result.err);
        assert.match(result.err, pattern);
        assert.match(result.err, /^axr-notify: /);
        assert.strictEqual(result.out, '');
        assert.deepStrictEqual(messages, []);
    });

/* As in some chroots; the master needs it as little.  Not every machine lets root hide a file. */
test('localhost, without /etc/hosts', async () => {
    const { redis } = await world();
    const where = ['--socket.io:redis:host', 'localhost', '--socket.io:redis:port', String(redis.port)];
    const hidden = ['unshare', '--mount', 'sh', '-c', '{ [ ! -e /etc/hosts ] || mount --bind /dev/null /etc/hosts; } && exec "$0" "$@"'];
    const wrap = spawnSync(hidden[0], [...hidden.slice(1), 'true']).status === 0 ? hidden : [];
    const { result, messages } = await published(() => notify(['x'], { where, wrap }));
    assert.deepStrictEqual([result.code, messages.length], [0, 1], result.err);
});

test('no redis', async () => {
    const where = ['--socket.io:redis:port', '1'];
    const result = await notify(['x'], { where });
    assert.strictEqual(result.code, 1);
    assert.match(result.err, /cannot connect to redis at 127\.0\.0\.1:1: Connection refused/);
});

test('a redis that does not answer', async (t) => {
    const silent = net.createServer((socket) => socket.resume());
    await new Promise((resolve) => silent.listen(0, '127.0.0.1', resolve));
    t.after(() => silent.close());
    const where = ['--socket.io:redis:port', String(silent.address().port)];
    const result = await notify(['x'], { where });
    assert.strictEqual(result.code, 1);
    assert.match(result.err, /redis: PUBLISH: no answer within 5 s/);
}, { quick: false });

test('a redis that hangs up', async (t) => {
    const rude = net.createServer((socket) => socket.destroy());
    await new Promise((resolve) => rude.listen(0, '127.0.0.1', resolve));
    t.after(() => rude.close());
    const where = ['--socket.io:redis:port', String(rude.address().port)];
    const result = await notify(['x'], { where });
    assert.strictEqual(result.code, 1);
    assert.match(result.err, /^axr-notify: /);
});

test('a redis that answers with what takes a lot of memory', async (t) => {
    const answers = ['*2147483647\r\n', '*64\r\n'.repeat(9), `*100000\r\n${'*1\r\n:1\r\n'.repeat(100000)}`, '$500000000\r\n', '+', ':'];
    const more = Buffer.alloc(1 << 20, 'x');
    for (const answer of answers) {
        const liar = net.createServer((socket) => {
            const flood = () => { while (socket.writable && socket.write(more)); };
            socket.on('drain', flood).on('error', () => {}).on('data', () => socket.write(answer, flood));
        });
        await new Promise((resolve) => liar.listen(0, '127.0.0.1', resolve));
        t.after(() => liar.close());
        const where = ['--socket.io:redis:port', String(liar.address().port)];
        const wrap = SLOW > 1 ? [] : ['prlimit', '--as=300000000']; /* a sanitizer takes more by itself */
        const result = await notify(['x'], { where, wrap });
        assert.deepStrictEqual([result.code, result.err], [1, 'axr-notify: redis: PUBLISH: an answer that is an array or too long\n'], answer.slice(0, 20));
    }
});

test('passwords and users', async (t) => {
    const redis = await Redis.start(t, {
        args: ['--requirepass', PASSWORD],
        auth: { password: PASSWORD },
    });
    await redis.client.sendCommand(['ACL', 'SETUSER', 'bob', 'on', `>${PASSWORD}`, '&*', '+publish']);
    const where = ['--socket.io:redis:port', String(redis.port)];
    const bad = async (args, pattern) => {
        const result = await notify([...args, 'x'], { where });
        assert.strictEqual(result.code, 1);
        assert.match(result.err, pattern);
    };
    await bad([], /redis: PUBLISH: NOAUTH/);
    await bad(['--socket.io:redis:password', 'wrong'], /redis: AUTH: WRONGPASS/);
    await bad(['--socket.io:redis:username', 'eve', '--socket.io:redis:password', PASSWORD], /WRONGPASS/);
    for (const user of [[], ['--socket.io:redis:username', 'bob']]) {
        const result = await notify([...user, '--socket.io:redis:password', PASSWORD, 'x'], { where });
        assert.strictEqual(result.err, 'axr-notify: warning: nobody listens: no axr-notifyd is subscribed to "socket.io#/axr#" at this redis\n');
        assert.deepStrictEqual([result.code, result.out], [0, '0 subscribers\n']);
    }
});
