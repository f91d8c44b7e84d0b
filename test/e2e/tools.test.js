'use strict';
/* axr-notify --token and --check: the tokens that it makes are taken by the daemon of the same
 * configuration, and what it says of one is what that daemon says. */
const assert = require('assert');
const crypto = require('crypto');
const { spawn, execFileSync } = require('child_process');
const fs = require('fs');
const path = require('path');
const { test, shared } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon, NOTIFY, NOTIFYD, ROOT, SECRET } = require('./lib/daemon');
const { Raw } = require('./lib/raw');
const { Client, VERSIONS, connect } = require('./lib/clients');
const { sign, now } = require('./lib/jwt');
const { run, tempDir } = require('./lib/proc');
const { until, within } = require('./lib/time');

const { tokens: vectors } = JSON.parse(fs.readFileSync(path.join(ROOT, 'test/vectors/tokens.json'), 'utf8'));
const OTHER = 'another secret, that is long enough: 0123';
const rsa = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
const redis = shared((s) => Redis.start(s));

async function daemonWith(t, auth, more = {}) {
    return Daemon.start(t, { redis: await redis(), config: { workers: 1, auth, ...more }, tls: false });
}

const decoded = (token, part) => JSON.parse(Buffer.from(token.split('.')[part], 'base64url'));

/* What the daemon says: { good } or { code, message }. */
async function ask(daemon, token, eio = 4) {
    const client = await Raw.open(daemon.addr, { eio, query: eio === 3 ? { jwt_token: token } : {} });
    try {
        client.sendText(client.connectPacket('/axr', eio === 3 ? {} : { token }));
        const first = await client.text();
        if (first.startsWith('40/axr')) return { good: true };
        const { message, data } = JSON.parse(first.replace(/^44\/axr,/, ''));
        return { good: false, code: data.code, message };
    } finally {
        client.destroy();
    }
}

async function make(daemon, args) {
    const result = await daemon.notify(args);
    assert.deepStrictEqual([result.code, result.err], [0, ''], args.join(' '));
    assert.match(result.out, /^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    return result.out.trim();
}

async function check(daemon, token, args = ['--check', '-']) {
    const result = await daemon.notify([...args, '--json'], { input: token });
    const said = JSON.parse(result.out);
    assert.deepStrictEqual([result.code, result.err], [said.good ? 0 : 1, ''], result.out);
    return said;
}

/* --- tokens that are made --- */

function families(dir) {
    const file = (name, text) => {
        fs.writeFileSync(path.join(dir, name), text, { mode: 0o600 });
        return path.join(dir, name);
    };
    const pem = rsa.publicKey.export({ type: 'spki', format: 'pem' });
    const jwks = { keys: [{ kty: 'oct', kid: 'oct', alg: 'HS384', k: Buffer.from(OTHER).toString('base64url') }] };

    return {
        'a secret': [{}, { alg: 'HS256', typ: 'JWT' }],
        'two of them': [{ secret: [OTHER, SECRET] }, { alg: 'HS256', typ: 'JWT' }],
        'a file, and issuer and audience': [
            { secret: undefined, secretFile: file('secret', `${OTHER}\n`), options: { issuer: ['me', 'you'], audience: 'us' } },
            { alg: 'HS256', typ: 'JWT' }, { iss: 'me', aud: 'us' }],
        'an algorithm': [{ options: { algorithms: ['HS512'] } }, { alg: 'HS512', typ: 'JWT' }],
        'a type': [{ options: { types: ['Session+JWT'] } }, { alg: 'HS256', typ: 'Session+JWT' }],
        'any type': [{ options: { types: ['*'] } }, { alg: 'HS256', typ: 'JWT' }],
        'keys with a name, of which the first are public': [
            { secret: undefined, publicKeyFile: file('rsa.pem', pem),
                keys: [{ kid: 'p', publicKeyFile: file('rsa.pem', pem) }, { kid: '2027', secret: OTHER, algorithm: 'HS384' }] },
            { alg: 'HS384', typ: 'JWT', kid: '2027' }],
        'a set of keys': [{ secret: undefined, jwksFile: file('jwks.json', JSON.stringify(jwks)) }, { alg: 'HS384', typ: 'JWT', kid: 'oct' }],
    };
}

test('a token that is made is taken, for each family of options, by clients new and old', async (t) => {
    for (const [name, [auth, header, claims]] of Object.entries(families(tempDir(t)))) {
        const daemon = await daemonWith(t, auth);
        const token = await make(daemon, ['--token', 'alice']);
        const { iat, exp, ...rest } = decoded(token, 1);

        assert.deepStrictEqual(decoded(token, 0), header, name);
        assert.deepStrictEqual(rest, { profile: { uid: 'alice' }, ...claims }, name);
        assert.strictEqual(exp - iat, 86400, name);
        assert.ok(Math.abs(now() - iat) <= 5, name);
        assert.deepStrictEqual([await ask(daemon, token), await ask(daemon, token, 3)], [{ good: true }, { good: true }], name);
        const said = await check(daemon, token);
        assert.deepStrictEqual([said.good, said.user, said.rooms, said.issued, said.expires, said.algorithm, said.kid],
            [true, 'alice', ['allusers', 'alice'], iat, exp, header.alg, header.kid || null], name);
        await daemon.stop();
    }
});

test('what is sent to the user of a token comes to clients of each version', async (t) => {
    const daemon = await daemonWith(t, {});
    const token = await make(daemon, ['--token', 'bob', '--ttl', '1h']);
    for (const version of VERSIONS) {
        const client = await connect(version, daemon.addr, { token });
        const sent = await daemon.notify(['--to', 'bob', 'msg', '"hi"']);
        assert.strictEqual(sent.code, 0, sent.err);
        await client.when(({ events }) => events.length > 0, within(3000), 'the message');
        assert.deepStrictEqual(client.events, [['msg', 'hi']], `client ${version}.x`);
        client.close();
    }
}, { quick: false });

test('how long it is good', async (t) => {
    const daemon = new Daemon(t, {});
    for (const [ttl, s] of [['1d', 86400], ['90', 90], ['1.5m', 90], ['2000ms', 2], ['36500d', 3153600000]]) {
        const { iat, exp } = decoded(await make(daemon, ['--token', 'u', '--ttl', ttl]), 1);
        assert.strictEqual(exp - iat, s, ttl);
    }
    const never = await make(daemon, ['--token', 'u', '--ttl=0']);
    assert.strictEqual(decoded(never, 1).exp, undefined);
    const result = await daemon.notify(['--check', never]);
    assert.match(result.out, /^good\nuser: "u"\n[^]*^expires: never: it has no exp$/m);
    const made = JSON.parse((await daemon.notify(['--token', 'ü', '--ttl', '1m', '--json'])).out);
    assert.deepStrictEqual([made.user, made.expires], ['ü', decoded(made.token, 1).exp]);
    assert.strictEqual((await check(daemon, made.token)).user, 'ü');
});

test('a user that no token can be for', async (t) => {
    const daemon = new Daemon(t, {});
    for (const uid of ['', 'x'.repeat(256)]) {
        const result = await daemon.notify(['--token', uid]);
        assert.deepStrictEqual([result.code, result.out], [1, '']);
        assert.match(result.err, /the user after --token has to be 1 to 255 bytes of UTF-8/);
    }
    await make(daemon, ['--token', 'x'.repeat(255)]);
    const result = await daemon.notify(['--token', 'alice', '--limits:tokenBytes', '64']);
    assert.deepStrictEqual([result.code, result.out], [1, '']);
    assert.match(result.err, /axr-notifyd would not take such a token: The token is too large/);
});

test('without a secret none is made, and it is said why', async (t) => {
    const dir = tempDir(t);
    fs.writeFileSync(path.join(dir, 'rsa.pem'), rsa.publicKey.export({ type: 'spki', format: 'pem' }));
    const publicOnly = new Daemon(t, { config: { auth: { secret: undefined, publicKeyFile: path.join(dir, 'rsa.pem') } } });
    const both = new Daemon(t, { config: { auth: { publicKeyFile: path.join(dir, 'rsa.pem'), options: { algorithms: ['RS256'] } } } });
    const none = new Daemon(t, { config: { auth: { secret: undefined } } });
    for (const [daemon, pattern] of [
        [publicOnly, /^axr-notify: no token can be made: there is no secret, only public keys, for \["RS256","RS384","RS512"\]; tokens come from whoever has the private key\n$/],
        [both, /no token can be made: there is a secret, but auth:options:algorithms takes only \["RS256"\]\n$/],
        [none, /^axr-notify: auth: found no key to check tokens with, wanted auth:secretFile/],
    ]) {
        const result = await daemon.notify(['--token', 'alice']);
        assert.deepStrictEqual([result.code, result.out], [1, '']);
        assert.match(result.err, pattern);
    }
    const token = sign({ sub: 'carol' }, rsa.privateKey, 'RS256');
    assert.strictEqual((await check(publicOnly, token)).user, 'carol');
});

/* --- tokens that are judged --- */

test('each vector: it says what the daemon says', async (t) => {
    const [{ secret, audience, issuer }] = vectors;
    const daemon = await daemonWith(t, { secret, options: { audience, issuer } });
    for (const vector of vectors) {
        const [said, does] = [await check(daemon, vector.token), await ask(daemon, vector.token)];
        assert.strictEqual(said.good ? 'token_ok' : said.code, vector.expect, vector.name);
        assert.deepStrictEqual([said.good, said.code, said.message], [does.good, does.code, does.message], vector.name);
        if (said.good) assert.strictEqual(said.user, vector.uid, vector.name);
    }
});

const good = { uid: 'u', iss: 'me', aud: ['us', 'them'] };
const cut = (token, n) => token.slice(0, n);
const past = (s) => now() - s;
const withClaims = (more) => sign({ ...good, ...more }, SECRET);
/* What is refused, and the words for the operator that a client does not get. */
const REFUSED = [
    ['expired', () => withClaims({ exp: past(3 * 3600) }), 'token_expired', /it expired \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, 3 h 0 min ago \(auth:options:clockTolerance: 10 s\)/],
    ['not yet', () => withClaims({ nbf: now() + 7260 }), 'token_not_active', /it is good from .* UTC, in 2 h [01] min/],
    ['another issuer', () => withClaims({ iss: 'he"r' }), 'token_issuer', /its iss is "he"r", wanted "me" or "you" \(auth:options:issuer\)/],
    ['no issuer', () => withClaims({ iss: undefined }), 'token_issuer', /it has no iss, wanted "me" or "you"/],
    ['another audience', () => withClaims({ aud: ['x', 'y'] }), 'token_audience', /its aud is \["x", ?"y"\], wanted "us" \(auth:options:audience\)/],
    ['another secret', () => sign(good, OTHER), 'token_signature', /none of the keys for HS256 made its signature \(1 of them\): it was signed with another secret, or changed since/],
    ['a key of another name', () => sign(good, OTHER, 'HS256', { kid: 'k' }), 'token_signature', /it names the key "k", and no key is called so here/],
    ['changed', () => withClaims({}).replace(/\.(...)/, (all, three) => `.${three === 'eyJ' ? 'eyI' : three}`), /token_(signature|malformed)/, /./],
    ['an algorithm without a key', () => sign(good, rsa.privateKey, 'RS256'), 'token_algorithm', /its alg is "RS256", wanted one of \["HS256","HS512"\], which are those of the keys here/],
    ['one that is not accepted', () => sign(good, SECRET, 'HS384'), 'token_algorithm', /its alg is "HS384", wanted one of \["HS256","HS512"\] \(auth:options:algorithms\)/],
    ['none', () => sign(good, '', 'none'), 'token_algorithm', /its alg is "none"/],
    ['another type', () => sign(good, SECRET, 'HS256', { typ: 'refresh+jwt' }), 'token_malformed', /its typ is "refresh\+jwt", wanted "JWT" or "at\+jwt"/],
    ['crit', () => sign(good, SECRET, 'HS256', { crit: ['x'] }), 'token_claim', null],
    ['a time that is none', () => withClaims({ exp: 'tomorrow' }), 'token_claim', null],
    ['no user', () => withClaims({ uid: undefined }), 'token_user', null],
    ['a user that is a number', () => withClaims({ uid: 5 }), 'token_user', null],
    ['rooms that are none', () => withClaims({ guilds: 5 }), 'token_claim', /limits:roomsPerClient is 1000, and two of them/],
    ['cut off', () => cut(withClaims({}), 40), 'token_malformed', /three parts with a dot between them, and this has 2/],
    ['too large', () => withClaims({ filling: 'x'.repeat(9000) }), 'token_too_large', /it has \d+ bytes, wanted at most 8192 \(limits:tokenBytes\)/],
    ['no token at all', () => 'secret', 'token_malformed', /three parts/],
    ['with the word of a header', () => `Bearer ${withClaims({})}`, 'token_malformed', /no word before it/],
    ['in white space', () => `${withClaims({})}\n`, 'token_malformed', /white space is around it/],
    ['a kid that is a number', () => sign(good, SECRET, 'HS256', { kid: 5 }), 'token_malformed', null],
    ['PS256', () => sign(good, SECRET, 'HS256', { alg: 'PS256' }), 'token_algorithm', /its alg is "PS256", wanted one of .*; the daemon knows HS, RS and ES/],
    ['no alg', () => sign(good, SECRET, 'HS256', { alg: undefined }), 'token_algorithm', /it has no alg, or one that is no string, wanted/],
    ['a large header', () => sign(good, SECRET, 'HS256', { x: 'y'.repeat(2100) }), 'token_too_large', /its header has more than 2048 bytes/],
    ['a member twice', () => sign('{"uid":"a","uid":"b"}', SECRET), 'token_malformed', /no member is twice/],
    ['in quotes', () => `"${withClaims({})}"`, 'token_malformed', /it is in quotes/],
    ['escapes', () => sign({ ...good, uid: 'a\x1b[2J', exp: 1 }, SECRET), 'token_expired', /it expired 1970-01-01 00:00:01 UTC/],
];

test('what is refused: code and message of the daemon, and more for the operator', async (t) => {
    const options = { algorithms: ['HS256', 'HS512'], issuer: ['me', 'you'], audience: 'us', clockTolerance: '10s', roomsClaim: 'guilds' };
    const daemon = await daemonWith(t, { options });
    for (const [name, token, code, detail] of REFUSED) {
        const text = token();
        const [said, does] = [await check(daemon, '', ['--check', text]), await ask(daemon, text)];
        assert.deepStrictEqual([said.good, said.code, said.message], [does.good, does.code, does.message], name);
        if (detail === null) assert.strictEqual(said.detail, null, name);
        if (typeof code === 'string') assert.strictEqual(said.code, code, name);
        else assert.match(said.code, code, name);
        if (detail) assert.match(said.detail, detail, name);
        const shown = await daemon.notify(['--check', text]);
        assert.strictEqual(shown.code, 1, name);
        assert.ok(shown.out.startsWith(`refused: ${said.code}: ${said.message}\n`), `${name}: ${shown.out}`);
        assert.match(shown.out, /^[\x20-\x7e\n]*$/, name);
    }
    const rooms = withClaims({ guilds: ['g 1', 'allusers', 'g2'], exp: now() + 90 * 86400 + 60 });
    assert.deepStrictEqual(await ask(daemon, rooms), { good: true });
    assert.deepStrictEqual((await check(daemon, rooms)).rooms, ['allusers', 'u', 'g 1', 'g2']);
    const shown = await daemon.notify(['--check', rooms]);
    assert.match(shown.out, /^good\nuser: "u"\nrooms: "allusers", "u", "g 1", "g2"\nexpires: \d{4}-\d\d-\d\d .* UTC, in 90 days\nalgorithm: HS256\nkey: \["HS256","HS384","HS512"\] {2}\(file .*axr-notifyd.conf:1, auth:secret\)\n$/);
    const odd = withClaims({ exp: Date.now() + 86400000 });
    assert.deepStrictEqual(await ask(daemon, odd), { good: true });
    assert.match((await daemon.notify(['--check', odd])).out, /^warning: its exp is after the year 3000, and taken for milliseconds/m);
});

/* Each algorithm that there is a key for, and what may be wrong with a token for a user of a
 * library; what a client of socket.io 4 is told is what the tool says. */
test('a client of socket.io 4 gets what it says', async (t) => {
    const dir = tempDir(t);
    const pem = (name, { publicKey }) => {
        fs.writeFileSync(path.join(dir, name), publicKey.export({ type: 'spki', format: 'pem' }));
        return path.join(dir, name);
    };
    const ec = Object.fromEntries(['P-256', 'P-384', 'P-521'].map((namedCurve) => [namedCurve, crypto.generateKeyPairSync('ec', { namedCurve })]));
    const daemon = await daemonWith(t, {
        publicKeyFile: [pem('rsa', rsa), ...Object.entries(ec).map(([name, pair]) => pem(name, pair))],
        options: { issuer: 'me', audience: 'us', roomsClaim: 'rooms' },
    }, { limits: { roomsPerClient: 4 } });
    const keys = { HS: { 256: SECRET, 384: SECRET, 512: SECRET }, RS: { 256: rsa.privateKey, 384: rsa.privateKey, 512: rsa.privateKey },
        ES: { 256: ec['P-256'].privateKey, 384: ec['P-384'].privateKey, 512: ec['P-521'].privateKey } };
    const tokens = ['HS', 'RS', 'ES'].flatMap((family) => [256, 384, 512].map((bits) => sign(good, keys[family][bits], `${family}${bits}`)));
    tokens.push(...['PS256', 'EdDSA', 'none'].map((alg) => sign(good, SECRET, 'HS256', { alg })));
    tokens.push(sign(good, ec['P-256'].privateKey, 'ES256', { alg: 'ES384' }), sign(good, rsa.publicKey.export({ type: 'spki', format: 'pem' })));
    tokens.push(...[{ exp: past(1) }, { exp: now() + 3600.5 }, { exp: null }, { nbf: now() + 60 }, { nbf: now() + 60, exp: 1 }, { iss: 'you' }, { iss: ['me'] }, { aud: 'x' },
        { aud: ['x', 5] }, { aud: [] }, { rooms: ['a', 'b'] }, { rooms: ['a', 'b', 'c'] }, { rooms: [''] }, { uid: '' }, { uid: 'a\nb' }, { uid: undefined, sub: 's' }].map(withClaims));
    for (const token of tokens) {
        const client = new Client(4, daemon.addr, { token });
        await client.when(({ notes }) => notes.length > 0, within(3000), token);
        const [{ what, detail }] = client.notes;
        const got = what === 'connect' ? [true, undefined, undefined] : [false, detail.data.code, detail.message];
        client.close();
        const said = await check(daemon, token);
        assert.deepStrictEqual([said.good, said.code, said.message], got, token);
    }
});

test('which key it was', async (t) => {
    const daemon = new Daemon(t, { config: { auth: { secret: [SECRET, OTHER], keys: [{ kid: 'k', secret: `${OTHER}k` }] } } });
    const { key, signedWith } = await check(daemon, sign({ sub: 's' }, OTHER));
    assert.match(key, /\(file .*, auth:secret, 2 of 2\)$/);
    assert.deepStrictEqual(signedWith, { setting: 'auth:secret', file: null, number: 2, of: 2, kid: null });
    assert.match((await check(daemon, sign({ sub: 's' }, `${OTHER}k`, 'HS256', { kid: 'k' }))).key, /^kid "k", .*auth:keys:0\)$/);
});

test('amid a rotation: which of the secrets made it, and which were tried; none of them is shown', async (t) => {
    const dir = tempDir(t);
    const file = (name, text) => {
        fs.writeFileSync(path.join(dir, name), text, { mode: 0o600 });
        return path.join(dir, name);
    };
    const daemon = new Daemon(t, { config: { auth: { secret: undefined, secretFile: [file('new', `${SECRET}\n`), file('old', `${OTHER}\n`)], keys: [{ kid: 'k', secret: `${OTHER}k` }] } } });
    const words = async (token) => (await daemon.notify(['--check', token])).out;
    assert.match(await words(sign({ sub: 's' }, SECRET)), new RegExp(`\nsigned with: the first of 2 secrets \\(auth:secretFile "${dir}/new"\\)\n$`));
    assert.match(await words(sign({ sub: 's', exp: 1 }, OTHER)), new RegExp(`^refused: token_expired[^]*\nsigned with: the second of 2 secrets \\(auth:secretFile "${dir}/old"\\)\n$`));
    const forged = sign({ sub: 's' }, `${OTHER}x`);
    assert.match(await words(forged), /none of the keys for HS256 made its signature \(3 of them\): .*; tried: all 2 of auth:secretFile, auth:keys:0\n/);
    const said = await check(daemon, forged);
    assert.strictEqual(said.signedWith, null);
    assert.deepStrictEqual(said.tried.map(({ setting, number, of, kid }) => [setting, number, of, kid]),
        [['auth:secretFile', 1, 2, null], ['auth:secretFile', 2, 2, null], ['auth:keys:0', 1, 1, 'k']]);
    assert.match((await check(daemon, sign({ sub: 's' }, `${OTHER}k`, 'HS256', { kid: 'j' }))).detail,
        /it names the key "j", and no key is called so here; tried: all 2 of auth:secretFile; not tried, for the token names another key: auth:keys:0$/);
    assert.match((await check(daemon, cut(forged, forged.lastIndexOf('.') + 1))).detail, /^it has no signature/);
    const { out } = await run(NOTIFYD, ['-t', '-c', daemon.file], { cwd: daemon.dir, env: daemon.env });
    assert.match(out, new RegExp(`\nkey: .* auth:secretFile "${dir}/new", 1 of 2\\)\nkey: .* auth:secretFile "${dir}/old", 2 of 2\\)\nkey: kid "k", .* auth:keys:0\\)\n`));
    for (const shown of [out, await words(forged), JSON.stringify(said)]) assert.ok(!shown.includes(SECRET) && !shown.includes(OTHER));
});

/* --- the command line --- */

test('standard input, white space, and what is wrong with the words', async (t) => {
    const daemon = new Daemon(t, {});
    const token = await make(daemon, ['--token', 'alice']);
    for (const input of [token, `${token}\n`, ` \t${token}\r\n\n`])
        assert.strictEqual((await check(daemon, input)).user, 'alice');
    assert.deepStrictEqual([(await check(daemon, '')).code, (await check(daemon, '\n')).code], ['token_missing', 'token_missing']);
    assert.match((await daemon.notify(['--check', '-'], { input: 'x'.repeat((1 << 20) + 1) })).err, /standard input has more than a token/);
    for (const [args, pattern] of [
        [['--token', 'a', '--check', 'b'], /--token and --check are wanted one at a time/],
        [['--token', 'a', 'msg'], /--token goes with -c, --KEY, --json and --ttl, and nothing else/], [['--check', 'a', '--watch'], /and nothing else/],
        [['--check', 'a', '--to', 'r'], /--check goes with -c, --KEY, --json, and nothing else/],
        [['--check', 'a', '--ttl', '5'], /--ttl is of use with --token only/],
        [['--ttl', '5', 'msg'], /--ttl is of use with --token only/],
        [['--token', 'a', '--ttl', '5w'], /--ttl wants seconds, 0 to 3153600000, or a duration as 1d \(ms, s, m, h or d\); found "5w"\n/],
        [['--token', 'a', '--ttl', '36501d'], /--ttl wants/],
        [['--token', 'a', '--ttl', '1.5s'], /--ttl wants .*; found "1\.5s", which is no whole number of seconds\n/], [['--token', 'a', '--ttl', '10k'], /found "10k", which has a unit of sizes\n/],
        [['--token', 'a', '--ttl', ''], /; found ""\n/], [['--token', 'a', '--ttl', `1\n${'9'.repeat(300)}`], /; found "1\\x0a9{40,}\.\.\."\n/],
        [['--token'], /a value is missing after --token/],
    ]) {
        const result = await daemon.notify(args);
        assert.deepStrictEqual([result.code, result.out], [2, ''], args.join(' '));
        assert.match(result.err, pattern);
    }
});

/* The configuration comes through a fifo: until that is there, it waits. */
test('the token of the command line is not left in the process list', async (t) => {
    const dir = tempDir(t);
    const fifo = path.join(dir, 'fifo');
    execFileSync('mkfifo', [fifo]);
    for (const word of [['--check', 'aaaa.bbbb.cccc'], ['--check=aaaa.bbbb.cccc']]) {
        const writer = fs.openSync(fifo, 'r+'); /* there before the reader */
        const child = spawn(NOTIFY, ['-c', fifo, ...word], { stdio: 'ignore', env: {} });
        const ended = new Promise((resolve) => child.on('exit', resolve));
        const title = () => fs.readFileSync(`/proc/${child.pid}/cmdline`, 'utf8');
        await until(() => /-check.\*{14}\0$/.test(title()), within(2000), 'the stars');
        fs.writeSync(writer, JSON.stringify({ auth: { secret: SECRET } }));
        fs.closeSync(writer);
        assert.strictEqual(await ended, 1);
    }
});

test('who may not read the secret is told what to do', async (t) => {
    const dir = tempDir(t);
    fs.chmodSync(dir, 0o755);
    fs.writeFileSync(path.join(dir, 'secret'), SECRET, { mode: 0o600 });
    fs.writeFileSync(path.join(dir, 'conf'), JSON.stringify({ auth: { secretFile: path.join(dir, 'secret') } }));
    fs.chmodSync(path.join(dir, 'conf'), 0o644);
    fs.copyFileSync(NOTIFY, path.join(dir, 'axr-notify'));
    const result = await run('setpriv', ['--reuid', 'nobody', '--clear-groups', path.join(dir, 'axr-notify'),
        '-c', path.join(dir, 'conf'), '--token', 'alice'], { cwd: dir });
    assert.deepStrictEqual([result.code, result.out], [1, '']);
    assert.match(result.err, /auth:secretFile: cannot read .*\/secret: Permission denied\naxr-notify: run it as root, or as who is in the group that may read the secret: axr-notifyd/);
}, { root: true, tools: ['setpriv'] });
